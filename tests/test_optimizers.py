"""Each optimizer's formulas against the same rule written by hand from its source."""

import inspect
import math

import numpy as np
import pytest
import sympy

from gradcompile.errors import ArgumentError, GradcompileError, ModelError
from gradcompile.optimizers import RULES, SGD, AdaGrad, Adam, AdamW, RMSProp, p
from tests.conftest import readable

GRADIENTS = (0.5, -1.25, 0.0, 3.0, -0.01)
START = 0.7


def by_formula(optimizer, gradients=GRADIENTS):
    """Apply the formulas of a rule one after another, in SymPy numbers of 30 digits."""
    point = {name: sympy.Float(value, 30) for name, value in optimizer.rule.state.items()}
    point[p] = sympy.Float(START, 30)
    path = []
    for number, gradient in enumerate(gradients, start=1):
        fixed = {
            sympy.Symbol(name): value.subs(sympy.Symbol("t"), number) for name, value in optimizer.settings.items()
        }
        fixed |= {sympy.Symbol("t"): sympy.Integer(number), sympy.Symbol("g"): sympy.Float(gradient, 30)}
        for name, formula in optimizer.rule.steps:
            point[name] = formula.subs(fixed).evalf(30, subs=point)
        path.append(float(point[p]))
    return path


def plain(rate):
    x = START
    for g in GRADIENTS:
        x -= rate * g
        yield x


def momentum(rate, mu, nesterov=False):
    x, buffer = START, 0.0
    for g in GRADIENTS:
        buffer = mu * buffer + g
        x -= rate * (g + mu * buffer if nesterov else buffer)
        yield x


def adam(rate, b1=0.9, b2=0.999, eps=1e-8, decay=0.0):
    x, mean, square = START, 0.0, 0.0
    for t, g in enumerate(GRADIENTS, start=1):
        x *= 1 - rate * decay
        mean, square = b1 * mean + (1 - b1) * g, b2 * square + (1 - b2) * g * g
        x -= rate * (mean / (1 - b1**t)) / (math.sqrt(square / (1 - b2**t)) + eps)
        yield x


def rmsprop(rate, rho=0.99, eps=1e-8):
    x, square = START, 0.0
    for g in GRADIENTS:
        square = rho * square + (1 - rho) * g * g
        x -= rate * g / (math.sqrt(square) + eps)
        yield x


def adagrad(rate, eps=1e-10):
    x, total = START, 0.0
    for g in GRADIENTS:
        total += g * g
        x -= rate * g / (math.sqrt(total) + eps)
        yield x


CASES = [
    (SGD(0.1), plain(0.1)),
    (SGD(0.1, momentum=0.9), momentum(0.1, 0.9)),
    (SGD(0.1, 0.5, nesterov=True), momentum(0.1, 0.5, nesterov=True)),
    (Adam(0.01), adam(0.01)),
    (Adam(0.01, 0.8, 0.9, 1e-3), adam(0.01, 0.8, 0.9, 1e-3)),
    (AdamW(0.01), adam(0.01, decay=0.01)),
    (AdamW(0.01, decay=0.3), adam(0.01, decay=0.3)),
    (RMSProp(0.01), rmsprop(0.01)),
    (RMSProp(0.01, rho=0.5), rmsprop(0.01, 0.5)),
    (AdaGrad(0.01), adagrad(0.01)),
]


@pytest.mark.parametrize(("optimizer", "expected"), CASES, ids=readable)
def test_formulas_are_the_published_rule(optimizer, expected):
    np.testing.assert_allclose(by_formula(optimizer), list(expected), rtol=1e-13)


def test_nesterov_is_momentum_looking_ahead():
    """Sutskever's form: with y = p - rate*mu*v as the stored point, the gradient is taken at the point itself."""
    rate, mu, curvature = 0.1, 0.9, 2.0
    ours, theirs = _descend_ours(rate, mu, curvature), _descend_textbook(rate, mu, curvature)
    np.testing.assert_allclose(ours, theirs, rtol=1e-12)


