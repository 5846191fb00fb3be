"""What ``python module.py --check`` runs in modules of the targets numpy and numba."""

import numpy as np


def draw(problem, low, high, dtype):
    """Return a random argument for each (name, shape, labels)."""
    random = np.random.default_rng(1)
    point = []
    for _, shape, labels in problem:
        drawn = random.integers(labels, size=shape) if labels else random.uniform(low, high, shape)
        point.append(drawn.astype(np.int64 if labels else dtype) if shape else drawn)
    return point


def check(arguments, value, value_and_grad, problem, count, dtype):
    """Compare the gradient with central differences at a random point; return the exit status."""
    if arguments != ["--check"]:
        print("usage: --check compares the gradient with central differences")
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
    scale = max((float(np.max(np.abs(g))) for g in gradients), default=0.0) + abs(float(found))
    worst, double = 0.0, np.dtype(dtype).itemsize == 8
    print(f"{'parameter':<32}{'components':>12}{'largest error':>16}")
    for number in range(count):
        exact, centre = np.asarray(gradients[number], np.float64).ravel(), point[number]
        start, error = np.asarray(centre), 0.0
        for k in range(exact.size):
            slopes, step = [], (1e-5 if double else 2e-2) * max(1.0, abs(float(start.ravel()[k])))
            for reach in (step, step / 2):
                ends = []
                for sign in (1, -1):
                    moved = start.copy()
                    moved.reshape(-1)[k] += sign * reach
                    point[number] = moved if start.ndim else float(moved)
                    ends.append(float(value(*point)))
                slopes.append((ends[0] - ends[1]) / (2 * reach))
            difference = (4 * slopes[1] - slopes[0]) / 3  # cancels their errors of order step**2
            size = abs(exact[k]) + abs(difference) + 1e-3 * scale + 1e-12
            miss = abs(exact[k] - difference) / size
            error = miss if np.isnan(miss) else max(error, miss)
        point[number] = centre
        worst = error if np.isnan(error) else max(worst, error)
        print(f"{problem[number][0]:<32}{exact.size:>12}{error:>16.1e}")
    agrees = worst <= (1e-6 if double else 5e-2)
    print("the gradient agrees with central differences" if agrees else "THE GRADIENT DISAGREES")
    return 0 if agrees else 1
