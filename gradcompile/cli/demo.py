"""`gradcompile demo`: the lecture's example with its values, then a classifier of handwritten digits."""

from __future__ import annotations

import argparse
import io
import itertools
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from gradcompile.cli import given, output, terminal
from gradcompile.errors import DataError

EXAMPLES = """\
examples:
  gradcompile demo
  gradcompile demo --out results
  gradcompile demo --json

It trains a softmax classifier on 80 % of 1,797 images of 8 x 8 pixels and tests it on the other 20 %, writes a module
with its gradient, which needs NumPy alone, and the learned parameters. What it writes goes to a new folder.
"""

FOLDER = "gradcompile-demo"
POINT = {"x": 2.0, "w1": 0.5, "w0": -1.0}
PART = 0.8  # of the images are for training
RATE, EPOCHS, BATCH = 0.5, 40, 32
MODULE, PARAMETERS, MODEL = "softmax_gradient.py", "parameters.npz", "softmax.model"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    parser.add_argument("--out", metavar="FOLDER", help=f"where to write; it must be new or empty (default: {FOLDER})")
    parser.add_argument(
        "--seed", type=terminal.seed, default=0, help="of the split and of the order of samples (default: 0)"
    )
    quiet = "the result in one line, and no progress bar"
    terminal.arguments(parser, json="the result alone, as a line of JSON", quiet=quiet)


def run(chosen: argparse.Namespace) -> int:
    """Show the listing, train, test and write; return the exit status."""
    folder = _folder(chosen.out)
    talkative = not (chosen.quiet or chosen.json)
    if talkative:
        _lecture()
    facts = _digits(chosen.seed, talkative, folder)
    if chosen.json:
        terminal.result_as_json(facts)
    else:
        terminal.result(_told(facts))
    return 0


def _folder(wanted: str | None) -> Path:
    """Return a folder that is new or empty: the user's, or a fresh one in the current folder."""
    if wanted is None:
        names = itertools.chain([FOLDER], (f"{FOLDER}-{k}" for k in itertools.count(2)))
        return next(folder for folder in map(Path, names) if not folder.exists() and not folder.is_symlink())
    folder = Path(wanted)
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise DataError(f"{wanted} is not a folder", hint="give the name of a new or empty folder")
    if folder.is_dir() and any(folder.iterdir()):
        raise DataError(f"the folder {wanted} is not empty", hint="give the name of a new or empty folder")
    return folder


def _shipped(name: str) -> Any:
    from gradcompile.language import parse

    return parse(given.shipped()[name], name=f"{name}.model")


def _lecture() -> None:
    """Print the listing of the lecture with its values."""
    from gradcompile.cli.steps import with_values
    from gradcompile.compiler import compile

    model = compile(_shipped("lecture"))
    point = ", ".join(f"{name} = {value:g}" for name, value in POINT.items())
    terminal.result(f"The example of the lecture, 1 + exp(w1*x + w0), at {point}:\n")
    terminal.result(with_values(model.listing, POINT))
    value, gradients = model.value_and_grad(**POINT)
    shown = ", ".join(f"d{name} = {gradient:g}" for name, gradient in zip(model.graph.wrt, gradients, strict=True))
    terminal.result(f"\nThe compiled code says: value {value:g}, {shown}.\n")


def _digits(seed: int, talkative: bool, folder: Path) -> dict[str, Any]:
    """Train and test the classifier, write what was made, and return the facts."""
    from gradcompile.compiler import compile, emit
    from gradcompile.digits import load_digits
    from gradcompile.optimizers import SGD

    source = _shipped("softmax")
    pixels, labels = load_digits()
    order = np.random.default_rng(seed).permutation(len(labels))
    train, test = np.split(order, [int(PART * len(labels))])
    if talkative:
        terminal.result(f"A softmax classifier of digits: {len(train):,} images to learn from, {len(test)} to test.")
        sys.stdout.flush()
    model, began = compile(source), time.perf_counter()
    result = model.fit(
        x=pixels[train],
        gt=labels[train],
        init={"W": np.zeros((pixels.shape[1], 10)), "b": np.zeros(10)},
        optimizer=SGD(RATE),
        epochs=EPOCHS,
        batch_size=BATCH,
        seed=seed,
        progress=talkative,
    )
    seconds = time.perf_counter() - began
    guess = result.model.predict("p", x=pixels[test]).argmax(axis=1)
    written = _write(folder, emit(source, target="numpy"), result.params, source.text)
    return {
        "accuracy": float(np.mean(guess == labels[test])),
        "tested": len(test),
        "objective": [float(result.history[0]), float(result.history[-1])],
        "epochs": len(result.history),
        "seconds": seconds,
        "folder": str(folder),
        "files": written,
        "reason": result.reason,
    }


def _write(folder: Path, module: str, parameters: Mapping[str, Any], model: str) -> list[str]:
    """Write the files of the demonstration, and return their names."""
    folder.mkdir(parents=True, exist_ok=True)
    packed = io.BytesIO()
    np.savez(packed, **parameters)
    files: dict[str, str | bytes] = {MODULE: module, PARAMETERS: packed.getvalue(), MODEL: model}
    for name, content in files.items():
        output.write(str(folder / name), content)
    return list(files)


def _told(facts: Mapping[str, Any]) -> str:
    """Return the facts in a few lines."""
    first, last = facts["objective"]
    folder = facts["folder"]
    return (
        f"Objective per image: {first:.4f} in epoch 1, {last:.4f} in epoch {facts['epochs']} "
        f"after {facts['seconds']:.1f} s.\n"
        f"Test accuracy: {facts['accuracy']:.1%} of {facts['tested']} images.\n"
        f"\nIn the folder {folder}:\n"
        f"  {MODULE}  value and gradient in NumPy; `python {folder}/{MODULE} --check` checks it\n"
        f"  {PARAMETERS}       the learned W and b\n"
        f"  {MODEL}        the model; `gradcompile emit {folder}/{MODEL}` gives other code for it"
    )
