"""Reverse mode: one function from a graph to the same graph with its backward half.

Walk back from the objective; multiply what comes in by the local partial derivative; add where a value is used twice;
sum over the axes that the operand does not have. The partials come from the table and never mention axes: those are
matched in one place, `unbroadcast`.

What is not taken leaks nothing: the cotangent under a branch is carried as a value and a mask, and the mask is applied
*after* every multiplication, so that 0 times infinity is never formed where a branch is not taken.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import NoReturn

from gradcompile.errors import NonDifferentiableError, UnsupportedError
from gradcompile.ir import Axis, Builder, Graph, Value, fresh_axis
from gradcompile.primitives import NO_DERIVATIVE, PRIMITIVES
from gradcompile.substitution import moved, substitute

Masked = tuple[Value, Value | None]  # a cotangent, and where it counts (None: everywhere)
Rule = Callable[[Value, Masked], Iterable[tuple[Value, Masked]]]


def adjoint(graph: Graph, cotangent: Value | None = None) -> Graph:
    """Return the graph with an output ``d<name>`` for every parameter: the gradient of ``value``.

    Parameters
    ----------
    graph : Graph
        A lowered graph whose output ``value`` is a scalar, unless a cotangent is given.
    cotangent : Value, optional
        With the axes of ``value``: what multiplies its derivatives before they are added up. Axes that no value of
        the graph has number several cotangents; the gradients have them too. By default the number 1.

    Raises
    ------
    UnsupportedError
        The objective is not a scalar.
    NonDifferentiableError
        A parameter goes through something that has no derivative.
    """
    root = graph.outputs["value"]
    if cotangent is None and graph.output_axes("value"):
        raise UnsupportedError(
            "the objective is not a scalar",
            expected="no free index",
            found=f"axes ({_letters(graph, graph.output_axes('value'))})",
            hint="sum over the free index, or compile the components one by one",
        )
    parameters = _parameters(graph)
    on_path = active(graph.order([root]), set(parameters.values()))
    incoming: dict[Value, list[Masked]] = {root: [_seed(graph, cotangent)]}
    cotangents: dict[Value, Value] = {}
    for value in sorted(on_path, key=lambda v: -v.number):
        if value in incoming:
            total = _total(incoming[value])
            incoming[value] = [total]
            cotangents[applied(total)] = value
            for operand, contribution in contributions(value, total):
                if operand in on_path:
                    incoming.setdefault(operand, []).append(contribution)
    zero = graph.builder.const(0)
    gradients = {f"d{name}": applied(_total(incoming[p])) if p in incoming else zero for name, p in parameters.items()}
    return replace(graph, outputs=graph.outputs | gradients, cotangents=cotangents)


def _seed(graph: Graph, cotangent: Value | None) -> Masked:
    """Return what comes in at the objective, which may lack axes that it is delivered with."""
    one = graph.builder.const(1)
    root, axes = graph.outputs["value"], graph.output_axes("value")
    return (one, None) if cotangent is None else unbroadcast((cotangent, None), axes, root)


def _letters(graph: Graph, axes: Iterable[Axis]) -> str:
    return ", ".join(map(graph.letter, axes))


def _parameters(graph: Graph) -> dict[str, Value]:
    """Return the value of every parameter, by name."""
    for name in graph.wrt:
        if graph.inputs[name].kind != "real":
            raise NonDifferentiableError(
                f"there is no derivative with respect to '{name}': it is used as an index",
                expected="a parameter of real numbers",
                hint=f"take '{name}' out of wrt",
            )
    return {name: graph.builder.input(name, graph.inputs[name].axes) for name in graph.wrt}


def active(values: list[Value], parameters: set[Value]) -> set[Value]:
    """Return the real values that depend on a parameter."""
    found = set(parameters)
    for value in values:
        if value.kind == "real" and any(o in found for o in value.operands):
            found.add(value)
    return found


def _total(parts: list[Masked]) -> Masked:
    """Add cotangents. One mask stays a mask; different masks are applied, and their union stays."""
    masks = {mask for _, mask in parts}
    if len(masks) == 1:
        return _add([value for value, _ in parts]), parts[0][1]
    union: Value | None = None
    if None not in masks:
        for _, mask in parts:
            assert mask is not None
            union = mask if union is None or union is mask else mask.builder.apply("or", union, mask)
    return _add([applied(part) for part in parts]), union


def _add(values: list[Value]) -> Value:
    total = values[0]
    for value in values[1:]:
        total = total + value
    return total


def applied(part: Masked) -> Value:
    """Return the cotangent as a plain value: 0 where the mask does not hold."""
    value, mask = part
    return value if mask is None else value.builder.apply("select", mask, value, 0)


def _both(mask: Value | None, condition: Value) -> Value:
    return condition if mask is None or mask is condition else condition.builder.apply("and", mask, condition)


def times(value: Value, partial: Value | int) -> Value:
    """Return cotangent times local derivative, written as one would: no ``1*``, and ``d/x`` for ``d*(1/x)``."""
    if isinstance(partial, int):
        return value if partial == 1 else -value if partial == -1 else partial * value
    if partial.op == "div" and partial.operands[0].is_const(1):
        return partial if value.is_const(1) else value / partial.operands[1]
    if value.is_const(1):
        return partial
    return partial * value


def unbroadcast(part: Masked, axes: tuple[Axis, ...], operand: Value) -> Masked:
    """Sum a contribution over `axes` that the operand does not have: the one place where axes are matched."""
    gone = [a for a in axes if a not in operand.axes]
    if not gone:
        return part
    value, mask = part
    if mask is not None and (any(a in mask.axes for a in gone) or _is_triangle(mask)):
        value, mask = applied(part), None
    return value.builder.reduce("sum", value, gone), mask


def _is_triangle(mask: Value) -> bool:
    """Return whether a mask is a triangle, ``j < i``, which bounds a loop where it stands inside of the sum."""
    return mask.op in ("lt", "le", "gt", "ge") and all(o.op == "iota" for o in mask.operands)


def riding(incoming: Value, value: Value) -> tuple[Axis, ...]:
    """Return the axes that number several cotangents: a value's cotangent has them, and the value has not."""
    return tuple(a for a in incoming.axes if a not in value.axes)


