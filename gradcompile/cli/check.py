"""`gradcompile check`: the compiled gradient against an exact one at 50 digits, component by component."""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from gradcompile.cli import data, given, numbers, start, terminal
from gradcompile.errors import ArgumentError, GradcompileError

if TYPE_CHECKING:
    from gradcompile.check import Component, GradientReport
    from gradcompile.compiler import CompiledModel

EXAMPLES = """\
examples:
  gradcompile check "1 + exp(w1*x + w0)" --wrt x,w1,w0
  gradcompile check softmax
  gradcompile check "sqrt(a*x)" --wrt a --at a=2,x=0.5
  gradcompile check my.model --data points.csv --json

The gradient of the compiled code, at a random point of a small problem, and that of the same code run at 50 digits are
compared with the exact derivative, which shares neither rules nor generated code with them. A component of which
floating point loses the digits though its formula is right is ill-conditioned. Exit status 1 if a component is wrong.
"""

Point = dict[str, Any]

ROWS = 20  # of a file
MARKS = {"right": "green", "kink": "green", "ill-conditioned": "yellow", "WRONG": "bold red"}


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    given.arguments(parser)
    given.untrusted(parser)
    parser.add_argument("--at", metavar="NAME=NUMBER,...", default="", help="numbers in place of random ones")
    data.arguments(parser, required=False)
    start.arguments(parser)
    parser.add_argument("--seed", type=terminal.seed, default=0, help="of the random point (default: 0)")
    terminal.arguments(parser, json="the result as a line of JSON", quiet="the exit status alone")


def run(chosen: argparse.Namespace) -> int:
    """Check, show the table, and return 1 if something is wrong."""
    from gradcompile.check import examine, sample
    from gradcompile.compiler import compile

    found = given.read(chosen)
    compiled = compile(found.model, dtype=found.dtype)
    fixed = start.constants(compiled, chosen) | numbers.numbers(chosen.at, "--at")
    point = sample(compiled, fixed, chosen.seed, _read(compiled, chosen))
    report = examine(compiled, point)
    if chosen.json:
        terminal.result_as_json(_content(found.name, report, compiled))
    elif not chosen.quiet:
        _show(found.name, report, point, compiled)
    return 0 if report.right else 1


def _read(compiled: CompiledModel, chosen: argparse.Namespace) -> Point:
    """Return the first rows of the data and parameters of their sizes; nothing where there are no data."""
    if not chosen.data:
        _refuse_options_of_data(chosen)
        return {}
    inputs, told = start.inputs(compiled, chosen)
    defaults = {name: i.default for name, i in compiled.lowered.inputs.items() if i.default is not None}
    whole = {**defaults, **inputs, **start.parameters(compiled, inputs, chosen)}
    part = _first_rows(compiled, whole)
    used = f"the first {ROWS}" if part is not None else "all"
    terminal.note(f"{told}; {used} of them are used to check", quiet=chosen.quiet or chosen.json)
    return whole if part is None else part


def _refuse_options_of_data(chosen: argparse.Namespace) -> None:
    """Raise if an option says how data are read, or what they do not tell, and there are none."""
    for option, value in (("--map", chosen.map), ("--size", chosen.size), ("--init", chosen.init)):
        if value:
            what = f"{option} belongs to data, and there are none: a point of a small problem is drawn"
            hint = f"name the file, --data FILE, or leave {option} out"
            raise ArgumentError(what, expected="--data FILE beside it", found=f"{option} {value}", hint=hint)


def _first_rows(compiled: CompiledModel, whole: Point) -> Point | None:
    """Return the point with fewer samples in all of its arrays; None if it needs all, as where labels pick samples."""
    declared = compiled.lowered.inputs
    first = [i.shape[0] for name, i in declared.items() if i.role in data.ROWS and i.shape and name in whole]
    samples = {name for size in first for name, _ in size.terms}
    known = {n: min(size, ROWS) if n in samples else size for n, size in start.sizes(compiled, whole).items()}
    part = {}
    for name, value in whole.items():
        lengths = [size.evaluate(known) for size in declared[name].shape]
        part[name] = value[tuple(slice(max(length, 0)) for length in lengths)] if lengths else value
    try:
        compiled.checked.bind(part)
    except GradcompileError:
        return None
    return part


def _rows(report: GradientReport, compiled: CompiledModel) -> Iterator[tuple[str, list[Component], Component]]:
    """Yield each parameter with its components and the worst of them."""
    for name in compiled.graph.wrt:
        own = [c for c in report.components if c.parameter == name]
        if own:
            yield name, own, replace(report, components=tuple(own)).worst


def _shape(name: str, point: Point) -> tuple[int, ...]:
    return np.shape(point[name])


def _show(name: str, report: GradientReport, point: Point, compiled: CompiledModel) -> None:
    cells = [
        (
            parameter,
            " x ".join(map(str, _shape(parameter, point))) or "number",
            str(len(own)),
            worst.name,
            f"{worst.gradient:.6g}",
            f"{worst.exact:.6g}",
            f"{worst.condition:.0e}",
            f"{worst.digits:.1f}",
            worst.verdict,
        )
        for parameter, own, worst in _rows(report, compiled)
    ]
    heads = ("parameter", "shape", "checked>", "worst", "compiled>", "exact>", "condition>", "digits>", "")
    terminal.table(heads, cells, marks=MARKS)
    scalars = ", ".join(f"{k} = {v:.6g}" for k, v in point.items() if isinstance(v, (int, float)))
    terminal.result(f"{name}: value {report.value:.12g}" + (f" at {scalars}" if scalars else " at a random point"))
    terminal.result(_summary(report))


def _summary(report: GradientReport) -> str:
    """Return the verdict in a sentence."""
    found = {v: sorted({c.parameter for c in report.components if c.verdict == v}) for v in MARKS}
    if found["WRONG"]:
        return f"the gradient is WRONG in {', '.join(found['WRONG'])}"
    text = f"the gradient is right, compared {report.method}"
    if found["ill-conditioned"]:
        text += f"; ill-conditioned at this point in {', '.join(found['ill-conditioned'])}: rounding takes its digits"
    return text


def _content(name: str, report: GradientReport, compiled: CompiledModel) -> dict[str, Any]:
    """Return the result for machines."""
    parameters = [
        {
            "parameter": parameter,
            "checked": len(own),
            "worst": worst.name,
            "gradient": worst.gradient,
            "exact": worst.exact,
            "error": worst.relative,
            "condition": worst.condition if math.isfinite(worst.condition) else None,
            "digits": worst.digits,
            "verdict": worst.verdict,
            "right": worst.verdict != "WRONG",
        }
        for parameter, own, worst in _rows(report, compiled)
    ]
    return {"model": name, "right": report.right, "value": report.value, "parameters": parameters}
