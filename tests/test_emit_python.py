"""Target python: straight-line code that evaluates a branch only where it is taken."""

from __future__ import annotations

import math
import re
import time
from pathlib import Path
from typing import Any

import pytest
from mpmath import mp
from sympy import And, Eq, Max, Or, Piecewise, Symbol, cos, exp, gamma, log, sin, sqrt, symbols

import gradcompile as gc
from gradcompile.emit.guarding import Guarding
from gradcompile.ir import Builder, Graph, Input
from gradcompile.schedule.conditions import cases, guards
from tests.zoo import load

GOLDEN = Path(__file__).parent / "golden"
x, y, w = symbols("x y w")


def emitted(objective: Any, wrt: Any, tmp_path: Path, **options: Any) -> Any:
    return load(gc.emit(objective, wrt=wrt, target="python", **options), tmp_path / "module.py")


def test_golden_lecture() -> None:
    a, w1, w0 = symbols("x w1 w0")
    text = gc.emit(1 + exp(w1 * a + w0), wrt=[a, w1, w0], target="python")
    assert text == (GOLDEN / "lecture_python.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("objective", "point", "value", "gradient"),
    [
        (Piecewise((sqrt(x), x > 0), (-x, True)), -4.0, 4.0, -1.0),
        (Piecewise((sqrt(x), x > 0), (-x, True)), 4.0, 2.0, 0.25),
        (Piecewise((log(x) * sqrt(x), x > 0), (exp(x), True)), 0.0, 1.0, 1.0),
        (Piecewise((exp(x) - 1, x < 0), (x, True)), 1000.0, 1000.0, 1.0),
        (Piecewise((sin(x) / x, x > 0), (1, True)), 0.0, 1.0, 0.0),
        (Piecewise((log(sqrt(x)), x > 1), (Piecewise((sqrt(x), x > 0), (0, True)), True)), -1.0, 0.0, 0.0),
        (Piecewise((log(sqrt(x)), x > 1), (Piecewise((sqrt(x), x > 0), (0, True)), True)), 0.25, 0.5, 1.0),
        (Piecewise((sqrt(x - 1) ** 3 + sqrt(x - 1), x > 1), (0, True)), 0.5, 0.0, 0.0),
        (Max(x, 0) ** 2, -3.0, 0.0, 0.0),
    ],
)
def test_only_the_branch_that_is_taken_is_evaluated(
    objective: Any, point: float, value: float, gradient: float, tmp_path: Path
) -> None:
    found, (slope,) = emitted(objective, [x], tmp_path).value_and_grad(point)
    assert found == pytest.approx(value, rel=1e-15)
    assert slope == pytest.approx(gradient, rel=1e-15)


def test_a_condition_that_is_guarded_itself_comes_last(tmp_path: Path) -> None:
    """The inner condition is a root that is used twice, so it has a line; it may be evaluated only where x > 0."""
    root = sqrt(x)
    inner = Piecewise((log(root - 1) + root, cos(root) + root > 2), (root**3, True))
    module = emitted(Piecewise((inner, x > 0), (x, True)), [x], tmp_path)
    assert module.value_and_grad(-2.0) == (-2.0, (1.0,))
    assert module.value(0.25) == pytest.approx(0.125)
    value, (slope,) = module.value_and_grad(16.0)
    assert value == pytest.approx(math.log(3) + 4)
    assert slope == pytest.approx((1 / 3 + 1) / 8)


def test_a_case_with_a_guarded_condition_says_where_that_has_a_value() -> None:
    """``not k or g`` would ask for k where g holds, and k is only computed where it does not."""
    builder = Builder()
    x, y = builder.input("x", ()), builder.input("y", ())
    g, k, value = builder.apply("lt", x, 0), builder.apply("lt", x * y, 0), builder.apply("exp", x)
    not_g, not_k = (frozenset(((condition, False),)) for condition in (g, k))
    wanted = frozenset((not_k, frozenset(((g, True),))))
    (guard,) = Guarding({k: frozenset((not_g,)), value: wanted}, lambda *_: "").nested(value)
    assert guard == frozenset((not_g | not_k, frozenset(((g, True),))))


