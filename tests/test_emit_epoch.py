"""The text of training: as a lecture writes a step, and nothing else than arithmetic."""

import re
from dataclasses import replace

import numpy as np
import pytest
import sympy

import gradcompile as gc
from gradcompile.emit.in_place import in_place
from gradcompile.minibatch import minibatch
from gradcompile.optimizers import RULES, SGD, Adam
from gradcompile.pipeline import differentiate
from gradcompile.schedule import Loop, Product, plan
from gradcompile.step import in_halves
from gradcompile.train.steps import kernel
from gradcompile.vecmath import bits

LINE = """
    x: data[N, D]
    t: data[N]
    w: parameter[D]
    b: parameter
    loss = Sum((Sum(x[s, j]*w[j], j) + b - t[s])**2, s)/N
"""
FACTORS = """
    r: data[N]
    user: labels[N]
    item: labels[N]
    U: parameter[A, K]
    V: parameter[B, K]
    loss = Sum((r[n] - Sum(U[user[n], k]*V[item[n], k], k))**2, n)
"""


def source(model, optimizer, dtype="float64", how="few"):
    """The module of an epoch by rows, without compiling it."""
    return kernel(gc.compile(gc.parse(model)).lowered, optimizer, dtype, how).source


def function(name, text):
    """The lines of a function, without its docstring."""
    lines = re.search(rf"\ndef {name}\(.*?(?=\n\n\n|\Z)", text, re.DOTALL)[0].strip().splitlines()
    return "\n".join(line for line in lines if '"""' not in line)


def test_a_step_of_sgd_reads_as_on_the_board():
    text = function("update", source(LINE, SGD(0.1)))
    assert re.fullmatch(
        r"""def update\(w, b, rows, (\w), db\):
    B = rows.shape\[0\]
    D = w.shape\[0\]
    rate = 0.1
    for j in range\(D\):
        dw = 2\*\1\[j\]/B
        w\[j\] -= dw\*rate
    b\[0\] -= db\*rate""",
        text,
    )


def test_adam_reads_as_in_the_paper():
    text = function("update", source(LINE, Adam(0.001)))
    a, b, c, e = (
        re.search(rf"    (\w) = {re.escape(right)}\n", text)[1]
        for right in ("1 - beta1", "1 - beta2", "1 - beta2**t1", "1 - beta1**t1")
    )
    assert (
        f"""\
        m_w[j] = vnormal(beta1*m_w[j] + dw*{a})
        v_w[j] = vnormal(beta2*v_w[j] + dw**2*{b})
        w[j] -= m_w[j]*rate/({e}*(math.sqrt(v_w[j]/{c}) + epsilon))"""
        in text
    )


def test_a_batch_of_one_needs_no_gradient_array():
    text = source(LINE, SGD(0.1), how="one")
    assert "np.empty" not in text
    assert "np.zeros" not in text
    assert re.search(r"dw = (\w\*)?x\[row, j\]", function("update", text))


LAYER = """
    x: data[N, D]
    t: data[N]
    A: parameter[D, H]
    a: parameter[H]
    C: parameter[H]
    h[n, i] = {}(Sum(x[n, j]*A[j, i], j) + a[i])
    loss = Sum((Sum(h[n, i]*C[i], i) - t[n])**2, n)
"""


def test_what_many_elements_share_is_computed_once():
    """The slope of a layer is one vector for all rows of its matrix, and its tanh is at hand for the next layer."""
    text = source(LAYER.format("tanh"), SGD(0.1), how="one")
    assert function("gradient", text).count("vtanh(") == 1
    update = function("update", text)
    assert "vtanh(" not in update
    assert re.search(r"dA = x\[row, j\]\*(\w+)\[i\]\n +A\[j, i\] -= dA\*rate", update)
    assert "a[i] -= da[i]*rate" in update


def test_a_branch_of_one_step_is_computed_before_it_is_chosen():
    """Else the loop over a matrix makes no vectors."""
    update = function("update", source(LAYER.format("relu"), SGD(0.1), how="one"))
    assert re.search(r"(\w+) = x\[row, j\]\*\w+\[i\]\n +dA = \1 if \w+\[i\] else 0\n", update)


def test_rows_of_a_table_are_moved_alone_and_left_at_zero():
    update = function("update", source(FACTORS, SGD(0.1), how="many"))
    assert re.search(
        r"""    for n in range\(B1\):
        (\w)_n = np.uint64\(\1\[n\]\)
        for k in range\(K\):
            U\[\1_n, k\] -= dU\[\1_n, k\]\*rate
            dU\[\1_n, k\] = 0.0""",
        update,
    )
    assert "user" not in update  # the labels of a batch are looked up once, in the first half


