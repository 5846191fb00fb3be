"""`gradcompile latex`: objective and derivation of the gradient, one numbered equation a line of the listing."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any

from gradcompile.cli import drawing, given, output, terminal

EXAMPLES = """\
examples:
  gradcompile latex "1 + exp(w1*x + w0)" --wrt x,w1,w0
  gradcompile latex softmax --document -o softmax.tex && pdflatex softmax.tex

It needs amsmath. The derivative of the objective by v is written as v with a bar.
"""

FRAME = r"""\documentclass{{article}}
\usepackage{{amsmath}}
\allowdisplaybreaks
\begin{{document}}
{body}\end{{document}}
"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    given.arguments(parser)
    given.untrusted(parser)
    parser.add_argument("--document", action="store_true", help="a whole document and not the equations alone")
    parser.add_argument("-o", "--output", metavar="FILE", default="-", help="where to (default: -, which is stdout)")
    parser.add_argument("--force", action="store_true", help="replace an existing file")
    terminal.arguments(parser, json="the text, or what was written, as a line of JSON")


def run(chosen: argparse.Namespace) -> int:
    """Write the equations; return the exit status."""
    from gradcompile.compiler import compile

    found = given.read(chosen)
    output.check_writable(chosen.output, force=chosen.force, inputs=found.files)
    compiled = compile(found.model, dtype=found.dtype)
    body = "\n".join(_body(found.model, compiled.listing)) + "\n"
    text = FRAME.format(body=body) if chosen.document else body
    output.deliver(chosen, text, {"model": found.name}, inputs=found.files)
    return 0


def _body(model: Any, listing: str) -> Iterator[str]:
    """Yield the lines: the mathematics of the user, and the two halves of the listing."""
    from gradcompile.cli.typeset import equations

    yield "The objective:"
    yield from _aligned(_formulas(model))
    found = list(equations(listing))
    for half, words in (("forward", "Forward:"), ("backward", "Backward:")):
        steps = [equation for where, equation in found if where == half]
        if steps:
            yield words
            yield from _aligned(steps)


def _formulas(model: Any) -> list[str]:
    """Return definitions and objective as equations."""
    pairs = [(drawing.typeset(key), body) for key, body in model.definitions.items()]
    if model.objective not in model.definitions:
        pairs.append((r"\text{mean of }" if model.data else r"\text{objective}", model.objective))
    return [f"{left} &= {drawing.typeset(right)}" for left, right in pairs]


def _aligned(lines: list[str]) -> Iterator[str]:
    yield r"\begin{align}"
    yield from (f"  {line} \\\\" for line in lines[:-1])
    yield f"  {lines[-1]}"
    yield r"\end{align}"
