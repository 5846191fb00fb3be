"""The gradient check: it passes what is right, finds what is wrong, and says which and how much."""

import numpy as np
import pytest
import sympy
from sympy import IndexedBase, Sum, exp, log, symbols

import gradcompile as gc
from tests.zoo import BY_NAME, arguments

x, y = symbols("x y")
D = symbols("D", integer=True, positive=True)
j = symbols("j", integer=True)
w = IndexedBase("w", shape=(D,))


class Tampered(gc.CompiledModel):
    """A model whose gradient is changed on its way out."""

    change = staticmethod(lambda gradients: gradients)

    def _flat_call(self, arguments):
        value, gradients = super()._flat_call(arguments)
        return value, self.change([np.array(g, float) for g in gradients])


def tampered(change, expression=None, wrt=(w,)):
    expression = Sum(exp(w[j]) * (j + 1), (j, 0, D - 1)) if expression is None else expression
    model = Tampered(gc.Model(expression, wrt=tuple(wrt)))
    model.change = change
    return model


def scaled(place, factor):
    def change(gradients):
        gradients[0][place] *= factor
        return gradients

    return change


MODELS = ("lecture", "rosenbrock", "himmelblau", "huber", "poisson", "softmax", "factorisation", "network-2-tanh")


@pytest.mark.parametrize("name", MODELS)
def test_models_of_the_zoo_pass(name):
    problem = next(iter(BY_NAME[name].forms.values()))
    report = gc.check_grad(gc.compile(**arguments(problem)), **problem.inputs)
    assert report.digits >= 6
    assert report.checked == report.total == sum(np.size(problem.inputs[n]) for n in problem.names)


@pytest.mark.parametrize("factor", [1 + 1e-5, -1.0, 0.0, 2.0, np.nan, np.inf])
def test_wrong_component_is_named(factor):
    with pytest.raises(gc.GradientCheckError, match=r"wrong in 1 of 5 components; the worst is w\[3\]") as caught:
        gc.check_grad(tampered(scaled(3, factor)), w=np.linspace(-1, 1, 5))
    assert "expected:" in str(caught.value)
    assert isinstance(caught.value, AssertionError)


def test_small_component_is_judged_by_its_own_size():
    """An absolute tolerance would let a wrong gradient of 1e-9 pass beside one of 1."""
    expression = w[0] + sympy.Float(1e-9) * exp(w[1])
    point = np.array([1e-9, 0.5])
    assert gc.check_grad(tampered(scaled(0, 1), expression), w=point).digits >= 6
    with pytest.raises(gc.GradientCheckError, match=r"w\[1\]"):
        gc.check_grad(tampered(scaled(1, 1.5), expression), w=point)


def test_component_in_the_rounding_is_not_certified():
    expression = sympy.Float(1e20) * exp(w[0]) + w[1]
    report = gc.check_grad(gc.compile(expression, wrt=w), w=[0.5, 0.5])
    assert [component.name for component in report.unresolved] == ["w[1]"]
    assert report.worst.name == "w[0]"
    assert "too small" in str(report)


def test_large_gradient_is_checked_by_sample_and_along_a_direction():
    point = np.linspace(0.1, 1, 5000)
    report = gc.check_grad(tampered(scaled(0, 1)), w=point)
    assert report.total == 5000
    assert 100 <= report.checked <= 200
    with pytest.raises(gc.GradientCheckError):
        gc.check_grad(
            tampered(lambda gradients: [g * np.where(np.arange(5000) % 2, 1, 1.1) for g in gradients]), w=point
        )


def test_float32_is_checked_against_float64():
    model = gc.compile(Sum(log(1 + exp(w[j])), (j, 0, D - 1)), wrt=w, dtype="float32")
    assert gc.check_grad(model, w=np.linspace(-3, 3, 7)).digits >= 5


def test_report_reads_well():
    report = gc.check_grad(gc.compile(x**2 * y, wrt=[x, y]), x=2.0, y=3.0)
    assert report.value == 12.0
    assert "2 of 2 components" in str(report)
    assert "digits agree" in str(report)


@pytest.mark.parametrize("at", [1e-8, 1.0, 1e8])
def test_steps_suit_the_size_of_the_parameter(at):
    assert gc.check_grad(gc.compile(x**3, wrt=x), x=at).digits >= 6
