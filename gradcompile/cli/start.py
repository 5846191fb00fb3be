"""What training starts from: inputs from a file and from options, parameters from a file or at random."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gradcompile.cli import arrays, data, settings
from gradcompile.errors import ArgumentError, ShapeError, UnknownNameError

if TYPE_CHECKING:
    from gradcompile.compiler import CompiledModel


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that say what the data do not."""
    parser.add_argument("--set", dest="constants", metavar="NAME=NUMBER,...", default="", help="values of constants")
    parser.add_argument("--size", metavar="NAME=N,...", default="", help="sizes that the data do not tell, as in H=32")
    parser.add_argument("--init", metavar="FILE", help="an NPZ file of parameters to start from")


def inputs(compiled: CompiledModel, chosen: argparse.Namespace) -> tuple[dict[str, Any], str]:
    """Return all inputs but the parameters, and what was read, in words."""
    declared = {name: i for name, i in compiled.lowered.inputs.items() if i.role != "parameter"}
    constants = settings.numbers(chosen.constants, "--set")
    for name in constants:
        if name not in declared or declared[name].shape:
            expected = ", ".join(name for name, i in declared.items() if not i.shape) or "no constant"
            raise UnknownNameError(f"the model has no constant {name!r}", expected=expected, found=chosen.constants)
    wanted = {name: i for name, i in declared.items() if name not in constants and (i.shape or i.default is None)}
    if not wanted:
        raise ArgumentError("the model takes no data", hint="its minimum needs no data: use ravel and SciPy in Python")
    read = data.read(chosen, wanted)
    return {**read.inputs, **constants}, read.told(chosen.data)


def parameters(compiled: CompiledModel, given_inputs: Mapping[str, Any], chosen: argparse.Namespace) -> dict[str, Any]:
    """Return a value to start from for every parameter: of `--init`, or as `fit` makes them."""
    from gradcompile.shuffle import START, generator

    init: dict[str, Any] = dict(arrays.load_members(Path(chosen.init))) if chosen.init else {}
    graph = compiled.lowered
    check_parameters(init, graph.wrt, chosen.init or "", complete=False)
    known = _sizes(compiled, {**given_inputs, **init}) | settings.sizes(chosen.size)
    for number, name in enumerate(graph.wrt):
        if name in init:
            continue
        shape = graph.inputs[name].shape
        unknown = [size for length in shape for size, _ in length.terms if size not in known]
        if unknown:
            what = f"no data tell the size {unknown[0]} of {name}[{', '.join(map(str, shape))}]"
            raise ShapeError(what, hint=f"give it: --size {unknown[0]}=10")
        lengths = tuple(length.evaluate(known) for length in shape)
        random = generator(chosen.seed, START, number)
        init[name] = random.normal(0.0, lengths[0] ** -0.5, lengths) if len(lengths) > 1 else np.zeros(lengths)[()]
    return init


def check_parameters(found: Mapping[str, Any], wrt: tuple[str, ...], file: str, *, complete: bool = True) -> None:
    """Raise if the arrays of a file are not the parameters of a model."""
    strange = [name for name in found if name not in wrt]
    lacking = [name for name in wrt if name not in found] if complete else []
    if strange or lacking:
        parts = [f"has {', '.join(strange)}"] * bool(strange) + [f"lacks {', '.join(lacking)}"] * bool(lacking)
        what = f"{file} holds parameters of another model: it {' and '.join(parts)}"
        raise ArgumentError(what, expected=", ".join(wrt), found=", ".join(found))


def _sizes(compiled: CompiledModel, arrays_by_name: Mapping[str, Any]) -> dict[str, int]:
    """Return the sizes that arrays tell, and those that labels do: one more than the largest."""
    from gradcompile.arguments.labels import sizes_of_labels
    from gradcompile.arguments.signature import Signature
    from gradcompile.arguments.sizes import Sizes

    graph = compiled.lowered
    known = {name: graph.inputs[name] for name in arrays_by_name}
    found = Sizes(Signature(known))
    shaped = ((i, np.shape(arrays_by_name[name])) for name, i in known.items())
    found.solve((i, shape) for i, shape in shaped if len(shape) == len(i.shape))
    return sizes_of_labels(graph, arrays_by_name, found.known)
