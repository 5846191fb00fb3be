"""A step in two halves moves parameters as the whole gradient does; checked in the interpreter, point by point."""

import itertools

import numpy as np
import pytest

import gradcompile as gc
from gradcompile.interpret import evaluate
from gradcompile.ir import reachable
from gradcompile.minibatch import minibatch
from gradcompile.optimizers import RULES
from gradcompile.pipeline import differentiate
from gradcompile.primitives import PRIMITIVES
from gradcompile.step import in_halves

RATE, ROWS = 0.1, np.array([3, 0, 5, 3])
MODELS = {
    "logistic": """
        x: data[N, D]
        t: data[N]
        w: parameter[D]
        b: parameter
        loss = Sum(log(1 + exp(-t[s]*(Sum(x[s, j]*w[j], j) + b))), s) + Sum(w[j]**2, j)
    """,
    "factorisation": """
        t: data[N]
        u: labels[N]
        i: labels[N]
        U: parameter[A, K]
        V: parameter[Q, K]
        loss = Sum((t[n] - Sum(U[u[n], k]*V[i[n], k], k))**2, n)
    """,
    "one table, read three times": """
        u: labels[N]
        i: labels[N]
        g: labels[N, M]
        U: parameter[A, K]
        loss = Sum(exp(Sum(U[u[n], k]*U[i[n], k], k)/9), n) - Sum(log(1 + exp(Sum(U[g[n, m], k]*k, k))), n, m)
    """,
    "strengths": """
        u: labels[N]
        i: labels[N]
        r: parameter[A]
        loss = -Sum(log(sigmoid(r[u[n]] - r[i[n]])), n)
    """,
    "a hinge of a row": """
        x: data[N]
        u: labels[N]
        r: parameter[A]
        loss = Sum(max(0, r[u[n]])*x[n], n)
    """,
    "nominal responses": """
        p: labels[N]
        q: labels[N]
        y: labels[N]
        t: parameter[A]
        a: parameter[Q, C]
        c: parameter[Q, C]
        z[n, k] = t[p[n]]*a[q[n], k] + c[q[n], k]
        loss = Sum(log(Sum(exp(z[n, k]), k)) - z[n, y[n]], n)
    """,
    "weights of the rows": """
        u: labels[N]
        c: data[A]
        U: parameter[A, K]
        loss = Sum(c[u[n]]*exp(Sum(U[u[n], k], k)), n)/N
    """,
    "neighbours": """
        x: data[N, D]
        t: data[N]
        w: parameter[D]
        v: parameter[D]
        y[s] = Sum(x[s, j]*w[j]*v[j], j)
        loss = Sum((y[s] - t[s])**2, s) + Sum((w[j + 1] - w[j])**2, j, 0, D - 2) + Sum(v[j]*w[j], j)
    """,
    "network": """
        x: data[N, D]
        u: labels[N]
        W: parameter[D, H]
        V: parameter[H, C]
        h[s, k] = tanh(Sum(x[s, j]*W[j, k], j))
        y[s, c] = Sum(h[s, k]*V[k, c], k)
        loss = Sum(log(Sum(exp(y[s, c]), c)) - y[s, u[s]], s)
    """,
}
PICKED = {*MODELS} - {"logistic", "neighbours", "network"}

SIZES = {"N": 7, "D": 3, "A": 5, "Q": 4, "K": 2, "M": 3, "H": 2, "C": 6, "B": len(ROWS)}
GRAPHS = {
    (name, one): minibatch(gc.compile(gc.parse(text)).lowered, one=one)
    for name, text in MODELS.items()
    for one in (False, True)
}


def given(task):
    """Random inputs: seven samples with labels that repeat, and the rows of a batch in which one repeats."""
    random = np.random.default_rng(3)
    inputs = {}
    for name, declared in task.graph.inputs.items():
        shape = tuple(size.evaluate(SIZES) for size in declared.shape)
        inputs[name] = random.integers(0, 3, shape) if declared.kind == "int" else random.normal(size=shape)
    inputs[task.rows] = ROWS if np.ndim(inputs[task.rows]) else 2
    return inputs | ({task.count: 7.0} if task.count else {})


