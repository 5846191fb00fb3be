"""What ``--check`` runs beside the gradient in modules of the target python: products with the Hessian."""

import math

from gradcompile.emit.support.check_both import conclude
from gradcompile.emit.support.check_lists import draw, judge


def flat(part):
    """Yield the numbers of a nested list, or the one number."""
    if isinstance(part, (list, tuple)):
        for each in part:
            yield from flat(each)
    else:
        yield part


def moved(part, direction, step):
    """Return a nested list, or a number, moved along another one."""
    if isinstance(part, list):
        return [moved(each, way, step) for each, way in zip(part, direction, strict=True)]
    return part + step * direction


def along(function, point, direction):
    """Return (difference, that for half the step, rounding) along a direction."""
    count, slopes = len(direction), []
    for step in (1e-5, 5e-6):
        ends = []
        for shift in (step, -step):
            ways = zip(point[:count], direction, strict=True)
            near = [moved(each, way, shift) for each, way in ways]
            ends.append(list(flat(function(*near, *point[count:]))))
        slopes.append([(up - down) / (2 * step) for up, down in zip(*ends, strict=True)])
    largest = max(map(abs, slopes[1]), default=0.0)  # beside it, a sum that cancels is not quite 0
    doubts = [max(abs(up), abs(down)) / 1e-5 for up, down in zip(*ends, strict=True)]
    rounded = [2.0**-52 * (doubt + largest) for doubt in doubts]
    return list(zip(*slopes, rounded, strict=True))


def check_products(value_and_grad, hvp, problem, count):
    """Compare the Hessian times a direction with differences; return the exit status."""
    for low, high in ((0.2, 0.9), (1.1, 1.9), (-0.9, -0.2), (0.001, 0.1)):
        drawn = draw([*problem, *problem[:count]], low, high)
        point, direction = drawn[: len(problem)], drawn[len(problem) :]
        try:
            found = list(flat(hvp(*drawn)))
        except (ArithmeticError, ValueError):
            continue
        if all(map(math.isfinite, found)):
            break
    else:
        print("no point was found at which the second derivatives are finite")
        return 1
    differences = along(lambda *at: value_and_grad(*at)[1], point, direction)
    rows = [(exact, *rest) for exact, rest in zip(found, differences, strict=True)]
    return conclude("products", [judge("Hessian times a direction", rows)], 1e-6)