def test_many_conditions_at_once_guard_what_they_allow(tmp_path: Path) -> None:
    """gamma(300) is an error in Python; here it is asked for in none of the branches that are taken."""
    inside = And(x > 0, y > 0, w > 0, Or(x < 170, y < 160, w < 170))
    first = Piecewise((gamma(x) + gamma(y) * gamma(w), inside), (1 / x + y * w, True))
    second = Piecewise((gamma(x), And(x > 0, y > 0, w < 0)), (3, True))
    module = emitted(first * second, [x, y, w], tmp_path)
    value, slopes = module.value_and_grad(300.0, -1.0, 400.0)
    assert value == pytest.approx(3 * (1 / 300 - 400))
    assert slopes == pytest.approx((-3 / 9e4, 1200.0, -3.0))
    value, slopes = module.value_and_grad(3.0, 4.0, 2.0)
    psi = [1 - 0.5772156649015329, 1.5 - 0.5772156649015329, 11 / 6 - 0.5772156649015329]  # digamma at 2, 3, 4
    assert value == pytest.approx(24.0)
    assert slopes == pytest.approx((6 * psi[1], 18 * psi[2], 18 * psi[0]))


def test_blocks_that_hold_one_block_have_one_head() -> None:
    a, b = sqrt(x), log(y)
    text = gc.emit(Piecewise((a * b + a + b, And(x > 0, y > 0)), (x, True)), wrt=[x, y], target="python")
    assert "if x > 0 and y > 0:" in text
    either = gc.emit(Piecewise((a * b + a + b, And(Or(x > 0, w > 0), y > 0)), (x, True)), wrt=[x, y], target="python")
    assert re.search(r"^    if y > 0 and \((x > 0 or w > 0|w > 0 or x > 0)\):", either, re.MULTILINE)


def test_two_choices_by_one_condition_are_one() -> None:
    text = gc.emit(Piecewise((3 * x, y > 0), (x**2, True)), wrt=[x, y], target="python")
    assert "dx = 3 if y > 0 else 2*x" in text


def test_what_two_branches_share_is_guarded_by_what_they_share() -> None:
    root, other = sqrt(x), Symbol("other")
    both = Piecewise((root + cos(root), x > 0), (0, True)) + other * Piecewise((root**3, x > 0), (1, True))
    text = gc.emit(both, wrt=[x, other], target="python")
    assert len(re.findall(r"if x > 0:\n", text)) >= 1
    assert not re.search(r"^    \w+ = math\.sqrt\(x\)", text, re.MULTILINE)


def test_conditions_are_taken_apart() -> None:
    builder = Builder()
    p, q, r = (builder.apply("gt", builder.input(name, ()), 0) for name in "pqr")
    both = builder.apply("and", p, builder.apply("not", q))
    assert cases(both, True) == {frozenset({(p, True), (q, False)})}
    assert cases(both, False) == {frozenset({(p, False)}), frozenset({(q, True)})}
    assert cases(builder.apply("or", p, r), False) == {frozenset({(p, False), (r, False)})}


def test_the_opposite_of_a_guard_is_written_as_one() -> None:
    """Of equality alone: nothing is neither equal nor unequal, but nan is neither below nor above."""
    unequal = gc.emit(Piecewise((x, Eq(x, 0)), (sqrt(x) + cos(sqrt(x)), True)), wrt=[x], target="python")
    assert "if x != 0:" in unequal
    below = gc.emit(Piecewise((x, x < 2), (sqrt(x) + cos(sqrt(x)), True)), wrt=[x], target="python")
    assert "if not x < 2:" in below


def test_a_guard_is_what_all_uses_have_in_common() -> None:
    builder = Builder()
    p, q = (builder.apply("gt", builder.input(name, ()), 0) for name in "pq")
    root = builder.apply("sqrt", builder.input("x", ()))
    first = builder.apply("select", p, builder.apply("select", q, root, 1), 2)
    second = builder.apply("select", p, root * 2, 3)
    graph = Graph(builder, {n: Input(n) for n in "pqx"}, {"value": first + second})
    assert guards(graph, graph.order())[root] == {frozenset({(p, True)})}


