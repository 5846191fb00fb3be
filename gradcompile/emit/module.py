"""A standalone module for a target: header, imports, support functions, `value`, `grad`, `value_and_grad`, --check."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from gradcompile.emit import allowlist, loops, support
from gradcompile.emit.dialect import NUMBA, PYTHON, Dialect
from gradcompile.emit.elements import LoopPrinter
from gradcompile.emit.expression import Printer, template
from gradcompile.emit.guarding import raising
from gradcompile.emit.header import PLACEHOLDER, header
from gradcompile.emit.layout import INDENT, wrapped
from gradcompile.emit.names import FEW, Names
from gradcompile.emit.numpy_target import WholeArrays
from gradcompile.emit.problem import problem
from gradcompile.emit.python_target import StraightLine
from gradcompile.emit.statements import Returned, as_returned
from gradcompile.ir import Graph
from gradcompile.passes import divide_once
from gradcompile.passes.precision import within
from gradcompile.primitives import PRIMITIVES
from gradcompile.schedule import must_round_alike, plan
from gradcompile.vecmath import COMPOSED, MASKED, VECTOR

FLAGS = 'fastmath={"contract", "reassoc", "nsz", "arcp", "afn"}, error_model="numpy"'  # never nnan, ninf: they hide nan
STRICT = 'fastmath=False, error_model="numpy"'


class Request(NamedTuple):
    """What is to be emitted: a program, for a target, with what its functions return, and its own identifiers."""

    graph: Graph
    target: str
    dtype: str
    strict: bool
    returned: Returned
    names: Names
    printer: Printer

    @property
    def arguments(self) -> str:
        """Return the parameters of every function: the parameters of the model first, as they are declared."""
        return ", ".join(self.names.inputs.values())


class Function(NamedTuple):
    """A further function of a module: a program of its own, whose outputs it returns.

    Parameters
    ----------
    name : str
        One of those in `allowlist.PUBLIC`.
    graph : Graph
        After the passes. Its inputs are the function's arguments: those of the module's objective come first.
    returned : str or tuple
        The outputs that are returned: a name, or names in tuples.
    """

    name: str
    graph: Graph
    returned: Returned

    def planned_for(self, known: Mapping[str, int]) -> Function:
        """Return the same for calls with known sizes."""
        return self._replace(graph=replace(self.graph, known=known))


Bodies = Callable[[Request], dict[str, list[str]]]  # name of a function -> its lines


def render(
    graph: Graph,
    target: str,
    *,
    dtype: str = "float64",
    strict: bool = False,
    single: bool = False,
    functions: Sequence[Function] = (),
) -> str:
    """Return the text of a module that needs no gradcompile.

    Parameters
    ----------
    graph : Graph
        The objective, with its backward half and after the passes; or without one: then there is only `value`. A
        graph without an output ``value`` becomes one function, `derivatives`, that returns a tuple of its outputs.
    target : {"python", "numpy", "numba"}
        What runs it: `math` alone with nested lists, NumPy, or Numba.
    dtype : {"float64", "float32"}
        Of real arrays and of the arithmetic.
    strict : bool
        Whether floating-point operations stay in the order in which they are written (Numba).
    single : bool
        Whether the one gradient is returned as it is and not in a tuple.
    functions : sequence of Function
        Further functions of the module, such as `hvp`.

    Raises
    ------
    EmissionError
        The text holds something that is not on the allow-list; nothing is returned then.
    """
    main = _request(graph, target, dtype, strict, as_returned(graph.outputs, single))
    requests = [_request(f.graph, target, dtype, strict, f.returned) for f in functions]
    parts = [*_functions(main, BODIES[target](main))]
    for function, request in zip(functions, requests, strict=True):
        parts += _functions(request, {function.name: next(iter(BODIES[target](request).values()))})
    used = main.printer.support.union(*(request.printer.support for request in requests))
    called = support.closure(target, used & support.functions(target).keys())
    text = assembled(main, parts, called, _says(main, functions), requests)
    allowlist.check(text, target, main.names.taken.union(*(request.names.taken for request in requests)))
    return hashed(text)


def _says(main: Request, functions: Sequence[Function]) -> str:
    """Return the first line of the docstring, if there are further functions."""
    defined, parameters = {f.name for f in functions}, ", ".join(main.names.inputs[name] for name in main.graph.wrt)
    if "hvp" in defined:
        return f"Value, gradient and products with the Hessian with respect to {parameters}:"
    return f"Value and products with the Jacobian with respect to {parameters}:" if "jvp" in defined else ""


def hashed(text: str) -> str:
    """Return the text of a module with its own hash where that was left open."""
    return text.replace(PLACEHOLDER, hashlib.sha256(text.encode()).hexdigest()[: len(PLACEHOLDER)])


def _request(graph: Graph, target: str, dtype: str, strict: bool, returned: Returned) -> Request:
    """Return what is to be emitted of one program, with identifiers of its own."""
    strict = strict or (target == "numba" and must_round_alike(graph))
    graph = scheduled(within(graph, dtype), target, strict=strict)
    names = Names(graph, reserved(graph, target), many=len(graph.order()) > FEW)
    real = "real" if target == "numba" and dtype == "float32" else ""
    printer = Printer(target, names) if target == "numpy" else LoopPrinter(target, names, real)
    return Request(graph, target, dtype, strict, returned, names, printer)


def scheduled(graph: Graph, target: str, *, strict: bool) -> Graph:
    """Return what is scheduled of a program: compiled code that need not be strict may use reciprocals."""
    return divide_once(graph) if target == "numba" and not strict else graph


def reserved(graph: Graph, target: str) -> list[str]:
    """Return the support functions that a module may define for a program: nothing else may bear their names."""
    order = graph.order()
    spellings = {str(getattr(PRIMITIVES[v.op], target)) for v in order if v.op in PRIMITIVES}
    if target == "numba":
        spellings |= {f"{name}({{0}})" for v in order for name in VECTOR.get(v.op, ())}
        spellings |= {text for v in order if v.op in COMPOSED for text in COMPOSED[v.op][1]}
        spellings |= {text for v in order if v.op == "select" for texts in MASKED.values() for text in texts}
    called = support.closure(target, (name for s in spellings for name in template(s).support))
    structural = {v.op for v in order} | {"as_float64", "as_float32", "as_labels"}
    return [*called, *(structural & support.functions(target).keys())]


def _straight_line(request: Request) -> dict[str, list[str]]:
    return _bodies(request, StraightLine(request.graph, request.names, request.printer))


def _bodies(request: Request, body: StraightLine | WholeArrays) -> dict[str, list[str]]:
    if "value" not in request.graph.outputs:
        return {"derivatives": body.body(request.returned)}
    bodies = {"value": body.value()}
    if request.returned != "value":
        bodies["value_and_grad"] = body.value_and_grad(isinstance(request.returned[1], str))
    return bodies


def _whole_arrays(request: Request) -> dict[str, list[str]]:
    return _bodies(request, WholeArrays(request.graph, request.names, request.printer, request.dtype))


def _loops(request: Request, dialect: Dialect) -> dict[str, list[str]]:
    def body(graph: Graph, returned: Returned) -> list[str]:
        branches = raising(graph) if dialect.target == "python" else {}
        schedule = plan(graph, blocks=dialect.blocks, guards=branches)
        names, printer, dtype = request.names, request.printer, request.dtype
        return loops.function(schedule, names, printer, dialect, returned=returned, dtype=dtype)

    whole = request.graph
    if "value" not in whole.outputs:
        return {"derivatives": body(whole, request.returned)}
    bodies = {"value": body(replace(whole, outputs={"value": whole.outputs["value"]}), "value")}
    if request.returned != "value":
        bodies["value_and_grad"] = body(whole, request.returned)
    return bodies


def _python(request: Request) -> dict[str, list[str]]:
    arrays = any(v.axes for v in request.graph.order()) or any(i.shape for i in request.graph.inputs.values())
    return _loops(request, PYTHON) if arrays else _straight_line(request)


BODIES: dict[str, Bodies] = {
    "python": _python,
    "numpy": _whole_arrays,
    "numba": lambda request: _loops(request, NUMBA),
}


def _functions(request: Request, bodies: dict[str, list[str]]) -> Iterator[list[str]]:
    """Yield each public function as lines, `grad` after what it calls."""
    if "value_and_grad" in bodies:
        bodies = {**bodies, "grad": [f"return value_and_grad({request.arguments})[1]"]}
    decorator = _decorator(request)
    for name, lines in bodies.items():
        indented = [piece for line in lines for piece in wrapped(INDENT + line)]
        head = wrapped(f"def {name}({request.arguments}):")
        yield [*decorator, *head, f'{INDENT}"""{allowlist.PUBLIC[name]}"""', *indented]


def _decorator(request: Request) -> list[str]:
    if request.target == "numba":
        return [f"@njit({STRICT if request.strict else FLAGS})"]
    if request.target == "numpy" and any(v.op == "select" for v in request.graph.order()):
        return ['@np.errstate(all="ignore")  # np.where computes both branches; the one not taken may overflow']
    return []


def assembled(
    request: Request,
    functions: Iterable[list[str]],
    called: list[str],
    says: str = "",
    further: Sequence[Request] = (),
    imports: Iterable[str] = (),
) -> str:
    """Return the whole text, functions two lines apart, imports for what is used.

    Parameters
    ----------
    request : Request
        What is emitted.
    functions : iterable of list of str
        The module's own functions, each as lines.
    called : list of str
        The support functions that they call, in the order in which they are to be defined.
    says : str
        The first line of the docstring, if it is not that of a value and its gradient.
    further : sequence of Request
        What further functions are made from.
    imports : iterable of str
        Further lines that import one name each, for those that are called.
    """
    sources = [part for name in called for part in _source(request.target, name)]
    own = ["\n".join(lines) + "\n" for lines in functions]
    checks = support.checks(request.target, re.findall(r"^def (\w+)\(", "".join(own), re.M))
    blocks = [*sources, *own]
    if checks:
        blocks += [*checks.values(), "\n".join(_main(request, checks)) + "\n"]
    code = "\n\n".join(blocks)
    top = [*header(request.graph, request.names, request.target, request.dtype, says), ""]
    number = f"real = np.{request.dtype}  # what numbers are made of"
    numbers = [number, "", ""] if re.search(r"(?<![\w.])real\(", code) else []
    more = [line for line in imports if f"{line.split()[-1]}(" in code]
    lines = [*_imports("\n".join([*numbers, code])), *([""] * bool(more)), *more]
    ambiguous = any(each.names.ambiguous for each in (request, *further))
    noqa = ["# ruff: noqa: E741, RUF100  (I, O and l are names of the model)"] if ambiguous else []
    if any(support.is_vectorised(request.target, name) for name in called):
        noqa.append("# ruff: noqa: FURB136, PLR0124, PLR1714, RUF100, SIM109  (nan must pass)")
    elif re.search(r"(?<![\w.])([a-z]\w*) == \1(?![\w.\[(])", code):
        noqa.append("# ruff: noqa: PLR0124  (nan must pass)")
    gap = ["" if numbers else "\n"] if lines else []
    return "\n".join([*noqa, *top, *lines, *gap, *numbers, code])


def _source(target: str, name: str) -> Iterator[str]:
    """Yield the text of a support function, after what it needs to have declared."""
    if name in support.DECLARATIONS and target == "numba":
        yield support.DECLARATIONS[name]
    yield support.source(target, name)


def _imports(code: str) -> Iterator[str]:
    """Yield the imports that the code needs."""
    code = re.sub(r"#.*", "", code)
    standard = [name for name in ("math", "sys") if re.search(rf"(?<![\w.]){name}\.", code)]
    yield from (f"import {name}" for name in standard)
    others = ["import numpy as np"] if re.search(r"(?<![\w.])np\.", code) else []
    names = [name for name, used in (("njit", "@njit"), ("types", "types.")) if used in code]
    others += [f"from numba import {', '.join(names)}"] if names else []
    if standard and others:
        yield ""
    yield from others


def _main(request: Request, checks: Container[str]) -> Iterator[str]:
    """Yield what runs with ``--check``."""
    yield "PROBLEM = ("
    for name, shape, labels in problem(request.graph):
        yield f'{INDENT}("{request.names.inputs[name]}", {shape}, {labels}),'
    yield ")  # name, shape and, for labels, how many there are"
    yield ""
    yield 'if __name__ == "__main__":'
    dtype = "" if request.target == "python" else f", np.{request.dtype}"
    end = f"PROBLEM, {len(request.graph.wrt)}{dtype})"
    call = f"check(sys.argv[1:], value, value_and_grad, {end}"
    if "check_map" in checks:
        call = f"check_map(sys.argv[1:], value, jvp, vjp, {end}"
    elif "check_products" in checks:
        call += f" or check_products(value_and_grad, hvp, {end}"
    yield from wrapped(f"{INDENT}sys.exit({call})")
