"""Turning: an array of pairs that is read with its axes exchanged, ``k[m, n]`` where ``k[n, m]`` is computed.

Such a read needs all of the array, which would have to be kept. Where nothing reads it as it is, it is computed the way
it is read; so is an array of all pairs of samples, which is computed both ways rather than kept. What reduces such an
array of products of matrices the other way round is reduced over the samples instead: ``Σ_m exp(z[m, n])`` is, for the
sample m, ``Σ_n exp(z[n, m])``. A sum over both axes may run over them in either order, and takes the one in which the
array is computed. After differentiation, only what is arithmetic of arguments is turned: the rest has its place in
loops with others.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from dataclasses import replace
from itertools import combinations

from gradcompile.ir import LEAVES, REDUCTIONS, Graph, Size, Value, reachable
from gradcompile.passes.share import exchanges, is_of_pairs, is_renaming, sample_sizes
from gradcompile.passes.uses import used_once
from gradcompile.primitives import PRIMITIVES
from gradcompile.substitution import moved, substitute


def turn(graph: Graph) -> Graph:
    """Return the graph with arrays computed as they are read, and sums that run as their arrays are computed."""
    if not _turned(graph.order()):
        return graph
    return _turn_arrays(_sum_the_other_way(_turn_sums(graph)))


def turn_arithmetic(graph: Graph) -> Graph:
    """Return the graph with arithmetic of arguments, where a read exchanges its axes, done as it is read."""
    once = used_once(graph)

    def is_own(value: Value) -> bool:
        if value.op in LEAVES or not value.axes:
            return True
        argument = is_renaming(value) and value.operands[0].op == "input"
        again = value.kind != "real" or value in once  # nothing costly is done twice
        return argument or (value.op in PRIMITIVES and again)

    found = {read: array for read, array in _turned(graph.order()).items() if all(map(is_own, reachable([array])))}
    return _replaced(graph, {r: moved(a, dict(zip(a.axes, r.operands[1:], strict=True))) for r, a in found.items()})


def _turned(values: Iterable[Value]) -> dict[Value, Value]:
    """Return the reads that exchange axes of a computed array, and the arrays."""
    return {v: v.operands[0] for v in values if exchanges(v) and v.operands[0].op not in KEPT}


KEPT = ("input", "accumulate")  # arrays that there are as a whole in any case


def _turn_arrays(graph: Graph) -> Graph:
    """Compute an array that is only read with its axes exchanged as it is read."""
    order = graph.order()
    turned, samples = _turned(order), sample_sizes(graph)
    reads = {array: [v for v in order if v.op == "read" and v.operands[0] is array] for array in turned.values()}
    used = {o for v in order for o in (v.operands[1:] if v.op == "read" else v.operands)} | {*graph.outputs.values()}
    found = {
        read: substitute([array], dict(zip(array.axes, read.operands[1:], strict=True)))[array]
        for read, array in turned.items()
        if (array not in used and len(reads[array]) == 1) or is_of_pairs(array, samples)
    }
    names = {
        found[read]: graph.names[array] for read, array in turned.items() if read in found and array in graph.names
    }
    graph = _replaced(graph, found)
    return replace(graph, names=graph.names | names)


def _sum_the_other_way(graph: Graph) -> Graph:
    """Let what is reduced of pairs of samples, read with the two exchanged, be reduced over the other one of them.

    Of pairs that something else takes as they are, all is then computed once.
    """
    samples, order = sample_sizes(graph), graph.order()
    pairs = {array for array in _turned(order).values() if is_of_pairs(array, samples)}
    used = {o for v in order if not exchanges(v) for o in v.operands} & pairs
    used = {array for array in used if any(map(_multiplies, reachable([array])))}
    if not used:
        return graph

    found: dict[Value, Value] = {}  # what is read of these reductions, and of what is made of them

    def rule(value: Value, operands: tuple[Value, ...]) -> Value | None:
        if value.op in REDUCTIONS and len(value.attr) == 1:
            new = _other_way(value, operands[0], used, samples)
        else:
            new = _of_arrays(value, operands, found) if value.op in PRIMITIVES else None
        if new is not None:
            found[new] = new.operands[0]
        return new

    return graph.rewrite(rule)


def _multiplies(value: Value) -> bool:
    """Return whether a value is a product of matrices: cheaper pairs are computed both ways in one pass."""
    if value.op != "sum" or value.operands[0].op != "mul":
        return False
    left, right = ({*operand.axes} for operand in value.operands[0].operands)
    return bool(left - right) and bool(right - left)


def _other_way(value: Value, body: Value, used: Container[Value], samples: Container[Size]) -> Value | None:
    """Return a reduction as one over the other sample of its pairs, read for the sample that it had; or None."""
    (axis,), builder = value.attr, value.builder
    reads = [v for v in _turned(reachable([body])) if axis in v.axes and v.operands[0] in used]
    others = {a for v in reads for a in v.axes if a != axis and a.size in samples and a.size == axis.size}
    if len(others) != 1:
        return None
    (other,) = others
    exchanged = substitute([body], {axis: builder.iota(other), other: builder.iota(axis)})[body]
    if any(v.operands[0] in used for v in _turned(reachable([exchanged]))):
        return None
    new = builder.reduce(value.op, exchanged, (other,))
    return builder.read(new, [builder.iota(other if a == axis else a) for a in new.axes])


def _of_arrays(value: Value, operands: tuple[Value, ...], found: Mapping[Value, Value]) -> Value | None:
    """Return what is computed of reads alone as a read of what is computed of their arrays."""
    reads = [o for o in operands if o.axes]
    if not reads or any(o not in found or o.operands[1:] != reads[0].operands[1:] for o in reads):
        return None
    if len({found[o].axes for o in reads}) > 1:
        return None
    new = value.builder.rebuild(value, tuple(found.get(o, o) for o in operands))
    return value.builder.read(new, reads[0].operands[1:])


def _turn_sums(graph: Graph) -> Graph:
    """Let sums over two axes of one size run over them in the order in which their arrays are computed."""
    found: dict[Value, Value] = {}
    for value in graph.order():
        if value.op in REDUCTIONS and len(value.attr) > 1 and _turned(reachable(value.operands)):
            found[value] = value.builder.reduce(value.op, _fewest_turned(value), value.attr)
    return _replaced(graph, found)


def _fewest_turned(value: Value) -> Value:
    """Return the body of a reduction, with two of its axes exchanged if fewer arrays are read that way then."""
    (body,), iota = value.operands, value.builder.iota
    found, fewest = body, len(_turned(reachable([body])))
    for a, b in combinations(value.attr, 2):
        if a.size == b.size:
            exchanged = substitute([body], {a: iota(b), b: iota(a)})[body]
            count = len(_turned(reachable([exchanged])))
            if count < fewest:
                found, fewest = exchanged, count
    return found


def _replaced(graph: Graph, found: Mapping[Value, Value]) -> Graph:
    """Return the graph with values put in place of others."""
    return graph.rewrite(lambda value, _: found.get(value)) if found else graph
