"""`gradcompile train`: fit a model to data from a file, and write its parameters and the history."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from gradcompile.cli import data, given, numbers, output, settings, start, terminal
from gradcompile.errors import ArgumentError
from gradcompile.saving import parameters

if TYPE_CHECKING:
    from gradcompile.train import Result

EXAMPLES = """\
examples:
  gradcompile train softmax --data digits.csv --map x=pixel_*,gt=digit -o digits.npz
  gradcompile train network --data digits.npz --size H=32 --optimizer "adam(0.005)" --valid 0.2 -o network.npz
  gradcompile train line.model --data points.csv --optimizer "sgd(0.5/(1 + t/100), momentum=0.9)" -o line.npz
  gradcompile train "(w*x + b - t)**2" --wrt w,b --data points.csv -o line.npz

Columns go to the inputs of the same name; a matrix x takes the columns x0, x1, ... or x_0, x_1, ...; --map says
otherwise. Sizes come from the data, classes from the largest label; --size gives the others. Beside the parameters,
NAME.npz, the history of the objective is written, NAME.history.csv.
"""

INTERRUPTED = 130


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    given.arguments(parser)
    data.arguments(parser, required=True)
    parser.add_argument("--epochs", type=int, default=20, help="how often every sample is taken (default: 20)")
    parser.add_argument(
        "--batch-size", type=_batch, default="auto", metavar="N", help="samples a step, or all (default: 128)"
    )
    parser.add_argument(
        "--optimizer",
        default="adam(0.01)",
        metavar="TEXT",
        help="sgd, adam, adamw, rmsprop, adagrad (default: adam(0.01))",
    )
    parser.add_argument("--valid", type=float, metavar="PART", help="hold out this part of the samples, as in 0.2")
    parser.add_argument("--patience", type=int, metavar="N", help="stop after N epochs without improvement")
    parser.add_argument(
        "--seed", type=terminal.seed, default=0, help="of the order, the split and the start (default: 0)"
    )
    start.arguments(parser)
    parser.add_argument("-o", "--output", metavar="FILE", required=True, help="the parameters, an NPZ file")
    parser.add_argument("--history", metavar="FILE", help="the history (default: beside the parameters)")
    parser.add_argument("--force", action="store_true", help="replace existing files")
    terminal.arguments(parser, json="the result as a line of JSON", quiet="no progress bar and no messages")


def run(chosen: argparse.Namespace) -> int:
    """Train and write; return the exit status: 1 if training diverged, 130 after Ctrl-C."""
    from gradcompile.compiler import compile

    optimizer = settings.optimizer(chosen.optimizer)
    found = _model(chosen)
    files = [*found.files, *(Path(p) for p in (chosen.data, chosen.init) if p and p != "-")]
    history = chosen.history or _beside(chosen.output)
    if Path(history).absolute() == Path(chosen.output).absolute():
        raise ArgumentError("the parameters and the history have one name", hint="give --history another name")
    for path in (chosen.output, history):
        output.check_writable(path, force=chosen.force, inputs=files)
    compiled = compile(found.model, dtype=found.dtype)
    inputs, told = start.inputs(compiled, chosen)
    silent = chosen.quiet or chosen.json
    terminal.note(told, quiet=silent)
    result = compiled.fit(
        **inputs,
        optimizer=optimizer,
        epochs=chosen.epochs,
        batch_size=chosen.batch_size,
        seed=chosen.seed,
        init=start.parameters(compiled, inputs, chosen),
        valid=chosen.valid,
        patience=chosen.patience,
        progress=not silent,
    )
    output.write(chosen.output, parameters.to_bytes(compiled.saved(result.params)), force=chosen.force, inputs=files)
    output.write(history, _history(result), force=chosen.force, inputs=files)
    _tell(result, chosen, history)
    return {"not finite": 1, "interrupted": INTERRUPTED}.get(result.stopped, 0)


def _batch(text: str) -> int | str | None:
    """Return what `--batch-size` means."""
    return {"auto": "auto", "all": None}[text] if text in ("auto", "all") else int(text)


def _beside(path: str) -> str:
    """Return where the history goes: ``digits.history.csv`` for ``digits.npz``."""
    if path in output.STANDARD:
        raise ArgumentError("the parameters are not text", hint="give the name of a file: -o params.npz")
    return str(Path(path).with_suffix(".history.csv"))


def _model(chosen: argparse.Namespace) -> given.Given:
    """Return the model; an expression takes for its data the columns that are no parameters."""
    found = given.read(chosen)
    if not found.bare or found.model.data:
        return found
    constants = numbers.numbers(chosen.constants, "--set")
    others = tuple(symbol for symbol in found.model.inputs if str(symbol) not in constants)
    if not others:
        hint = "--wrt says which names are parameters; the others are columns of the data"
        raise ArgumentError("the expression has no data: all of its names are parameters", hint=hint)
    model = replace(found.model, data=others, inputs=tuple(s for s in found.model.inputs if s not in others))
    return replace(found, model=model)


def _history(result: Result) -> str:
    """Return the history as a table."""
    lines = ["epoch,objective,validation,seconds,rate"]
    for epoch in result.history:
        validation = "" if epoch.validation is None else repr(float(epoch.validation))
        lines.append(f"{epoch.epoch},{float(epoch)!r},{validation},{epoch.seconds:.6f},{float(epoch.rate)!r}")
    return "\n".join(lines) + "\n"


def _tell(result: Result, chosen: argparse.Namespace, history: str) -> None:
    last = result.history[-1] if result.history else None
    if chosen.json:
        facts = {
            "stopped": result.stopped,
            "epochs": len(result.history),
            "objective": None if last is None else float(last),
            "validation": None if last is None else last.validation,
            "parameters": {name: list(np.shape(value)) for name, value in result.params.items()},
            "files": [chosen.output, history],
        }
        terminal.result_as_json(facts)
        return
    if last is not None:
        validation = "" if last.validation is None else f", validation {last.validation:.6g}"
        first = f"objective a sample: {float(result.history[0]):.6g} in epoch 1"
        terminal.note(f"{first}, {float(last):.6g} in epoch {last.epoch}{validation}", quiet=chosen.quiet)
    terminal.note(f"{result.reason}\nwrote {chosen.output} and {history}", quiet=chosen.quiet)
