"""The gradient check: it passes what is right, finds what is wrong, and tells wrong from ill-conditioned."""

import math
import re

import mpmath
import numpy as np
import pytest
import sympy
from mpmath import mp, mpf
from sympy import (
    Abs,
    IndexedBase,
    Lambda,
    MatrixSymbol,
    Max,
    Piecewise,
    Rational,
    Sum,
    cos,
    erf,
    erfc,
    exp,
    log,
    sin,
    sqrt,
    symbols,
    tanh,
)

import gradcompile as gc
from gradcompile import vecmath
from gradcompile.check.arithmetic import ROWS
from gradcompile.check.emitted import NAMES, Emitted
from gradcompile.check.exact import Exact
from gradcompile.errors import ArgumentError
from gradcompile.primitives import PRIMITIVES
from gradcompile.testing import assert_function_gradient, assert_gradient
from tests.zoo import BY_NAME, arguments

x, y = symbols("x y")
D = symbols("D", integer=True, positive=True)
j = symbols("j", integer=True)
w = IndexedBase("w", shape=(D,))
HUBER = Piecewise((x**2 / 2, Abs(x) < 1), (Abs(x) - Rational(1, 2), True))


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


def test_every_function_that_is_emitted_in_loops_has_a_meaning_at_50_digits():
    """One that has none is met where a model has it: `check` of a negative binomial failed."""
    pairs = [*vecmath.VECTOR.values(), *vecmath.MASKED.values()]
    spellings = [each for pair in pairs for each in pair] + [each for _, p in vecmath.COMPOSED.values() for each in p]
    assert {name for text in spellings for name in re.findall(r"v\w+", text)} <= NAMES.keys()


@pytest.mark.one_in(3)
@pytest.mark.parametrize("name", MODELS)
def test_models_of_the_zoo_pass(name):
    problem = next(iter(BY_NAME[name].forms.values()))
    report = gc.check_grad(gc.compile(**arguments(problem)), **problem.inputs)
    assert report.verdict == "right"
    assert report.digits >= 9
    assert report.total == sum(np.size(problem.inputs[n]) for n in problem.names)
    assert report.checked == report.total or report.components[0].name == "all, along a direction"
    assert all(c.formula < 1e-35 for c in report.components)


@pytest.mark.parametrize("factor", [1 + 1e-8, -1.0, 0.0, 2.0, np.nan, np.inf])
def test_wrong_component_is_named(factor):
    with pytest.raises(gc.GradientCheckError, match=r"wrong in 1 of 5 components; the worst is w\[3\]") as caught:
        gc.check_grad(tampered(scaled(3, factor)), w=np.linspace(-1, 1, 5))
    assert "expected:" in str(caught.value)
    assert isinstance(caught.value, AssertionError)


def test_small_component_is_judged_by_its_own_size():
    """An absolute tolerance would let a wrong gradient of 1e-9 pass beside one of 1."""
    expression = w[0] + sympy.Float(1e-9) * exp(w[1])
    point = np.array([1e-9, 0.5])
    assert gc.check_grad(tampered(scaled(0, 1), expression), w=point).digits >= 15
    with pytest.raises(gc.GradientCheckError, match=r"w\[1\]"):
        gc.check_grad(tampered(scaled(1, 1 + 1e-7), expression), w=point)


def test_the_emitted_formula_itself_is_checked(monkeypatch):
    """The compiled numbers are right, but the text is off by 1e-20: far below what floating point shows."""
    model = gc.compile(x**3, wrt=x)
    text = model.source
    assert "3*x**2" in text
    monkeypatch.setattr(model._program, "source", text.replace("3*x**2", "(3 + 1e-20)*x**2"))
    with pytest.raises(gc.GradientCheckError, match="the worst is x"):
        gc.check_grad(model, x=1.5)


CANCELLING = 1 - cos(x) - y * x**2  # at y = 1/2


