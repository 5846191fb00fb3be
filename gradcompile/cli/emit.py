"""`gradcompile emit`: value and gradient as code or as a listing, or a stage on the way there."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

from gradcompile.cli import given, numbers, output, terminal
from gradcompile.emit import TARGETS
from gradcompile.errors import ArgumentError

STAGES = ("forward", "adjoint", "optimised", "plan")

EXAMPLES = """\
examples:
  gradcompile emit "1 + exp(w1*x + w0)" --wrt x,w1,w0 --target listing
  gradcompile emit "log(1 + exp(-t*(w*x + b)))" --wrt w,b --columns x,t -o gradient.py
  gradcompile emit softmax --target numba > softmax_gradient.py
  gradcompile emit softmax --target numba --size C=3 > softmax_of_three_gradient.py
  gradcompile emit softmax --order 2 --target numba > softmax_hessian.py
  gradcompile emit my.model --stage plan
  gradcompile emit mypackage.losses:huber --wrt w --target python
  echo "(1 - x)**2 + 100*(y - x**2)**2" | gradcompile emit - --target python

The modules import math, numpy or numba and nothing else; `python FILE --check` checks the gradient in one.
"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    given.arguments(parser)
    given.untrusted(parser)
    parser.add_argument("--target", choices=TARGETS, help="what to write (default: numpy)")
    parser.add_argument("--order", type=int, choices=(1, 2), default=1, help="2 adds products with the Hessian")
    parser.add_argument("--size", metavar="D=3,...", default="", help="sizes for which alone the code is to be planned")
    parser.add_argument("--stage", choices=STAGES, help="write a stage of the compiler instead of a target")
    parser.add_argument("--strict", action="store_true", help="compute as written, without rearranging for speed")
    parser.add_argument("-o", "--output", metavar="FILE", default="-", help="where to (default: -, which is stdout)")
    parser.add_argument("--force", action="store_true", help="replace an existing file")
    terminal.arguments(parser, json="the text, or what was written, as a line of JSON")


def run(chosen: argparse.Namespace) -> int:
    """Write the code, and return the exit status."""
    if chosen.stage and (chosen.target or chosen.order > 1 or chosen.size):
        asked = "--target" if chosen.target else "--order" if chosen.order > 1 else "--size"
        raise ArgumentError(f"--stage and {asked} ask for two different texts", hint="give one of them")
    model = given.read(chosen)
    output.check_writable(chosen.output, force=chosen.force, inputs=model.files)
    text = _stage(model, chosen) if chosen.stage else _target(model, chosen)
    kind = {"stage": chosen.stage} if chosen.stage else {"target": chosen.target or "numpy"}
    output.deliver(chosen, text, {"model": model.name, **kind}, inputs=model.files)
    return 0


def _target(found: given.Given, chosen: argparse.Namespace) -> str:
    from gradcompile.compiler import emit

    target: Any = chosen.target or "numpy"  # argparse has checked that it is one of TARGETS
    sizes = numbers.sizes(chosen.size)
    text = emit(found.model, dtype=found.dtype, strict=chosen.strict, target=target, order=chosen.order, sizes=sizes)
    return _ended(text)


def _stage(found: given.Given, chosen: argparse.Namespace) -> str:
    """Return a stage of the compiler, as it prints itself."""
    from gradcompile.adjoint import adjoint
    from gradcompile.lower import lower
    from gradcompile.passes import optimise, prepare
    from gradcompile.schedule import plan

    stages: tuple[Callable[[Any], Any], ...] = (lower, lambda graph: adjoint(prepare(graph)), optimise, plan)
    made: Any = found.model
    for stage in stages[: STAGES.index(chosen.stage) + 1]:
        made = stage(made)
    return _ended(str(made))


def _ended(text: str) -> str:
    return text if text.endswith("\n") else text + "\n"
