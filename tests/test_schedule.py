"""Schedules: what is stored, what is streamed, how often the samples are passed."""

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import sympy

import gradcompile as gc
from gradcompile import passes
from gradcompile.adjoint import adjoint
from gradcompile.interpret import evaluate
from gradcompile.ir import Axis, Builder, Graph, Input, Size, Value
from gradcompile.schedule import Define, Loop, Plan, Product, Update, guards, plan, sizes
from gradcompile.schedule.conditions import ALWAYS, covered
from gradcompile.schedule.nodes import Course
from gradcompile.threads import chunks
from tests.graphs import CASES, C, D, N
from tests.texts import arrays_for, assert_right


def planned(name: str) -> Plan:
    return plan(passes.optimise(adjoint(passes.prepare(CASES[name].graph))))


def statements(nodes: list, loops: tuple = ()) -> list[tuple[Value, tuple]]:
    """Return what every statement makes, with the loops around it: a running sum also what it has come to."""
    found = []
    for node in nodes:
        if isinstance(node, Loop):
            found += statements(node.body, (*loops, node.axis))
        elif isinstance(node, Define | Update):
            found.append((node.target, loops))
        if isinstance(node, Course):
            found.append((node.total, loops))
    return found


@pytest.mark.parametrize("name", ["softmax", "gathered", "root of a sum"])
def test_nothing_is_stored_for_all_samples(name: str) -> None:
    plan = planned(name)
    assert all(N not in axes for value, axes in plan.stored.items() if value not in plan.blocked)


def test_a_second_pass_reads_the_sums_of_the_first_one_number_a_sample() -> None:
    """To sum up again costs as much as the first pass did; to keep the sums costs less memory than the data."""
    plan = planned("share of a total")
    kept = [value for value, axes in plan.stored.items() if N in axes and value not in plan.blocked]
    assert kept
    assert all(value.op == "sum" and plan.stored[value] == (N,) for value in kept)
    assert all([target for target, _ in statements(plan.body)].count(value) <= 2 for value in kept)  # begun, added to


def test_the_softmax_classifier_is_one_loop_over_the_samples() -> None:
    found = planned("softmax")
    assert found.passes == 1
    loops = [node for node in found.body if isinstance(node, Loop)]
    assert [loop.axis for loop in loops].count(found.blocks) == 1
    assert loops[-1].axis == found.blocks  # the regulariser comes before


def test_a_plan_tells_of_copies_in_the_order_in_which_they_are_made() -> None:
    names = "abcdefgh"
    factors = "*".join(f"exp({name}[n, m]*T[m, k])" for name in names)
    data = "\n".join(f"{name}: data[N, M]" for name in names)
    model = gc.parse(f"{data}\nT: parameter[M, K]\nloss = Sum(Sum({factors}, m)**2, n, k)")
    found = plan(passes.optimise(adjoint(passes.prepare(gc.compile(model).lowered))))
    copied = [target.attr for target, _ in statements(found.body) if target.op == "input"]
    assert sorted(copied) == [*names]
    assert re.findall(r"(\w) is copied", str(found)) == copied


def test_a_sum_inside_the_objective_takes_a_second_pass() -> None:
    found = planned("share of a total")
    assert found.passes > 1
    assert f"passed {found.passes} times" in str(found)


def test_data_that_meet_other_samples_are_copied_for_the_samples_of_a_block() -> None:
    """Distances of all pairs are vectors along the samples of a block: their numbers lie side by side there."""
    model = gc.compile(
        gc.parse("x: data[N, D]\nh: parameter\nloss = Sum(exp(-h*Sum((x[s, j] - x[r, j])**2, j)), s, r)")
    )
    assert "a[r] += (x[s, j] - x_t[j, r])**2" in str(model.source)
    x = np.random.default_rng(0).normal(size=(70, 3))
    squares = ((x[:, None] - x[None]) ** 2).sum(axis=2)
    value, slope = model.wait().value_and_grad(x=x, h=0.3)
    np.testing.assert_allclose(value, np.exp(-0.3 * squares).sum(), rtol=1e-13)
    np.testing.assert_allclose(slope, -(squares * np.exp(-0.3 * squares)).sum(), rtol=1e-13)


def test_data_are_copied_where_what_is_made_of_each_number_is_used_often() -> None:
    """A difference from the targets meets every column of B: its samples lie side by side, and so must the data's."""
    model = gc.compile(
        gc.parse(
            "t: data[N, E]\nc: parameter[E]\nB: parameter[K, E]\n"
            "m[n, e] = t[n, e] - c[e]\nloss = Sum(exp(-Sum((m[n, e] - B[k, e])**2, e)), n, k)"
        )
    )
    assert "m[e, n] = t_t - c[e]" in str(model.source)
    t, c, B = (np.random.default_rng(0).normal(size=size) for size in ((70, 3), 3, (4, 3)))
    distances = t[:, None] - c - B
    kernel = np.exp(-(distances**2).sum(axis=2))
    value, (dc, dB) = model.wait().value_and_grad(t=t, c=c, B=B)
    np.testing.assert_allclose(value, kernel.sum(), rtol=1e-13)
    np.testing.assert_allclose(dc, (2 * kernel[..., None] * distances).sum(axis=(0, 1)), rtol=1e-12)
    np.testing.assert_allclose(dB, (2 * kernel[..., None] * distances).sum(axis=0), rtol=1e-12)


def test_what_does_not_depend_on_samples_leaves_their_sum() -> None:
    assert planned("root of a sum").passes == 1  # d sqrt(S) = dS/(2 sqrt(S)): the factor is applied after the loop


def test_products_of_matrices_are_left_to_blas() -> None:
    found = planned("softmax")
    products = [node for node in flat(found.body) if isinstance(node, Product)]
    assert [node.target.axes for node in products] == [(N, C), (D, C)]
    assert [node.begins for node in products] == [False, False]  # the first starts at b, the second at 2*lam*W


def test_a_part_of_an_argument_is_a_matrix() -> None:
    """Gates of a recurrent cell, one after another in one array."""
    text = """
        x: data[N, D]
        W: parameter[2, D, H]
        V: parameter[2, H, H]
        h[n, i] = tanh(Sum(x[n, j]*W[0, j, i], j))*Sum(x[n, j]*W[1, j, i], j)
        g[n, i] = tanh(Sum(h[n, k]*V[0, k, i], k))*Sum(h[n, k]*V[1, k, i], k)
        loss    = Sum(g[n, i]**2, n, i)
    """
    emitted = gc.emit(gc.parse(text), target="numba")
    value, both = emitted[emitted.index("def value(") :].split("def value_and_grad(")
    assert value.count("gemm(") == 4
    assert both.count("gemm(") == 10
    model = gc.compile(gc.parse(text))
    random = np.random.default_rng(5)
    point = {
        "x": random.normal(size=(150, 6)),
        "W": random.normal(size=(2, 6, 9)),
        "V": random.normal(size=(2, 9, 9)) / 9,
    }
    gc.check_grad(model, **point)
    h = np.tanh(point["x"] @ point["W"][0]) * (point["x"] @ point["W"][1])
    g = np.tanh(h @ point["V"][0]) * (h @ point["V"][1])
    assert model.wait().value(**point) == pytest.approx(np.sum(g**2), rel=1e-12)


def test_an_array_is_computed_along_the_axes_of_its_only_use() -> None:
    """A definition is written with its own indices: where these stand the other way round, it is not kept for that."""
    text = """
        p: parameter[N, 3]
        d[i, j] = Sum((p[i, k] - p[j, k])**2, k)
        loss    = Sum(where(i < j, 1/d[i, j]**3, 0), i, j)
    """
    model = gc.compile(gc.parse(text))
    points = np.random.default_rng(4).normal(size=(20, 3))
    value = model.wait().value(p=points)
    squares = ((points[:, None] - points) ** 2).sum(axis=2)[np.triu_indices(20, 1)]
    assert value == pytest.approx(np.sum(squares**-3.0), rel=1e-12)
    gc.check_grad(model, p=points)
    both = model.source[model.source.index("def value_and_grad(") :]
    assert "np.empty((N, N)" not in both
    assert re.search(r"\bd\[\w+\] \+= ", both)  # its name stays
    assert "for first in range(0, N, T):" in both  # the pairs of a point are taken in blocks: 3 is no number of samples


PAIRS = {
    "both ways": """
        x: data[N, D]
        W: parameter[D, K]
        V: parameter[D, K]
        a[n, k] = Sum(x[n, j]*W[j, k], j)
        c[n, k] = Sum(x[n, j]*V[j, k], j)
        z[n, m] = Sum(a[n, k]*c[m, k], k)
        loss = Sum(log(Sum(exp(z[n, m]), m)) + log(Sum(exp(z[m, n]), m)) - 2*z[n, n], n)
    """,
    "a sum over both": """
        x: data[N, D]
        t: data[N]
        a: parameter[N]
        k[n, m] = exp(-Sum((x[n, j] - x[m, j])**2, j))
        loss = Sum((Sum(k[n, m]*a[m], m) - t[n])**2, n) + Sum(a[n]*a[m]*k[n, m], n, m)
    """,
}


@pytest.mark.parametrize("name", PAIRS)
def test_no_array_of_all_pairs_is_kept(name: str) -> None:
    model = gc.compile(gc.parse(PAIRS[name]))
    assert "np.empty((N, N)" not in model.source
    random = np.random.default_rng(0)
    sizes = {"N": 70, "D": 3, "K": 9}
    shapes = {i.name: [size.evaluate(sizes) for size in i.shape] for i in model.graph.inputs.values()}
    point = {each: random.normal(size=shape) / 3 for each, shape in shapes.items()}
    value, gradients = model.wait().value_and_grad(**point)
    right = evaluate(model.graph, point)
    assert value == pytest.approx(float(right["value"]), rel=1e-12)
    for parameter, gradient in zip(model.graph.wrt, gradients, strict=True):
        np.testing.assert_allclose(gradient, right[f"d{parameter}"], rtol=1e-10, atol=1e-10)


