"""What ``python module.py --check`` runs in modules of the targets numpy and numba."""

import numpy as np

from gradcompile.emit.support.check_both import conclude


def draw(problem, low, high, dtype):
    """Return a random argument for each (name, shape, labels)."""
    random = np.random.default_rng(1)
    point = []
    for _, shape, labels in problem:
        size = shape or None  # a number, where () would be an array of no axes
        drawn = random.integers(labels, size=size) if labels else random.uniform(low, high, size)
        point.append(drawn.astype(np.int64 if labels else dtype) if shape else drawn)
    return point


def settings(dtype):
    """Return the step of differences, the error allowed, and what a number is rounded by."""
    double = np.dtype(dtype).itemsize == 8
    return (1e-5, 1e-6, 2.0**-52) if double else (2e-2, 5e-2, 2.0**-23)


def judge(name, exact, slopes, rounded, limit):
    """Compare derivatives with central differences of a step and half of it.

    Where these are further off than is allowed, and no further than their doubt, they show nothing.
    """
    far, near = slopes
    difference = (4 * near - far) / 3  # cancels their errors of order step**2
    with np.errstate(all="ignore"):
        miss, size = np.abs(exact - difference), np.abs(exact) + np.abs(difference)
        error = np.where(miss == 0, 0, miss / size)
        unknown = (miss > limit * size) & (miss <= 3 * np.abs(near - far) + 64 * rounded)
    worst = float(np.max(error[~unknown], initial=0))
    print(f"{name:<32}{error.size:>12}{int(unknown.sum()):>12}{worst:>16.1e}")
    return worst, error.size - int(unknown.sum()), error.size


def check(arguments, value, value_and_grad, problem, count, dtype):
    """Compare the gradient with central differences at a random point; return the exit status."""
    if arguments != ["--check"]:
        print("usage: --check compares the derivatives with central differences")
        return 2
    for low, high in ((0.2, 0.9), (1.1, 1.9), (-0.9, -0.2), (0.001, 0.1)):
        point = draw(problem, low, high, dtype)
        with np.errstate(all="ignore"):
            found, gradients = value_and_grad(*point)
        if np.isfinite(found):
            break
    else:
        print("no point was found at which the objective is finite")
        return 1
    gradients = gradients if isinstance(gradients, tuple) else (gradients,)
    (unit, limit, rounding), judged = settings(dtype), []
    print(f"{'parameter':<32}{'components':>12}{'cannot tell':>12}{'largest error':>16}")
    for number in range(count):
        exact, centre = np.asarray(gradients[number], np.float64).ravel(), point[number]
        start = np.asarray(centre)
        steps = unit * np.maximum(1.0, np.abs(start.ravel().astype(np.float64)))
        slopes, rounded = np.empty((2, exact.size)), np.empty(exact.size)
        for k in range(exact.size):
            for row, reach in enumerate((steps[k], steps[k] / 2)):
                ends = []
                for sign in (1, -1):
                    moved = start.copy()
                    moved.reshape(-1)[k] += sign * reach
                    point[number] = moved if start.ndim else float(moved)
                    ends.append(float(value(*point)))
                slopes[row, k] = (ends[0] - ends[1]) / (2 * reach)
            rounded[k] = rounding * max(abs(ends[0]), abs(ends[1])) / steps[k]
        point[number] = centre
        judged.append(judge(problem[number][0], exact, slopes, rounded, limit))
    return conclude("derivatives", judged, limit)