def test_an_ill_conditioned_component_is_not_wrong():
    report = gc.check_grad(gc.compile(CANCELLING, wrt=x), x=1e-5, y=0.5)
    assert report.verdict == "ill-conditioned"
    assert report.worst.condition > 1e9
    assert report.digits < 9
    assert "ill-conditioned" in str(report)
    assert float(report.worst.exact) == pytest.approx(-1e-15 / 6, rel=1e-9)
    with pytest.raises(gc.GradientCheckError, match="ill-conditioned at this point"):
        assert_gradient(gc.compile(CANCELLING, wrt=x), ill_conditioned=False, x=1e-5, y=0.5)


def test_a_wrong_component_is_wrong_even_where_it_is_ill_conditioned():
    with pytest.raises(gc.GradientCheckError):
        gc.check_grad(tampered(lambda gradients: [1.5 * g for g in gradients], CANCELLING, [x]), x=1e-3, y=0.5)


@pytest.mark.parametrize(
    ("expression", "point", "gradient"),
    [
        (Abs(x), {"x": 0.0}, [0.0]),
        (Max(x, 0), {"x": 0.0}, [0.0]),
        (Max(x, y), {"x": 1.0, "y": 1.0}, [0.5, 0.5]),
        (Piecewise((sin(x), x < 0), (0.5, True)), {"x": 0.0}, [0.0]),
        (sqrt(x), {"x": 0.0}, [math.inf]),
    ],
)
def test_at_a_kink_the_convention_is_not_wrong(expression, point, gradient):
    report = gc.check_grad(gc.compile(expression, wrt=[symbols(n) for n in point]), **point)
    assert [c.gradient for c in report.components] == gradient
    assert report.verdict in ("kink", "right")  # |x| at 0: the mean of both slopes is 0, too


def test_a_gradient_outside_of_the_slopes_at_a_kink_is_wrong():
    with pytest.raises(gc.GradientCheckError):
        gc.check_grad(tampered(lambda gradients: [g + 1.5 for g in gradients], Max(x, 0), [x]), x=0.0)


@pytest.mark.parametrize(
    ("expression", "place"),
    [
        ((1 + erf(x / sqrt(2))) / 2, -30.0),  # 1 - erf of 21 is 1e-198
        (log(erfc(-x / sqrt(2)) / 2), -40.0),
        (log(tanh(x + 1) - tanh(x)), 400.0),
        (-x * log(x) - (1 - x) * log(1 - x), 1e-300),
        (log(x / (1 - x)), 1 - 2.0**-53),
    ],
)
def test_the_exact_derivative_has_the_digits_that_it_needs(expression, place):
    """As written, each of these cancels to nothing at a hundred digits; the stable form that is compiled is right."""
    assert gc.check_grad(gc.compile(expression, wrt=x), x=place).verdict == "right"


@pytest.mark.parametrize(("expression", "place"), [(x / (1 + Abs(x)), 0.0), (HUBER, 1.0), (HUBER, -1.0)])
def test_a_kink_of_the_slope_is_none_of_the_objective(expression, place):
    assert gc.check_grad(gc.compile(expression, wrt=x), x=place).verdict == "right"


@pytest.mark.parametrize(("expression", "wrong"), [(x ** Rational(3, 2), 1.0), (Abs(x), 1.5), (Abs(x), math.inf)])
def test_at_a_kink_a_slope_beyond_both_sides_is_wrong(expression, wrong):
    """Of x**(3/2) there is one side at 0, and its slope is 0."""
    gc.check_grad(gc.compile(expression, wrt=x), x=0.0)
    with pytest.raises(gc.GradientCheckError):
        gc.check_grad(tampered(lambda gradients: [g + wrong for g in gradients], expression, [x]), x=0.0)


k = symbols("k", integer=True)
SQUARE = MatrixSymbol("A", 2, 2)
POINTS_OF_W = {"w": np.array([0.1, 0.2, 0.3])}
ARRAYS = {
    "list": ([x * y, sin(x)], [x, y], {"x": 0.3, "y": 2.0}),
    "vector": (Lambda(j, w[j] ** 2 * x), [w, x], {**POINTS_OF_W, "x": 0.5}),
    "table": (Lambda((j, k), exp(w[j] * w[k])), [w], POINTS_OF_W),
    "inverse": (SQUARE.I, [SQUARE], {"A": np.array([[2.0, 1.0], [0.5, 3.0]])}),
}