def contributions(value: Value, total: Masked) -> Iterable[tuple[Value, Masked]]:
    """Yield (operand, what it receives) for one value."""
    rule = RULES.get(value.op, elementwise)
    for operand, part in rule(value, total):
        yield (
            operand,
            unbroadcast(part, value.axes, operand) if value.op in PRIMITIVES or value.op == "custom" else part,
        )


def elementwise(value: Value, total: Masked) -> Iterable[tuple[Value, Masked]]:
    """Yield, for each operand, the cotangent times the local derivative of the table."""
    for place, operand in enumerate(value.operands):
        if (part := _share(value, total, place)) is not None:
            yield operand, part


def _share(value: Value, total: Masked, place: int) -> Masked | None:
    """Return what one operand receives; None for numbers, and where there is no derivative to take."""
    partials = PRIMITIVES[value.op].partials if value.op in PRIMITIVES else None
    if partials is None or value.operands[place].op == "const":
        return None  # an input, or a comparison
    local = partials[place](*value.operands, value)
    if local is NO_DERIVATIVE:
        _refused(value)
    return None if isinstance(local, int) and local == 0 else (times(total[0], local), total[1])


RAISED = {"div": 1, "pow": 0, "sqrt": 0}  # the operand that is taken to a power: -1, c, 1/2
MOST = 8  # factors of what a power is taken of that are told apart
VANISHING = ("expm1", "sinh")  # their relative slope is infinite where they are 0, and so are quotients by them