def _descend_ours(rate, mu, curvature):
    x, v, path = 1.0, 0.0, []
    for _ in range(20):
        g = curvature * x
        v = mu * v + g
        x -= rate * (g + mu * v)
        path.append(x)
    return path


def _descend_textbook(rate, mu, curvature):
    theta, v, path = 1.0, 0.0, []
    for _ in range(20):
        v = mu * v - rate * curvature * (theta + mu * v)
        theta += v
        path.append(theta + mu * v)
    return path


def test_rate_may_be_a_formula_in_the_step_number():
    t = sympy.Symbol("t", integer=True, positive=True)
    expected, x = [], START
    for number, g in enumerate(GRADIENTS, start=1):
        x -= 0.1 / (1 + number / 100) * g
        expected.append(x)
    np.testing.assert_allclose(by_formula(SGD(0.1 / (1 + t / 100))), expected, rtol=1e-13)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: f"{rule.name}-{len(rule.state)}")
def test_every_row_is_complete(rule):
    names = {symbol.name for _, formula in rule.steps for symbol in formula.free_symbols}
    assert names <= {"p", "g", "t", "rate", *rule.defaults, *(s.name for s in rule.state)}
    assert rule.steps[-1][0] == p
    assert {target for target, _ in rule.steps} == {p, *rule.state}
    assert rule.source


def test_signature_shows_the_hyperparameters():
    assert str(inspect.signature(Adam)) == "(rate, beta1=0.9, beta2=0.999, epsilon=1e-08)"
    assert str(inspect.signature(SGD)).startswith("(rate")


@pytest.mark.parametrize(
    ("make", "kind", "words"),
    [
        (lambda: SGD("__import__('os')"), ArgumentError, "rate of SGD is not a number"),
        (lambda: SGD(None), ArgumentError, "not a number"),
        (lambda: SGD(np.array([0.1, 0.2])), ArgumentError, "not a number"),
        (lambda: SGD(-0.1), ModelError, "out of range"),
        (lambda: SGD(float("nan")), ModelError, "out of range"),
        (lambda: SGD(float("inf")), ModelError, "out of range"),
        (lambda: SGD(sympy.I), ModelError, "out of range"),
        (lambda: SGD(0.1, momentum=1.0), ModelError, "momentum"),
        (lambda: Adam(0.1, beta2=-0.5), ModelError, "beta2"),
        (lambda: SGD(0.1 * sympy.Symbol("k")), ModelError, "depends on k"),
        (lambda: Adam(0.1, gamma=2), ArgumentError, "beta1=0.9"),
        (lambda: Adam(), ArgumentError, "rate"),
        (lambda: RMSProp(0.1, rate=0.2), ArgumentError, "RMSProp"),
        (lambda: SGD(), ArgumentError, r"SGD\(rate, momentum=0.0, nesterov=False\)"),
        (lambda: SGD(lr=0.1), ArgumentError, "write rate=... for lr=..."),
        (lambda: Adam(0.1, betas=(0.9, 0.99)), ArgumentError, "write beta1=... for betas=..."),
        (lambda: Adam(0.1, weight_decay=0.1), ArgumentError, "by name"),
        (lambda: AdamW(0.1, weight_decay=0.1), ArgumentError, "write decay=... for weight_decay=..."),
        (lambda: SGD(0.1, nesterov=True), ArgumentError, "momentum=0.9, nesterov=True"),
        (lambda: SGD(0.1, nesterov=0.9), ArgumentError, "found: *momentum=0.0, nesterov=0.9"),
    ],
)
def test_wrong_settings_are_told(make, kind, words):
    with pytest.raises(kind, match=words) as caught:
        make()
    assert isinstance(caught.value, GradcompileError)


def test_every_optimizer_prints_as_the_call_that_makes_it():
    for optimizer, _ in CASES:
        again = eval(repr(optimizer))
        assert again.rule is optimizer.rule
        assert again.settings == optimizer.settings


def test_numpy_numbers_are_numbers():
    assert float(SGD(np.float32(0.5)).settings["rate"]) == 0.5
    assert float(Adam(np.float64(0.001)).settings["rate"]) == 0.001
