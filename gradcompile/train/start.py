"""Where training starts: the user's values, or a default for each parameter."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradcompile.arguments import Arguments
from gradcompile.arguments.labels import sizes_of_labels
from gradcompile.errors import ArgumentError, ShapeError, UnknownNameError
from gradcompile.ir import Graph, Input
from gradcompile.shuffle import START, generator

Values = dict[str, Any]


def starting_values(graph: Graph, inputs: Mapping[str, Any], init: Mapping[str, Any], seed: int) -> Values:
    """Return a value for every parameter: the one in `init`, or a default.

    The default is 0 for scalars and vectors. An array with two axes or more gets normal random numbers with standard
    deviation 1/sqrt(length of the first axis), from the seed: a network needs units that differ from one another,
    and outputs of the order of its inputs (LeCun et al. 1998, Efficient BackProp, section 4.6).

    Parameters
    ----------
    graph : Graph
        The model; its `wrt` are the parameters.
    inputs : mapping of str to array-like
        The data and constants, which tell the sizes. An axis that only labels index, such as that of the classes, gets
        the length largest label + 1. A parameter among them is taken for its start.
    init : mapping of str to array-like
        Values to start from, by the names of parameters, in their units.
    seed : int
        Not negative.

    Raises
    ------
    UnknownNameError
        A name in `init` is not a parameter.
    ArgumentError
        A parameter is given twice.
    ShapeError
        A default cannot be made because a size is not known.
    """
    _check_names(graph, inputs, init)
    given = {**inputs, **init}
    if all(name in given for name in graph.wrt):
        return {name: given[name] for name in graph.wrt}
    sizes = _sizes(graph, given)
    return {
        name: given[name] if name in given else _default(graph.inputs[name], sizes, generator(seed, START, number))
        for number, name in enumerate(graph.wrt)
    }


def _check_names(graph: Graph, inputs: Mapping[str, Any], init: Mapping[str, Any]) -> None:
    for name in init:
        if name not in graph.wrt:
            raise UnknownNameError(
                f"init has {name!r}, which is not a parameter",
                expected=", ".join(graph.wrt) or "no parameters",
                found=name,
                hint="give data and constants as arguments of fit"
                if name in graph.inputs
                else "give one of these, or leave it out",
            )
        if name in inputs:
            raise ArgumentError(f"{name!r} is given twice", hint=f"give {name} in init alone")


def _sizes(graph: Graph, given: Mapping[str, Any]) -> dict[str, int]:
    """Return the sizes that the given arrays tell by their shapes, and then those that labels do."""
    known = {name: value for name, value in graph.inputs.items() if name in given}
    alone = replace(graph, inputs=known, outputs={}, requirements=())
    arguments, sizes = Arguments(alone).bind({name: given[name] for name in known})
    return sizes_of_labels(graph, dict(zip(known, arguments, strict=True)), sizes)


def _default(parameter: Input, sizes: Mapping[str, int], random: np.random.Generator) -> NDArray[np.float64] | float:
    """Return the start of a parameter that the user did not give."""
    unknown = sorted({name for size in parameter.shape for name, _ in size.terms} - sizes.keys())
    if unknown:
        raise ShapeError(
            f"{parameter.name} has no value to start from, and no array tells the size {unknown[0]}",
            expected=f"init={{{parameter.name!r}: array of shape ({', '.join(map(str, parameter.shape))})}}",
            hint=f"give {parameter.name} in init, zeros or small random numbers",
        )
    shape = tuple(size.evaluate(sizes) for size in parameter.shape)
    if not shape:
        return 0.0
    try:
        return np.zeros(shape) if len(shape) < 2 else random.normal(0.0, shape[0] ** -0.5, shape)
    except (MemoryError, ValueError) as error:  # NumPy's two words for more than there is
        raise ShapeError(
            f"{parameter.name} of shape {shape} does not fit into memory",
            hint="look for a label that is far too large, or give a smaller array in init",
        ) from error