def products(source: str, function: str) -> int:
    text = source[source.index(f"def {function}(") :]
    return text[: text.index("\n\n\n")].count("gemm(")


@pytest.mark.parametrize("strict", [False, True])
def test_few_pairs_of_samples_are_kept_for_later_passes(strict: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is summed up both ways is computed one way: one product for the pairs, and two for their slopes.

    Six are of samples alone, where their sizes are not known to be small.
    """
    model = gc.compile(gc.parse(PAIRS["both ways"]), strict=strict).wait()
    random, exact = np.random.default_rng(0), gc.compile(gc.parse(PAIRS["both ways"]), strict=True).graph
    assert products(model.source, "value_and_grad") == (9 if strict else 8)
    monkeypatch.setattr(sizes, "PAIRS", 40**2)
    for samples, kept in ((40, True), (41, False), (7, True)):
        point = {
            "x": random.normal(size=(samples, 3)),
            "W": random.normal(size=(3, 9)),
            "V": random.normal(size=(3, 9)),
        }
        value, gradients = model.value_and_grad(**point)
        right = evaluate(exact, point)
        assert value == pytest.approx(float(right["value"]), rel=1e-12)
        for parameter, gradient in zip(model.graph.wrt, gradients, strict=True):
            np.testing.assert_allclose(gradient, right[f"d{parameter}"], rtol=1e-10, atol=1e-10)
        assert ("np.empty((N, N))" in model.source) == kept
        assert ("for pairs of them is kept" in str(model.plan)) == kept
        assert products(model.source, "value_and_grad") == (3 if kept else 9 if strict else 8)
    assert products(model.source_in_parts, "value_and_grad_part2") == 1
    assert re.search(r"def value_and_grad_part2\([^)]*each\d\):", model.source_in_parts)


def test_parts_of_pairs_are_made_along_the_rows_that_an_earlier_part_has_filled() -> None:
    """So are those that nothing but a product takes, and what is added to a few of them is added there."""
    text = """
        u: parameter[N, 12]
        v: parameter[N, 12]
        z[n, m] = Sum(u[n, k]*v[m, k], k)
        loss = Sum(log(Sum(exp(z[n, m]), m)) + log(Sum(exp(z[m, n]), m)) - 2*z[n, n], n)
    """
    model, random = gc.compile(gc.parse(text)).wait(), np.random.default_rng(0)
    model.value_and_grad(u=random.normal(size=(9, 12)), v=random.normal(size=(9, 12)))
    last = model.source_in_parts[model.source_in_parts.index("def value_and_grad_part2(") :]
    assert re.search(r"(\w+)\[n, m\] = each\d_b\[n, m\].*\n.*\n +\1\[n, first \+ n \+ start\] \+= ", last)


def test_parts_keep_few_pairs_of_what_has_two_numbers_of_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the whole program does: one exponential, in the first of the passes over the rows."""
    text = """
        C: parameter[N, M]
        a: data[N]
        b: data[M]
        K[i, j] = exp(-C[i, j])
        u[i] = a[i]/Sum(K[i, j]*b[j], j)
        v[j] = b[j]/Sum(K[i, j]*u[i], i)
        loss = Sum(u[i]*K[i, j]*v[j]*C[i, j], i, j)
    """
    for name in ("CHUNK", "RETURNED", "SHARED", "SUMMED", "SPENT"):
        monkeypatch.setattr(chunks, name, 1)
    monkeypatch.setattr(chunks, "BLOCKS", (8,))
    model, random = gc.compile(gc.parse(text)).wait(), np.random.default_rng(0)
    point = {"C": random.uniform(size=(40, 9)), "a": random.uniform(size=40), "b": random.uniform(size=9)}
    value, (gradient,) = model.value_and_grad(**point)
    right = evaluate(model.graph, point)
    assert value == pytest.approx(float(right["value"]), rel=1e-12)
    np.testing.assert_allclose(gradient, right["dC"], rtol=1e-10, atol=1e-12)
    first, rest = model.source_in_parts.split("def value_and_grad_part2(")
    assert first.count("vexp(-") == 1
    assert rest[: rest.index("def value_and_grad_end(")].count("vexp(") == 0


def test_what_is_added_at_labels_goes_to_a_sum_whose_axes_have_another_order() -> None:
    """It adds to few elements, so that its loop takes no others apart: there is no array of zeros for it."""
    gradient = gradient_of("""
        x: data[N, D]
        g: labels[N]
        W: parameter[D, C]
        y[n, c] = Sum(x[n, j]*W[j, c], j)
        loss = Sum(Max(where(c == g[n], 0, max(0, 1 + y[n, c] - y[n, g[n]])), c), n)
    """)
    assert "[c, n] = 0.0" not in gradient
    assert re.search(r"\w+\[.*g_b\[n\].*, n\] \+= ", gradient)


def test_what_labels_add_to_numbers_of_their_own_sample_is_added_where_these_are_made() -> None:
    """There is no array of all items, of which the elements of one sample would be in few places of the cache."""
    text = """
        y: labels[N, M]
        t: parameter[N]
        a: parameter[M, K]
        c: parameter[M, K]
        z[n, m, k] = a[m, k]*t[n] + c[m, k]
        loss = Sum(log(Sum(exp(z[n, m, k]), k)) - z[n, m, y[n, m]], n, m)
    """
    gradient = gradient_of(text)
    assert re.search(r" +for n in range\(size\):\n +\w+\[y_b\[n, m\], n\] -= 1", gradient)
    assert not re.search(r"np.empty\(\(M, K, T\)", gradient)
    arrays = arrays_for(text, {"N": 3, "M": 2, "K": 2}, seed=2)
    assert_right(text, arrays, gc.compile(gc.parse(text)).wait().value_and_grad(**arrays))


def test_cheap_pairs_are_computed_both_ways_in_one_pass() -> None:
    source = gc.compile(gc.parse(PAIRS["a sum over both"])).source
    value = source[source.index("def value(") : source.index("def value_and_grad(")]
    assert value.count("for first in range(0, N, T):") == 1


def test_a_sum_over_samples_for_each_is_not_computed_for_every_pass() -> None:
    text = """
        x: data[N, D]
        p: parameter[N, K]
        loss = Sum(1/(1 + Sum((p[n, k] - p[m, k])**2, k)), n, m)
    """
    gradient = gc.compile(gc.parse(text)).source.partition("def value_and_grad(")[2].partition("def grad(")[0]
    assert gradient.count("**2\n") == 1  # the sums for n, and those for m, are of one pass


def test_a_sum_of_several_terms_runs_in_one_local_variable() -> None:
    text = """
        a: labels[N]
        b: labels[N]
        E: parameter[M, K]
        loss = Sum(max(0, Sum(E[a[n], k]**2, k) - Sum(E[b[n], k]**2, k)), n)
    """
    emitted = gc.emit(gc.parse(text), target="numba")
    both = emitted[emitted.index("def value_and_grad(") :]
    assert re.search(r"(\w+_n) \+= E\[a_n, k\]\*\*2.*\n +\1 -= E\[b_n, k\]\*\*2\n", both)
    random = np.random.default_rng(6)
    point = {"a": random.integers(0, 5, 40), "b": random.integers(0, 5, 40), "E": random.normal(size=(5, 3))}
    found = gc.compile(gc.parse(text)).wait().value(**point)
    squares = (point["E"] ** 2).sum(axis=1)
    assert found == pytest.approx(np.maximum(0, squares[point["a"]] - squares[point["b"]]).sum(), rel=1e-12)


def test_a_sum_starts_from_what_is_added_to_it() -> None:
    found = planned("softmax")
    gradient = found.graph.outputs["dW"]
    kinds = [type(n) for n in flat(found.body) if isinstance(n, Define | Product) and n.target is gradient]
    assert kinds == [Define, Product]  # starts at 2*lam*W, then adds over the samples


def flat(nodes: list) -> list:
    return [n for node in nodes for n in (flat(node.body) if isinstance(node, Loop) else [node])]


def test_a_branch_guards_what_only_it_uses() -> None:
    graph = CASES["branch"].graph
    root = next(value for value in graph.order() if value.op == "sqrt")
    (case,) = guards(graph, graph.order())[root]
    ((condition, holds),) = case
    assert condition.op == "gt"
    assert holds


def test_a_branch_does_not_guard_other_elements_of_an_array() -> None:
    """``g[s + 1] if x[s] > 0``, a transpose, a sum over the same letter: the condition is of another element."""
    builder, size = Builder(), Size.of("N")
    s, k = Axis(size, 0), Axis(size, 1)
    v, taken = builder.input("v", (s,)), builder.apply("gt", builder.input("x", (s,)), 0)
    root, square = builder.apply("sqrt", v), builder.apply("sqrt", builder.input("m", (s, k)))
    at = builder.apply("mod", builder.iota(s) + 1, builder.size(size))
    shifted = builder.apply("select", taken, builder.read(root, [at]), 0)
    turned = builder.apply("select", taken, builder.read(square, [builder.iota(k), builder.iota(s)]), 0)
    total = builder.apply("select", taken, builder.reduce("sum", root, [s]), 0)
    own = builder.apply("select", taken, root * 2, 0)
    inputs = {"v": Input("v", (size,)), "x": Input("x", (size,)), "m": Input("m", (size, size))}
    for value, guarded, whether in (
        (shifted, root, False),
        (turned, square, False),
        (total, root, False),
        (own, root, True),
    ):
        graph = Graph(builder, inputs, {"value": value})
        assert (guarded in guards(graph, graph.order())) == whether


def test_cases_that_differ_in_one_condition_are_one() -> None:
    builder = Builder()
    p, q = (builder.apply("gt", builder.input(name, ()), 0) for name in "pq")
    both = {frozenset({(p, True), (q, True)}), frozenset({(p, True), (q, False)})}
    assert covered(both) == {frozenset({(p, True)})}
    assert covered({*both, frozenset({(p, False)})}) is ALWAYS


@pytest.mark.parametrize("name", CASES)
def test_operands_come_before_what_is_made_of_them(name: str) -> None:
    found = planned(name)
    made = set()
    for target, _ in statements(found.body):
        made.add(target)
    assert set(found.stored) == made


@pytest.mark.parametrize(
    ("axes", "loss", "statement"),
    [
        ("D, N", "Sum(u[k]*t[i]*exp(X[k, j]*X[i, j]), i, j, k)", "vexp(X_t[j, k]*X[i, j])"),
        ("N, D", "Sum(u[k]*t[i]*exp(X[j, k]*X[j, i]), i, j, k)", "vexp(X_t[k]*X[j, i])"),
        ("N, D", "Sum(u[k]*tanh(Sum(X[j, k]*X[j, i], j)), k, i)", "gemm(1.0, X_b.T, X, 0.0, a[:, :size].T)"),
    ],
)
def test_data_that_are_read_at_other_samples_than_the_block_has_are_read_where_they_lie(axes, loss, statement) -> None:
    # X is read in blocks, by rows or by columns, and along another name of the same axis.
    model = gc.parse(f"X: parameter[{axes}]\nu: data[D]\nt: data[D]\nloss = {loss}\n")
    assert statement in gc.emit(model, target="numba")


def test_loops_run_along_the_samples_of_data_that_lie_by_features() -> None:
    model = gc.parse("""
        X: data[D, N]
        y: data[N]
        w: parameter[D]
        loss = Sum(log(1 + exp(-y[n]*Sum(X[j, n]*w[j], j))), n)
    """)
    text = gc.emit(model, target="numba")
    inner = "            for n in range(size):\n                "
    assert f"{inner}a[n] += X_b[j, n]*w[j]" in text
    assert f"{inner}b_j += X_b[j, n]*" in text or f"{inner}dw_j" in text


def test_loops_run_along_the_last_axis_of_a_square_array_of_data() -> None:
    model = gc.parse("""
        J: data[N, N]
        a: parameter[N]
        loss = Sum(J[i, j]*a[i]*a[j], i, j) + Sum(cosh(a[i]), i)
    """)
    text = gc.emit(model, target="numba")
    for line in re.findall(r"(for \w+ in range\(\w+\):)\n *\S+ \+= J_b\[(\w+), (\w+)\]", text):
        assert line[0].startswith(f"for {line[2]} ")


def test_loops_along_rows_run_along_samples_inside_of_the_axes_that_come_before_these() -> None:
    model = gc.parse("""
        x: data[N, T, D]
        a: data[N, T]
        w: parameter[D]
        loss = Sum(log(Sum(a[n, t]*exp(Sum(x[n, t, j]*w[j], j)), n)), t)
    """)
    text = gc.emit(model, target="numba")
    loops = r"for t in range\(size\):\n(?: +\w+ = 0.0\n)? +for j in range\(D\):\n +"
    assert re.search(r"for n in range\(N\):\n +" + loops + r"\w+ \+= x_b\[n, t, j\]\*w\[j\]", text)
    assert re.search(loops + r"dw\[j\] \+= x_b\[n, t, j\]", text)


def long_rows(rows: int, length: int) -> tuple[gc.Model, dict[str, np.ndarray]]:
    """Return the loss of a factorisation of data by features, and arguments."""
    model = gc.parse("""
        X: data[D, N]
        W: parameter[D, K]
        z: parameter[K, N]
        m: parameter[D]
        loss = Sum((X[j, n] - m[j] - Sum(W[j, k]*z[k, n], k))**2, j, n)/2
    """)
    rng = np.random.default_rng(0)
    shapes = {"X": (rows, length), "W": (rows, 2), "z": (2, length), "m": (rows,)}
    return model, {name: rng.normal(size=shape) for name, shape in shapes.items()}


@pytest.mark.parametrize(
    ("rows", "length", "streamed"), [(3, 600, "N"), (3, 400, "D"), (64, 600, "N"), (65, 900, "D"), (64, 511, "D")]
)
def test_loops_stream_along_rows_that_are_much_longer_than_there_are_rows(rows, length, streamed) -> None:
    model, given = long_rows(rows, length)
    compiled = gc.compile(model)
    compiled.value_and_grad(**given)
    assert f"range(0, {streamed}, T" in compiled.source
    assert ("loops stream along them" in str(compiled.plan)) is (streamed == "N")


def test_loops_along_long_rows_are_right_and_answer_no_calls_with_short_ones() -> None:
    model, given = long_rows(3, 600)
    compiled = gc.compile(model)
    for arguments in (given, long_rows(9, 5)[1], given):
        value, (d_w, d_z, d_m) = compiled.value_and_grad(**arguments)
        compiled.wait()
        x, w, z, m = arguments["X"], arguments["W"], arguments["z"], arguments["m"]
        rest = x - m[:, None] - w @ z
        assert value == pytest.approx((rest**2).sum() / 2, rel=1e-12)
        for found, right in ((d_w, -rest @ z.T), (d_z, -w.T @ rest), (d_m, -rest.sum(axis=1))):
            np.testing.assert_allclose(found, right, rtol=1e-9, atol=1e-10)


def test_loops_pass_samples_once_although_their_rows_are_long() -> None:
    model = gc.parse("""
        x: data[N, D]
        y: data[N]
        w: parameter[D]
        loss = Sum((Sum(x[n, j]*w[j], j) - y[n])**2, n)
    """)
    compiled = gc.compile(model)
    compiled.value_and_grad(x=np.ones((2, 1000)), y=np.ones(2), w=np.ones(1000))
    assert "loops stream along them" not in str(compiled.plan)


def test_slopes_of_windows_are_added_along_rows() -> None:
    model = gc.parse("""
        y: data[H, W]
        k: data[5, 5]
        x: parameter[P, Q]
        loss = Sum((Sum(k[a, b]*x[i + a, j + b], a, b) - y[i, j])**2, i, j)/2
    """)
    text = gc.emit(model, target="numba")
    assert re.search(r"for j in range\(W\):\n +dx_w\[a \+ i, b \+ j\] \+= k\[a, b\]\*h?\w*\[(i, )?j\]", text)


def test_a_sum_is_taken_away_from_what_has_its_axes_in_another_order() -> None:
    # The product of W and h has its axes as (D, N, T).
    text = """
        Y: data[N, T, D]
        x: data[N, T, K]
        W: parameter[D, K]
        h[i, j, k] = tanh(x[i, j, k])
        loss = Sum((Y[i, j, d] - Sum(W[d, k]*h[i, j, k], k))**2, i, j, d)
    """
    product = "gemm(-1.0, h[:size].reshape(size*T, K), W.T, 1.0, a[:size].reshape(size*T, D))"
    assert product in gc.emit(gc.parse(text), target="numba")


@pytest.mark.slow
def test_products_of_samples_with_all_samples_are_left_to_blas() -> None:
    """What has been computed of all samples is a matrix under another name of their axis; so are data as they lie."""
    text = """
        x: data[N, D]
        y: data[N, D]
        W: parameter[D, K]
        a[s, k] = Sum(x[s, j]*W[j, k], j)
        b[s, k] = Sum(y[s, j]*W[j, k], j)
        z[s, r] = Sum(a[s, k]*b[r, k], k) + Sum(x[s, j]*y[r, j], j)
        loss    = Sum(log(Sum(exp(z[s, r]), r)), s)
    """
    emitted = gc.emit(gc.parse(text), target="numba")
    value = emitted[emitted.index("def value(") : emitted.index("def value_and_grad(")]
    assert value.count("gemm(") == 4
    for loop in ("a[", "b[", "x_", "y_"):
        assert not re.search(rf"\+= .*{re.escape(loop)}.*\*", value)
    model = gc.compile(gc.parse(text))
    random = np.random.default_rng(3)
    point = {"x": random.normal(size=(300, 9)), "y": random.normal(size=(300, 9)), "W": random.normal(size=(9, 8)) / 9}
    model.value_and_grad(**point)
    model.wait()
    a, b = point["x"] @ point["W"], point["y"] @ point["W"]
    z = a @ b.T + point["x"] @ point["y"].T
    np.testing.assert_allclose(model.value(**point), np.logaddexp.reduce(z, axis=1).sum(), rtol=1e-13)
    p = np.exp(z - np.logaddexp.reduce(z, axis=1)[:, None])
    expected = point["x"].T @ (p @ b) + point["y"].T @ (p.T @ a)
    np.testing.assert_allclose(model.value_and_grad(**point)[1][0], expected, rtol=1e-11)


def test_products_read_arrays_of_a_block_under_other_axes() -> None:
    """h is kept for the samples of a block alone, and multiplied under two names of its features."""
    text = """
        x: data[N, D]
        A: parameter[D, D]
        h[n, r] = tanh(Sum(x[n, j]*A[j, r], j))
        z[n, k] = tanh(Sum(h[n, s]*A[s, k], s))
        q[n, s] = Sum(h[n, k]*A[s, k], k)
        loss = Sum((z[n, r] - h[n, r])**2, n, r) + Sum(z[n, s]*q[n, s], n, s)
    """
    model = gc.compile(gc.parse(text))
    random = np.random.default_rng(0)
    point = {"x": random.normal(size=(300, 9)), "A": random.normal(size=(9, 9)) / 3}
    model.value_and_grad(**point)
    model.wait()
    h = np.tanh(point["x"] @ point["A"])
    z, q = np.tanh(h @ point["A"]), h @ point["A"].T
    np.testing.assert_allclose(model.value(**point), np.sum((z - h) ** 2) + np.sum(z * q), rtol=1e-12)
    dz, dh = 2 * (z - h) + q, 2 * (h - z) + z @ point["A"]
    above = dz * (1 - z**2)
    dh += above @ point["A"].T
    expected = point["x"].T @ (dh * (1 - h**2)) + h.T @ above + z.T @ h
    np.testing.assert_allclose(model.value_and_grad(**point)[1][0], expected, rtol=1e-11, atol=1e-11)


def gradient_of(text: str) -> str:
    """Return the text of the function of value and gradient, for the target numba."""
    whole = gc.emit(gc.parse(text), target="numba")
    return whole[whole.index("def value_and_grad(") : whole.index("def grad(")]


RASCH = """
    right: data[N]
    student: labels[N]
    task: labels[N]
    ability: parameter[A]
    ease: parameter[B]
    z[n] = ability[student[n]] - ease[task[n]]
    loss = Sum({}, n)
"""


def test_looking_up_and_adding_at_places_leave_the_loop_that_computes() -> None:
    """A loop that stores and looks up, or adds at places that data pick, does not become vectors: exp is slow in it."""
    gradient = gradient_of(RASCH.format("log(1 + exp(z[n])) - right[n]*z[n]"))
    loops = re.split(r"\n +for n in range\(size\):\n", gradient)
    computing = [loop for loop in loops if "vsigmoid(" in loop]
    assert len(computing) == 1
    assert "student" not in computing[0]
    assert "task" not in computing[0]
    assert sum("[student_b[n]]" in loop for loop in loops) == 2
    assert sum("[task_b[n]]" in loop for loop in loops) == 2


def test_looking_up_leaves_the_loop_where_places_are_added_to_what_is_known_before() -> None:
    """The gradient begins with that of the penalty, and what data pick is added to it."""
    gradient = gradient_of("""
        y: data[N]
        group: labels[N]
        u: parameter[G]
        z[n] = u[group[n]]
        loss = Sum(exp(z[n]) - y[n]*z[n], n) + Sum(u[g]**2, g)
    """)
    computing = [loop for loop in re.split(r"\n +for n in range\(size\):\n", gradient) if "vexp(" in loop]
    assert len(computing) == 1
    assert "group" not in computing[0]


def test_what_is_cheap_is_added_where_it_is_computed() -> None:
    """Blocks would only copy."""
    text = gc.emit(gc.parse(RASCH.format("(right[n] - z[n])**2")), target="numba")
    assert "samples_in_block" not in text


def test_what_is_looked_up_and_read_at_other_samples_is_kept_for_all() -> None:
    """q is looked up, and again at places that data pick."""
    text = """
        g: labels[N]
        v: parameter[N]
        w: data[N]
        q[n] = v[g[n]]
        loss = Sum(exp(q[n])*w[n], n) + Sum(q[g[n]]*w[n], n)
    """
    model = gc.compile(gc.parse(text))
    random = np.random.default_rng(2)
    g, v, w = random.integers(0, 500, 500), random.normal(size=500), random.normal(size=500)
    model.value_and_grad(g=g, v=v, w=w)
    model.wait()
    value, (dv,) = model.value_and_grad(g=g, v=v, w=w)
    np.testing.assert_allclose(value, np.sum(np.exp(v[g]) * w) + np.sum(v[g][g] * w), rtol=1e-12)
    expected = np.zeros(500)
    np.add.at(expected, g, np.exp(v[g]) * w)
    np.add.at(expected, g[g], w)
    np.testing.assert_allclose(dv, expected, rtol=1e-12, atol=1e-12)


def test_sums_along_the_same_axes_are_started_in_one_loop() -> None:
    text = """
        x: data[N, D]
        c: parameter[K, D]
        d[n, k] = Sum((x[n, j] - c[k, j])**2, j)
        loss = Sum(Max(sin(d[n, k]), k)*Sum(exp(-d[n, k]), k), n)
    """
    gradient = gc.emit(gc.parse(text), target="numba").partition("def value_and_grad(")[2]
    start = r"(?: +\w+\[n\] = (?:0\.0|-math\.inf)\n)"
    loops = re.findall(rf"for n in range\(size\):\n({start}+)", gradient)
    assert any(loop.count("\n") > 1 for loop in loops), gradient
    assert not re.search(rf"{start} +for n in range\(size\):\n{start}", gradient)


SPRINGS = """
    one: labels[E]
    other: labels[E]
    rest: data[E]
    X: parameter[N, 3]
    loss = Sum((sqrt(Sum((X[one[e], c] - X[other[e], c])**2, c)) - rest[e])**2, e) + Sum(X[n, 2], n)
"""


def test_what_samples_add_at_labels_goes_to_the_gradient_though_other_terms_come_first() -> None:
    gradient = gc.emit(gc.parse(SPRINGS), target="numba").partition("def value_and_grad(")[2]
    assert "dX[one_e, c] += " in gradient
    assert "dX[other_e, c] -= " in gradient


RANKING = """
    user: labels[N]
    near: labels[N]
    far:  labels[N]
    x: data[N, K]
    u: parameter[A]
    b: parameter[B]
    w: parameter[K]
    m[n] = u[user[n]] + Sum(x[n, k]*w[k], k)
    loss = Sum(softplus(m[n]*b[far[n]] - b[near[n]]), n)
"""


def test_what_is_looked_up_for_samples_has_one_loop_and_starts_a_sum_itself() -> None:
    text = gc.emit(gc.parse(RANKING), target="numba")
    gradient = text[text.index("def value_and_grad(") : text.index("def grad(")]
    loops = gradient.split("for n in range(size):")
    assert sum("= b[far_b[n]]" in loop and "= b[near_b[n]]" in loop for loop in loops) == 1, gradient
    assert "m[n] = u[user_b[n]]" in gradient


VECTORS = """
    centre:   labels[N]
    context:  labels[N]
    negative: labels[N, K]
    U: parameter[A, D]
    V: parameter[A, D]
    near[n]   = Sum(U[centre[n], d]*V[context[n], d], d)
    far[n, k] = Sum(U[centre[n], d]*V[negative[n, k], d], d)
    loss = -Sum(log(sigmoid(near[n])), n) - Sum(log(sigmoid(-far[n, k])), n, k)
"""


def test_a_sum_along_rows_starts_along_rows() -> None:
    """Its loops over features would otherwise step from row to row."""
    gradient = gradient_of(VECTORS)
    assert re.search(r"\n +for d in range\(D\):\n +\w+\[d\] = -V\[context_n, d\]\*\w+\[n\]\n", gradient)
    assert "[d, n]" not in gradient


def test_a_sum_over_pairs_is_added_up_in_a_block_before_the_rest_of_an_output() -> None:
    """An output has its samples in rows: a loop over them would step from row to row."""
    gradient = gradient_of("""
        m: constant[N]
        p: parameter[N, 3]
        loss = Sum(Sum(where(i < j, m[i]*m[j]/sqrt(Sum((p[i, k] - p[j, k])**2, k)), 0), i), j)
    """)
    assert "dp_b[j, k] = " in gradient
    assert "dp_b[j, k] +=" not in gradient


def test_branches_of_a_little_arithmetic_are_computed_before_one_is_chosen() -> None:
    """A loop with jumps makes no vectors; what need not be there to be read, or takes long, stays in its branch."""
    gradient = gradient_of("""
        x: data[N]
        w: parameter
        r[n] = w*x[n]
        loss = Sum(where(abs(r[n]) < 1, r[n]**2/2, 2*r[n] - 3), n)
    """)
    assert re.search(r"f \+= \w+ if \w+ else \w+  #", gradient)
    gradient = gradient_of("""
        x: data[N]
        w: parameter
        loss = Sum(where(n > 0, w*x[n - 1], exp(w)*x[n]), n)
    """)
    assert re.search(r"f \+= w\*x\[.*\] if ", gradient)


def test_branches_stand_in_the_loop_of_their_condition() -> None:
    """Features of a sample are passed once, where they lie: nothing is kept for a block."""
    gradient = gradient_of("""
        x: data[N, D]
        y: data[N]
        w: parameter[D]
        a[s, j] = abs(x[s, j] - w[j])
        loss = Sum(where(a[s, j] < 1, (x[s, j] - w[j])**2/2, a[s, j] - 1/2)*y[s], s, j)
    """)
    assert "np.empty" not in gradient
    assert gradient.count("for j in range(D):") == 1


def test_counts_are_whole_numbers_of_float32_too() -> None:
    text = "x: data[N, D]\nw: parameter\nc[s] = Sum(where(x[s, j] > 0, 1, 0), j)\nloss = Sum(w*x[s, 0]/c[s], s)"
    model = gc.compile(gc.parse(text), dtype="float32")
    gradient = model.source[model.source.index("def value_and_grad(") : model.source.index("def grad(")]
    assert re.search(r"\n +c\w* = 0\n", gradient)
    assert "real(1 if" not in gradient


def test_a_quotient_by_an_exponential_survives_its_overflow() -> None:
    text = "u: parameter[G]\ns: parameter\nloss = Sum(u[g]**2, g)/(2*exp(2*s)) + s"
    model = gc.compile(gc.parse(text))
    value, (du, ds) = model.value_and_grad(u=[1.0, 2.0], s=400.0)  # exp(800) is infinite
    assert (value, du.tolist(), ds) == (400.0, [0.0, 0.0], 1.0)


def test_what_is_used_with_data_that_lie_by_rows_lies_by_rows() -> None:
    """BLAS writes either way: the loop that compares with the data runs along their rows."""
    gradient = gradient_of("""
        x: data[N, D]
        W: parameter[D, K]
        V: parameter[K, D]
        z[n, k] = tanh(Sum(x[n, j]*W[j, k], j))
        y[n, j] = Sum(z[n, k]*V[k, j], k)
        loss    = Sum(log(1 + exp(y[n, j])) - x[n, j]*y[n, j], n, j)
    """)
    assert "gemm(1.0, z[:, :size].T, V, 0.0, y[:size])" in gradient
    assert "x_b[n, j]*y[n, j]" in gradient
    assert "x_t" not in gradient


def test_what_is_made_of_a_sum_of_rows_lies_by_rows() -> None:
    """The sum lies as the data do: a loop over samples would take its numbers, and those of its slope, far apart."""
    gradient = gradient_of("""
        x: data[N, T, D]
        w: parameter[T]
        V: parameter[D, K]
        h[n, j] = tanh(Sum(x[n, s, j]*w[s], s))
        loss    = Sum(exp(Sum(h[n, j]*V[j, k], j)), n, k)
    """)
    assert "h[n, j] = vtanh(a[j])" in gradient
    assert re.search(r"dw_s \+= x_b\[n, s, j\]\*\w\[j\]", gradient)


def test_data_that_are_used_with_what_lies_by_features_are_copied() -> None:
    """The shares of classes are summed up for each sample: samples are innermost, and so do the targets come."""
    gradient = gradient_of("""
        x: data[N, D]
        t: data[N, C]
        W: parameter[D, C]
        y[n, c] = Sum(x[n, j]*W[j, c], j)
        loss    = -Sum(t[n, c]*log(exp(y[n, c])/Sum(exp(y[n, k]), k)), n, c)
    """)
    assert "t_t[c, n] = t_b[n, c]" in gradient
    assert "t_t[c, n]*(" in gradient


def test_a_layer_that_is_read_for_pairs_has_its_samples_innermost() -> None:
    gradient = gradient_of("""
        a: labels[E]
        b: labels[E]
        x: data[N, D]
        W: parameter[D, H]
        V: parameter[H, C]
        h[i, k] = Sum(x[i, j]*W[j, k], j)
        g[e, k] = max(0, h[a[e], k] + h[b[e], k])
        z[e, c] = Sum(g[e, k]*V[k, c], k)
        loss    = Sum(log(Sum(exp(z[e, c]), c)), e)
    """)
    assert re.search(r"gemm\(1.0, \w+\[:size\], W, 0.0, (\w+)\[:, :size\].T\)", gradient)


def test_a_sum_that_two_passes_add_up_starts_twice() -> None:
    """The objective is one of B + A.T, so that its slope by A is that by B, transposed: both have that of the trace."""
    size = sympy.Symbol("N", integer=True, positive=True)
    A, B = sympy.MatrixSymbol("A", size, size), sympy.MatrixSymbol("B", size, size)
    both = B + A.T
    squares = sympy.Determinant(both * (A + B.T) + 3 * sympy.Identity(size))
    namespace: dict[str, Any] = {"__name__": "emitted"}
    objective = sympy.log(1 + sympy.Trace(both) ** 2) + sympy.log(squares)
    exec(gc.emit(objective, wrt=[A, B], target="python"), namespace)
    dA, dB = namespace["grad"]([[-0.3, 0.4], [0.9, 0.4]], [[0.2, -0.2], [-0.1, -0.1]])
    np.testing.assert_allclose(dA, np.transpose(dB), rtol=1e-12)


POWERS = """
    x: data[N]
    t: data[N]
    a: parameter[P]
    loss = Sum((t[n] - Sum(a[p]*x[n]**p, p))**2, n)
"""


def test_powers_by_an_index_come_one_of_the_other() -> None:
    assert re.search(r"(\w)\[p, n\] = \1\[p - 1, n\]\*x_b\[n\] if p > 0 else 1.0", gradient_of(POWERS))


def test_a_polynomial_of_one_number_is_compiled() -> None:
    """Its powers are one variable, which has a value before the loop: Numba refuses one that has none."""
    model = gc.compile(gc.parse("a: data[N]\nx: parameter\nloss = Sum(a[i]*x**i, i)"))
    early = model.value_and_grad(a=[1.0, 2.0, 3.0], x=2.0)
    model.wait()
    assert early == model.value_and_grad(a=[1.0, 2.0, 3.0], x=2.0) == (17.0, (14.0,))


@pytest.mark.one_in(4)
@pytest.mark.parametrize("many", [3, 5000])
@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("loss = Sum(a[j]*x**(j - 2), j, 2, N - 1)**2", lambda a, x, j: (a[2:] * x ** j[:-2]).sum() ** 2),
        ("loss = Sum(z[k]*Sum(a[j]*z[j]**k, j), k)", lambda a, x, j: (x[:, None] * a * x ** j[:, None]).sum()),
    ],
    ids=["moved", "pairs"],
)
def test_powers_by_the_number_of_a_sample_go_on_in_every_block(
    text: str, terms: Callable[..., float], many: int
) -> None:
    many = min(many, 300) if "z" in text else many  # pairs
    a, j = np.cos(np.arange(many)), np.arange(float(many))
    z = 1 - 0.001 * np.sin(j) ** 2
    one = "z: data[N]" if "z[" in text else "x: parameter"
    namespace: dict[str, Any] = {"__name__": "emitted"}
    exec(gc.emit(gc.parse(f"a: parameter[N]\n{one}\n{text}"), target="numba"), namespace)
    base = z if "z[" in text else 0.9995
    np.testing.assert_allclose(namespace["value"](a, base), terms(a, base, j), rtol=1e-11)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_powers_by_an_index_are_right_where_numbers_end(dtype: str) -> None:
    model = gc.compile(gc.parse(POWERS.replace("t[n] -", "t[n]*")), dtype=dtype)
    x = np.array([0.0, -0.0, 1.0, -2.5, 1e30, -1e30, 1e-30, np.inf, -np.inf, np.nan], dtype)
    a = np.array([2.0, 0.0, 0.0, 3.0], dtype)
    with np.errstate(all="ignore"):
        powers = x[:, None] ** np.arange(4).astype(dtype)
    for sample in range(x.size):
        one = {"x": x[sample : sample + 1], "t": np.ones(1, dtype), "a": a}
        with np.errstate(all="ignore"):
            right = ((a * powers[sample]).sum(dtype=dtype)) ** 2
        np.testing.assert_allclose(model.value(**one), right, rtol=1e-5 if dtype == "float32" else 1e-14)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_several_choices_by_one_condition_are_no_branches(dtype: str) -> None:
    """LLVM makes one branch of them, and a loop with sums in a branch takes seven times as long as one of vectors."""
    text = """
        y: data[N]
        x: data[N]
        a: parameter
        b: parameter
        t[n] = where(y[n] > 0, log(y[n])*a, 0)
        loss = Sum(t[n]**2 + where(y[n] > 0, exp(a*x[n]), 0) + where(y[n] > 0, 0, sin(b*x[n])) - a*b, n)
    """
    model = gc.compile(gc.parse(text), dtype=dtype)
    mask, unless = ("vwhen", "vunless") if dtype == "float64" else ("vwhen32", "vunless32")
    assert re.search(rf"\+= {mask}\(\w+, ", model.source)
    assert re.search(rf"\+= {unless}\(\w+, ", model.source)
    y, x = np.array([1.5, -1.0, 0.0, 2.0, np.nan, -0.0]), np.array([0.5, 1.0, -2.0, 0.25, 3.0, 1.0])
    value, gradients = model.value_and_grad(y=y, x=x, a=0.3, b=-0.7)
    right = evaluate(model.graph, {"y": y, "x": x, "a": np.array(0.3), "b": np.array(-0.7)})
    tolerance = 1e-13 if dtype == "float64" else 1e-5
    assert np.isfinite(right["value"])
    np.testing.assert_allclose([value, *gradients], [right["value"], right["da"], right["db"]], rtol=tolerance)


