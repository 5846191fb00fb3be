"""A lowered graph as JSON and back: lists, texts and numbers, each checked before a graph is made of it.

What comes from a file is not trusted: operations are those of the table, operands come before what is made of them, and
the verifier looks at the whole. What a name may do is decided where all names are: a name never becomes code.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any, NoReturn

from gradcompile.errors import DataError, GradcompileError
from gradcompile.ir import (
    KINDS,
    MATRIX_FUNCTIONS,
    REDUCTIONS,
    Axis,
    Builder,
    Graph,
    Input,
    Requirement,
    Size,
    Value,
    reachable,
)
from gradcompile.primitives import PRIMITIVES
from gradcompile.saving.bounds import with_bounds
from gradcompile.verify import verify

FORMAT = 1
MOST_VALUES = 1_000_000
LONGEST_NAME = 10_000  # characters
LONGEST_ORIGIN = 60  # characters of a user's formula that an emitted comment quotes
LARGEST_QUOTED = 2_000  # values beyond which no formulas are quoted
ROLES = ("parameter", "data", "labels", "constant")
FIELDS = ("inputs", "values", "outputs", "axes", "names", "letters", "requirements", "objective", "wrt", "sample")
STRUCTURAL = ("const", "input", "size", "iota", "custom", "read", "accumulate")
OPERATIONS = frozenset({*PRIMITIVES, *REDUCTIONS, *MATRIX_FUNCTIONS, *STRUCTURAL})
AXES = frozenset({*REDUCTIONS, *MATRIX_FUNCTIONS, "accumulate"})  # operations whose attribute is a tuple of axes


def encoded(graph: Graph) -> dict[str, Any]:
    """Return a lowered graph as what JSON can hold.

    Parameters
    ----------
    graph : Graph
        Before differentiation.
    """
    order = reachable(graph.outputs.values())
    place = {value: k for k, value in enumerate(order)}
    quoted = len(order) <= LARGEST_QUOTED
    return {
        "inputs": [[i.name, [_size(s) for s in i.shape], i.kind, i.role, i.default] for i in graph.inputs.values()],
        "values": [_value(value, place, quoted) for value in order],
        "outputs": {name: place[value] for name, value in graph.outputs.items()},
        "axes": {name: [_axis(a) for a in axes] for name, axes in graph.axes.items()},
        "names": [[place[value], name] for value, name in graph.names.items() if value in place],
        "letters": [[_axis(axis), letter] for axis, letter in graph.letters.items()],
        "requirements": [[_size(r.size), r.message, *sorted(r.outputs)] for r in graph.requirements],
        "objective": graph.objective,
        "wrt": list(graph.wrt),
        "sample": None if graph.sample is None else _axis(graph.sample),
    }


def _size(size: Size) -> list[Any]:
    return [size.constant, *([name, count] for name, count in size.terms)]


def _axis(axis: Axis) -> list[Any]:
    return [_size(axis.size), axis.number]


def _value(value: Value, place: Mapping[Value, int], quoted: bool) -> list[Any]:
    operands = [place[o] for o in value.operands]
    origin = value.quoted(LONGEST_ORIGIN) if quoted else ""
    return [value.op, operands, [_axis(a) for a in value.axes], value.kind, _attr(value), origin]


def _attr(value: Value) -> Any:
    """Return what an operation knows besides its operands."""
    attr = value.attr
    if isinstance(attr, Fraction):
        return [attr.numerator, attr.denominator]
    if isinstance(attr, float) and not math.isfinite(attr):
        return repr(attr)
    if isinstance(attr, Size):
        return _size(attr)
    if isinstance(attr, Axis):
        return _axis(attr)
    return [_axis(a) for a in attr] if isinstance(attr, tuple) else attr


def decoded(content: Any) -> Graph:
    """Return the graph that a description is of.

    Raises
    ------
    DataError
        It is not the description of a graph; the message says which part.
    """
    try:
        fields = _fields(content)
        builder, values = Builder(), list[Value]()
        for number, row in enumerate(_listed(fields["values"], "values", MOST_VALUES)):
            values.append(_made(builder, values, row, f"values[{number}]"))
        return with_bounds(_checked(verify(_graph(builder, values, fields))))
    except DataError:
        raise
    except (GradcompileError, LookupError, TypeError, ValueError, ArithmeticError, AttributeError) as error:
        raise DataError(
            f"the model is broken: {str(error).splitlines()[0][:200]}",
            expected="a model that model.save has written",
            hint="save the model again",
        ) from None


def _graph(builder: Builder, values: list[Value], fields: Mapping[str, Any]) -> Graph:
    """Return the graph of values and of what is said about them."""
    inputs = [_input(row, f"inputs[{k}]") for k, row in enumerate(_listed(fields["inputs"], "inputs"))]
    declared = {i.name: i for i in inputs}
    if len(declared) < len(inputs):
        _refuse("inputs", "two have one name")
    outputs = {_name(n, "outputs"): values[_index(k, len(values), n)] for n, k in _mapping(fields, "outputs").items()}
    if "value" not in outputs:
        _refuse("outputs", "there is no objective")
    return Graph(
        builder=builder,
        inputs=declared,
        outputs=outputs,
        axes={_name(n, "axes"): _axes_of(axes, "axes") for n, axes in _mapping(fields, "axes").items()},
        names={values[_index(k, len(values), "names")]: _name(name, "names") for k, name in _pairs(fields, "names")},
        letters={_axis_of(a, "letters"): _name(letter, "letters") for a, letter in _pairs(fields, "letters")},
        requirements=tuple(map(_requirement, _listed(fields["requirements"], "requirements"))),
        objective=_text(fields["objective"], "objective"),
        wrt=tuple(_name(name, "wrt") for name in _listed(fields["wrt"], "wrt")),
        sample=None if fields["sample"] is None else _axis_of(fields["sample"], "sample"),
    )


def _checked(graph: Graph) -> Graph:
    """Return a graph once its outputs have the axes that it says, and its parameters are inputs."""
    for name, value in graph.outputs.items():
        if value.kind != "real" or not set(value.axes) <= set(graph.output_axes(name)):
            _refuse("outputs", f"{name!r:.80} has other axes, or is no real number")
    parameters = [name for name, declared in graph.inputs.items() if declared.role == "parameter"]
    if not graph.wrt or sorted(graph.wrt) != sorted(parameters):
        _refuse("wrt", "it does not name the parameters")
    return graph


def _requirement(row: Any) -> Requirement:
    """Return what is required of sizes, and the outputs that need it: a row without any is of an older file."""
    size, message, *outputs = _listed(row, "requirements")
    names = frozenset(_name(name, "requirements") for name in outputs)
    return Requirement(_size_of(size, "requirements"), _text(message, "requirements"), names)


def _made(builder: Builder, values: list[Value], row: Any, where: str) -> Value:
    """Return one value of operands that stand before it."""
    op, operands, axes, kind, attr, origin = _listed(row, where, 6, exactly=True)
    if op not in OPERATIONS or kind not in KINDS:
        _refuse(where, f"there is no operation {op!r} of kind {kind!r}"[:100])
    chosen = tuple(values[_index(k, len(values), where)] for k in _listed(operands, where))
    read: Callable[[Any, str], Any] = ATTRIBUTES.get(op, _axes_of if op in AXES else _nothing)
    made = builder.make(op, chosen, _axes_of(axes, where), kind, read(attr, where))
    made.origin = _text(origin, where) or made.origin
    return made


def _input(row: Any, where: str) -> Input:
    name, shape, kind, role, default = _listed(row, where, 5, exactly=True)
    if kind not in KINDS[:2] or role not in ROLES:
        _refuse(where, f"there is no kind {kind!r} or no role {role!r}"[:100])
    if default is not None and (type(default) not in (int, float) or not math.isfinite(default)):
        _refuse(where, "the default is not a number")
    return Input(_name(name, where), tuple(_size_of(s, where) for s in _listed(shape, where)), kind, role, default)


# --- parts, each checked


def _refuse(where: str, what: str) -> NoReturn:
    raise DataError(
        f"the model is broken: {where}: {what}",
        expected="a model that model.save has written",
        hint="save the model again",
    )


def _fields(content: Any) -> dict[str, Any]:
    if not isinstance(content, dict) or set(content) != set(FIELDS):
        _refuse("graph", f"it needs the fields {', '.join(FIELDS)}")
    return content


def _listed(part: Any, where: str, most: int = MOST_VALUES, *, exactly: bool = False) -> list[Any]:
    if not isinstance(part, list) or len(part) > most or (exactly and len(part) != most):
        _refuse(where, f"a list of {'' if exactly else 'at most '}{most} belongs here")
    return part


def _mapping(fields: Mapping[str, Any], where: str) -> dict[str, Any]:
    part = fields[where]
    if not isinstance(part, dict):
        _refuse(where, "it is no mapping")
    return part


def _pairs(fields: Mapping[str, Any], where: str) -> list[list[Any]]:
    return [_listed(pair, where, 2, exactly=True) for pair in _listed(fields[where], where)]


def _index(number: Any, count: int, where: str) -> int:
    if type(number) is not int or not 0 <= number < count:
        _refuse(where, "an operand does not stand before what is made of it")
    return number


def _text(part: Any, where: str) -> str:
    if not isinstance(part, str):
        _refuse(where, "a text belongs here")
    return part


def _name(part: Any, where: str) -> str:
    if not part or len(_text(part, where)) > LONGEST_NAME:
        _refuse(where, "a name is empty or too long")
    return str(part)


def _size_of(part: Any, where: str) -> Size:
    constant, *terms = _listed(part, where)
    if type(constant) is not int:
        _refuse(where, "a size is whole numbers and names")
    total = Size((), constant)
    for term in terms:
        name, count = _listed(term, where, 2, exactly=True)
        if type(count) is not int:
            _refuse(where, "a size is whole numbers and names")
        total += Size.of(_name(name, where)) * count
    return total


def _axis_of(part: Any, where: str) -> Axis:
    size, number = _listed(part, where, 2, exactly=True)
    return Axis(_size_of(size, where), _index(number, MOST_VALUES, where))


def _axes_of(part: Any, where: str) -> tuple[Axis, ...]:
    return tuple(_axis_of(axis, where) for axis in _listed(part, where))


def _number(part: Any, where: str) -> Any:
    """Return a constant."""
    if isinstance(part, list):
        over, under = _listed(part, where, 2, exactly=True)
        if type(over) is not int or type(under) is not int or under < 2:
            _refuse(where, "a fraction is two whole numbers")
        return Fraction(over, under)
    if part in ("inf", "-inf", "nan"):
        return float(part)
    if part in ("pi", "e") or type(part) in (bool, int, float):
        return part
    return _refuse(where, "a number belongs here")


def _nothing(part: Any, where: str) -> None:
    if part is not None:
        _refuse(where, "nothing belongs here")


ATTRIBUTES: Mapping[str, Callable[[Any, str], Any]] = {
    "const": _number,
    "input": _name,
    "size": _size_of,
    "iota": _axis_of,
    "custom": _name,
}


# --- JSON, strictly


def packed(content: Any) -> bytes:
    """Return content as JSON, the same bytes for the same content."""
    return json.dumps(content, ensure_ascii=True, allow_nan=False, separators=(",", ":")).encode("ascii")


def unpacked(text: bytes, name: str) -> Any:
    """Return the content of JSON that holds no key twice and no number that is not finite.

    Raises
    ------
    DataError
        It is no such JSON.
    """
    try:
        return json.loads(text, object_pairs_hook=_once, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise DataError(
            f"{name} is not JSON: {str(error)[:100]}", expected="JSON", hint="save the model again"
        ) from None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key occurs twice")
    return found


def _no_number(word: str) -> NoReturn:
    raise ValueError(f"{word} is not a number")
