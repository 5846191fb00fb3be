"""From the lowered graph of a model to the one that is computed."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from gradcompile.adjoint import adjoint
from gradcompile.ir import Graph
from gradcompile.passes import lookups, optimise, prepare, seldom_looked_up, trusted
from gradcompile.verify import verify

Suiting = Callable[[Mapping[str, int]], Graph | None]  # a graph that is better for a call of these sizes, if any is

TRUST = {"float64": 1e200, "float32": 1e25}  # beyond, and below the reciprocal, gradients might overflow


def differentiate(lowered: Graph) -> Graph:
    """Return a lowered graph with its backward half, simplified."""
    return with_gradient(stable(lowered))


def stable(lowered: Graph) -> Graph:
    """Return a lowered graph as it is differentiated."""
    return verify(prepare(lowered))


def with_gradient(prepared: Graph) -> Graph:
    """Return such a graph with its backward half, simplified."""
    return verify(optimise(verify(adjoint(prepared))))


def suiting(lowered: Graph, general: Graph, trust: float | None = None) -> Suiting | None:
    """Return what makes a graph as `differentiate` does that suits a call, of which the sizes are known.

    None if there is no array of which data pick elements, so that there is nothing to decide.

    Parameters
    ----------
    lowered : Graph
        The objective.
    general : Graph
        What the passes before differentiation make of it for any sizes.
    trust : float, optional
        The range that such a graph trusts.
    """
    if not any(given.role == "labels" for given in lowered.inputs.values()):
        return None

    def suited(sizes: Mapping[str, int]) -> Graph | None:
        if not lookups(general, sizes) and not seldom_looked_up(general, sizes):
            return None
        found = verify(prepare(lowered, trust=trust, sizes=sizes))
        return None if found.outputs == general.outputs else with_gradient(found)

    return suited


def trusting(lowered: Graph, exact: Graph, dtype: str) -> tuple[Graph, Suiting | None] | None:
    """Return a graph as `differentiate` does whose value is no finite number where it is not to be trusted.

    With it comes what `suiting` makes for it. None if there is none that is faster than the exact one: see
    passes/trusted.py.

    Parameters
    ----------
    lowered : Graph
        The objective.
    exact : Graph
        What `stable` makes of it.
    dtype : {"float64", "float32"}
        Of its real arrays.
    """
    apart = trusted.taken_apart(lowered, TRUST[dtype])
    if apart is lowered and not trusted.occurs(lowered):
        return None
    hopeful = verify(prepare(apart, trust=TRUST[dtype]))
    if hopeful.outputs == exact.outputs:
        return None
    return with_gradient(hopeful), suiting(apart, hopeful, TRUST[dtype])


def simplify(lowered: Graph) -> Graph:
    """Return a lowered graph that is only to be evaluated, simplified."""
    return verify(optimise(stable(lowered)))