def test_data_are_not_copied_if_all_that_uses_them_runs_along_rows() -> None:
    """Each number is used for every neighbour; but neighbours' rows are looked up, and a copy would be read across."""
    text = "x: data[N, D]\ng: labels[N, K]\nE: parameter[V, D]\nw: parameter[D]\ny[n, i] = w[i]*x[n, i]"
    gradient = gradient_of(text + "\nloss = Sum(tanh(Sum(E[g[n, k], i]*y[n, i], i)), n, k)")
    assert "x_b[n, i]" in gradient
    assert "x_t" not in gradient


def test_numbers_that_rows_are_summed_to_lie_as_loops_over_samples_use_them() -> None:
    """Each is stored once, after its row: where it lies makes no difference to that."""
    text = "x: data[N, L, D]\nt: data[N, L]\nw: parameter[D]\ns[n, i] = Sum(x[n, i, d]*w[d], d)"
    gradient = gradient_of(text + "\nloss = Sum(t[n, i]*s[n, i], n, i) + Sum(log(Sum(exp(s[n, i]), i)), n)")
    assert "s[i, n] = s_i_n" in gradient
    assert re.search(r"vexp\(s\[i, n\]", gradient)


def test_long_indices_do_not_part_a_line() -> None:
    """The products of windows would be arrays, where the sums are made in one pass."""
    windows = "a[n, i, j] = Sum(x[n, 2*i + p, 2*j + q]*w[p, q], p, q)\n"
    windows += "b[n, i, j] = Sum(x[n, 1 + 2*i + p, 1 + 2*j + q]*w[p, q], p, q)\n"
    text = (
        f"x: data[N, 6, 6]\nw: parameter[3, 3]\n{windows}loss = Sum(max(a[n, i, j], b[n, i, j]), n, i, 0, 1, j, 0, 1)"
    )
    assert re.search(r" \+= x_t\[2\*i \+ p \+ 1, 2\*j \+ q \+ 1, n\]\*w\[p, q\]\n", gradient_of(text))


