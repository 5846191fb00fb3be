"""What ``--check`` runs beside the gradient in modules of the targets numpy and numba: products with the Hessian."""

import numpy as np

from gradcompile.emit.support.check_arrays import draw


def check_products(value_and_grad, hvp, problem, count, dtype):
    """Compare the Hessian times a direction with differences; return the exit status."""
    for low, high in ((0.2, 0.9), (1.1, 1.9), (-0.9, -0.2), (0.001, 0.1)):
        drawn = draw([*problem, *problem[:count]], low, high, dtype)
        point, direction = drawn[: len(problem)], drawn[len(problem) :]
        with np.errstate(all="ignore"):
            products = hvp(*drawn)
        products = products if isinstance(products, tuple) else (products,)
        found = np.concatenate([np.ravel(part) for part in products]).astype(np.float64)
        if np.isfinite(found).all():
            break
    else:
        print("no point was found at which the second derivatives are finite")
        return 1
    slopes, double = [], np.dtype(dtype).itemsize == 8
    step = 1e-5 if double else 2e-2
    for reach in (step, step / 2):
        ends = []
        for sign in (1, -1):
            pairs = zip(point[:count], direction, strict=True)
            moved = [each + sign * reach * way for each, way in pairs]
            moved = [each.astype(dtype) if np.ndim(each) else float(each) for each in moved]
            gradients = value_and_grad(*moved, *point[count:])[1]
            gradients = gradients if isinstance(gradients, tuple) else (gradients,)
            ends.append(np.concatenate([np.ravel(part) for part in gradients]).astype(np.float64))
        slopes.append((ends[0] - ends[1]) / (2 * reach))
    difference = (4 * slopes[1] - slopes[0]) / 3  # cancels their errors of order step**2
    size = np.abs(found) + np.abs(difference)
    worst = float(np.max(np.abs(found - difference) / (size + 1e-3 * np.max(size) + 1e-12)))
    agrees = worst <= (1e-6 if double else 5e-2)
    print(f"{'Hessian times a direction':<32}{found.size:>12}{worst:>16.1e}")
    print("the products agree with central differences" if agrees else "THE PRODUCTS DISAGREE")
    return 0 if agrees else 1