def test_a_step_of_few_samples_keeps_what_each_adds_to_a_row():
    """The rows as they were before the step, one for each sample: no table of gradients."""
    text = source(FACTORS, SGD(0.1), how="few")
    assert function("epoch", text).count("= np.empty((batch, K))") == 2
    assert not re.search(r"\b(dU|dV)\[", text)


def test_a_sum_along_a_row_starts_where_the_row_is_read():
    assert re.search(
        r"""            (\w)_n = r\[rows_n\]
            for k in range\(K\):
                (.*\n){2} +\1_n -= """,
        source(FACTORS, SGD(0.1)),
    )


def test_nothing_of_the_size_of_a_table_is_touched_by_a_step_of_sgd():
    for how in ("one", "few", "many"):
        text = source(FACTORS, SGD(0.1), how=how)
        assert not re.search(r"range\((A|B)\)|\(A, K\)|\(B, K\)", text[text.index("def gradient") :])


def test_an_optimizer_that_moves_what_has_no_gradient_visits_all_rows():
    text = function("update", source(FACTORS, Adam(0.1)))
    assert re.search(r"for \w+ in range\(A\):", text)
    assert "user_n" not in text


def test_what_is_the_same_for_all_elements_is_computed_before_the_loop_in_double_precision():
    rate = 0.1 / (1 + sympy.Symbol("t"))
    before, loop = function("update", source(LINE, SGD(rate, momentum=0.9), "float32")).split("    for j", 1)
    assert "rate = 0.1/(1 + t1)" in before
    assert "rate = real(rate)" in before
    assert "momentum = real(momentum)" in before
    assert not any(number in loop for number in ("0.1", "0.9", "float"))


@pytest.mark.one_in(3)
@pytest.mark.parametrize("how", ["one", "block", "blocks", "few", "many", "all"])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("rule", RULES, ids=lambda rule: f"{rule.name}-{len(rule.state)}-{len(rule.defaults)}")
def test_every_rule_passes_the_gate(rule, dtype, how):
    for model in (LINE, FACTORS):
        text = source(model, rule(0.1), dtype, how)  # the gate is inside
        assert max(map(len, text.splitlines())) <= 100


def test_a_user_may_name_things_as_an_optimizer_does():
    names = {"w": "rate", "b": "momentum", "x": "update", "t": "order"}
    renamed = re.sub(r"\b[wbxt]\b", lambda match: names[match[0]], LINE)
    text = function("update", source(renamed, SGD(0.1, momentum=0.9)))
    assert re.search(r" rate\[j\] -= (rate1\*v_rate\[j\]|v_rate\[j\]\*rate1)\n", text)
    assert "v_momentum[0] = vnormal(momentum1*v_momentum[0] + dmomentum)" in text


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_state_that_has_decayed_is_zero_and_not_subnormal(dtype):
    text, short = source(LINE, SGD(0.1, momentum=0.9), dtype), "32" if dtype == "float32" else ""
    assert len(re.findall(rf" v_\w+\[\w+\] = vnormal{short}\(", function("update", text))) == 2
    normal, limits = getattr(bits, f"vnormal{short}"), np.finfo(dtype)
    for kept in (limits.tiny, -limits.tiny, limits.max, -np.inf):
        assert normal(kept) == kept
    assert normal(limits.tiny / 2) == normal(-limits.smallest_subnormal) == 0
    assert np.isnan(normal(limits.dtype.type(np.nan)))


def test_rate_is_a_function_of_the_step():
    text = function("learning_rate", source(LINE, SGD(0.5 / (1 + sympy.Symbol("t") / 100))))
    assert text.endswith("    return 0.5/(1 + t1/100)")


def test_rows_are_asked_for_before_their_turn():
    loop = function("gradient", source(FACTORS, SGD(0.1)))
    lines = re.search(r"soon = rows\[min\((first \+ )?n \+ 8, B1 - 1\)\]\n(.*?)( +rows_n = )", loop, re.DOTALL)[2]
    asked = [line.strip().replace("first + ", "") for line in lines.splitlines()]
    assert asked[:7] == [
        "fetch(r, soon)",
        "fetch(user, soon)",
        "fetch(item, soon)",
        "if large_tables:",
        "soon = rows[min(n + 4, B1 - 1)]",
        "fetch(U, user[soon])",
        "fetch(V, item[soon])",
    ]
    assert loop.count("fetch(U,") == 1
    alone = function("epoch", source(LINE, SGD(0.1), how="one"))
    assert re.search(r"soon = order\[min\(start \+ 8, last - 1\)\]\n +fetch\(x, soon\)\n +fetch\(t, soon\)\n", alone)


