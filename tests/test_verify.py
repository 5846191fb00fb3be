import pytest

from gradcompile.errors import GradcompileError
from gradcompile.ir import Axis, Builder, Graph, Input, Size, Value
from gradcompile.verify import verify

N, D = Axis(Size.of("N")), Axis(Size.of("D"))


def graph(builder: Builder, value: Value) -> Graph:
    inputs = {v.attr: Input(v.attr, tuple(a.size for a in v.axes), v.kind) for v in builder.values if v.op == "input"}
    return Graph(builder, inputs, {"value": value})


def test_what_a_builder_makes_is_well_formed():
    b = Builder()
    x, w = b.input("x", (N, D)), b.input("w", (D,))
    y = b.reduce("sum", x * w, [D])
    z = b.apply("select", b.apply("lt", y, 0), b.const(0), b.apply("maximum", y, 1, 2))
    verify(graph(b, b.accumulate(z, [b.iota(N)], (N,))))


def mistakes():
    b = Builder()
    x, f = b.input("x", (N, D)), b.input("f", (N,))
    condition = b.apply("lt", f, 0)
    yield "axes", b, b.make("neg", (x,), (N,), "real")
    yield "axes", b, b.make("add", (x, f), (N,), "real")
    yield "reduces", b, b.make("sum", (f,), (N,), "real", (D,))
    yield "reduces", b, b.make("sum", (f,), (N,), "real", ())
    yield "whole number", b, b.make("read", (f, f), (N,), "real")
    yield "one index", b, b.make("read", (x, b.iota(N)), (N,), "real")
    yield "condition", b, b.make("select", (f, f, f), (N,), "real")
    yield "operands", b, b.make("exp", (f, f), (N,), "real")
    yield "bool", b, b.make("lt", (condition, f), (N,), "real")
    yield "no operation", b, b.make("frobnicate", (f,), (N,), "real")
    yield "square", b, b.make("inverse", (x,), (N, D), "real", (N, D))
    yield "twice", b, b.make("input", (), (N, N), "real", "g")
    yield "number is", b, b.make("const", (), (), "int", 1.5)


@pytest.mark.parametrize(("what", "builder", "value"), list(mistakes()))
def test_a_mistake_is_named(what, builder, value):
    with pytest.raises(GradcompileError, match=what):
        verify(graph(builder, value))


def test_an_operand_is_older_than_its_value():
    b = Builder()
    x = b.input("x", ())
    y = b.apply("exp", x)
    x.operands = (y,)
    x.op, x.number = "exp", 5
    with pytest.raises(GradcompileError, match="younger"):
        verify(Graph(b, {}, {"value": y}))


def test_inputs_are_declared():
    b = Builder()
    with pytest.raises(GradcompileError, match="declares"):
        verify(Graph(b, {}, {"value": b.input("x", ())}))
    with pytest.raises(GradcompileError, match="parameter w"):
        verify(Graph(b, {}, {"value": b.const(1)}, wrt=("w",)))