def test_a_guard_may_have_two_cases() -> None:
    builder = Builder()
    p, q = (builder.apply("gt", builder.input(name, ()), 0) for name in "pq")
    root = builder.apply("sqrt", builder.input("x", ()))
    value = builder.apply("select", p, root * 2, builder.apply("select", q, root, 1))
    graph = Graph(builder, {n: Input(n) for n in "pqx"}, {"value": value})
    assert guards(graph, graph.order())[root] == {frozenset({(p, True)}), frozenset({(p, False), (q, True)})}


CHOSEN = """
x: data[T, N]
v: data[T, K]
w: parameter[N, K]
h[t, n] = where(x[t, n] > 0, Sum(v[t, k]*w[n, k], k) - Max(w[n, k], k), t)
loss = Sum(log(1 + exp(h[t, n])), t, n)
"""


def test_what_a_guarded_sum_starts_from_may_lack_an_axis_of_its_condition(tmp_path: Path) -> None:
    """-Max(w[n, k], k) has no t, and x[t, n] > 0 has."""
    x, v, w = [[0.5, -1.0], [1.0, 0.25], [-1.0, 3.0]], [[0.5, -1.0], [1.0, 0.25], [2.0, 3.0]], [[0.5, 2.0], [1.0, -3.0]]
    value, (gradient,) = emitted(gc.parse(CHOSEN), None, tmp_path).value_and_grad(w, x, v)

    def total(*w: Any) -> Any:
        rows = w[:2], w[2:]
        scores = (
            v[t][0] * rows[n][0] + v[t][1] * rows[n][1] - max(rows[n]) if x[t][n] > 0 else t
            for t in range(3)
            for n in range(2)
        )
        return sum(mp.log1p(mp.exp(score)) for score in scores)

    with mp.workdps(50):
        flat = [*w[0], *w[1]]
        slopes = [mp.diff(total, flat, tuple(int(j == k) for j in range(4))) for k in range(4)]
        assert value == pytest.approx(float(total(*flat)), rel=1e-14)
        assert [*gradient[0], *gradient[1]] == pytest.approx(list(map(float, slopes)), rel=1e-13)


def test_a_negative_base_is_an_error_and_not_complex(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="domain"):
        emitted(x**y, [x], tmp_path).value(-8.0, 1 / 3)


def test_a_gradient_that_is_a_number_is_a_float(tmp_path: Path) -> None:
    module = emitted(x + 2 * y, [x, y, w], tmp_path)
    assert [type(g) for g in module.grad(1.0, 1.0, 1.0)] == [float, float, float]
    assert module.grad(1.0, 1.0, 1.0) == (1.0, 2.0, 0.0)


def test_one_symbol_has_one_gradient(tmp_path: Path) -> None:
    assert emitted(x**2, x, tmp_path).grad(3.0) == 6.0
    assert emitted(x**2, [x], tmp_path / "..").grad(3.0) == (6.0,)


def test_the_objective_may_be_a_parameter_or_a_number(tmp_path: Path) -> None:
    assert emitted(x, [x], tmp_path).value_and_grad(2.5) == (2.5, (1.0,))


def test_emission_time_is_linear() -> None:
    """Each length twice; the ratio of a tenfold program is far from a hundredfold."""

    def seconds(length: int) -> float:
        names = symbols(f"v0:{length}")
        define = {names[k]: sin(names[k - 1]) * w + names[k // 2] if k else x * w for k in range(length)}
        start = time.thread_time()
        gc.emit(names[-1], wrt=[x, w], define=define, target="python")
        return time.thread_time() - start

    seconds(100)
    assert seconds(2000) < 25 * max(seconds(200), 0.02)


def test_a_shared_condition_waits_for_the_cases_that_it_is_known_in() -> None:
    """Where x or y is negative, a power of ``x**p + y**p`` asks whether that is 0; elsewhere it is not computed."""
    p = Symbol("p")
    hessian = gc.compile((x**p + y**p) ** (1 / p), wrt=[x, y, p]).hessian(x=1.0, y=2.0, p=2.0)
    norm = 5**-1.5  # of the Euclidean norm: (norm**2 - x*x)/norm**3
    assert [hessian[0][0], hessian[0][1], hessian[1][1]] == pytest.approx([4 * norm, -2 * norm, norm], rel=1e-14)
