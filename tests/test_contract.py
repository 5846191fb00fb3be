"""The order of contractions: few multiplications, nothing larger than what there is, the same value and gradient."""

from itertools import pairwise

import numpy as np
import pytest

from gradcompile.adjoint import adjoint
from gradcompile.compiler import compile
from gradcompile.interpret import evaluate
from gradcompile.ir import Graph
from gradcompile.language import parse
from gradcompile.lower import lower
from gradcompile.passes.contract import contract
from gradcompile.passes.fold import fold
from gradcompile.pipeline import differentiate

TUCKER = """
    Y: data[I, J, K]
    G: parameter[P, Q, R]
    A: parameter[I, P]
    B: parameter[J, Q]
    C: parameter[K, R]
    loss = Sum((Y[i, j, k] - Sum(G[p, q, r]*A[i, p]*B[j, q]*C[k, r], p, q, r))**2, i, j, k)
"""
VECTORS = "x: data[N, D]\nz: data[N, E]\nt: data[N]\n"


def contracted(text: str) -> Graph:
    return contract(fold(lower(parse(text))))


def products(graph: Graph) -> list[set[str]]:
    """Return the letters of the sizes of the axes of each product, in the order in which they are computed."""
    return [{str(axis.size) for axis in value.axes} for value in graph.order() if value.op == "mul"]


def test_a_core_is_multiplied_by_one_matrix_after_the_other_and_by_that_of_the_samples_last():
    assert products(contracted(TUCKER)) == [set("PQRJ"), set("PRJK"), set("PJKI")]


def test_what_differentiation_makes_of_a_contraction_are_contractions():
    assert max(len(axes) for axes in products(differentiate(lower(parse(TUCKER))))) == 4


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (f"{VECTORS}A: parameter[D, E]\nloss = Sum((Sum(x[n, i]*A[i, j]*z[n, j], i, j) - t[n])**2, n)", ["NDE", "NE"]),
        (f"{VECTORS}A: parameter[D, H]\nv: parameter[H]\nloss = Sum(Sum(x[n, i]*A[i, h]*v[h], i, h)**2, n)",
         ["DH", "ND"]),
        (f"{VECTORS}A: parameter[D, H]\nv: parameter[H]\nloss = Sum(Sum(Sum(x[n, i]*A[i, h], i)*v[h], h)**2, n)",
         ["DH", "ND"]),  # in whatever order it is written
        (f"{VECTORS}U: parameter[D, R]\nV: parameter[R, E]\n"
         "loss = Sum(Sum(x[n, i]*U[i, r]*V[r, j]*z[n, j], i, j, r)**2, n)",
         ["NDR", "NER", "NR"]),
        (f"{VECTORS}a: parameter[N]\nloss = Sum((Sum(Sum(x[n, i]*x[m, i], i)*a[m], m) - t[n])**2, n)", ["ND", "ND"]),
        ("x: data[N, I, J]\nU: parameter[A, I]\nV: parameter[B, J]\n"
         "loss = Sum(Sum(U[a, i]*x[n, i, j]*V[b, j], i, j)**2, n, a, b)", ["NIJA", "NJAB"]),
        (f"{VECTORS}w: parameter[D]\nloss = Sum(x[n, i]*w[i]*t[n], n, i)", ["ND", "N"]),  # samples at the end
        ("x: data[N, K]\ny: data[N, K]\nA: parameter[K, L]\nB: parameter[L, K]\n"
         "loss = Sum(exp(Sum(x[n, i]*A[i, k]*B[k, j]*y[m, j], i, j, k)), n, m)", ["NKL", "NKL", "NNL"]),
    ],
)  # fmt: skip
def test_the_cheapest_order_is_found(model, expected):
    """The sizes of the axes of its products; those of pairs of samples come last."""
    found = ["".join(sorted(str(a.size) for a in v.axes)) for v in contracted(model).order() if v.op == "mul"]
    assert sorted(found) == sorted("".join(sorted(axes)) for axes in expected)


@pytest.mark.parametrize(
    "loss",
    [
        "Sum((Z[i, j, k] - Sum(A[i, r]*B[j, r]*C[k, r], r))**2, i, j, k)",  # all have the axis of the sum
        "Sum((Y[i, j] - Sum(Sum(A[i, r]*U[r, q], r)*B[j, q], q))**2, i, j)",  # whichever is shorter
        "Sum(Sum(Y[i, j]*Sum(B[j, r]*V[r, l], r), j)**2, i, l)",  # as long as nobody knows how many r there are
        "Sum(Sum(where(Y[i, j] > 0, A[i, r]*B[j, r], 0), j, r)**2, i)",  # a mask keeps bad data out
    ],
)
def test_what_cannot_be_made_cheaper_stays_as_it_is(loss):
    inputs = "Y: data[I, J]\nZ: data[I, J, K]\nA: parameter[I, R]\nB: parameter[J, R]\nC: parameter[K, R]\n"
    graph = fold(lower(parse(f"{inputs}U: parameter[R, R]\nV: parameter[R, L]\nloss = {loss}")))
    assert contract(graph).outputs == graph.outputs


def test_a_definition_is_computed_as_it_is_written():
    """It has a name, which the reader of the emitted code looks for."""
    text = f"{VECTORS}A: parameter[D, H]\nv: parameter[H]\nh[n, k] = Sum(x[n, i]*A[i, k], i)\n"
    graph = contracted(f"{text}loss = Sum(Sum(h[n, k]*v[k], k)**2, n)")
    assert products(graph)[0] == {"N", "D", "H"}
    assert list(graph.names.values()) == ["h"]