def looked_through(value: Value) -> tuple[Value, Value] | None:
    """Return (u, slope) for ``y = a/f(u)``, ``a/f(u)**n``, ``f(u)**c`` or a root: dy/du as ``c*y*f'(u)/f(u)``.

    Through f itself it would be 0*inf where f(u) is 0, or overflows.
    """
    inside = value.operands[RAISED[value.op]]
    if value.op == "div" and inside.op == "pow" and inside.operands[1].op == "const":
        base, exponent = inside.operands
        within = _relative(base)
        return (base, -(exponent * value / base)) if within is None else (within[0], -(exponent * (value * within[1])))
    if (found := _relative(inside)) is None or (value.op != "div" and inside.op in VANISHING):
        return None
    u, slope = found[0], value * found[1]
    return u, -slope if value.op == "div" else slope / 2 if value.op == "sqrt" else value.operands[1] * slope


def _relative(function: Value) -> tuple[Value, Value] | None:
    """Return (u, f'(u)/f(u)) for a function f(u) that has a relative slope in the table."""
    slope = PRIMITIVES[function.op].relative if function.op in PRIMITIVES else None
    return None if slope is None else (function.operands[0], slope(function.operands[0], function))


def _power_like(value: Value, total: Masked) -> Iterable[tuple[Value, Masked]]:
    """Send the cotangent of a quotient, a power or a root through the function that it is taken of."""
    through, parts = looked_through(value), _parts_of_base(value)
    for place, operand in enumerate(value.operands):
        if through is not None and place == RAISED[value.op]:
            yield through[0], (times(total[0], through[1]), total[1])
        elif parts is not None and place == 0:
            yield from _of_product(value, total, *parts)
        elif (part := _share(value, total, place)) is not None:
            yield operand, part


def _parts_of_base(value: Value) -> tuple[list[Value], list[Value]] | None:
    """Return the factors and divisors of what a root is taken of, or a power whose slope may be infinite where it is 0.

    There ``(x/c)**k`` is 0 for any c, and so is its slope in c; sent through the quotient, it would be inf*0.
    """
    if value.op not in ("pow", "sqrt") or value.operands[0].op not in ("mul", "div"):
        return None
    number = value.operands[1].attr if value.op == "pow" and value.operands[1].op == "const" else 0
    if value.operands[-1].kind == "int" or isinstance(number, str) or not 0 <= number < 1:
        return None
    found: tuple[list[Value], list[Value]] = ([], [])
    stack = [(value.operands[0], 0)]
    while stack:
        part, side = stack.pop()
        if part.op in ("mul", "div") and len(stack) + len(found[0]) + len(found[1]) < MOST:
            stack += [(part.operands[1], side if part.op == "mul" else 1 - side), (part.operands[0], side)]
        else:
            found[side].append(part)
    return found


def _of_product(value: Value, total: Masked, above: list[Value], below: list[Value]) -> Iterable[tuple[Value, Masked]]:
    """Send the cotangent of a power of a product to its factors, 0 where another one is 0, and to its divisors."""
    if (part := _share(value, total, 0)) is None:
        return
    cotangent, mask = part
    for divisor in below:
        cotangent = cotangent / divisor
    for place, factor in enumerate(above):
        each, where = cotangent, mask
        for other in (*above[:place], *above[place + 1 :]):
            each = each * other
            where = where if other.op == "const" else _both(where, value.builder.apply("ne", other, 0))
        if factor.op != "const":
            yield factor, (each, where)
    for divisor in below:
        if divisor.op != "const":
            power = value / 2 if value.op == "sqrt" else value.operands[1] * value
            yield divisor, (-times(total[0], power / divisor), total[1])


def receivers(value: Value) -> list[Value]:
    """Return what a pointwise rule sends a cotangent to: the operands, or what stands inside of one of them."""
    inside: tuple[Value, ...] = ()
    if value.op in RAISED:
        found = _parts_of_base(value)
        inside = (looked_through(value) or ())[:1] or (() if found is None else (*found[0], *found[1]))
    elif value.op == "log" and value.operands[0].op == "div":
        inside = value.operands[0].operands
    return list(dict.fromkeys([*value.operands, *inside]))


