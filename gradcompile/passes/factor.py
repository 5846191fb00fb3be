"""Factors taken out of branches: a masked contraction becomes a product of matrices.

``Σ_s (x[s, j]*dy[s, k] if a[s, k] > 0 else 0)`` is ``Σ_s x[s, j]*(dy[s, k] if a[s, k] > 0 else 0)``: a product, which
BLAS computes. Where x is an argument, ``x[s, j]*dy[s] if a[s] > 0 else 0`` asks once for a sample then. The two differ
where x is infinite or nan and the branch is not taken. So a factor is taken out as it is only if the objective
uses it outside of branches, or in both, too: then such an x is in the value already, and hides nothing. (But for a
maximum with a number, as a hinge: an infinite x of a sample that does not count makes the slope nan, in JAX and
PyTorch, too. To ask for each sample would cost regressions with a hinge up to twice the time.) Else it is masked as
well, where that needs no further axes: the samples that are left out, their x included, are 0.

A triangle with its diagonal, ``where(r <= s, ..., 0)``, leaves out no index altogether: what has only one of the two is
in the value at the diagonal. So the keys and queries of attention to what came before count as used outside. All pairs
but those of one with itself, ``where(n == m, 0, z[m, k]*ds[n, m])``, leave out none of two or more: a z that is
infinite makes the sums of all other n nan with the mask, too.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator

from gradcompile.ir import REDUCTIONS, Axis, Graph, Value
from gradcompile.passes.share import is_renaming
from gradcompile.primitives import PRIMITIVES

FEW = 40  # choices of which both branches are looked at


def factor(graph: Graph) -> Graph:
    """Return the graph with sums of masked products as sums of products with a masked factor."""
    if "value" not in graph.outputs or not any(v.op == "select" for v in graph.order()):
        return graph
    bare = _used_anyhow([graph.outputs["value"]])

    def rule(value: Value, operands: tuple[Value, ...]) -> Value | None:
        if value.op != "sum":
            return None
        body = operands[0]
        taken = _taken_out(body.operands[0] if body.op == "neg" else body, bare)
        if taken is None:
            return None
        total = _summed(*taken, value.attr)
        return -total if body.op == "neg" else total

    return graph.rewrite(rule)


def _summed(left: Value, masked: Value, axes: tuple[Axis, ...]) -> Value:
    """Return the sum of a product; what has none of the axes is not in it."""
    if not any(axis in left.axes for axis in axes):
        return left * masked.builder.reduce("sum", masked, axes)
    return masked.builder.reduce("sum", left * masked, axes)


def _taken_out(body: Value, bare: set[Value]) -> tuple[Value, Value] | None:
    """Return a factor of a masked product, and the other, masked."""
    if body.op != "select" or not any(branch.is_const(0) for branch in body.operands[1:]):
        return None
    condition, product = body.operands[0], body.operands[1 if body.operands[2].is_const(0) else 2]
    negative = product.op == "neg"
    others = list(_without_each(product.operands[0] if negative else product))
    for left, rest in others[1:] and others:
        rest = -rest if negative else rest
        masked = {*condition.axes, *rest.axes}
        further = masked - set(left.axes)
        if set(left.axes) <= masked or not (further or left.op == "input"):
            continue
        if left in bare or (_is_off_diagonal(body) and not {*condition.axes} <= {*left.axes}):
            return left, _masked(body, rest)
        if further and set(condition.axes) <= set(left.axes) & set(rest.axes):
            return _masked(body, left), _masked(body, rest)
    return None


def _masked(body: Value, factor: Value) -> Value:
    """Return a factor where a choice takes the branch that is not 0."""
    condition, taken, _ = body.operands
    branches = (0, factor) if taken.is_const(0) else (factor, 0)
    return body.builder.apply("select", condition, *branches)


def _without_each(product: Value) -> Iterator[tuple[Value, Value]]:
    """Yield each factor of a product, and the product without it: what is multiplied elsewhere stays one value."""
    stack: list[tuple[Value, tuple[Value, ...]]] = [(product, ())]
    while stack:
        value, above = stack.pop()
        if value.op == "mul":
            stack.extend((operand, (value, *above)) for operand in reversed(value.operands))
        elif value.op == "div":
            stack.append((value.operands[0], (value, *above)))
        elif above:
            yield value, _rest(value, above)


def _rest(factor: Value, above: tuple[Value, ...]) -> Value:
    """Return the product that the last of the operations above a factor makes, without the factor."""
    rest, below = None, factor
    for operation in above:
        left, right = operation.operands
        if operation.op == "div":
            rest = (1 if rest is None else rest) / right
        else:
            other = right if left is below else left
            rest = other if rest is None else rest * other
        below = operation
    assert rest is not None
    return rest


def factors_of(product: Value) -> tuple[list[Value], list[Value]]:
    """Return what a product multiplies, each once for each time that it occurs, and what it is divided by."""
    stack, found, divisors = [product], list[Value](), list[Value]()
    while stack:
        value = stack.pop()
        if value.op == "mul":
            stack.extend(reversed(value.operands))
        elif value.op == "div":
            stack.append(value.operands[0])
            divisors.append(value.operands[1])
        else:
            found.append(value)
    return found, divisors


def parted(product: Value, axes: Container[Axis], other: Axis | None = None) -> tuple[Value, Value]:
    """Return the factors of a product without some axes, or with another one, and the rest, each as a product."""
    factors, divisors = factors_of(product.operands[0] if product.op == "neg" else product)
    parts = [product.builder.const(1), product.builder.const(-1 if product.op == "neg" else 1)]

    def place(value: Value) -> bool:
        return other not in value.axes and any(axis in axes for axis in value.axes)

    for value in factors:
        parts[place(value)] = parts[place(value)] * value
    for value in divisors:
        parts[place(value)] = parts[place(value)] / value
    return parts[0], parts[1]


def used_bare(roots: Iterable[Value]) -> set[Value]:
    """Return what values are made of outside of branches."""
    stack, seen = [*roots], set[Value]()
    while stack:
        value = stack.pop()
        if value not in seen:
            seen.add(value)
            stack.extend(value.operands[:1] if value.op == "select" else value.operands)
    return seen


def _used_anyhow(roots: list[Value]) -> set[Value]:
    """Return what values are made of outside of branches or in both, and of which triangles leave out no index."""
    chosen = [value for value in _used_whole(roots) if value.op == "select"]
    either = [value for each in chosen[:FEW] for value in _in_both(each)]
    return used_bare([*roots, *either, *(value for each in chosen for value in _on_diagonal(each))])


def _in_both(chosen: Value) -> set[Value]:
    """Return what both branches of a choice are made of: it is used whichever is taken."""
    one, other = (used_bare([branch]) for branch in chosen.operands[1:])
    return one & other


def _used_whole(roots: list[Value]) -> dict[Value, None]:
    """Return what values are made of by operations that use all elements, whatever they hold."""
    stack, found = list(roots), dict[Value, None]()
    while stack:
        value = stack.pop()
        if value not in found:
            found[value] = None
            everywhere = value.op in (*PRIMITIVES, *REDUCTIONS) and value.op != "select"
            stack.extend(value.operands if everywhere else value.operands[:1] if is_renaming(value) else [])
    return found


def _on_diagonal(chosen: Value) -> list[Value]:
    """Return what is used under a triangle with its diagonal and has but one of the two indices: nothing is left out.

    Inside of a reduction, an index may have the name of one of the two: what then seems to have both is not returned.
    """
    condition, taken, _ = chosen.operands
    stack, seen, found = [taken] if _has_diagonal(condition) else [], set[Value](), []
    while stack:
        value = stack.pop()
        if value in seen:
            continue
        seen.add(value)
        if not {*condition.axes} <= {*value.axes}:
            found.append(value)
        elif value.op in (*PRIMITIVES, *REDUCTIONS) and value.op != "select":
            stack.extend(value.operands)
    return found


def _has_diagonal(condition: Value) -> bool:
    """Return whether a condition compares two indices of one size, and holds where they are equal."""
    return condition.op in ("le", "ge") and _compares_indices(condition)


def _is_off_diagonal(chosen: Value) -> bool:
    """Return whether a choice is 0 where two indices are equal, and not elsewhere."""
    condition, taken, _ = chosen.operands
    return condition.op == ("eq" if taken.is_const(0) else "ne") and _compares_indices(condition)


def _compares_indices(condition: Value) -> bool:
    """Return whether a condition compares two indices of one size."""
    if any(o.op != "iota" for o in condition.operands):
        return False
    low, high = (o.attr for o in condition.operands)
    return low != high and bool(low.size == high.size)
