"""A module for threads: the functions of a program that has been cut at its sums over samples.

For `value_and_grad` there is ``value_and_grad_part``, which computes the sums of some samples (``..._part1`` and so on
where the samples are passed several times), and ``value_and_grad_end``, which makes the outputs of the sums of all.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

from gradcompile.emit import allowlist, loops, support
from gradcompile.emit.dialect import NUMBA
from gradcompile.emit.elements import LoopPrinter
from gradcompile.emit.layout import INDENT, wrapped
from gradcompile.emit.loops import Caller
from gradcompile.emit.module import FLAGS, STRICT, Request, assembled, hashed, reserved, scheduled
from gradcompile.emit.names import FEW, Names
from gradcompile.emit.places import output_array
from gradcompile.ir import Graph
from gradcompile.schedule import Parts, must_round_alike, plan

TITLE = "In parts, for samples that threads share:"


def render(graph: Graph, parts: Mapping[str, Parts], *, dtype: str, strict: bool, tiles: bool = False) -> str:
    """Return the text of a module for Numba, whose functions let other threads run meanwhile.

    Parameters
    ----------
    graph : Graph
        The program as a whole, which the docstring tells about.
    parts : mapping of str to Parts
        What it has been cut into, by the names of the functions that are whole.
    dtype : {"float64", "float32"}
        Of real arrays and of the arithmetic.
    strict : bool
        Whether floating-point operations stay in the order in which they are written.
    tiles : bool
        Whether one thread of BLAS is best given large products of matrices in tiles.

    Raises
    ------
    EmissionError
        The text holds something that is not on the allow-list; nothing is returned then.
    """
    strict = strict or must_round_alike(graph)
    programs = {name: program for whole, cut in parts.items() for name, program in cut.functions(whole).items()}
    whole = _request(replace(graph, wrt=()), graph, dtype, strict)  # no gradient of its own: no self-check
    requests = {name: _request(program, graph, dtype, strict) for name, program in programs.items()}
    filled = {name: part.filled for whole, cut in parts.items() for name, part in cut.named(whole).items()}
    functions = [_function(name, request, filled.get(name, ()), tiles) for name, request in requests.items()]
    used = {name for request in requests.values() for name in request.printer.support}
    called = support.closure("numba", used & support.functions("numba").keys())
    text = assembled(whole, functions, called, TITLE)
    allocated = whole.names.taken.union(*(request.names.taken for request in requests.values()))
    allowlist.check(text, "numba", allocated, {name: _says(name) for name in programs})
    return hashed(text)


def _request(program: Graph, graph: Graph, dtype: str, strict: bool) -> Request:
    """Return what is to be emitted for one function; its names are its own."""
    program = scheduled(program, "numba", strict=strict)
    names = Names(program, reserved(graph, "numba"), many=len(program.order()) > FEW)
    printer = LoopPrinter("numba", names, "real" if dtype == "float32" else "")
    gradients = tuple(f"d{parameter}" for parameter in program.wrt)
    all_of_them = ("value", gradients) if gradients and "value" in program.outputs else tuple(program.outputs)
    returned = all_of_them if all_of_them[1:] else all_of_them[0]
    return Request(program, "numba", dtype, strict, returned, names, printer)


def _function(name: str, request: Request, filled: Collection[str], tiles: bool) -> list[str]:
    """Return one function as lines, which has the arrays that it fills as its last arguments."""
    schedule, names, dtype = plan(request.graph), request.names, request.dtype
    returned, caller = request.returned, Caller(dict.fromkeys(filled, False), typed=False)
    if filled:
        rest = tuple(output for output in request.graph.outputs if output not in filled)
        returned = rest if rest[1:] else rest[0]
    body = loops.function(
        schedule, names, request.printer, NUMBA, returned=returned, dtype=dtype, caller=caller, tiles=tiles
    )
    arguments = ", ".join([*names.inputs.values(), *(output_array(schedule, names, output) for output in filled)])
    indented = [piece for line in body for piece in wrapped(INDENT + line)]
    decorator = f"@njit(nogil=True, {STRICT if request.strict else FLAGS})"
    return [decorator, *wrapped(f"def {name}({arguments}):"), f'{INDENT}"""{_says(name)}"""', *indented]


def _says(name: str) -> str:
    """Return the docstring of a function."""
    whole, _, role = name.rpartition("_")
    if role == "end":
        return f"Return the outputs of {whole} from its sums over all samples."
    return f"Return the sums over some samples for {whole}."
