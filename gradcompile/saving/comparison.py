"""Whether parameters in a file are those of a model: the fields in which the two differ."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from gradcompile.errors import DataError
from gradcompile.ir import Graph, Input
from gradcompile.saving.description import encoded, packed

SHOWN = 8  # differing fields that a message lists
Facts = Mapping[str, Any]


def facts(graph: Graph) -> dict[str, Any]:
    """Return what tells one model from another: parameters, inputs, objective.

    Letters of indices, comments, definitions and defaults do not count.

    Parameters
    ----------
    graph : Graph
        A model, lowered.
    """
    mathematics = encoded(replace(graph, outputs={"value": graph.outputs["value"]}))
    operations = [[row[:5] for row in mathematics["values"]], mathematics["sample"]]
    return {
        "parameters": ", ".join(graph.wrt),
        "inputs": {name: _declared(i) for name, i in graph.inputs.items()},
        "objective": _short(graph.objective),
        "operations": hashlib.sha256(packed(operations)).hexdigest(),
    }


def check_same(theirs: Facts, ours: Facts, name: str) -> None:
    """Raise unless a file holds parameters of this model.

    Parameters
    ----------
    theirs, ours : mapping
        What `facts` says of the model of the file, and of this one.
    name : str
        What messages call the file.

    Raises
    ------
    DataError
        It is of another model; the message names the fields that differ.
    """
    found = list(_differences(theirs, ours))
    if found:
        lines = [f"{field}: {saved} in the file, {here} here" for field, saved, here in found[:SHOWN]]
        more = f" and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
        what = f"{name} holds parameters of another model: {'; '.join(lines)}{more}"
        raise DataError(what, hint="give the model that was trained, or train this one")


def _differences(theirs: Facts, ours: Facts) -> Iterator[tuple[str, str, str]]:
    """Yield (field, in the file, here)."""
    if theirs["parameters"] != ours["parameters"]:
        yield "parameters", theirs["parameters"], ours["parameters"]
    for name in dict.fromkeys([*theirs["inputs"], *ours["inputs"]]):
        saved, here = (side["inputs"].get(name, "not there") for side in (theirs, ours))
        if saved != here:
            yield name, saved, here
    if theirs["operations"] != ours["operations"]:
        yield "objective", theirs["objective"], ours["objective"]


def _declared(declared: Input) -> str:
    """Return the declaration of an input; a default may change."""
    return f"{declared.role}[{', '.join(map(str, declared.shape))}]" if declared.shape else declared.role


def _short(objective: str) -> str:
    """Return an objective on one line: of a model's text the line of the loss."""
    lines = [line.split("#")[0].strip() for line in objective.splitlines()]
    last = next((line for line in reversed(lines) if line), "")
    return last if len(last) <= 60 else f"{last[:57]}..."
