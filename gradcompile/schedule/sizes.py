"""The small sizes of a call, for which it pays to have a plan of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from gradcompile.ir import Axis, Graph
from gradcompile.passes.share import sample_sizes
from gradcompile.schedule.nodes import loop_axes
from gradcompile.schedule.samples import Samples, row_axis, stream_axis

FEW = 8  # steps of a loop that is written out
ROW = 128  # numbers of a row, up to which it is worth while to know how many there are
PICKS = 8  # samples for each element that they pick, up to which there is more to do for these
PAIRS = 1 << 21  # numbers of an array that may be kept: 16 MB of doubles
LONG = 512  # numbers of a row, from which on loops may stream along it
TIMES = 8  # as many numbers of a row as there are rows, from which on they do
ROWS = 64  # rows, up to which they do: threads may share more


def are_few(graph: Graph, sizes: Mapping[str, int]) -> bool:
    """Return whether a call has so few samples that what there is for pairs of them may be kept.

    Parameters
    ----------
    graph : Graph
        After the passes.
    sizes : mapping of str to int
        All named sizes of the call.
    """
    return all(size.evaluate(sizes) ** 2 <= PAIRS for size in sample_sizes(graph))


def keeps_pairs(graph: Graph) -> bool:
    """Return whether a later pass over the samples needs what a product of matrices makes for pairs of them."""
    axis, order, samples = stream_axis(graph), graph.order(), sample_sizes(graph)
    if axis is None or not any(sum(a.size in samples for a in value.axes) > 1 for value in order):
        return False
    found = Samples(axis, order)
    return len(found.needed_later(replace(graph, few=True), samples)) > len(found.needed_later(graph, samples))


def has_long_rows(graph: Graph, sizes: Mapping[str, int]) -> bool:
    """Return whether the rows of data in a call are so much longer than there are rows that loops stream along them.

    Parameters
    ----------
    graph : Graph
        After the passes.
    sizes : mapping of str to int
        All named sizes of the call.
    """
    rows, usual = row_axis(graph), stream_axis(replace(graph, wide=False))
    if rows is None or usual is None:
        return False
    length, count = rows.size.evaluate(sizes), usual.size.evaluate(sizes)
    return length >= LONG and length >= TIMES * count and count <= ROWS


def pick_little(graph: Graph, axis: Axis | None, sizes: Mapping[str, int]) -> bool:
    """Return whether there is more to do in a call for what samples pick elements of than for these.

    Parameters
    ----------
    graph : Graph
        After the passes.
    axis : Axis or None
        That of what is picked: see `gradcompile.schedule.samples.picked_axis`.
    sizes : mapping of str to int
        All named sizes of the call.
    """
    if axis is None or graph.sample is None:
        return False
    return graph.sample.size.evaluate(sizes) <= PICKS * axis.size.evaluate(sizes)


def small_sizes(graph: Graph, sizes: Mapping[str, int], *, by_numba: bool = False) -> dict[str, int]:
    """Return the named sizes of a call that are small numbers, those of loops which are not over samples.

    With a number for a size, LLVM writes loops out and keeps their sums in registers, or makes vectors of just so many
    numbers: a row of 32 takes up to half the time. No BLAS is called for matrices of a few columns. Numbers of samples
    are left out, however small: they differ from call to call. A length of data that other arrays have beside another
    one is not such a number, as that of a matrix for all samples. Numba would write rows out before there are vectors:
    where it compiles, sizes are known up to 8.

    Parameters
    ----------
    graph : Graph
        After the passes.
    sizes : mapping of str to int
        All named sizes of the call.
    by_numba : bool
        Whether Numba compiles everything.
    """
    most = FEW if by_numba else ROW
    stream = stream_axis(graph)
    beside = {size for declared in graph.inputs.values() for size in declared.shape[1:]}
    samples = {*(sample_sizes(graph) - beside), *(() if stream is None else [stream.size])}
    counts = {name for size in samples for name, _ in size.terms}
    looped = {name for value in graph.order() for axis in loop_axes(value) for name, _ in axis.size.terms}
    return {n: number for n, number in sorted(sizes.items()) if 0 < number <= most and n in looped and n not in counts}