@pytest.mark.parametrize(("length", "copied"), [("3", True), ("7", True), ("8", False), ("K", False)])
def test_short_rows_of_which_functions_are_computed_have_their_samples_innermost(length: str, copied: bool) -> None:
    text = f"x: data[N, S, {length}]\nw: parameter[S]\nloss = Sum(Sum(w[i]*tanh(x[n, i, k]), i)**2, n, k)"
    gradient = gradient_of(text)
    loops = re.findall(r"for (\w+) in", gradient[: gradient.index("vtanh(")])
    assert (loops[-1] == "n") == copied
    assert "x_t" not in gradient_of(text.replace("tanh(x[n, i, k])", "x[n, i, k]"))


@pytest.mark.parametrize("multiplied", [True, False])
def test_places_are_mixed_along_rows_only_where_products_of_matrices_have_the_result(multiplied: bool) -> None:
    """Elsewhere, loops over the samples are better vectors, and worth a copy of the data."""
    loss = "Sum((y[n, s] - Sum(tanh(Sum(u[n, s, j]*C[j, e], j))*o[e], e))**2, n, s)"
    text = f"""
        x: data[N, T, 16]
        y: data[N, T]
        A: parameter[T, T]
        C: parameter[16, 32]
        o: parameter[32]
        u[n, s, j] = tanh(Sum(A[s, t]*x[n, t, j], t))
        loss = {loss if multiplied else "Sum((y[n, s] - Sum(u[n, s, j]*C[j, 0], j)*o[0])**2, n, s)"}
    """
    gradient = gradient_of(text)
    assert ("x_b[n, t, j]*A[s, t]" in gradient) == multiplied
    assert ("x_t[t, j, n]*A[s, t]" in gradient) == (not multiplied)
    assert bool(re.search(r"x_b\[n, t, j\]\*\w+\[s, j\]", gradient)) == multiplied
    arrays = arrays_for(text, {"N": 1, "T": 2}, seed=1)
    assert_right(text, arrays, gc.compile(gc.parse(text)).wait().value_and_grad(**arrays))


