"""What ``--check`` runs in modules of the target python whose objective is an array."""

import math

from gradcompile.emit.support.check_both import conclude
from gradcompile.emit.support.check_lists import draw, judge
from gradcompile.emit.support.products_lists import along, flat


def check_map(arguments, value, jvp, vjp, problem, count):
    """Compare the Jacobian times a direction with differences, and both modes; return a status."""
    if arguments != ["--check"]:
        print("usage: --check compares the derivatives with central differences")
        return 2
    for low, high in ((0.2, 0.9), (1.1, 1.9), (-0.9, -0.2), (0.001, 0.1)):
        drawn = draw([*problem, *problem[:count]], low, high)
        point, direction = drawn[: len(problem)], drawn[len(problem) :]
        try:
            forward = jvp(*drawn)
        except (ArithmeticError, ValueError):
            continue
        found = list(flat(forward))
        if all(map(math.isfinite, found)):
            break
    else:
        print("no point was found at which the derivatives are finite")
        return 1
    differences = along(value, point, direction)
    rows = [(exact, *rest) for exact, rest in zip(found, differences, strict=True)]
    judged = [judge("Jacobian times a direction", rows)]
    forth = sum(number * number for number in found)
    both = sum(a * b for a, b in zip(flat(vjp(*point, forward)), flat(direction), strict=True))
    apart = abs(forth - both) / (forth + abs(both) + 1e-300)
    print(f"{'forward against reverse mode':<32}{1:>12}{0:>12}{apart:>16.1e}")
    if not apart <= 1e-10:
        print("FORWARD AND REVERSE MODE DISAGREE")
        return 1
    return conclude("derivatives", judged, 1e-6)