def _log(value: Value, total: Masked) -> Iterable[tuple[Value, Masked]]:
    """Send the cotangent of log(a/b) to a and b, as 1/a and -1/b: through a/b, it would be 0*inf where that is 0."""
    if value.operands[0].op != "div":
        yield from elementwise(value, total)
        return
    above, below = value.operands[0].operands
    if above.op != "const":
        yield above, (times(total[0], 1 / above), total[1])
    if below.op != "const":
        yield below, (-times(total[0], 1 / below), total[1])


def _share_of_sum(value: Value, total: Masked) -> Iterable[tuple[Value, Masked]]:
    """Divide the cotangent of a/(a + b) by the sum once, for both."""
    (a, b), (cotangent, mask) = value.operands, total
    each = times(cotangent, 1 / (a + b))
    if a.op != "const":
        yield a, (times(each, b / (a + b)), mask)
    if b.op != "const":
        yield b, (-times(each, value), mask)


def _refused(value: Value) -> NoReturn:
    origin = "" if value.origin is None else str(value.origin)
    raise NonDifferentiableError(
        f"'{value.op}' has no derivative in one of its arguments",
        text=origin,
        hint="keep parameters out of that argument",
    )


def _select(value: Value, total: Masked) -> Iterable[tuple[Value, Masked]]:
    condition, a, b = value.operands
    yield a, (total[0], _both(total[1], condition))
    yield b, (total[0], _both(total[1], value.builder.apply("not", condition)))


def _extremum(value: Value, total: Masked) -> Iterable[tuple[Value, Masked]]:
    """Share a maximum's (minimum's) cotangent among k equal operands, 1/k each; constants take none (relu: 0 at 0)."""
    apply, beyond = value.builder.apply, "gt" if value.op == "maximum" else "lt"
    constants = [o for o in value.operands if o.op == "const"]
    rest = [o for o in value.operands if o.op != "const"]
    if not rest:
        return
    above = total[1]
    for constant in constants:
        above = _both(above, apply(beyond, value if len(rest) > 1 else rest[0], constant))
    if len(rest) == 1:
        yield rest[0], (total[0], above)
    elif len(rest) == 2:
        reaching = "ge" if beyond == "gt" else "le"
        for a, b in (rest, rest[::-1]):  # of what is not taken, a slope may be infinite
            share = apply("select", apply("eq", a, b), 0.5, 1)
            yield a, (times(total[0], share), _both(above, apply(reaching, a, b)))
    else:
        # Constants count, too: where one of them is the largest, the count is not 0, by which Python does not divide.
        for operand, (equal, count) in zip(value.operands, ties(value, list(value.operands)), strict=True):
            if operand.op != "const":
                yield operand, (total[0] / count, _both(above, equal))


def ties(value: Value, operands: list[Value]) -> list[tuple[Value, Value]]:
    """Return of each operand of an extremum whether it is equal to it, and of how many that are."""
    apply = value.builder.apply
    equal = [apply("eq", o, value) for o in operands]
    count = _add([apply("select", e, 1, 0) for e in equal])
    return [(e, count) for e in equal]


def _sum(value: Value, total: Masked) -> Iterable[tuple[Value, Masked]]:
    yield value.operands[0], total


def _extremum_over(value: Value, total: Masked) -> Iterable[tuple[Value, Masked]]:
    """Share the cotangent of a maximum (minimum) over axes among its k equal elements, 1/k each."""
    builder, operand = value.builder, value.operands[0]
    equal = builder.apply("eq", operand, value)
    count = builder.reduce("sum", builder.apply("select", equal, 1, 0), value.attr)
    yield operand, (total[0] / count, _both(total[1], equal))


def _product_over(value: Value, total: Masked) -> Iterable[tuple[Value, Masked]]:
    """Multiply by the product of all *other* elements: right where some are 0, which `product/x` is not.

    Of several axes these are the others along the last, times the products along that at others of the axis before it.
    """
    (operand,), cotangent = value.operands, total[0]
    along = operand
    for axis in reversed(value.attr):
        cotangent = times(cotangent, _product_of_others(along, axis))
        along = value.builder.reduce("prod", along, (axis,))
    yield operand, (cotangent, total[1])