def test_what_is_looked_up_for_pairs_lies_along_the_samples_that_use_it() -> None:
    """Looking up makes no vectors, in whatever order it writes; the powers are vectors where samples are contiguous."""
    model = gc.compile(
        gc.parse("""
            a: labels[E]
            b: labels[E, M]
            y: parameter[N, K]
            B: constant = 0.9
            q[e, m] = Sum((y[a[e], k] - y[b[e, m], k])**2, k)
            loss = Sum(log(1 + q[e, m]**B), e, m)
        """)
    )
    assert re.search(
        r"for m in range\(M\):\n +for e in range\(size\):\n(.*\n)* +\w+ = vpow\(q\[m, e\], B\)", model.source
    )
    random = np.random.default_rng(0)
    y, a, b = random.normal(size=(30, 3)), random.integers(10, size=300), random.integers(10, 30, size=(300, 4))
    q = ((y[a][:, None] - y[b]) ** 2).sum(axis=2)
    value, (gradient,) = model.value_and_grad(y=y, a=a, b=b)
    assert value == pytest.approx(np.sum(np.log(1 + q**0.9)), rel=1e-13)
    flow = (0.9 * q**-0.1 / (1 + q**0.9))[..., None] * 2 * (y[a][:, None] - y[b])
    expected = np.zeros_like(y)
    np.add.at(expected, np.broadcast_to(a[:, None], b.shape), flow)
    np.add.at(expected, b, -flow)
    assert gradient == pytest.approx(expected, rel=1e-11)


