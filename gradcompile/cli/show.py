"""`gradcompile show`: what a model says, and what the compiler found in it."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from gradcompile.cli import drawing, given, terminal

if TYPE_CHECKING:
    from gradcompile.ir import Graph, Input

EXAMPLES = """\
examples:
  gradcompile show softmax
  gradcompile show my.model --loss other
  gradcompile show "log(1 + exp(-t*(w*x + b)))" --wrt w,b --columns x,t
  gradcompile show softmax --json
"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    given.arguments(parser)
    given.untrusted(parser)
    terminal.arguments(parser, json="the same as a line of JSON")


def run(chosen: argparse.Namespace) -> int:
    """Print what there is to say of a model; return the exit status."""
    from gradcompile.lower import lower

    found = given.read(chosen)
    graph = lower(found.model)
    if chosen.json:
        terminal.result_as_json(_facts(found, graph))
        return 0
    rows = [(i.name, i.role, _axes(i), "" if i.default is None else f"{i.default:g}") for i in graph.inputs.values()]
    terminal.result(f"{found.name}\n")
    terminal.table(("name", "role", "axes", "default>"), rows)
    terminal.result("\n".join(_findings(found, graph)))
    for name, formula in _formulas(found.model):
        terminal.result(f"\n{name} =\n\n{_indented(formula)}")
    return 0


def _axes(declared: Input) -> str:
    return f"[{', '.join(map(str, declared.shape))}]" if declared.shape else "number"


def _sizes(graph: Graph) -> list[str]:
    """Return the names of the sizes, in the order in which the inputs declare them."""
    sizes = (size for declared in graph.inputs.values() for size in declared.shape)
    return list(dict.fromkeys(name for size in sizes for name, _ in size.terms))


def _findings(found: given.Given, graph: Graph) -> Iterator[str]:
    """Yield what the compiler found, a sentence a line."""
    from gradcompile.minibatch import why_not

    sizes = _sizes(graph)
    yield f"sizes:        {', '.join(sizes) if sizes else 'none'}"
    reason = why_not(graph)
    if graph.sample is None:
        yield (
            f"samples:      none; the objective is not a sum over samples: {reason}" if reason else "samples:      none"
        )
        return
    yield f"samples:      {graph.letter(graph.sample)}, of {graph.sample.size}: minibatches estimate the gradient"
    yield f"regulariser:  {_regulariser(found.model) or 'none'}"


def _regulariser(model: Any) -> str:
    """Return the terms of the objective that do not depend on data, as text."""
    import sympy

    return " + ".join(
        drawing.written(term) for term in sympy.Add.make_args(model.objective) if not _touches_data(term, model)
    )


def _touches_data(term: Any, model: Any) -> bool:
    """Return whether a term depends on what has samples, through definitions too."""
    constants = set(model.defaults)
    names = {str(symbol) for symbol in (*model.inputs, *model.data)} - constants
    bodies = {str(getattr(key, "base", key)): body for key, body in model.definitions.items()}
    seen: set[str] = set()
    waiting = [term]
    while waiting:
        mentioned = {str(getattr(atom, "base", atom)) for atom in waiting.pop().free_symbols} - seen
        seen |= mentioned
        waiting += [bodies[name] for name in mentioned if name in bodies]
    return bool(seen & names)


def _formulas(model: Any) -> Iterator[tuple[str, Any]]:
    """Yield the definitions and the objective."""
    for key, body in model.definitions.items():
        yield str(key), body
    if model.objective not in model.definitions:
        yield "objective" if not model.data else "objective, the mean over the samples of", model.objective


def _indented(formula: Any) -> str:
    """Return a formula drawn as on paper."""
    return "\n".join(f"    {line}".rstrip() for line in drawing.drawn(formula).splitlines())


def _facts(found: given.Given, graph: Graph) -> dict[str, Any]:
    return {
        "model": found.name,
        "inputs": [
            {"name": i.name, "role": i.role, "kind": i.kind, "axes": list(map(str, i.shape)), "default": i.default}
            for i in graph.inputs.values()
        ],
        "sizes": _sizes(graph),
        "samples": None if graph.sample is None else str(graph.sample.size),
        "regulariser": _regulariser(found.model) if graph.sample is not None else "",
        "formulas": {name: drawing.written(formula) for name, formula in _formulas(found.model)},
        "outputs": list(found.model.outputs),
    }
