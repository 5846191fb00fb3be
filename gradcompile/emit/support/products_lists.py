"""What ``--check`` runs beside the gradient in modules of the target python: products with the Hessian."""

import math

from gradcompile.emit.support.check_lists import draw


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
    slopes = []
    for step in (1e-5, 5e-6):
        ends = []
        for shift in (step, -step):
            ways = zip(point[:count], direction, strict=True)
            near = [moved(each, way, shift) for each, way in ways]
            ends.append(list(flat(value_and_grad(*near, *point[count:])[1])))
        slopes.append([(up - down) / (2 * step) for up, down in zip(*ends, strict=True)])
    # the errors of order step**2 cancel
    differences = [(4 * near - far) / 3 for far, near in zip(*slopes, strict=True)]
    pairs = list(zip(found, differences, strict=True))
    scale = max(abs(exact) + abs(difference) for exact, difference in pairs)
    worst = 0.0
    for exact, difference in pairs:
        miss = abs(exact - difference) / (abs(exact) + abs(difference) + 1e-3 * scale + 1e-12)
        worst = miss if math.isnan(miss) else max(worst, miss)
    agrees = worst <= 1e-6
    print(f"{'Hessian times a direction':<32}{len(found):>12}{worst:>16.1e}")
    print("the products agree with central differences" if agrees else "THE PRODUCTS DISAGREE")
    return 0 if agrees else 1
