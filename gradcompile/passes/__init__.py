"""Passes: graph to graph, one file each, and the two tuples that order them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial

from gradcompile.ir import Graph
from gradcompile.passes.cancel import cancel
from gradcompile.passes.cases import cases
from gradcompile.passes.choices import choices
from gradcompile.passes.coefficients import coefficients
from gradcompile.passes.common_factors import common_factors
from gradcompile.passes.complements import complements
from gradcompile.passes.compound import compound
from gradcompile.passes.contract import contract
from gradcompile.passes.divide import divide_once
from gradcompile.passes.dominant import dominant
from gradcompile.passes.entropies import entropies
from gradcompile.passes.exponents import exponents
from gradcompile.passes.factor import factor
from gradcompile.passes.fold import fold, settle
from gradcompile.passes.forwards import forwards
from gradcompile.passes.gammas import gammas
from gradcompile.passes.gather import gather
from gradcompile.passes.group import group, one_by_one
from gradcompile.passes.hyperbolic import hyperbolic
from gradcompile.passes.inward import inward
from gradcompile.passes.means import means
from gradcompile.passes.orders import orders
from gradcompile.passes.outer import outer
from gradcompile.passes.pairs import pairs
from gradcompile.passes.radial import radial
from gradcompile.passes.ratios import ratios
from gradcompile.passes.removable import removable
from gradcompile.passes.renumber import renumber
from gradcompile.passes.roots import roots
from gradcompile.passes.rotations import rotations
from gradcompile.passes.running import products_of_others, running
from gradcompile.passes.saturations import saturations
from gradcompile.passes.separate import separate
from gradcompile.passes.share import share
from gradcompile.passes.shares import shares
from gradcompile.passes.small import small, small_logs
from gradcompile.passes.solutions import solutions
from gradcompile.passes.stabilise import stabilise
from gradcompile.passes.steep import steep
from gradcompile.passes.thin import thin
from gradcompile.passes.together import together
from gradcompile.passes.totals import totals
from gradcompile.passes.turn import turn, turn_arithmetic
from gradcompile.passes.whole import NO_SIZES, are_often, are_seldom, lookups, seldom_looked_up

__all__ = [
    "AFTER",
    "BEFORE",
    "are_often",
    "are_seldom",
    "divide_once",
    "entropies",
    "lookups",
    "one_by_one",
    "optimise",
    "prepare",
    "products_of_others",
    "radial",
    "seldom_looked_up",
]

Pass = Callable[[Graph], Graph]

BEFORE: tuple[Pass, ...] = (
    fold,  # numbers are computed once, what does nothing goes
    forwards,  # Σ_k a[k]*y[t - k] is Σ_k a[K - 1 - k]*y[t - K + 1 + k]
    share,  # one index for what is the same under two
    shares,  # log(a/(a + b)) keeps its digits
    means,  # log of a mean of exponentials, powers of means
    removable,  # sin(x)/x at 0
    small_logs,  # log(sinh(x)/x) near 0
    stabilise,  # log(1 + exp(x)) is softplus(x): its rows are in passes/stabilise.py
    hyperbolic,  # exp(-g*t)*cosh(w*t) has one exponential
    exponents,  # p*exp(-u)/(q*exp(-v)) is p/q*exp(v - u)
    ratios,  # log(a/b), expm1(a)/expm1(b)
    gammas,  # lgamma(x + y) - lgamma(x)
    small,  # 1 - cos(x) near 0
    compound,  # (1 + u/n)**(n*t) with a large n
    group,  # Σ_n (v[n] if g[n] == c else 0) is added at g[n]
    gather,  # y[s, gt[s]] is read of y, or computed at gt[s] alone
    together,  # Σ a*b - Σ a*c is Σ a*(b - c)
    saturations,  # a/(a + b) is one share
    contract,  # Σ_jk a[j]*b[j, k]*c[k] in the cheapest order
    separate,  # Σ_k (a*b + c*d) of matrices is two products
    choices,  # log(a) if c else log(b) is log(a if c else b)
    orders,  # (x**r + y**r)**(1/r) is x*(1 + (y/x)**r)**(1/r), x being the larger one
    dominant,  # (1 + x**a)**(-k) is x**(-a*k) where the power is infinite
    steep,  # exp(-(x/l)**k) is 0 with slope 0 where the power is infinite
    share,  # of what these have made
    turn,  # arrays are computed in the order in which they are read
    share,  # of what turned
    fold,  # of what is left
)  # on the model, before it is differentiated
AFTER: tuple[Pass, ...] = (
    settle,  # marks for differentiation go
    fold,  # as above
    complements,  # 1 - sigmoid(x) is sigmoid(-x)
    cancel,  # 2*(x/2), c*(h/c)
    entropies,  # slopes of x*log(x) at 0
    pairs,  # exp(a - max(a, b)) or exp(b - max(a, b)) is 1
    roots,  # x**(3/2) is x*sqrt(x)
    renumber,  # sums over samples along the first free axis, where they are matrices
    rotations,  # what is added at mod(i + 1, N) is read from mod(i - 1, N)
    outer,  # outer products are read, not made
    thin,  # inverse @ (a @ b) @ inverse: the thin products first
    inward,  # Σ_j (Σ_k a[j, k]*b[k])*c[j]: which sum is inside
    solutions,  # inverse @ b is a solution of linear equations
    running,  # Σ_{j <= i} is a running sum
    share,  # as above
    turn_arithmetic,  # arithmetic of what is read transposed
    cases,  # (p if c else 0) + (q if d else 0) is one choice
    fold,  # as above
    factor,  # Σ_s (x*g if c else 0) is Σ_s x*(g if c else 0), a product of matrices
    common_factors,  # a*c - b*c is (a - b)*c
    coefficients,  # 2*(x/y) is 2*x/y
    one_by_one,  # what is added at few labels is a sum for each of them
    totals,  # Σ_n a + Σ_n b is Σ_n (a + b), where they are many
)


def prepare(graph: Graph, *, trust: float | None = None, sizes: Mapping[str, int] = NO_SIZES) -> Graph:
    """Run the passes that come before differentiation.

    Parameters
    ----------
    graph : Graph
        As it was lowered.
    trust : float, optional
        The range within which sums of products of exponentials are trusted as they are written: see `stabilise`.
    sizes : mapping of str to int, optional
        Those of a call, to which the graph is to be suited: it is right for any.
    """
    told: dict[Pass, Pass] = {stabilise: partial(stabilise, trust=trust)} if trust is not None else {}
    if trust is not None or sizes:
        told[gather] = partial(gather, trust=trust, sizes=sizes)
    return _run([told.get(each, each) for each in BEFORE], graph)


def optimise(graph: Graph) -> Graph:
    """Run the passes that come after differentiation."""
    return _run(AFTER, graph)


def _run(passes: Iterable[Pass], graph: Graph) -> Graph:
    """Run passes in order; one that ran before is left out where nothing has changed since."""
    result: dict[Pass, Graph] = {}
    for each in passes:
        if result.get(each) is not graph:
            result[each] = graph = each(graph)
    return graph