def _product_of_others(value: Value, axis: Axis) -> Value:
    builder, other = value.builder, fresh_axis(axis, value.axes)
    differs = builder.apply("ne", builder.iota(axis), builder.iota(other))
    elsewhere = substitute([value], {axis: builder.iota(other)})[value]
    return builder.reduce("prod", builder.apply("select", differs, elsewhere, 1), (other,))


def _read(value: Value, total: Masked) -> Iterable[tuple[Value, Masked]]:
    (array, *indices), incoming, mask = value.operands, applied(total), total[1]
    more = riding(incoming, value)
    places = [*indices, *map(value.builder.iota, more)]
    own = {a for a, i in zip(array.axes, indices, strict=True) if i.is_index(a)}
    holds = mask if mask is not None and own.issuperset(mask.axes) else None  # of what each element receives
    yield array, (value.builder.accumulate(incoming, places, array.axes + more), holds)


def _accumulate(value: Value, total: Masked) -> Iterable[tuple[Value, Masked]]:
    (source, *indices), (incoming, mask) = value.operands, total
    index = dict(zip(value.axes, indices, strict=True))
    back = value.builder.read(incoming, [index.get(a) or value.builder.iota(a) for a in incoming.axes])
    axes = tuple(dict.fromkeys(a for i in indices for a in i.axes))
    yield source, unbroadcast((back, None if mask is None else moved(mask, index)), axes, source)


def _custom(value: Value, total: Masked) -> Iterable[tuple[Value, Masked]]:
    """Send the cotangent along the partials that a user's own function declares."""
    count = (len(value.operands) - 1) // 2
    for argument, partial in zip(value.operands[1 : count + 1], value.operands[count + 1 :], strict=True):
        yield argument, (times(total[0], partial), total[1])


def _relabel(value: Value, axes: dict[Axis, Axis]) -> Value:
    """Return the value with its axes renamed, all at once."""
    builder: Builder = value.builder
    return builder.read(value, [builder.iota(axes.get(a, a)) for a in value.axes])


def _inverse(value: Value, total: Masked) -> Iterable[tuple[Value, Masked]]:
    """Y = M^-1: dM = -Y^T dY Y^T (Giles 2008, 2.2.3)."""
    row, column = value.attr
    taken = (*value.axes, *applied(total).axes)
    a = fresh_axis(row, taken)
    b = fresh_axis(column, (*taken, a))
    left, right = _relabel(value, {row: a, column: row}), _relabel(value, {row: column, column: b})
    middle = _relabel(applied(total), {row: a, column: b})
    inner = value.builder.reduce("sum", left * middle, (a,))
    yield value.operands[0], (-value.builder.reduce("sum", inner * right, (b,)), None)


def _logdet(value: Value, total: Masked) -> Iterable[tuple[Value, Masked]]:
    """D log|det M| = tr(M^-1 dM); the determinant itself has a factor det M more (Jacobi's formula)."""
    matrix = value.operands[0]
    row, column = value.attr
    inverse = value.builder.matrix("inverse", (matrix,), matrix.axes, value.attr)
    transposed = _relabel(inverse, {row: column, column: row})
    incoming = applied(total)
    yield matrix, ((incoming if value.op == "logdet" else incoming * value) * transposed, None)


RULES: dict[str, Rule] = {
    "div": _power_like,
    "pow": _power_like,
    "sqrt": _power_like,
    "log": _log,
    "share": _share_of_sum,
    "select": _select,
    "maximum": _extremum,
    "minimum": _extremum,
    "sum": _sum,
    "max": _extremum_over,
    "min": _extremum_over,
    "prod": _product_over,
    "read": _read,
    "accumulate": _accumulate,
    "custom": _custom,
    "inverse": _inverse,
    "logdet": _logdet,
    "determinant": _logdet,
}