def test_nothing_is_asked_for_that_the_caches_hold():
    loop = function("epoch", source(FACTORS, SGD(0.1)))
    before = loop.split("    for start")[0].splitlines()
    assert "    large = r.size >= 262144 or user.size >= 262144 or item.size >= 262144" in before
    assert "    large_tables = U.size >= 262144 or V.size >= 262144" in before
    assert "large, large_tables)\n" in loop
    inside = function("gradient", source(FACTORS, SGD(0.1)))
    assert re.search(r"( +)if large:\n\1    soon = .*\n(\1    fetch.*\n)+\1if large_tables:\n\1    soon = ", inside)
    lowered = replace(gc.compile(gc.parse(FACTORS)).lowered, known={"A": 9, "K": 4})
    small = kernel(lowered, SGD(0.1), "float64", "few").source
    assert "fetch(V, item[soon])" in small
    assert "fetch(U, " not in small


def test_what_is_given_away_asks_for_nothing():
    assert "fetch" not in gc.emit(gc.parse(FACTORS), target="numba")


def test_an_index_that_is_used_as_a_number_keeps_its_sign():
    model = """
        u: labels[N]
        r: parameter[A, K]
        loss = Sum((r[u[n], k] - u[n])**2, n, k)
    """
    text = source(model, SGD(0.1))
    assert "np.uint64(rows" in text
    assert "np.uint64(u[" not in function("gradient", text)


def test_rows_are_asked_for_once_in_a_block():
    twice = """
        x: data[N, D]
        g: labels[N, K]
        U: parameter[A, D]
        far[n, k] = Sum(x[n, d]*U[g[n, k], d], d)
        loss = Sum(log(1 + exp(far[n, k])), n, k)
    """
    loop = function("gradient", source(twice, SGD(0.1), how="many"))
    assert loop.count("rows_n = ") > loop.count("fetch(x, ") == 1


def test_a_parameter_that_is_read_later_is_not_moved_before():
    """W is needed for the gradient of the layer below: a product that moved it too early would change that."""
    text = """
        x: data[N, D]
        V: parameter[D, H]
        W: parameter[H, C]
        loss = Sum(Sum(tanh(Sum(x[s, j]*V[j, k], j))*W[k, i], k)**2, s, i)
    """
    task = minibatch(gc.compile(gc.parse(text)).lowered)
    step = in_halves(differentiate(task.graph))
    schedule = plan(step.graph)
    found = in_place(step, schedule)
    assert {moved.move.parameter for moved in found.values()} == {"V", "W"}
    (body,) = (node.body for node in schedule.body if isinstance(node, Loop) and node.axis == schedule.blocks)
    of_w = next(schedule.results[head] for head, moved in found.items() if moved.move.parameter == "W")
    early = next(node for node in body if isinstance(node, Product) and node.target is of_w)
    body.remove(early)
    body.insert(0, early)
    assert {moved.move.parameter for moved in in_place(step, schedule).values()} == {"V"}


def test_heads_of_samples_are_rows_that_products_fill():
    """The slopes of embedded rows come of a layer: they lie as a matrix that has a row for every sample."""
    text = """
        f: labels[N, F]
        E: parameter[V, K]
        A: parameter[F, K, H]
        e[n, i, k] = E[f[n, i], k]
        loss = Sum(tanh(Sum(e[n, i, k]*A[i, k, h], i, k)) + Sum(e[n, i, k]**2, i, k)/H, n, h)
    """
    task = minibatch(gc.compile(gc.parse(text)).lowered)
    step = in_halves(differentiate(task.graph), lazy=True, linear=True)
    orders = [step.graph.axes[name] for name in step.heads.values()]
    orders = [order for order in orders if len(order) == 3 and step.graph.sample in order]
    assert orders
    assert all(order[0] == step.graph.sample for order in orders)
    loop = function("gradient", source(text, SGD(0.1)))
    assert re.search(r"A.reshape\(F\*K, H\).T, [01].0, \w+_b.reshape\(size, F\*K\)\)", loop)
