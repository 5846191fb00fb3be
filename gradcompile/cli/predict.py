"""`gradcompile predict`: an output of a model for data from a file, with learned parameters."""

from __future__ import annotations

import argparse
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gradcompile.cli import data, given, output, terminal
from gradcompile.cli.start import constants, known
from gradcompile.errors import ArgumentError, UnknownNameError
from gradcompile.saving import arrays

if TYPE_CHECKING:
    from gradcompile.compiler import CompiledModel

EXAMPLES = """\
examples:
  gradcompile predict softmax --params digits.npz --data new.csv --map x=pixel_* --output p -o chances.csv
  gradcompile predict linear --params line.npz --data new.csv --output y | head

An output is a definition of the model. It is written as a table, NPY or NPZ, by the name of FILE.
"""

WRITERS = (".csv", ".npy", ".npz")


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    given.arguments(parser)
    parser.add_argument("--params", metavar="FILE", required=True, help="the parameters, of `gradcompile train`")
    data.arguments(parser, required=False)
    parser.add_argument("--output", metavar="NAME", help="the definition to compute (default: the only one)")
    parser.add_argument("--set", dest="constants", metavar="NAME=NUMBER,...", default="", help="values of constants")
    parser.add_argument("-o", dest="file", metavar="FILE", default="-", help="where to (default: -, a table on stdout)")
    parser.add_argument("--force", action="store_true", help="replace an existing file")
    terminal.arguments(parser, json="the numbers, or what was written, as a line of JSON")


def run(chosen: argparse.Namespace) -> int:
    """Compute and write; return the exit status."""
    from gradcompile.compiler import compile

    suffix = ".csv" if chosen.file in output.STANDARD else Path(chosen.file).suffix.lower()
    if suffix not in WRITERS:
        raise ArgumentError(
            f"{chosen.file}: predictions are written as {', '.join(WRITERS)}",
            found=suffix or "no suffix",
            hint="give the file one of these suffixes",
        )
    found = given.read(chosen)
    files = [*found.files, Path(chosen.params), *([Path(chosen.data)] if chosen.data not in (None, "-") else [])]
    output.check_writable(chosen.file, force=chosen.force, inputs=files)
    name = _output(found, chosen.output)
    compiled = compile(found.model, dtype=found.dtype)
    result = np.asarray(compiled.predict(name, **_inputs(chosen, compiled, name)))
    if not (chosen.json and chosen.file in output.STANDARD):
        output.write(chosen.file, _packed(result, name, suffix), force=chosen.force, inputs=files)
    _tell(chosen, name, result)
    return 0


def _inputs(chosen: argparse.Namespace, compiled: CompiledModel, name: str) -> dict[str, Any]:
    """Return what an output is computed of: parameters, constants, and data where it needs any."""
    from gradcompile.compiler.outputs import alone

    inputs = {**known(Path(chosen.params), compiled), **constants(compiled, chosen)}
    declared = alone(compiled.saved().graph, name).inputs.values()
    missing = [i for i in declared if i.role != "parameter" and i.name not in inputs]
    wanted = {i.name: i for i in missing if i.shape or i.default is None}
    if not wanted:
        return inputs
    if chosen.data is None:
        raise ArgumentError(f"{name} needs data for {', '.join(wanted)}", hint="name the file: --data FILE")
    unused = [n for n, i in compiled.lowered.inputs.items() if i.role in data.ROWS]
    read = data.read(chosen, wanted, compiled.dtype, unused)
    terminal.note(read.told(chosen.data), quiet=chosen.quiet or chosen.json)
    return {**inputs, **read.inputs}


def _output(found: given.Given, wanted: str | None) -> str:
    """Return the output that is meant."""
    known = list(found.model.outputs)
    if wanted is None and len(known) == 1:
        return known[0]
    if wanted not in known:
        what = f"{found.name} has no output {wanted!r}" if wanted else f"{found.name} has several outputs or none"
        hint = (wanted and given.nearest(wanted, known)) or "choose one: --output NAME"
        raise UnknownNameError(what, expected=", ".join(known) or "none: the model has no definition", hint=hint)
    assert wanted is not None
    return wanted


def _tell(chosen: argparse.Namespace, name: str, result: Any) -> None:
    """Tell what was computed, or where it was written: a table on stdout tells itself."""
    shown = chosen.file in output.STANDARD
    if chosen.json:
        content: dict[str, Any] = {"values": result.tolist()} if shown else {"file": chosen.file}
        terminal.result_as_json({"output": name, "shape": list(result.shape), **content})
    elif not shown:
        terminal.note(f"wrote {chosen.file}: {name}, shape {result.shape}", quiet=chosen.quiet)


def _packed(result: Any, name: str, suffix: str) -> str | bytes:
    """Return an array in the format of a file."""
    if suffix == ".npz":
        return arrays.packed({name: result})
    if suffix == ".npy":
        file = io.BytesIO()
        np.save(file, result, allow_pickle=False)
        return file.getvalue()
    table = result.reshape(len(result), -1) if result.ndim > 1 else result.reshape(-1, 1)
    heads = [name] if result.ndim < 2 else [f"{name}_{'_'.join(map(str, k))}" for k in np.ndindex(result.shape[1:])]
    lines = (",".join(map(repr, row)) for row in table.tolist())
    return "\n".join([",".join(heads), *lines]) + "\n"
