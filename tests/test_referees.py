"""Foreign referees: the gradient checks of JAX, PyTorch and PyTensor, on forty models, and PyTorch's samples.

They come with the extra `referees` and are skipped, loudly, where they are not installed: `pytest -rs` says which. Each
wrapper hands the tool our value and our gradient as a function of its own; the tool takes differences by itself and
decides by its own criterion.
"""

from __future__ import annotations

import functools
import importlib
import math
import os
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import sympy

import gradcompile as gc
from gradcompile.emit import module
from gradcompile.interpret import evaluate
from tests import tape
from tests.oracle import Problem
from tests.zoo import BY_NAME, ZOO, arguments, reference_notation

os.environ.setdefault("PYTENSOR_FLAGS", "cxx=,mode=FAST_COMPILE")  # the referee's own code need not be compiled
MODELS = [row.name for row in ZOO if row.name not in ("masked", "elo")][:40]


def referee(name: str) -> Any:
    """Return a foreign package, or skip the test and say so."""
    return pytest.importorskip(name, reason=f"the referee {name} is not installed: pip install 'gradcompile[referees]'")


@functools.cache
def flat(name: str) -> tuple[Callable[[np.ndarray], tuple[float, np.ndarray]], np.ndarray]:
    """Return value and gradient of a model of the zoo as a function of one flat array, and its point."""
    problem = BY_NAME[name].forms[reference_notation(name)]
    space: dict[str, Any] = {"__name__": "module"}
    compiled = gc.compile(**arguments(problem))
    exec(compile(module.render(compiled.graph, "numpy"), name, "exec"), space)
    shapes = [np.shape(problem.inputs[n]) for n in problem.names]
    splits = np.cumsum([math.prod(shape) for shape in shapes])[:-1]

    def function(x: np.ndarray) -> tuple[float, np.ndarray]:
        parts = [part.reshape(shape) for part, shape in zip(np.split(x, splits), shapes, strict=True)]
        given = problem.inputs | dict(zip(problem.names, parts, strict=True))
        order = [given[n] for n in compiled.arguments]
        value, grads = space["value_and_grad"](*(a if np.ndim(a) else np.asarray(a).item() for a in order))
        return float(value), np.concatenate([np.ravel(np.asarray(g, float)) for g in grads])

    return function, np.concatenate([np.ravel(np.asarray(problem.inputs[n], float)) for n in problem.names])


def test_there_are_forty_models() -> None:
    assert len(MODELS) == 40