@pytest.mark.parametrize("name", ARRAYS)
def test_arrays_are_checked_at_50_digits(name):
    expression, wrt, point = ARRAYS[name]
    report = gc.check_grad(gc.compile(expression, wrt=wrt), **point)
    assert report.verdict == "right"
    assert "50 digits" in str(report)
    assert max(c.formula for c in report.components) < 1e-35


def test_a_wrong_component_of_an_array_is_named(monkeypatch):
    expression, wrt, point = ARRAYS["vector"]
    model = gc.compile(expression, wrt=wrt)
    right = type(model).vjp
    monkeypatch.setattr(
        type(model), "vjp", lambda self, *given, **named: (right(self, *given, **named)[0] * 1.001, 0.0)
    )
    with pytest.raises(gc.GradientCheckError, match=r"4 of 4 components"):
        gc.check_grad(model, **point)


@pytest.mark.parametrize("expression", [x**2, x**3, x**4, 1 - cos(x), x * sin(x), exp(x**3)])
def test_a_derivative_of_zero_is_right(expression):
    report = gc.check_grad(gc.compile(expression, wrt=x), x=0.0)
    assert report.verdict == "right"
    assert report.worst.exact == 0


@pytest.mark.slow
def test_large_gradient_is_checked_by_sample_and_along_a_direction():
    point = np.linspace(0.1, 1, 2000)
    report = gc.check_grad(tampered(scaled(0, 1)), w=point)
    assert report.total == 2000
    assert 8 <= report.checked <= 200
    with pytest.raises(gc.GradientCheckError, match="along a direction"):
        gc.check_grad(tampered(scaled(3, 1.1)), w=point)


def test_a_model_that_is_too_large_is_compared_with_differences():
    model = gc.compile(Sum(exp(w[j]), (j, 0, D - 1)), wrt=w)
    report = gc.check_grad(model, w=np.linspace(0.1, 1, 60_000))
    assert "differences" in str(report)
    assert report.digits > 6


def test_float32_is_checked_at_the_point_that_it_sees():
    model = gc.compile(Sum(log(1 + exp(w[j])), (j, 0, D - 1)), wrt=w, dtype="float32")
    assert gc.check_grad(model, w=np.linspace(-3, 3, 7)).digits >= 6


@pytest.mark.parametrize(
    "mistaken", [x**2, "x**2", gc.parse("x: parameter\nloss = x**2")], ids=["SymPy", "text", "Model"]
)
def test_only_what_is_compiled_is_checked(mistaken):
    with pytest.raises(ArgumentError, match="check_grad takes a compiled model"):
        gc.check_grad(mistaken, x=1.0)


def test_what_is_compiled_is_not_compiled_again():
    with pytest.raises(ArgumentError, match=r"its \.model"):
        gc.emit(gc.compile(x**2, wrt=x))


def test_report_reads_well():
    report = gc.check_grad(gc.compile(x**2 * y, wrt=[x, y]), x=2.0, y=3.0)
    assert report.value == 12.0
    assert "2 of 2 components" in str(report)
    assert "digits agree: right" in str(report)
    assert "condition" in str(report)


@pytest.mark.parametrize("at", [1e-8, 1.0, 1e8, 1e-300, 1e90])
def test_the_size_of_the_parameter_does_not_matter(at):
    assert gc.check_grad(gc.compile(x**3, wrt=x), x=at).digits >= 15


@pytest.mark.parametrize("target", ["python", "numpy", "numba"])
@pytest.mark.parametrize("name", ["lecture", "softmax", "huber", "poisson", "factorisation"])
def test_emitted_text_of_every_target_runs_at_50_digits(name, target):
    problem = next(iter(BY_NAME[name].forms.values()))
    given = arguments(problem)
    model = gc.compile(**given)
    bound = dict(zip(model.arguments, model.checked.bind(problem.inputs)[0], strict=True))
    exact = Exact(model.lowered, {n: bound[n] for n in model.lowered.inputs})
    emitted = Emitted(gc.emit(**given, target=target))
    _, gradients = emitted.value_and_grad([e if e.ndim else e.item() for e in exact.point.values()], bits=200)
    parameter = model.graph.wrt[0]
    place = (0,) * exact.point[parameter].ndim
    with mp.workdps(60):
        found = np.asarray(gradients[0], object)[place]
        assert mpmath.almosteq(found, exact.slope(parameter, place).mean, rel_eps=mpf("1e-45"))