def test_weights_that_are_summed_over_in_the_middle_are_products_for_each_index_before() -> None:
    """As in a transposed convolution: one product for each place in its window."""
    model = gc.compile(
        gc.parse("""
            x: data[N, I, J, F]
            y: data[N, I, J, P, Q, D]
            v: parameter[P, Q, F, D]
            loss = Sum((Sum(x[n, i, j, f]*v[p, q, f, d], f) - y[n, i, j, p, q, d])**2, n, i, j, p, q, d)
        """)
    )
    loops = r"for p in range\(P\):\n +for q in range\(Q\):\n +gemm\(\n.* v\[p, q\]"
    assert re.search(loops, model.source[model.source.index("def value_and_grad(") :])
    random = np.random.default_rng(0)
    x, v, y = (random.normal(size=s) for s in ((200, 2, 3, 9), (2, 2, 9, 10), (200, 2, 3, 2, 2, 10)))
    model.value(x=x, v=v, y=y)
    model.wait()
    value, (gradient,) = model.value_and_grad(x=x, v=v, y=y)
    rest = np.einsum("nijf,pqfd->nijpqd", x, v) - y
    assert value == pytest.approx(np.sum(rest**2), rel=1e-12)
    assert gradient == pytest.approx(2 * np.einsum("nijf,nijpqd->pqfd", x, rest), rel=1e-11)


def test_parts_of_arrays_that_are_moved_or_spread_along_an_axis_are_matrices() -> None:
    """As in a dilated convolution, of data and of a layer: each part has a copy by rows, and products of its own."""
    text = """
        x: data[N, 9, J]
        F: parameter[2, J, K]
        G: parameter[2, K, L]
        h[n, t, k] = tanh(Sum(F[0, j, k]*x[n, 2*t, j] + F[1, j, k]*x[n, 2*t + 1, j], j))
        u[n, t, l] = tanh(Sum(G[0, k, l]*h[n, t, k] + G[1, k, l]*h[n, t + 1, k], k))
        loss = Sum(u[n, t, l]**2, n, t, l)
    """
    gradient = gradient_of(text)
    assert set(re.findall(r"\[n, \w+, \w\] = x_b\[n, (.*?), \w\]", gradient)) == {"2*t", "1 + 2*t"}
    assert gradient.count("gemm(") == 10  # of two taps each: forward, for the weights, and those of h for h
    assert not re.search(r"for j in range\(J\):\n +for k in range\(K\):\n +\w+\[.*\] \+= .*\*", gradient)
    arrays = arrays_for(text, {"N": 3, "J": 3, "K": 2, "L": 2}, seed=3)
    assert_right(text, arrays, gc.compile(gc.parse(text)).value_and_grad(**arrays))


TRIANGLES = """
    x: data[N, D]
    L: parameter[K, D, D]
    y[s, k, i] = Sum(where(j < i, L[k, i, j]*x[s, j], 0), j)
    loss = Sum(y[s, k, i]**4, i, k, s) + 3*Sum(where(i < j, L[k, j, i]**2, 0), i, j, k)
"""


def test_a_gradient_starts_from_a_penalty_in_the_loops_that_compute_it() -> None:
    """The penalty has other letters for rows and columns: what it adds to the gradient is not kept and then read."""
    gradient = gradient_of(TRIANGLES)
    assert gradient.count("np.empty((K, D, D))") == 1
    start = gradient.index("dL[k, i, j] = vwhen(j < i, 6*L[k, i, j])")
    assert re.findall(r"for (\w) in", gradient[:start]) == ["k", "i", "j", "j"]


def test_triangles_leave_out_half_of_a_product_and_are_not_masked() -> None:
    gradient = gradient_of(TRIANGLES)
    assert gradient.count("for j in range(i):") == 3
    assert gradient.count("vwhen(") == 1


def test_sums_over_triangles_are_right() -> None:
    random = np.random.default_rng(0)
    x, factors = random.normal(size=(300, 9)), random.normal(size=(2, 9, 9))
    lower = np.tril(factors, -1)
    y = np.einsum("kij,sj->ski", lower, x)
    value, (gradient,) = gc.compile(gc.parse(TRIANGLES)).value_and_grad(x=x, L=factors)
    assert value == pytest.approx((y**4).sum() + 3 * (lower**2).sum(), rel=1e-13)
    exact = np.tril(4 * np.einsum("ski,sj->kij", y**3, x), -1) + 6 * lower
    np.testing.assert_allclose(gradient, exact, rtol=1e-11, atol=1e-9)


NEIGHBOURS = """
    x: data[N, D]
    g: labels[N, K]
    W: parameter[D, H]
    v: parameter[H]
    h[n, i] = tanh(Sum(x[n, j]*W[j, i], j))
    loss = Sum(Sum(v[i]*Max(h[g[n, k], i], k), i)**2, n)
"""


def test_what_neighbours_have_lies_by_rows_and_is_read_along_them() -> None:
    """A row that data pick is next to each other: along the samples, each of its numbers would be far from the next."""
    gradient = gradient_of(NEIGHBOURS)
    assert "h = np.empty((N, H))" in gradient
    assert "dh = np.zeros((N, H))" in gradient
    assert re.search(r"for i in range\(H\):\n +(\w+)\[n, i\] = maximum\(\1\[n, i\], h\[g_n_k, i\]\)", gradient)
    assert re.search(r"for i in range\(H\):\n +dh\[g_n_k, i\] \+=", gradient)


