"""What ``--check`` runs in modules of the targets numpy and numba whose objective is an array."""

import numpy as np

from gradcompile.emit.support.check_arrays import draw, judge, settings
from gradcompile.emit.support.check_both import conclude
from gradcompile.emit.support.products_arrays import along, joined


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
    slopes, rounded = along(value, point, direction, dtype)
    limit = settings(dtype)[1]
    judged = [judge("Jacobian times a direction", joined(found), slopes, rounded, limit)]
    back = vjp(*point, found)
    back = back if isinstance(back, tuple) else (back,)
    forth = float(np.sum(found * found))
    both = sum(float(np.sum(a * b)) for a, b in zip(back, direction, strict=True))
    apart = abs(forth - both) / (forth + abs(both) + 1e-300)
    print(f"{'forward against reverse mode':<32}{1:>12}{0:>12}{apart:>16.1e}")
    if not apart <= (1e-10 if limit < 1e-3 else 1e-3):
        print("FORWARD AND REVERSE MODE DISAGREE")
        return 1
    return conclude("derivatives", judged, limit)
