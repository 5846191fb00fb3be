"""What ``python module.py --check`` runs in modules of the target python: lists, no NumPy."""

import math

from gradcompile.emit.support.check_both import conclude


def draw(problem, low, high):
    """Return a random argument for each (name, shape, labels)."""
    state = 1

    def number(labels):
        nonlocal state
        state = (6364136223846793005 * state + 1442695040888963407) % 2**64
        share = (state >> 11) / 2**53
        return int(share * labels) if labels else low + share * (high - low)

    def fill(shape, labels):
        return [fill(shape[1:], labels) for _ in range(shape[0])] if shape else number(labels)

    return [fill(shape, labels) for _, shape, labels in problem]


def cells(container, key):
    """Yield (list, index) for every number in a nested list."""
    inside = container[key]
    if isinstance(inside, (list, tuple)):
        for k in range(len(inside)):
            yield from cells(inside, k)
    else:
        yield container, key


def judge(name, rows):
    """Compare derivatives with central differences of a step and half of it.

    Where these differ by more than 1e-6, and by no more than their own doubt, they show nothing.
    A row is (derivative, difference, difference for half the step, rounding of these).
    """
    worst, unknown = 0.0, 0
    for exact, far, near, rounded in rows:
        difference = (4 * near - far) / 3  # cancels their errors of order step**2
        miss, size = abs(exact - difference), abs(exact) + abs(difference)
        if 1e-6 * size < miss <= 3 * abs(near - far) + 64 * rounded:
            unknown += 1
        elif miss != 0:
            error = miss / size
            worst = error if math.isnan(error) else max(worst, error)
    print(f"{name:<32}{len(rows):>12}{unknown:>12}{worst:>16.1e}")
    return worst, len(rows) - unknown, len(rows)


def check(arguments, value, value_and_grad, problem, count):
    """Compare the gradient with central differences at a random point; return the exit status."""
    if arguments != ["--check"]:
        print("usage: --check compares the derivatives with central differences")
        return 2
    for low, high in ((0.2, 0.9), (1.1, 1.9), (-0.9, -0.2), (0.001, 0.1)):
        point = draw(problem, low, high)
        try:
            found, gradients = value_and_grad(*point)
        except (ArithmeticError, ValueError):
            continue
        if math.isfinite(found):
            break
    else:
        print("no point was found at which the objective is finite")
        return 1
    gradients = gradients if isinstance(gradients, tuple) else (gradients,)
    exact = [[place[k] for place, k in cells(gradients, number)] for number in range(count)]
    judged = []
    print(f"{'parameter':<32}{'components':>12}{'cannot tell':>12}{'largest error':>16}")
    for number in range(count):
        rows = []
        for (place, k), g in zip(cells(point, number), exact[number], strict=True):
            centre, slopes = place[k], []
            step = 1e-5 * max(1.0, abs(centre))
            for reach in (step, step / 2):
                place[k] = centre + reach
                above = value(*point)
                place[k] = centre - reach
                below = value(*point)
                slopes.append((above - below) / (2 * reach))
            place[k] = centre
            rows.append((g, *slopes, 2.0**-52 * max(abs(above), abs(below)) / step))
        judged.append(judge(problem[number][0], rows))
    return conclude("derivatives", judged, 1e-6)
