"""Small graphs built by hand, for the tests of the stages between lowering and emission."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from gradcompile.ir import Axis, Builder, Graph, Input, Size, Value

N, D, C, K = (Axis(Size.of(name)) for name in "NDCK")
D1 = Axis(Size.of("D"), 1)
LETTERS = {N: "s", D: "j", C: "i", K: "k", D1: "m"}
SIZES = {"N": 6, "D": 4, "C": 3, "K": 2}


@dataclass(frozen=True)
class Case:
    """A graph with inputs for it."""

    graph: Graph
    inputs: dict[str, np.ndarray]


def case(
    build: Callable[[Builder, dict[str, Value]], Value],
    shapes: dict[str, tuple[Axis, ...]],
    wrt: str,
    seed: int = 0,
    labels: str = "",
    sample: Axis | None = None,
    positive: str = "",
) -> Case:
    """Return a graph whose objective `build` makes from inputs of these shapes; names in `labels` index the axis C."""
    builder, random = Builder(), np.random.default_rng(seed)
    inputs, arrays = {}, {}
    for name, axes in shapes.items():
        kind = "int" if name in labels.split() else "real"
        role = "parameter" if name in wrt.split() else "labels" if kind == "int" else "data" if axes else "constant"
        inputs[name] = Input(name, tuple(a.size for a in axes), kind, role)
        shape = tuple(SIZES[str(a.size)] for a in axes)
        arrays[name] = random.integers(0, SIZES["C"], shape) if kind == "int" else random.normal(size=shape)
        if name in positive.split():
            arrays[name] = np.abs(arrays[name]) + 0.5
    values = {name: builder.input(name, i.axes, i.kind) for name, i in inputs.items()}
    graph = Graph(
        builder, inputs, {"value": build(builder, values)}, {}, LETTERS, wrt=tuple(wrt.split()), sample=sample
    )
    return Case(graph, arrays)


def softmax(builder: Builder, v: dict[str, Value]) -> Value:
    """The lecture's softmax classifier, with the label at the leaves."""

    def y(c: Value) -> Value:
        return builder.reduce("sum", v["x"] * builder.read(v["W"], (builder.iota(D), c)), [D]) + builder.read(
            v["b"], (c,)
        )

    def e(c: Value) -> Value:
        return builder.apply("exp", y(c))

    p = e(v["gt"]) / builder.reduce("sum", e(builder.iota(C)), [C])
    penalty = builder.reduce("sum", v["W"] ** 2, [D, C]) + builder.reduce("sum", v["b"] ** 2, [C])
    return -builder.reduce("sum", builder.apply("log", p), [N]) + v["lam"] * penalty


def select_of_root(builder: Builder, v: dict[str, Value]) -> Value:
    """``where(w > 0, sqrt(w), w**2)``, summed: the branch that is not taken is not a number."""
    root = builder.apply("select", builder.apply("gt", v["w"], 0), builder.apply("sqrt", v["w"]), v["w"] ** 2)
    return builder.reduce("sum", root * v["c"], [D])


def share_of_total(b: Builder, v: dict[str, Value]) -> Value:
    """``sum_s tanh(z[s]/sum_r z[r])``: each sample needs the sum over all."""
    z = b.apply("exp", b.reduce("sum", v["x"] * v["w"], [D]))
    return b.reduce("sum", b.apply("tanh", z / b.reduce("sum", z, [N])), [N])


CASES: dict[str, Case] = {
    "scalars": case(lambda b, v: 1 + b.apply("exp", v["x"] * v["w"] + v["c"]), {"x": (), "w": (), "c": ()}, "x w c"),
    "softmax": case(
        softmax, {"W": (D, C), "b": (C,), "x": (N, D), "gt": (N,), "lam": ()}, "W b", labels="gt", sample=N
    ),
    "branch": case(select_of_root, {"w": (D,), "c": (D,)}, "w"),
    "product": case(
        lambda b, v: b.reduce("sum", b.reduce("prod", v["w"], [D]) * v["c"], [C]), {"w": (D, C), "c": (C,)}, "w c"
    ),
    "maximum": case(
        lambda b, v: b.reduce("sum", b.reduce("max", v["w"] * v["c"], [D]), [C]), {"w": (D, C), "c": (C,)}, "w c"
    ),
    "relu": case(
        lambda b, v: b.reduce("sum", b.apply("maximum", v["w"], 0) * v["c"], [D]), {"w": (D,), "c": (D,)}, "w"
    ),
    "transposed": case(
        lambda b, v: b.reduce("sum", v["w"] * b.read(v["w"], [b.iota(D1), b.iota(D)]) * v["c"], [D, D1]),
        {"w": (D, D1), "c": (D,)},
        "w c",
    ),
    "gathered": case(
        lambda b, v: b.reduce("sum", (b.read(v["w"], [v["g"]]) - b.read(v["w"], [v["h"]])) ** 2 * v["t"], [N]),
        {"w": (C,), "g": (N,), "h": (N,), "t": (N,)},
        "w",
        labels="g h",
        sample=N,
    ),
    "root of a sum": case(
        lambda b, v: b.apply("sqrt", b.reduce("sum", (b.reduce("sum", v["x"] * v["w"], [D]) - v["t"]) ** 2, [N])),
        {"w": (D,), "x": (N, D), "t": (N,)},
        "w",
    ),
    "share of a total": case(share_of_total, {"w": (D,), "x": (N, D)}, "w"),
    "unused axis": case(
        lambda b, v: b.reduce("sum", v["w"] * 3, [N, D]) * v["c"], {"w": (D,), "c": (), "x": (N,)}, "w c"
    ),
    "inverse": case(
        lambda b, v: b.reduce(
            "sum",
            b.matrix(
                "inverse",
                (v["w"] + 3 * b.apply("select", b.apply("eq", b.iota(D), b.iota(D1)), 1, 0),),
                (D, D1),
                (D, D1),
            )
            * v["c"],
            [D, D1],
        ),
        {"w": (D, D1), "c": (D,)},
        "w c",
    ),
    "log determinant": case(
        lambda b, v: b.matrix(
            "logdet", (v["w"] + 3 * b.apply("select", b.apply("eq", b.iota(D), b.iota(D1)), 1, 0),), (), (D, D1)
        ),
        {"w": (D, D1)},
        "w",
    ),
}
