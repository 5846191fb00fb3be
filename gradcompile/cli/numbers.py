"""Numbers by name in an option: ``w=0.5,x=2``."""

from __future__ import annotations

from gradcompile.errors import ArgumentError


def numbers(text: str, option: str) -> dict[str, float]:
    """Return the numbers of a list such as ``w=0.5,x=2``.

    Examples
    --------
    >>> numbers("w=0.5, x=2", "--at")
    {'w': 0.5, 'x': 2.0}
    """
    found: dict[str, float] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, equals, number = (word.strip() for word in part.partition("="))
        try:
            found[name] = float(number)
        except ValueError:
            hint = f"write {name}=0.5" if equals else "write NAME=NUMBER,NAME=NUMBER"
            raise ArgumentError(f"{option} holds no number here", text=text, place=part, hint=hint) from None
    return found


def sizes(text: str, option: str = "--size") -> dict[str, int]:
    """Return the sizes of a list such as ``H=32,K=10``.

    Examples
    --------
    >>> sizes("H=32")
    {'H': 32}
    """
    found = {}
    for name, number in numbers(text, option).items():
        if number != int(number) or number < 1:
            raise ArgumentError(
                f"{option}: {name} is not a whole number from 1",
                text=text,
                place=name,
                expected="a whole number from 1",
                hint="write NAME=NUMBER, as in N=10",
            )
        found[name] = int(number)
    return found
