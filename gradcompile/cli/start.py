"""What training starts from: inputs from a file and from options, parameters from a file or at random."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gradcompile.arguments.signature import wanted
from gradcompile.cli import data, numbers
from gradcompile.errors import ArgumentError, ShapeError, TooLargeError, UnknownNameError
from gradcompile.saving import arrays, is_saved
from gradcompile.saving.parameters import is_told

if TYPE_CHECKING:
    from gradcompile.compiler import CompiledModel
    from gradcompile.ir import Graph


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that say what the data do not."""
    parser.add_argument("--set", dest="constants", metavar="NAME=NUMBER,...", default="", help="values of constants")
    parser.add_argument("--size", metavar="NAME=N,...", default="", help="sizes that the data do not tell, as in H=32")
    parser.add_argument("--init", metavar="FILE", help="a saved model, or an NPZ file of parameters, to start from")


def inputs(compiled: CompiledModel, chosen: argparse.Namespace) -> tuple[dict[str, Any], str]:
    """Return all inputs but the parameters, and what was read, in words."""
    declared = {name: i for name, i in compiled.lowered.inputs.items() if i.role != "parameter"}
    fixed = constants(compiled, chosen)
    needed = {name: i for name, i in declared.items() if name not in fixed and (i.shape or i.default is None)}
    if not needed:
        raise ArgumentError("the model takes no data", hint="its minimum needs no data: use ravel and SciPy in Python")
    read = data.read(chosen, needed, compiled.dtype)
    return {**read.inputs, **fixed}, read.told(chosen.data)


def constants(compiled: CompiledModel, chosen: argparse.Namespace) -> dict[str, float]:
    """Return the numbers of `--set`, all of them constants of the model."""
    numbers_of = {name: i for name, i in compiled.lowered.inputs.items() if i.role != "parameter" and not i.shape}
    found = numbers.numbers(chosen.constants, "--set")
    for name in found:
        if name not in numbers_of:
            raise UnknownNameError(
                f"the model has no constant {name!r}",
                expected=", ".join(numbers_of) or "no constant",
                found=chosen.constants,
                hint="set one of these, or leave it out",
            )
    return found


def parameters(compiled: CompiledModel, given_inputs: Mapping[str, Any], chosen: argparse.Namespace) -> dict[str, Any]:
    """Return a value to start from for every parameter: of `--init`, or as `fit` makes them."""
    from gradcompile.arguments.labels import sizes_of_labels
    from gradcompile.shuffle import START, generator

    graph = compiled.lowered
    stored = known(Path(chosen.init), compiled, complete=False) if chosen.init else {}
    init: dict[str, Any] = {name: value for name, value in stored.items() if name in graph.wrt}
    told = sizes(compiled, {**given_inputs, **init})
    lengths_of = sizes_of_labels(graph, {**given_inputs, **init}, told) | _given_sizes(graph, chosen.size, told)
    for number, name in enumerate(graph.wrt):
        if name in init:
            continue
        shape = graph.inputs[name].shape
        unknown = [size for length in shape for size, _ in length.terms if size not in lengths_of]
        if unknown:
            _check_ranks(graph, given_inputs)  # what has other axes tells no sizes
            what = f"no data tell the size {unknown[0]} of {name}[{', '.join(map(str, shape))}]"
            raise ShapeError(what, hint=f"give it: --size {unknown[0]}=10")
        lengths = tuple(length.evaluate(lengths_of) for length in shape)
        random = generator(chosen.seed, START, number)
        try:
            init[name] = random.normal(0.0, lengths[0] ** -0.5, lengths) if len(lengths) > 1 else np.zeros(lengths)[()]
        except (MemoryError, ValueError):  # NumPy's, for more numbers than there are addresses
            raise _too_large(graph, name, lengths) from None
    return init


