"""What ``python module.py --check`` runs in modules of the target python: lists, no NumPy."""

import math


def draw(problem, low, high):
    """Return a random argument for each (name, shape, labels)."""
    state = 1

    def number(labels):
        nonlocal state
        state = (6364136223846793005 * state + 1442695040888963407) % 2**64
        share = (state >> 11) / 2**53
        return int(share * labels) if labels else low + share * (high - low)

    def fill(shape, labels):
        return [fill(shape[1:], labels) for _ in range(shape[0])] if shape else number(labels)

    return [fill(shape, labels) for _, shape, labels in problem]


def cells(container, key):
    """Yield (list, index) for every number in a nested list."""
    inside = container[key]
    if isinstance(inside, (list, tuple)):
        for k in range(len(inside)):
            yield from cells(inside, k)
    else:
        yield container, key


def check(arguments, value, value_and_grad, problem, count):
    """Compare the gradient with central differences at a random point; return the exit status."""
    if arguments != ["--check"]:
        print("usage: --check compares the gradient with central differences")
        return 2
    for low, high in ((0.2, 0.9), (1.1, 1.9), (-0.9, -0.2), (0.001, 0.1)):
        point = draw(problem, low, high)
        try:
            found, gradients = value_and_grad(*point)
        except (ArithmeticError, ValueError):
            continue
        if math.isfinite(found):
            break
    else:
        print("no point was found at which the objective is finite")
        return 1
    gradients = gradients if isinstance(gradients, tuple) else (gradients,)
    exact = [[place[k] for place, k in cells(gradients, number)] for number in range(count)]
    scale = max((abs(g) for each in exact for g in each), default=0.0) + abs(found)
    worst = 0.0
    print(f"{'parameter':<32}{'components':>12}{'largest error':>16}")
    for number in range(count):
        error = 0.0
        for (place, k), g in zip(cells(point, number), exact[number], strict=True):
            centre, slopes = place[k], []
            step = 1e-5 * max(1.0, abs(centre))
            for reach in (step, step / 2):
                place[k] = centre + reach
                above = value(*point)
                place[k] = centre - reach
                slopes.append((above - value(*point)) / (2 * reach))
            place[k] = centre
            difference = (4 * slopes[1] - slopes[0]) / 3  # cancels their errors of order step**2
            miss = abs(g - difference) / (abs(g) + abs(difference) + 1e-3 * scale + 1e-12)
            error = miss if math.isnan(miss) else max(error, miss)
        worst = error if math.isnan(error) else max(worst, error)
        print(f"{problem[number][0]:<32}{len(exact[number]):>12}{error:>16.1e}")
    agrees = worst <= 1e-6
    print("the gradient agrees with central differences" if agrees else "THE GRADIENT DISAGREES")
    return 0 if agrees else 1
