"""Passes: graph to graph, one file each, and the two tuples that order them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial

from gradcompile.ir import Graph
from gradcompile.passes.cancel import cancel
from gradcompile.passes.cases import cases
from gradcompile.passes.choices import choices
from gradcompile.passes.contract import contract
from gradcompile.passes.divide import divide_once
from gradcompile.passes.entropies import entropies
from gradcompile.passes.exponents import exponents
from gradcompile.passes.factor import factor
from gradcompile.passes.fold import fold, settle
from gradcompile.passes.gammas import gammas
from gradcompile.passes.gather import gather
from gradcompile.passes.group import group
from gradcompile.passes.hyperbolic import hyperbolic
from gradcompile.passes.inward import inward
from gradcompile.passes.means import means
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
from gradcompile.passes.stabilise import stabilise
from gradcompile.passes.steep import steep
from gradcompile.passes.thin import thin
from gradcompile.passes.together import together
from gradcompile.passes.turn import turn, turn_arithmetic
from gradcompile.passes.whole import NO_SIZES, are_often, lookups

__all__ = [
    "AFTER",
    "BEFORE",
    "are_often",
    "divide_once",
    "entropies",
    "lookups",
    "optimise",
    "prepare",
    "products_of_others",
    "radial",
]

Pass = Callable[[Graph], Graph]

BEFORE: tuple[Pass, ...] = (
    fold,
    share,
    shares,
    means,
    removable,
    small_logs,
    stabilise,
    hyperbolic,
    exponents,
    ratios,
    gammas,
    small,
    group,
    gather,
    together,
    contract,
    separate,
    choices,
    saturations,
    steep,
    share,
    turn,
    share,
    fold,
)  # on the model, before it is differentiated
AFTER: tuple[Pass, ...] = (
    settle,
    fold,
    cancel,
    entropies,
    pairs,
    roots,
    renumber,
    rotations,
    outer,
    thin,
    inward,
    running,
    share,
    turn_arithmetic,
    cases,
    fold,
    factor,
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