STENCIL = """
    u: parameter[T, X]
    k: parameter
    r[t, i] = u[t + 1, i + 1] - u[t, i + 1] - k*(u[t, i + 2] - 2*u[t, i + 1] + u[t, i])
    loss = Sum(r[t, i]**2, t, i) + Sum((u[0, i] - i)**2, i)
"""


def test_what_is_added_at_moved_places_has_a_loop_for_each() -> None:
    """In one loop, an element is added to that the next step reads: it makes no vectors."""
    gradient = gradient_of(STENCIL)
    loops = re.split(r"\n +for \w+ in range\(\w+(?: - \d+)?\):", gradient)
    added = [loop for loop in loops if "du[" in loop and "+=" in loop]
    assert len(added) >= 3
    assert all(len(set(re.findall(r"(du\[.*?\]) [+-]=", loop))) <= 1 for loop in added)
    assert "du = np.zeros((T, X))" in gradient  # and not a column at a time


def test_what_is_added_beside_one_label_is_right() -> None:
    """The place has no axis along which a loop could go."""
    text = "u: column\nh: labels\nb: parameter[C]\nw: parameter\nloss = w*b[h + 1]**2 + (w - u)**2\n"
    model = gc.compile(gc.parse(text))
    given = {"u": np.array([1.0, 2.0, 4.0]), "h": 1, "b": np.array([0.5, 0.25, 3.0, 2.0]), "w": 1.5}
    model.value_and_grad(**given)
    value, (db, dw) = model.wait().value_and_grad(**given)
    assert value == pytest.approx(1.5 * 9 + (0.25 + 0.25 + 6.25) / 3)  # the mean over the column
    np.testing.assert_allclose(db, [0, 0, 2 * 1.5 * 3, 0])
    assert dw == pytest.approx(9 + 2 * (0.5 - 0.5 - 2.5) / 3)


def test_what_is_added_at_moved_places_is_right() -> None:
    random = np.random.default_rng(4)
    u, k = random.normal(size=(7, 9)), 0.3
    r = u[1:, 1:-1] - u[:-1, 1:-1] - k * (u[:-1, 2:] - 2 * u[:-1, 1:-1] + u[:-1, :-2])
    du = np.zeros_like(u)
    du[1:, 1:-1] += 2 * r
    du[:-1, 1:-1] += (4 * k - 2) * r
    du[:-1, 2:] -= 2 * k * r
    du[:-1, :-2] -= 2 * k * r
    du[0] += 2 * (u[0] - np.arange(9))
    model = gc.compile(gc.parse(STENCIL))
    model.value_and_grad(u=u, k=k)
    model.wait()
    value, (found, slope) = model.value_and_grad(u=u, k=k)
    assert value == pytest.approx(np.sum(r**2) + np.sum((u[0] - np.arange(9)) ** 2), rel=1e-13)
    np.testing.assert_allclose(found, du, rtol=1e-12, atol=1e-12)
    assert slope == pytest.approx(-2 * np.sum(r * (u[:-1, 2:] - 2 * u[:-1, 1:-1] + u[:-1, :-2])), rel=1e-12)


def test_an_output_that_is_begun_with_data_is_so_along_their_rows() -> None:
    gradient = gradient_of("""
        y: data[H, W]
        u: parameter[H, W]
        loss = Sum((u[i, j] - y[i, j])**2, i, j) + Sum((u[i, j + 1] - u[i, j])**4, i, j)
    """)
    assert re.search(r"for i in range\(size\):\n +for j in range\(W\):(\n.*){1,3}\n +du_b\[i, j\] = ", gradient)


NORMALISED = """
    x: data[N, D]
    t: data[N]
    W: parameter[D, H]
    a[n, h] = Sum(x[n, j]*W[j, h], j)
    m[h]    = Mean(a[n, h], n)
    s[h]    = Mean((a[n, h] - m[h])**2, n)
    y[n]    = Sum(max(0, (a[n, h] - m[h])/sqrt(s[h] + 1e-5)), h)
    loss    = Sum((y[n] - t[n])**2, n)
"""


def test_products_are_kept_for_later_passes() -> None:
    """A batch that is normalised is passed five times: each number of a product costs as many operations as x has."""
    gradient = gradient_of(NORMALISED)
    assert gradient.count("for first in range(0, N, T)") > 3
    assert gradient.count("W, 0.0, ") == 1
    assert len(re.findall(r"y\w*\[n\] = -?t_b\[n\]|y\w*\[n\] \+= maximum", gradient)) <= 2


def test_sums_of_few_numbers_for_most_samples_are_single() -> None:
    """In double precision are the sums of all of them, and nothing else: a loop that mixes the two is slow."""
    text = gc.emit(
        gc.parse("x: data[N]\na: parameter[8]\nloss = Sum(log(1 + (x[i + 8] - Sum(a[k]*x[i + k], k))**2), i)"),
        target="numba",
        dtype="float32",
    )
    assert "1.0*(" not in text
    assert "f = 0.0" in text


def test_short_rows_that_labels_pick_are_copied_a_sample_after_the_other():
    text = """
        i: labels[N]
        y: data[N]
        A: parameter[P, K]
        m[n] = Sum(exp(A[i[n], k]), k)
        loss = Sum(m[n] - y[n]*log(m[n]), n)
    """
    emitted = gc.emit(gc.parse(text), target="numba", sizes={"K": 3})
    copy = """        for n in range(size):
            i_n = i_b[n]
            for k in range(K):
                a[k, n] = A[i_n, k]"""
    assert copy in emitted
    model = gc.compile(gc.parse(text))
    random = np.random.default_rng(0)
    i, y, A = random.integers(0, 5, 700), random.random(700), random.normal(size=(5, 3))
    value, (slope,) = model.value_and_grad(i=i, y=y, A=A)
    rates = np.exp(A).sum(axis=1)
    assert value == pytest.approx(np.sum(rates[i] - y * np.log(rates[i])), rel=1e-12)
    count, total = np.bincount(i, minlength=5), np.bincount(i, y, minlength=5)
    np.testing.assert_allclose(slope, np.exp(A) * (count - total / rates)[:, None], rtol=1e-11)


NORMALISED = """
    x: data[N, D]
    t: data[N]
    W: parameter[D, H]
    v: parameter[H]
    a[n, h] = Sum(x[n, j]*W[j, h], j)
    m[h] = Mean(a[n, h], n)
    s[h] = Mean((a[n, h] - m[h])**2, n)
    loss = Sum((Sum(v[h]*max(0, (a[n, h] - m[h])/sqrt(s[h] + 1e-5)), h) - t[n])**2, n)/N
"""


def test_what_a_pass_computes_again_and_uses_at_once_is_a_number() -> None:
    source = gc.compile(gc.parse(NORMALISED)).source
    *_, fourth, fifth = re.split(r"\n    for first in ", source[: source.index("def grad(")])
    for again in (fourth, fifth):
        assert re.search(r"\n {12}for n in range\(size\):\n {16}(\w+)_h_n = a_b\[h, n\] - m\[h\]", again)
        assert again.count("for n in range(size)") == 2  # what samples have one number of, and the rest


def test_a_normalised_batch_has_the_gradient_of_its_formula() -> None:
    random = np.random.default_rng(0)
    x, t, W, v = (random.normal(size=s) for s in ((900, 5), 900, (5, 9), 9))
    model = gc.compile(gc.parse(NORMALISED))
    gc.check_grad(model, x=x, t=t, W=W, v=v)
    a = x @ W
    value = np.mean((np.maximum(0, (a - a.mean(0)) / np.sqrt(a.var(0) + 1e-5)) @ v - t) ** 2)
    model.wait()
    assert model.value(x=x, t=t, W=W, v=v) == pytest.approx(value, rel=1e-13)


def test_a_running_sum_beside_functions_has_a_loop_of_its_own() -> None:
    """What it adds up and what is made of it are vectors then; each step of the sum waits for the one before."""
    gradient = gradient_of("""
        x: data[N, M]
        w: parameter[M]
        s[n, i] = x[n, i] + Sum(where(j < i, exp(w[j]*x[n, j]), 0), j)
        loss = Sum(tanh(s[n, i]), n, i)
    """)
    bodies = re.findall(r"for \w+ in range\([^\n]*\):\n((?:(?! *for )[^\n]*\n)*)", gradient)
    running = [body for body in bodies if re.search(r" total\w* \+= ", body)]
    assert len(running) == 2  # forward and backward
    assert not any("vexp(" in body or "vtanh(" in body for body in running)
    assert sum("vexp(" in body or "vtanh(" in body for body in bodies) >= 2


def test_nothing_of_a_sample_is_computed_in_double_precision_in_float32() -> None:
    """A count of samples that divides, or 0 instead of what is not finite, would widen all that is made of it."""
    model = gc.compile(
        gc.parse("""
            x: data[N, K]
            t: data[N]
            w: parameter[K]
            y[n, k] = w[k]*x[n, k]
            loss = Sum((log(Sum(exp(y[n, k]), k)) - t[n])**2, n)/N + Sum(sign(w[k])*w[k], k)
        """),
        dtype="float32",
    )
    body = model.source[model.source.index("def value_and_grad(") : model.source.index("def grad(")]
    assert "real(N)" in body
    assert re.search(r"= real\(finite\(", body)
    assert re.search(r"real\(sign\(", body)
    assert "= float(" not in body