# what the last operand is of the first
LAST = {
    "lgammagap": mpmath.loggamma,
    "digammagap": mpmath.digamma,
    "log1pgap": mpmath.log1p,
}


@pytest.mark.parametrize("row", sorted(ROWS))
def test_arithmetic_is_the_sympy_form(row):
    """mpmath's functions mean what the table's SymPy forms mean, to 45 digits."""
    primitive = PRIMITIVES[row]
    if primitive.kind == "bool" or row in ("select", "detach", "real", "finite"):
        pytest.skip("nothing is computed")
    random = np.random.default_rng(5)
    for _ in range(3):
        point = [float(random.uniform(*interval)) for interval in primitive.domain]
        if row == "polygamma":
            point[0] = 1
        with mp.workdps(60):
            exact = mpf(primitive.sympy(*(sympy.Float(p, 60) if p != 1 else sympy.Integer(1) for p in point)).evalf(55))
            operands = [mpf(p) if p != 1 else 1 for p in point]
            if row in LAST:
                operands[-1] = LAST[row](operands[0])
            found = ROWS[row](*operands)
            assert mpmath.almosteq(found, exact, rel_eps=mpf("1e-45"), abs_eps=mpf("1e-50")), (row, point)


# --- black boxes


def black_box(factor):
    return lambda at: (float(1e20 * np.exp(at[0]) + at[1]), np.array([1e20 * np.exp(at[0]) * factor, 1.0]))


def test_component_in_the_rounding_is_not_certified():
    report = assert_function_gradient(black_box(1.0), [0.5, 0.5])
    assert [component.name for component in report.unresolved] == ["x[1]"]
    assert report.worst.name == "x[0]"
    assert "too small" in str(report)


@pytest.mark.parametrize("factor", [1 + 1e-5, 0.0, -1.0, math.nan])
def test_wrong_black_box_is_refused(factor):
    with pytest.raises(gc.GradientCheckError, match=r"the worst is x\[0\]"):
        assert_function_gradient(black_box(factor), [0.5, 0.5])


def test_a_small_component_of_a_black_box_is_judged_by_its_own_size():
    right = [1.0, 1e-9]
    for gradient in ([1.0, 1.5e-9], [1.0, 0.0]):
        with pytest.raises(gc.GradientCheckError, match=r"x\[1\]"):
            assert_function_gradient(lambda at, g=gradient: (float(at @ right), g), [1e-9, 0.5])
    assert_function_gradient(lambda at: (float(at @ right), right), [1e-9, 0.5])


# --- the helper for test suites


def test_helper_draws_a_point():
    report = assert_gradient(gc.compile(Sum(exp(w[j]) * y, (j, 0, D - 1)), wrt=w), digits=12, y=2.0)
    assert report.verdict == "right"


def test_helper_asks_for_digits():
    with pytest.raises(gc.GradientCheckError, match="too few right digits"):
        assert_gradient(gc.compile(CANCELLING, wrt=x), digits=12, x=1e-2, y=0.5)


def test_code_with_masks_and_known_lengths_is_checked_as_it_stands() -> None:
    text = """
        x: data[N, 9, 9]
        y: data[N, 7, 7]
        w: parameter[3, 3, C]
        h[n, i, j, c] = Sum(x[n, i + a, j + b]*w[a, b, c], a, b)
        loss = Sum(where(y[n, i, j] > 0, h[n, i, j, c]**2, 0) + sin(where(y[n, i, j] > 0, 0, h[n, i, j, c]))
            + exp(-where(y[n, i, j] > 0, h[n, i, j, c], 0)), n, i, j, c)
    """
    model = gc.compile(gc.parse(text))
    assert "vwhen(" in model.source
    assert "rolled(" in model.source
    random = np.random.default_rng(0)
    gc.check_grad(
        model, x=random.normal(size=(2, 9, 9)), y=random.normal(size=(2, 7, 7)), w=random.normal(size=(3, 3, 1)) / 3
    )
