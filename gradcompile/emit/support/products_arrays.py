"""What ``--check`` runs beside the gradient in modules of the targets numpy and numba: products with the Hessian."""

import numpy as np

from gradcompile.emit.support.check_arrays import draw, judge, settings
from gradcompile.emit.support.check_both import conclude


def joined(parts):
    """Return an array, or several, as one row of numbers."""
    parts = parts if isinstance(parts, tuple) else (parts,)
    return np.concatenate([np.ravel(part) for part in parts]).astype(np.float64)


def along(function, point, direction, dtype):
    """Return central differences along a direction for a step and half of it, and rounding."""
    (step, _, rounding), slopes = settings(dtype), []
    count = len(direction)
    for reach in (step, step / 2):
        ends = []
        for sign in (1, -1):
            pairs = zip(point[:count], direction, strict=True)
            moved = [each + sign * reach * way for each, way in pairs]
            moved = [each.astype(dtype) if np.ndim(each) else float(each) for each in moved]
            ends.append(joined(function(*moved, *point[count:])))
        slopes.append((ends[0] - ends[1]) / (2 * reach))
    doubt = np.maximum(np.abs(ends[0]), np.abs(ends[1])) / step
    largest = np.max(np.abs(slopes[1]), initial=0)  # beside it, a sum that cancels is not quite 0
    return slopes, rounding * (doubt + largest)


def check_products(value_and_grad, hvp, problem, count, dtype):
    """Compare the Hessian times a direction with differences; return the exit status."""
    for low, high in ((0.2, 0.9), (1.1, 1.9), (-0.9, -0.2), (0.001, 0.1)):
        drawn = draw([*problem, *problem[:count]], low, high, dtype)
        point, direction = drawn[: len(problem)], drawn[len(problem) :]
        with np.errstate(all="ignore"):
            found = joined(hvp(*drawn))
        if np.isfinite(found).all():
            break
    else:
        print("no point was found at which the second derivatives are finite")
        return 1
    slopes, rounded = along(lambda *at: value_and_grad(*at)[1], point, direction, dtype)
    limit = settings(dtype)[1]
    judged = [judge("Hessian times a direction", found, slopes, rounded, limit)]
    return conclude("products", judged, limit)