def at(value, point, arrays):
    """What a value is at a point, from the meaning of each operation."""
    if value.op == "iota":
        return point[value.attr]
    if value.op == "size":
        return value.attr.evaluate(SIZES)
    if value.op == "const":
        return float(value.attr)
    if value.op == "input":
        return np.asarray(arrays[value.attr])[tuple(point[axis] for axis in value.axes)]
    operands = [at(o, point, arrays) for o in value.operands[value.op == "read" :]]
    if value.op == "read":
        return np.asarray(arrays[value.operands[0].attr])[tuple(map(int, operands))]
    return PRIMITIVES[value.op].reference(*operands)


def moved(step, inputs):
    """Take a step of SGD by its two halves, one element after the other, as the emitted code does."""
    first = evaluate(step.graph, inputs)
    arrays = {name: np.array(array) for name, array in inputs.items()}
    arrays |= {head.attr: np.array(first[name]) for head, name in step.heads.items()}
    for move in step.moves:
        for point in itertools.product(*(range(axis.size.evaluate(SIZES)) for axis in move.axes)):
            where = dict(zip(move.axes, point, strict=True))
            place = tuple(int(at(index, where, arrays)) for index in move.place)
            arrays[move.parameter][place] -= RATE * at(move.gradient, where, arrays)
            if move.cleared is not None:
                arrays[move.cleared.attr][place] = 0
    return arrays


@pytest.mark.parametrize(("lazy", "linear"), [(False, False), (True, False), (True, True)])
@pytest.mark.parametrize("one", [False, True])
@pytest.mark.parametrize("name", MODELS)
def test_both_halves_are_the_whole_step(name, one, lazy, linear):
    task = GRAPHS[name, one]
    graph, inputs = differentiate(task.graph), given(task)
    whole = evaluate(graph, inputs)
    found = moved(in_halves(graph, lazy=lazy, linear=linear), inputs)
    for parameter in graph.wrt:
        expected = inputs[parameter] - RATE * whole[f"d{parameter}"]
        np.testing.assert_allclose(found[parameter], expected, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("name", MODELS)
def test_rows_that_data_pick_are_found(name):
    step = in_halves(differentiate(GRAPHS[name, False].graph), lazy=True)
    tables = {axis.size.terms[0][0] for move in step.moves for axis in move.axes if axis.size.terms} & {"A", "Q"}
    assert bool(step.kept) == (name in PICKED)
    assert not tables


def test_what_several_parameters_have_in_common_is_computed_once():
    """The slopes by z[n, k]: a moves by multiples of them, c by them, and neither computes an exponential."""
    step = in_halves(differentiate(GRAPHS["nominal responses", False].graph), lazy=True, linear=True)
    assert [len(head.axes) for head in step.heads if head.kind == "real"] == [1, 2, 1]
    moves = {move.parameter: move for move in step.moves}
    assert {v.op for p in "ac" for v in reachable([moves[p].gradient])} == {"input", "mul"}


def test_a_penalty_on_a_whole_table_moves_all_of_it():
    text = MODELS["factorisation"].rstrip() + " + Sum(U[a, k]**2, a, k)"
    graph = differentiate(minibatch(gc.compile(gc.parse(text)).lowered).graph)
    step = in_halves(graph, lazy=True)
    assert {move.parameter: move.cleared is None for move in step.moves} == {"U": True, "V": False}


def test_the_halves_of_one_sample_hold_no_sums():
    step = in_halves(differentiate(GRAPHS["network", True].graph))
    assert max(len(head.axes) for head in step.heads) == 1


def test_which_optimizers_leave_alone_what_has_no_gradient():
    """By hand, from the formulas: only plain SGD and AdaGrad keep both the element and its state."""
    assert [(rule.name, len(rule.state)) for rule in RULES if rule.lazy] == [("SGD", 0), ("AdaGrad", 1)]
    assert [(rule.name, len(rule.state)) for rule in RULES if rule.factor is not None] == [("SGD", 0)]
