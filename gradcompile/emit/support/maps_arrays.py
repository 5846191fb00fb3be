"""What ``--check`` runs in modules of the targets numpy and numba whose objective is an array."""

import numpy as np

from gradcompile.emit.support.check_arrays import draw


def check_map(arguments, value, jvp, vjp, problem, count, dtype):
    """Compare the Jacobian times a direction with differences, and both modes; return a status."""
    if arguments != ["--check"]:
        print("usage: --check compares the derivatives with central differences")
        return 2
    for low, high in ((0.2, 0.9), (1.1, 1.9), (-0.9, -0.2), (0.001, 0.1)):
        drawn = draw([*problem, *problem[:count]], low, high, dtype)
        point, direction = drawn[: len(problem)], drawn[len(problem) :]
        with np.errstate(all="ignore"):
            found = jvp(*drawn)
        if np.isfinite(found).all():
            break
    else:
        print("no point was found at which the derivatives are finite")
        return 1
    slopes, double = [], np.dtype(dtype).itemsize == 8
    step = 1e-5 if double else 2e-2
    for reach in (step, step / 2):
        ends = []
        for sign in (1, -1):
            pairs = zip(point[:count], direction, strict=True)
            moved = [each + sign * reach * way for each, way in pairs]
            moved = [each.astype(dtype) if np.ndim(each) else float(each) for each in moved]
            ends.append(value(*moved, *point[count:]).astype(np.float64))
        slopes.append((ends[0] - ends[1]) / (2 * reach))
    difference = (4 * slopes[1] - slopes[0]) / 3  # cancels their errors of order step**2
    size = np.abs(found) + np.abs(difference)
    worst = float(np.max(np.abs(found - difference) / (size + 1e-3 * np.max(size) + 1e-12)))
    back = vjp(*point, found)
    back = back if isinstance(back, tuple) else (back,)
    forth = float(np.sum(found * found))
    both = sum(float(np.sum(a * b)) for a, b in zip(back, direction, strict=True))
    apart = abs(forth - both) / (forth + abs(both) + 1e-300)
    agrees = worst <= (1e-6 if double else 5e-2) and apart <= (1e-10 if double else 1e-3)
    print(f"{'Jacobian times a direction':<32}{found.size:>12}{worst:>16.1e}")
    print(f"{'forward against reverse mode':<32}{1:>12}{apart:>16.1e}")
    print("the derivatives agree with differences" if agrees else "THE DERIVATIVES DISAGREE")
    return 0 if agrees else 1