@pytest.mark.parametrize("name", MODELS)
def test_jax_agrees(name: str) -> None:
    jax = referee("jax")
    check = importlib.import_module("jax.test_util").check_grads
    jax.config.update("jax_enable_x64", True)
    function, start = flat(name)
    shape = (jax.ShapeDtypeStruct((), np.float64), jax.ShapeDtypeStruct(start.shape, np.float64))

    def both(x: Any) -> Any:
        return jax.pure_callback(lambda x: tuple(map(np.asarray, function(np.asarray(x)))), shape, x)

    ours = jax.custom_vjp(lambda x: both(x)[0])
    ours.defvjp(both, lambda grad, incoming: (incoming * grad,))
    # a step of 1e-5: differences of the zoo are right to 1e-7 there, JAX's own default is for float32
    check(ours, (start,), order=1, modes=["rev"], eps=1e-5, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", MODELS)
def test_torch_agrees(name: str) -> None:
    torch = referee("torch")
    function, start = flat(name)

    class Ours(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            value, grad = function(x.detach().numpy())
            ctx.save_for_backward(torch.from_numpy(grad))
            return x.new_tensor(value)

        @staticmethod
        def backward(ctx: Any, incoming: Any) -> Any:
            return incoming * ctx.saved_tensors[0]

    assert torch.autograd.gradcheck(Ours.apply, (torch.from_numpy(start).requires_grad_(),))


@pytest.mark.parametrize("name", MODELS)
def test_pytensor_agrees(name: str) -> None:
    pytensor = referee("pytensor")
    tensor, gradient = importlib.import_module("pytensor.tensor"), importlib.import_module("pytensor.gradient")
    graph = importlib.import_module("pytensor.graph.op"), importlib.import_module("pytensor.graph.basic")
    function, start = flat(name)

    class Gradient(graph[0].Op):
        def make_node(self, x: Any) -> Any:
            return graph[1].Apply(self, [x], [tensor.dvector()])

        def perform(self, node: Any, inputs: Any, outputs: Any) -> None:
            outputs[0][0] = function(inputs[0])[1]

    class Value(graph[0].Op):
        def make_node(self, x: Any) -> Any:
            return graph[1].Apply(self, [x], [tensor.dscalar()])

        def perform(self, node: Any, inputs: Any, outputs: Any) -> None:
            outputs[0][0] = np.asarray(function(inputs[0])[0])

        def pullback(self, inputs: Any, outputs: Any, incoming: Any) -> Any:
            return [incoming[0] * Gradient()(inputs[0])]

        def grad(self, inputs: Any, incoming: Any) -> Any:
            return [incoming[0] * Gradient()(inputs[0])]

    with pytensor.config.change_flags(floatX="float64"):
        gradient.verify_grad(lambda x: Value()(x), [start], rng=np.random.default_rng(1))


# PyTorch's own samples ------------------------------------------------------------------------------------------------

# Every elementary function that both have: PyTorch's name and ours, in SymPy.
FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "exp": sympy.exp, "log": sympy.log, "sqrt": sympy.sqrt, "sin": sympy.sin, "cos": sympy.cos, "tan": sympy.tan,
    "asin": sympy.asin, "acos": sympy.acos, "atan": sympy.atan, "sinh": sympy.sinh, "cosh": sympy.cosh,
    "tanh": sympy.tanh, "asinh": sympy.asinh, "acosh": sympy.acosh, "atanh": sympy.atanh, "erf": sympy.erf,
    "erfc": sympy.erfc, "abs": sympy.Abs, "sign": sympy.sign, "floor": sympy.floor, "ceil": sympy.ceiling,
    "lgamma": sympy.loggamma, "digamma": sympy.digamma, "neg": lambda x: -x, "square": lambda x: x**2,
    "reciprocal": lambda x: 1 / x, "rsqrt": lambda x: 1 / sympy.sqrt(x), "sigmoid": lambda x: 1 / (1 + sympy.exp(-x)),
    "expm1": lambda x: sympy.exp(x) - 1, "log1p": lambda x: sympy.log(1 + x),
    "log2": lambda x: sympy.log(x) / sympy.log(2), "log10": lambda x: sympy.log(x) / sympy.log(10),
    "exp2": lambda x: 2**x, "nn.functional.relu": lambda x: sympy.Max(x, 0),
    "nn.functional.softplus": lambda x: sympy.log(1 + sympy.exp(x)),
    "nn.functional.softsign": lambda x: x / (1 + sympy.Abs(x)),
    "nn.functional.tanhshrink": lambda x: x - sympy.tanh(x),
}  # fmt: skip
SAMPLES = ("", "small_value_", "large_value_", "extremal_value_")


def ours_at(name: str, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return our values and derivatives, element by element."""
    size, i = sympy.Symbol("N", integer=True, positive=True), sympy.Symbol("i", integer=True)
    x = sympy.IndexedBase("x", shape=(size,))
    model = gc.compile(sympy.Sum(FUNCTIONS[name](x[i]), (i, 0, size - 1)), wrt=x)
    scalar = gc.compile(FUNCTIONS[name](sympy.Symbol("x")), wrt=sympy.Symbol("x"))
    values = [float(evaluate(scalar.graph, {"x": p})["value"]) for p in points]
    return np.array(values), evaluate(model.graph, {"x": points})["dx"]


@pytest.mark.parametrize("kind", SAMPLES, ids=lambda kind: kind.strip("_") or "ordinary")
@pytest.mark.parametrize("name", FUNCTIONS)
def test_samples_of_torch(name: str, kind: str) -> None:
    torch = referee("torch")
    database = importlib.import_module("torch.testing._internal.common_methods_invocations").op_db
    core = importlib.import_module("torch.testing._internal.opinfo.core")
    operation = next(op for op in database if op.name == name and not op.variant_test_name)
    generate = getattr(core, f"generate_elementwise_unary_{kind}tensors")
    torch.manual_seed(0)
    inputs = [sample.input for sample in generate(operation, device="cpu", dtype=torch.float64, requires_grad=False)]
    points = np.unique(torch.cat([i.detach().reshape(-1) for i in inputs]).numpy())
    points = points[np.linspace(0, len(points) - 1, min(len(points), 60)).astype(int)]
    x = torch.from_numpy(points.copy()).requires_grad_()
    expected = operation(x)
    expected.sum().backward()
    values, slopes = ours_at(name, points)
    for at, ours, theirs in zip(points, values, expected.detach().numpy(), strict=True):
        agree(name, "value", at, ours, theirs)
    for at, ours, theirs in zip(points, slopes, x.grad.numpy(), strict=True):
        agree(name, "slope", at, ours, theirs)


# Where the two differ and neither is a number that mathematics has: (function, what, point) -> what is ours, and why.
CONVENTIONS: dict[tuple[str, str, str], tuple[float, str]] = {
    ("abs", "slope", "nan"): (math.nan, "nan stays nan; PyTorch's sign of nan is 0"),
    ("sign", "value", "nan"): (math.nan, "nan stays nan; PyTorch's sign of nan is 0"),
    ("nn.functional.relu", "slope", "nan"): (0.0, "not above 0; PyTorch asks whether it is not below 0"),
    ("digamma", "slope", "-inf"): (math.inf, "poles without end: there is no limit; PyTorch says nan"),
}


def agree(name: str, what: str, at: float, ours: float, theirs: float) -> None:
    """Compare with PyTorch; where the two differ 50 digits decide, or a convention that is written down."""
    if np.array_equal(ours, theirs, equal_nan=True) or ours == pytest.approx(theirs, rel=1e-12, abs=1e-14):
        return
    said = f"the {what} of {name} at {at!r} is {ours}, {theirs} in PyTorch"
    if (name, what, str(at)) in CONVENTIONS:
        assert np.array_equal(ours, CONVENTIONS[name, what, str(at)][0], equal_nan=True), said
        return
    assert np.isfinite(at), said
    if name == "digamma" and at < 0 and at == math.floor(at):
        assert math.isinf(ours), said  # a pole; PyTorch rounds it away
        return
    x = sympy.Symbol("x")
    answer = tape.answer(Problem(FUNCTIONS[name](x), [x], {"x": float(at)}))
    right = answer.value if what == "value" else answer.grads["x"].item()
    assert abs(ours - right) <= 1e-12 * abs(right), f"{said}, {right} at 50 digits"