def _check_ranks(graph: Graph, given_inputs: Mapping[str, Any]) -> None:
    """Raise if an array has not the axes that the model declares."""
    for name, array in given_inputs.items():
        declared = graph.inputs[name]
        if np.ndim(array) != len(declared.shape):
            what, found = f"{name} has {len(declared.shape)} axes", f"shape {np.shape(array)}"
            raise ShapeError(what, expected=wanted(declared), found=found, hint=f"give {name} an array with these axes")


def _too_large(graph: Graph, name: str, lengths: tuple[int, ...]) -> TooLargeError:
    """Return the error for a parameter that no memory holds, as where a label is a number of another kind."""
    largest = max(range(len(lengths)), key=lengths.__getitem__)
    return TooLargeError(
        f"there is not enough memory for {name}",
        expected="classes that are counted from 0: the largest label says how many there are",
        found=f"shape {lengths}: {graph.inputs[name].shape[largest]} is {lengths[largest]}",
        hint="number the classes from 0 in the data, or give a size with --size",
    )


def _given_sizes(graph: Graph, text: str, told: Mapping[str, int]) -> dict[str, int]:
    """Return the sizes of `--size`, all of them of the model, and none that is another one in the arrays."""
    found = numbers.sizes(text)
    named = dict.fromkeys(name for i in graph.inputs.values() for size in i.shape for name, _ in size.terms)
    for name in found:
        if name not in named:
            what, hint = f"the model has no size {name!r}", "give a size that the model names, or leave it out"
            raise UnknownNameError(what, expected=", ".join(named) or "no --size", found=text, hint=hint)
        if told.get(name, found[name]) != found[name]:
            what, hint = f"the data have another size {name}", f"leave {name} out: --size is for what no array tells"
            raise ShapeError(what, expected=f"{name}={told[name]}", found=f"--size {text}", hint=hint)
    return found


def known(path: Path, compiled: CompiledModel, *, complete: bool = True) -> dict[str, Any]:
    """Return the parameters in a file, and the constants that were kept with them, if they are those of a model.

    Parameters
    ----------
    path : Path
        Of `gradcompile train` or a saved model, whose every field is compared; or an NPZ file of arrays, whose names
        are.
    compiled : CompiledModel
        The model.
    complete : bool
        Whether every parameter must be there.

    Raises
    ------
    DataError, ArgumentError
        They are of another model; the message says what differs.
    """
    from gradcompile.compiler.stored import load_params

    with arrays.opened(path) as archive:
        told = is_saved(archive) or is_told(archive)
    if told:
        return load_params(path, compiled)
    found = arrays.load_members(path)
    _check_names(found, compiled.lowered.wrt, path.name, complete)
    return dict(found)


def _check_names(found: Mapping[str, Any], wrt: tuple[str, ...], file: str, complete: bool) -> None:
    """Raise if the arrays of a file are not the parameters of a model."""
    strange = [name for name in found if name not in wrt]
    lacking = [name for name in wrt if name not in found] if complete else []
    if strange or lacking:
        parts = [f"has {', '.join(strange)}"] * bool(strange) + [f"lacks {', '.join(lacking)}"] * bool(lacking)
        what = f"{file} holds parameters of another model: it {' and '.join(parts)}"
        hint = "give the file of this model, or train it again"
        raise ArgumentError(what, expected=", ".join(wrt), found=", ".join(found), hint=hint)


def sizes(compiled: CompiledModel, arrays_by_name: Mapping[str, Any]) -> dict[str, int]:
    """Return the sizes that the shapes of arrays tell."""
    from gradcompile.arguments.signature import Signature
    from gradcompile.arguments.sizes import Sizes

    graph = compiled.lowered
    known = {name: graph.inputs[name] for name in arrays_by_name}
    found = Sizes(Signature(known))
    shaped = ((i, np.shape(arrays_by_name[name])) for name, i in known.items())
    found.solve((i, shape) for i, shape in shaped if len(shape) == len(i.shape))
    return found.known