def test_a_function_with_its_sign_changed_is_computed_once_for_all_samples() -> None:
    text = """
    y: data[N, J]
    t: parameter[N]
    c: parameter[J]
    p[n, j] = sigmoid(c[j]) + (1 - sigmoid(c[j]))*sigmoid(t[n])
    loss = -Sum(y[n, j]*log(p[n, j]), n, j)
    """
    source = gc.emit(gc.parse(text), target="numba")
    before, inside = source[source.index("def value_and_grad(") :].split("for first in range(0, N, T)", 1)
    assert "-vsoftplus(c[j])" in before
    assert "vsoftplus(c[j])" not in inside.split("return", 1)[0]


def test_adding_at_places_along_rows_leaves_the_loop_that_computes_functions() -> None:
    """A loop that adds at places that data say makes no vectors: functions are computed in one that does."""
    text = """
    y: labels[N, J]
    t: parameter[N]
    b: parameter[J, K]
    loss = Sum(log(1 + exp(t[n] - b[j, y[n, j]])), n, j)
    """
    model = gc.compile(gc.parse(text))
    source = gc.emit(gc.parse(text), target="numba")
    loop = re.search(r"\n( +)for j in range\(J\):\n\1    db\[j, y_b\[n, j\]\] [-+]= .+\n(?!\1    )", source)
    assert loop is not None
    random = np.random.default_rng(1)
    y, t, b = random.integers(0, 3, (9, 5)), random.normal(size=9), random.normal(size=(5, 3))
    value, (dt, db) = model.value_and_grad(y=y, t=t, b=b)
    z = t[:, None] - b[np.arange(5), y]
    slope, wanted = 1 / (1 + np.exp(-z)), np.zeros_like(b)
    np.add.at(wanted, (np.arange(5), y), -slope)
    np.testing.assert_allclose(value, np.log1p(np.exp(z)).sum(), rtol=1e-13)
    np.testing.assert_allclose(dt, slope.sum(1), rtol=1e-13)
    np.testing.assert_allclose(db, wanted, rtol=1e-13)


def test_what_is_added_at_places_that_labels_say_has_one_loop() -> None:
    text = """
    a: labels[N]
    b: labels[N]
    u: parameter[P]
    v: parameter[Q]
    loss = Sum(log(1 + exp(u[a[n]] - v[b[n]])) + u[b[n]]**2, n)
    """
    source = gc.emit(gc.parse(text), target="numba")
    places = re.findall(r"\n( +)for n in range\(size\):\n((?:\1    d[uv]\[[ab]_b\[n\]\] [-+]= .+\n)+)", source)
    assert [lines.count("\n") for _, lines in places] == [3]
    a, b, u, v = np.array([0, 1, 1, 2]), np.array([1, 1, 0, 0]), np.array([0.5, -1, 2]), np.array([1.0, 0.25])
    value, (du, dv) = gc.compile(gc.parse(text)).value_and_grad(a=a, b=b, u=u, v=v)
    z = u[a] - v[b]
    slope = 1 / (1 + np.exp(-z))
    np.testing.assert_allclose(value, np.sum(np.log1p(np.exp(z)) + u[b] ** 2), rtol=1e-14)
    np.testing.assert_allclose(du, np.bincount(a, slope, 3) + np.bincount(b, 2 * u[b], 3), rtol=1e-14)
    np.testing.assert_allclose(dv, -np.bincount(b, slope, 2), rtol=1e-14)


def test_windows_of_a_row_are_summed_up_along_it() -> None:
    """A copy with the samples next to each other would make the same vectors, and cost the copies of what it meets."""
    text = """
        x: data[N, T + 9]
        y: data[N, T]
        g: constant[10]
        r: parameter[N, T]
        m[n, t] = exp(r[n, t])*Sum(g[l]*x[n, t + 9 - l], l)
        loss = Sum(m[n, t] - y[n, t]*log(1 + m[n, t]), n, t)
    """
    gradient = gradient_of(text)
    assert not re.search(r"\b[xyr]_t\b", gradient)
    random = np.random.default_rng(0)
    x, y, g, r = random.random((3, 14)), random.random((3, 5)), random.random(10), random.normal(size=(3, 5))
    model = gc.compile(gc.parse(text))
    model.value_and_grad(x=x, y=y, g=g, r=r)
    model.wait()
    value, (slope,) = model.value_and_grad(x=x, y=y, g=g, r=r)
    mean = np.exp(r) * np.array([np.convolve(row, g, "valid") for row in x])
    assert value == pytest.approx(np.sum(mean - y * np.log1p(mean)), rel=1e-13)
    np.testing.assert_allclose(slope, mean - y * mean / (1 + mean), rtol=1e-12, atol=1e-13)


CLOTH = """
x: parameter[N, M, 3]
a[i, j] = sqrt(Sum((x[i+1, j, k] - x[i, j, k])**2, k))
b[i, j] = sqrt(Sum((x[i, j+1, k] - x[i, j, k])**2, k))
c[i, j] = sqrt(Sum((x[i+1, j+1, k] - x[i, j, k])**2, k))
loss = Sum((a[i, j] - 1)**2, i, j) + Sum((b[i, j] - 1)**2, i, j) + Sum((c[i, j] - 1.4)**2, i, j)
"""


def test_what_is_added_at_moved_places_is_added_where_it_is_made() -> None:
    """So it is not kept for a later loop, one with columns outside of rows, whatever else is added in between."""
    model = gc.compile(gc.parse(CLOTH)).wait()
    x = np.random.default_rng(0).normal(size=(6, 5, 3))
    right, slopes = 0.0, np.zeros_like(x)
    for rows, columns, length in ((1, 0, 1), (0, 1, 1), (1, 1, 1.4)):
        ends = np.s_[rows:, columns:], np.s_[: 6 - rows, : 5 - columns]
        step = x[ends[0]] - x[ends[1]]
        size = np.linalg.norm(step, axis=2, keepdims=True)
        right += np.sum((size - length) ** 2)
        slopes[ends[0]] += 2 * (size - length) * step / size
        slopes[ends[1]] -= 2 * (size - length) * step / size
    value, (gradient,) = model.value_and_grad(x=x)
    assert value == pytest.approx(right, rel=1e-12)
    np.testing.assert_allclose(gradient, slopes, rtol=1e-11, atol=1e-12)
    body = model.source[model.source.index("def value_and_grad(") :]
    assert "np.empty((N - 1" not in body[: body.index("\n\n\n")]


def test_what_labels_add_to_one_array_is_added_there_before_what_comes_after_the_samples() -> None:
    # The angles of poses are turned into sines and cosines pose by pose: their slopes wait for all edges.
    text = """
        i: labels[N]
        j: labels[N]
        m: data[N]
        p: parameter[V, 2]
        d[n] = p[j[n], 0] - p[i[n], 0]
        loss = Sum((cos(p[i[n], 1])*d[n] - m[n])**2 + (p[j[n], 1] - p[i[n], 1])**2, n)
    """
    text = "\n".join(line.strip() for line in text.strip().splitlines()) + "\n"
    gradient = gradient_of(text)
    assert len(re.findall(r"np\.zeros\(\(V, 2\)", gradient)) == 1
    arrays = arrays_for(text, {"N": 9, "V": 4}, seed=1, labels=lambda name: (0, 4))
    model = gc.compile(gc.parse(text))
    model.value_and_grad(**arrays)
    model.wait()
    assert_right(text, arrays, model.value_and_grad(**arrays))


def test_windows_of_data_are_summed_up_along_the_places_at_which_they_begin() -> None:
    """The weights of a window are data with a first axis, too, and slopes have one for all places of a series."""
    text = """
        y: data[T]
        w: data[K]
        r: parameter[T]
        l[t] = exp(r[t + K])*Sum(w[k]*y[t + K - 1 - k], k) + 0.1
        loss = Sum(l[t] - y[t + K]*log(l[t]), t) + Sum((r[t + 1] - r[t])**2, t)
    """
    assert re.search(r"for k in range\(K\):\n +for t in range\(size\):\n +a\[t\] \+= ", gradient_of(text))
    arrays = arrays_for(text, {"T": 9, "K": 3}, seed=1)
    arrays = {name: abs(array) for name, array in arrays.items()}
    assert_right(text, arrays, gc.compile(gc.parse(text)).value_and_grad(**arrays))


def test_parts_of_a_sum_are_no_products_of_matrices_where_each_is_tiny() -> None:
    text = """
        u: data[N, I, 4]
        W: parameter[I, C, 4, {}]
        loss = Sum(tanh(Sum(u[n, i, d]*W[i, c, d, o], i, d)), n, c, o)
    """
    assert "gemm(" not in gradient_of(text.format(8))
    assert "gemm(" in gradient_of(text.format(24))
    arrays = arrays_for(text.format(8), {"N": 5, "I": 2, "C": 3}, seed=1)
    assert_right(text.format(8), arrays, gc.compile(gc.parse(text.format(8))).value_and_grad(**arrays))


PIXELS = """
    z: data[H, W, K]
    y: data[H, W]
    c: parameter[K]
    loss = Sum((y[i, j] - exp(Sum(z[i, j, k]*c[k], k)))**2, i, j)
"""


@pytest.mark.parametrize("few", [False, True])
def test_functions_of_sums_along_a_row_have_a_loop_of_their_own(few: bool) -> None:
    """It makes vectors; but a sum of a few terms is written out."""
    text = PIXELS.replace("K]", "3]") if few else PIXELS
    source = gc.compile(gc.parse(text)).source
    value = source[source.index("def value(") : source.index("def value_and_grad(")]
    assert bool(re.search(r"for j in range\(W\):\n +f \+= .*vexp\(\w+\[j\]\)", value)) == (not few)
    arrays = arrays_for(text, {"H": 3, "W": 4, "K": 5}, seed=1)
    assert_right(text, arrays, gc.compile(gc.parse(text)).value_and_grad(**arrays))
