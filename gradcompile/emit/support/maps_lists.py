"""What ``--check`` runs in modules of the target python whose objective is an array."""

import math

from gradcompile.emit.support.check_lists import draw
from gradcompile.emit.support.products_lists import flat, moved


def check_map(arguments, value, jvp, vjp, problem, count):
    """Compare the Jacobian times a direction with differences, and both modes; return a status."""
    if arguments != ["--check"]:
        print("usage: --check compares the derivatives with central differences")
        return 2
    for low, high in ((0.2, 0.9), (1.1, 1.9), (-0.9, -0.2), (0.001, 0.1)):
        drawn = draw([*problem, *problem[:count]], low, high)
        point, direction = drawn[: len(problem)], drawn[len(problem) :]
        try:
            along = jvp(*drawn)
        except (ArithmeticError, ValueError):
            continue
        found = list(flat(along))
        if all(map(math.isfinite, found)):
            break
    else:
        print("no point was found at which the derivatives are finite")
        return 1
    slopes = []
    for step in (1e-5, 5e-6):
        ends = []
        for shift in (step, -step):
            ways = zip(point[:count], direction, strict=True)
            near = [moved(each, way, shift) for each, way in ways]
            ends.append(list(flat(value(*near, *point[count:]))))
        slopes.append([(up - down) / (2 * step) for up, down in zip(*ends, strict=True)])
    # the errors of order step**2 cancel
    differences = [(4 * near - far) / 3 for far, near in zip(*slopes, strict=True)]
    pairs = list(zip(found, differences, strict=True))
    scale = max(abs(exact) + abs(difference) for exact, difference in pairs)
    worst = 0.0
    for exact, difference in pairs:
        miss = abs(exact - difference) / (abs(exact) + abs(difference) + 1e-3 * scale + 1e-12)
        worst = miss if math.isnan(miss) else max(worst, miss)
    forth = sum(number * number for number in found)
    both = sum(a * b for a, b in zip(flat(vjp(*point, along)), flat(direction), strict=True))
    apart = abs(forth - both) / (forth + abs(both) + 1e-300)
    agrees = worst <= 1e-6 and apart <= 1e-10
    print(f"{'Jacobian times a direction':<32}{len(found):>12}{worst:>16.1e}")
    print(f"{'forward against reverse mode':<32}{1:>12}{apart:>16.1e}")
    print("the derivatives agree with differences" if agrees else "THE DERIVATIVES DISAGREE")
    return 0 if agrees else 1
