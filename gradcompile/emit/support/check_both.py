"""What ``--check`` says in modules of every target."""


def conclude(what, judged, limit):
    """Print whether derivatives agree with differences; return the exit status.

    What was judged is (largest error, numbers that show something, numbers) in rows.
    """
    shown, total = (sum(row[k] for row in judged) for k in (1, 2))
    if not all(worst <= limit for worst, _, _ in judged):
        print(f"THE {what.upper()} DISAGREE WITH CENTRAL DIFFERENCES")
        return 1
    if total and not shown:
        print("CENTRAL DIFFERENCES CANNOT TELL AT THIS POINT")
        return 1
    rest = f" where these can tell: {shown} of {total}" if shown < total else ""
    print(f"the {what} agree with central differences{rest}")
    return 0