def test_what_a_definition_multiplies_is_not_taken_apart():
    text = f"{VECTORS}u: parameter[D]\nA: parameter[D, H]\nv: parameter[H]\nh[n, i] = x[n, i]*u[i]\n"
    graph = contracted(f"{text}loss = Sum(Sum(h[n, i]*A[i, k]*v[k], i, k)**2, n)")
    assert products(graph) == [{"N", "D"}, {"D", "H"}, {"N", "D"}]
    assert list(graph.names.values()) == ["h"]


def test_nothing_is_kept_for_pairs_of_samples_or_for_all_triples_of_features():
    """Three products of matrices, N by N each, would be fewest multiplications; or an array of D by E by F."""
    arrays = "\n".join(f"{name}: data[N, {size}]" for name, size in zip("uvwxyz", "DDEEFF", strict=True))
    body = "Sum(u[n, i]*v[m, i]*w[n, j]*x[m, j]*y[n, k]*z[m, k], m, i, j, k)"
    graph = contracted(f"{arrays}\nt: parameter[N]\nloss = Sum((t[n] - {body})**2, n)")
    assert [[str(a.size) for a in value.axes] for value in graph.order() if value.op == "sum"] == [["N"], []]


@pytest.mark.parametrize("dtype", ["float64", pytest.param("float32", marks=pytest.mark.slow)])
def test_a_core_and_its_matrices_have_the_gradient_of_their_formula(dtype):
    random = np.random.default_rng(0)
    sizes = {"i": 9, "j": 7, "k": 5, "p": 4, "q": 3, "r": 2}
    shapes = {"Y": "ijk", "G": "pqr", "A": "ip", "B": "jq", "C": "kr"}
    given = {name: random.normal(size=[sizes[a] for a in axes]).astype(dtype) for name, axes in shapes.items()}
    exact = {name: array.astype("float64") for name, array in given.items()}
    model = compile(parse(TUCKER), dtype=dtype)
    model.wait()
    value, found = model.value_and_grad(**given)
    parameters = list("GABC")
    terms = [shapes[name] for name in parameters]
    rest = exact["Y"] - np.einsum(f"{','.join(terms)}->ijk", *(exact[name] for name in parameters))
    tolerance = 1e-12 if dtype == "float64" else 1e-4
    np.testing.assert_allclose(value, np.sum(rest**2), rtol=tolerance)
    for name, gradient in zip(parameters, found, strict=True):
        others = [other for other in parameters if other != name]
        axes = ",".join(["ijk", *(shapes[other] for other in others)])
        expected = -2 * np.einsum(f"{axes}->{shapes[name]}", rest, *(exact[other] for other in others))
        np.testing.assert_allclose(gradient, expected, rtol=tolerance, atol=tolerance * np.abs(expected).max())


def test_a_quotient_is_divided_where_there_is_least_to_divide():
    text = (
        "x: data[N, D]\ns: data[N]\nw: parameter[D]\nc: parameter[E]\nloss = Sum(exp(x[n, i])*w[i]*c[e]/s[n], n, i, e)"
    )
    graph = lower(parse(text))
    random = np.random.default_rng(1)
    given = {
        "x": random.normal(size=(6, 4)),
        "s": random.uniform(1, 2, 6),
        "w": random.normal(size=4),
        "c": random.normal(size=3),
    }
    plain, found = (evaluate(adjoint(each), given) for each in (graph, contract(fold(graph))))
    for name, expected in plain.items():
        np.testing.assert_allclose(found[name], expected, rtol=1e-13)
    assert [len(v.axes) for v in contract(fold(graph)).order() if v.op == "div"] == [1]


def test_what_is_under_a_logarithm_keeps_its_scale():
    """A sum of exponentials over two axes, of logits that overflow."""
    text = "a: data[N, D]\nB: data[D, E]\nc: parameter[N, E]\n"
    text += "loss = Sum(log(Sum(exp(a[n, i])*B[i, j]*exp(c[n, j]), i, j)), n)"
    a, c = np.array([[1e4, -1e4], [3.0, 4.0]]), np.array([[-2e4, 1e3, 0.0], [1.0, 2.0, 800.0]])
    b = np.array([[0.5, 2.0, 1.0], [1.0, 0.25, 3.0]])
    model = compile(parse(text))
    model.wait()
    value, (slope,) = model.value_and_grad(a=a, B=b, c=c)
    terms = a[:, :, None] + np.log(b) + c[:, None, :]
    top = terms.max(axis=(1, 2))
    logs = top + np.log(np.exp(terms - top[:, None, None]).sum(axis=(1, 2)))
    np.testing.assert_allclose(value, logs.sum(), rtol=1e-15)
    np.testing.assert_allclose(slope, np.exp(terms - logs[:, None, None]).sum(axis=1), rtol=1e-12, atol=1e-300)


def test_many_axes_are_eliminated_in_time():
    """A train of twenty cores, of which not all orders are compared."""
    letters = [f"a{k}" for k in range(21)]
    cores = "\n".join(f"C{k}: parameter[S{k}, S{k + 1}]" for k in range(20))
    product = "*".join(f"C{k}[{a}, {b}]" for k, (a, b) in enumerate(pairwise(letters)))
    graph = contracted(f"x: data[N, S0]\n{cores}\nloss = Sum(Sum(x[n, a0]*{product}, {', '.join(letters)})**2, n)")
    assert max(len(value.axes) for value in graph.order()) <= 3
