"""Graphs of derivatives beyond the gradient: along directions, back from cotangents, and of the gradient itself.

Each is made of the two modes of differentiation and nothing else. A direction, or a cotangent, is a further input
``v_W`` (``u``) after the others. With `along`, that input has one more axis, which numbers several of them: one call
of the compiled code then does what many would, and its innermost loop runs over all of them.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import replace

from gradcompile.adjoint import adjoint
from gradcompile.ir import Axis, Graph, Input, Size, Value, free_axes
from gradcompile.passes import entropies, optimise, prepare, products_of_others, radial
from gradcompile.tangent import tangent, tangents
from gradcompile.verify import verify


def free_name(name: str, taken: Container[str]) -> str:
    """Return a name that no argument and no size has."""
    while name in taken:
        name += "_"
    return name


def sizes_named(graph: Graph) -> set[str]:
    """Return the names of inputs and sizes, which the name of a further one must differ from."""
    sizes = (size for declared in graph.inputs.values() for size in declared.shape)
    return {*graph.inputs, *(name for size in sizes for name, _ in size.terms)}


def seeds_of(graph: Graph) -> dict[str, str]:
    """Return the name of the input that holds the direction of each parameter."""
    return {name: free_name(f"v_{name}", graph.inputs) for name in graph.wrt}


def numbering(lowered: Graph, letter: str = "directions") -> Axis:
    """Return the axis that numbers directions or cotangents."""
    return Axis(Size.of(free_name(letter, sizes_named(lowered))))


def pushed(lowered: Graph, along: Axis | None = None) -> Graph:
    """Return the graph of the objective's derivative along a direction: the Jacobian times ``v``; output ``jvp``."""
    return _moved(verify(prepare(lowered)), {"value": "jvp"}, along)


def curved(lowered: Graph, along: Axis | None = None) -> Graph:
    """Return the graph of the Hessian times a direction; an output ``h<name>`` for every parameter."""
    both = _differentiated(lowered)
    return _moved(both, {f"d{name}": f"h{name}" for name in lowered.wrt}, along)


def pulled(lowered: Graph, along: Axis | None = None) -> Graph:
    """Return the graph of ``u`` times the Jacobian; an output ``d<name>`` for every parameter."""
    stable, more = verify(prepare(lowered)), () if along is None else (along,)
    axes = stable.output_axes("value")
    factor = Input(free_name("u", lowered.inputs), tuple(axis.size for axis in (*axes, *more)))
    # the input's own axes are numbered by its dimensions; the objective's may be others of the same sizes
    given = stable.builder.input(factor.name, factor.axes)
    cotangent = relabelled(given, dict(zip(factor.axes, (*axes, *more), strict=True)))
    both = adjoint(replace(stable, inputs=stable.inputs | {factor.name: factor}), cotangent)
    outputs = {f"d{name}": both.outputs[f"d{name}"] for name in lowered.wrt}
    own = {f"d{name}": (*lowered.inputs[name].axes, *more) for name in lowered.wrt}
    return _simplified(both, outputs, own)


def jacobian(lowered: Graph) -> Graph:
    """Return the graph of all derivatives of the objective; an output ``j<name>`` for every parameter.

    Its axes are those of the objective and then those of the parameter. The direction that moves one entry of a
    parameter is 1 there and 0 elsewhere; it stays a comparison of indices, so nothing is multiplied by its zeros.
    """
    stable = verify(prepare(lowered))
    outputs, axes = {}, {}
    for name in lowered.wrt:
        seed, places = unit(stable, name)
        outputs[f"j{name}"] = tangents(stable, {name: seed})[stable.outputs["value"]] or stable.builder.const(0)
        axes[f"j{name}"] = (*stable.output_axes("value"), *places)
    return _simplified(stable, outputs, axes)


def hessian(lowered: Graph) -> Graph:
    """Return the graph of all second derivatives; outputs ``h<k>,<l>`` for parameters k, and l not before it."""
    both = _differentiated(lowered)
    outputs, axes = {}, {}
    for first, name in enumerate(lowered.wrt):
        seed, places = unit(both, name)
        known = tangents(both, {name: seed})
        for other in lowered.wrt[: first + 1]:
            outputs[f"h{other},{name}"] = known[both.outputs[f"d{other}"]] or both.builder.const(0)
            axes[f"h{other},{name}"] = (*lowered.inputs[other].axes, *places)
    return _simplified(both, outputs, axes)


def _differentiated(lowered: Graph) -> Graph:
    """Return the graph with its gradient, to be differentiated again."""
    return verify(products_of_others(entropies(adjoint(verify(prepare(radial(lowered)))))))


def unit(graph: Graph, name: str) -> tuple[Value, tuple[Axis, ...]]:
    """Return the directions that move one entry of a parameter each, and the axes that number the entries."""
    builder, own = graph.builder, graph.inputs[name].axes
    used = set(free_axes(graph.order()))
    places: list[Axis] = []
    for axis in own:
        number = 1 + max((other.number for other in (*used, *places) if other.size == axis.size), default=0)
        places.append(Axis(axis.size, number))
    seed = builder.const(1)
    for axis, place in zip(own, places, strict=True):
        here = builder.apply("eq", builder.iota(axis), builder.iota(place))
        seed = builder.apply("select", here, seed, 0)
    return seed, tuple(places)


def relabelled(value: Value, axes: Mapping[Axis, Axis]) -> Value:
    """Return a value under other names of its axes."""
    return value.builder.read(value, [value.builder.iota(axes[a]) for a in value.axes]) if value.axes else value


def _moved(graph: Graph, names: Mapping[str, str], along: Axis | None) -> Graph:
    """Return the tangents of some outputs, under other names."""
    outputs = {name: graph.outputs[name] for name in names}
    moving = tangent(replace(graph, outputs=outputs), seeds_of(graph), along)
    return _simplified(
        moving,
        {names[name]: value for name, value in moving.outputs.items()},
        {names[name]: moving.output_axes(name) for name in moving.outputs},
    )


def _simplified(graph: Graph, outputs: dict[str, Value], axes: dict[str, tuple[Axis, ...]]) -> Graph:
    """Return a program with these outputs alone, after the passes."""
    return verify(optimise(verify(replace(graph, outputs=outputs, axes=axes, wrt=(), cotangents={}))))
