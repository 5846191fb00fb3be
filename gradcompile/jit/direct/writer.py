"""The instructions of one function of LLVM, as they are written down, and arithmetic on numbers."""

from __future__ import annotations

import ast
import re
import struct
from collections.abc import Iterable
from itertools import count

from gradcompile.jit.direct.kinds import (
    BIT,
    F32,
    F64,
    I64,
    U64,
    WHOLE,
    Scalar,
    UntranslatableError,
    Value,
    Vectors,
    bits_of,
    common,
)

REAL = {ast.Add: "fadd", ast.Sub: "fsub", ast.Mult: "fmul", ast.Div: "fdiv"}
INTEGER = {
    ast.Add: "add", ast.Sub: "sub", ast.Mult: "mul", ast.BitAnd: "and", ast.BitOr: "or", ast.BitXor: "xor",
    ast.LShift: "shl", ast.RShift: "ashr",
}  # fmt: skip
COMPARED = {
    ast.Lt: ("olt", "slt"), ast.LtE: ("ole", "sle"), ast.Gt: ("ogt", "sgt"), ast.GtE: ("oge", "sge"),
    ast.Eq: ("oeq", "eq"), ast.NotEq: ("une", "ne"),
}  # fmt: skip
POWERS = 64  # whole exponents up to which a power is written as products
SUFFIX = {F64: "f64", F32: "f32"}
CALLED = re.compile(r"@([\w.]+)\(")
DEFINED = re.compile(r"^define internal .*?@([\w.]+)\(", re.MULTILINE)
ONE_OF = re.compile(r"_ZGV_LLVM_N\d+v+_([\w.]+)\(")  # the function of numbers that one of vectors stands for
LOOP = re.compile(r"!llvm\.loop !(\d+)")
PURE = "attributes #0 = { nounwind willreturn memory(none) }"
ROLLED = '!{!"llvm.loop.unroll.runtime.disable"}'  # written out, a loop of unknown length grows, and is seldom faster


class Surroundings:
    """What the functions of a module have in common.

    Attributes
    ----------
    declared : dict of str to None
        The declarations of the functions outside that are called.
    vectors : dict of Vectors to str
        The declarations of those that LLVM may call in their place.
    several : dict of str to str
        Those of vectors that are written out late, by their names.
    """

    def __init__(self) -> None:
        self.declared: dict[str, None] = {}
        self.vectors: dict[Vectors, str] = {}
        self.several: dict[str, str] = {}
        self._loops: list[str] = []  # what is wanted of each

    def declare(self, declaration: str) -> None:
        """Note a function outside that is called."""
        self.declared[declaration] = None

    def loop(self, wanted: str) -> str:
        """Return what is said of a loop where it begins anew."""
        self._loops.append(wanted)
        return f"!llvm.loop !{len(self._loops)}"

    def module(self, functions: Iterable[str]) -> str:
        """Return the text of a module with functions; it is the same whatever else there is around."""
        text = "\n".join(functions)
        called, loops = set(CALLED.findall(text)), list(dict.fromkeys(LOOP.findall(text)))
        numbers = {f"!llvm.loop !{loop}": k for k, loop in enumerate(loops, start=1)}
        text = LOOP.sub(lambda found: f"!llvm.loop !{numbers[found[0]]}", text)
        declared = [each for each in self.declared if called.intersection(CALLED.findall(each))]
        named = self.several | {each.symbol: line for each, line in self.vectors.items()}
        told = "\n".join([*declared, text])
        vectors = {symbol: line for symbol, line in named.items() if f"({symbol})" in told}
        if kept := [*vectors, *_stood_for(told)]:  # nothing calls the first yet: they would be gone too early
            declared += [*vectors.values(), _used(kept)]
        wanted = [f"!{k} = distinct !{{!{k}, {self._loops[int(loop) - 1]}}}" for k, loop in enumerate(loops, start=1)]
        return "\n".join([*declared, text, PURE, *wanted, ""])


def _stood_for(text: str) -> list[str]:
    """Return the functions defined in a module in whose place LLVM may call others, of vectors.

    They keep all of their arguments: LLVM would drop one that is the same number in every call, and what is said of the
    others would not fit any more.
    """
    defined = set(DEFINED.findall(text))
    return [name for name in dict.fromkeys(ONE_OF.findall(text)) if name in defined]


def _used(names: Iterable[str]) -> str:
    """Return what has LLVM leave functions as they are until loops have become vectors."""
    each = [f"ptr @{name}" for name in names]
    return f'@llvm.compiler.used = appending global [{len(each)} x ptr] [{", ".join(each)}], section "llvm.metadata"'


class Writer:
    """The text of one function in the making.

    Parameters
    ----------
    flags : str
        What LLVM may do to arithmetic on reals.
    around : Surroundings
        What the module has for all of its functions.
    counts : bool
        Whether integers count something, so that none of them outgrows 64 bits, as those that are bits of reals do:
        LLVM sees then which indices cannot be negative.
    """

    def __init__(self, flags: str, around: Surroundings, *, counts: bool = True) -> None:
        self.flags, self.around, self.counts = flags, around, counts
        self.entry: list[str] = []  # what comes first: places for names
        self.out: list[str] = []
        self.block = "start"  # the label of the block that is being written
        self.fresh = count()

    def lines(self) -> list[str]:
        """Return what has been written, line by line."""
        return ["entry:", *self.entry, "  br label %start", "start:", *self.out]

    # Instructions

    def new(self, instruction: str) -> str:
        """Write an instruction; return the name of its result."""
        name = f"%t{next(self.fresh)}"
        self.out.append(f"  {name} = {instruction}")
        return name

    def do(self, instruction: str) -> None:
        """Write an instruction without a result."""
        self.out.append(f"  {instruction}")

    def place(self, kind: str) -> str:
        """Return a place in memory for a number, an address or a length."""
        name = f"%p{next(self.fresh)}"
        self.entry.append(f"  {name} = alloca {kind}")
        return name

    def label(self) -> str:
        """Return a name for a block."""
        return f"b{next(self.fresh)}"

    def begin(self, label: str) -> None:
        """Begin a block."""
        self.out.append(f"{label}:")
        self.block = label

    def jump(self, label: str) -> None:
        """Go on with another block."""
        self.do(f"br label %{label}")

    def again(self, label: str, wanted: str = ROLLED) -> None:
        """Go on with the test of a loop."""
        self.do(f"br label %{label}, {self.around.loop(wanted)}")

    def branch(self, condition: str, yes: str, no: str) -> None:
        """Go on with one of two blocks."""
        self.do(f"br i1 {condition}, label %{yes}, label %{no}")

    def called(self, kind: str, name: str, arguments: list[str], traits: str = "#0", told: str = "") -> str:
        """Call a function outside, of arguments that are written with their types; return the name of the result.

        LLVM may be `told` something about this call.
        """
        types = ", ".join(each.rsplit(" ", 1)[0] for each in arguments)
        self.around.declare(f"declare {kind} @{name}({types}) {traits}")
        flags = self.flags if kind in ("double", "float") else ""
        call = f"call{flags} {kind} @{name}({', '.join(arguments)}){told}"
        if kind != "void":
            return self.new(call)
        self.do(call)
        return ""

    # Numbers

    def convert(self, value: Value, kind: Scalar) -> Value:
        """Return a number as one of another type."""
        have = value.scalar
        if have == kind:
            return value
        if kind == BIT:
            return self.truth(value)
        if value.literal is not None and kind.real:
            number = float(value.literal)
            rounded = struct.unpack("f", struct.pack("f", number))[0] if kind == F32 and abs(number) < 3e38 else number
            if kind == F64 or abs(number) < 3e38:
                literal = rounded if isinstance(value.literal, float) else value.literal
                return Value(kind, (bits_of(rounded),), literal)
        return Value(kind, (self._cast(value.parts[0], have, kind),), value.literal)

    def _cast(self, text: str, have: Scalar, kind: Scalar) -> str:
        if have.llvm == kind.llvm:
            return text
        if have.real and kind.real:
            word = "fpext" if kind == F64 else "fptrunc"
        elif have.real:
            word = "fptoui" if kind == U64 else "fptosi"
        elif kind.real:
            word = "uitofp" if have == BIT or have.name.startswith("u") else "sitofp"
        elif have.width > kind.width:
            word = "trunc"
        else:
            word = "zext" if have == BIT or have.name.startswith("u") else "sext"
        return self.new(f"{word} {have.llvm} {text} to {kind.llvm}")

    def truth(self, value: Value) -> Value:
        """Return whether a number is not 0."""
        kind = value.scalar
        if kind == BIT:
            return value
        zero = "fcmp une" if kind.real else "icmp ne"
        return Value(BIT, (self.new(f"{zero} {kind.llvm} {value.text}, {'0.0' if kind.real else '0'}"),))

    def whole(self, value: Value) -> str:
        """Return an integer as one of 64 bits."""
        if value.scalar.real:
            raise UntranslatableError("a real number where an integer is needed")
        return self.convert(value, I64).text

    def arithmetic(self, op: type[ast.operator], left: Value, right: Value) -> Value:
        """Return what an operation makes of two numbers."""
        kind = common(left.scalar, right.scalar)
        if op is ast.Div and not kind.real:
            kind = F64
        a, b = self.convert(left, kind).text, self.convert(right, kind).text
        if kind.real:
            return Value(kind, (self._real(op, kind, a, b),))
        if op in (ast.FloorDiv, ast.Mod):
            return Value(kind, (self._divided(op, kind, a, b),))
        if op not in INTEGER:
            raise UntranslatableError(op.__name__)
        word = "lshr" if op is ast.RShift and kind == U64 else INTEGER[op]
        counts = " nsw" if self.counts and kind == I64 and word in ("add", "sub", "mul") else ""
        return Value(kind, (self.new(f"{word}{counts} i64 {a}, {b}"),))

    def _real(self, op: type[ast.operator], kind: Scalar, a: str, b: str) -> str:
        if op is ast.Mod:
            return self._remainder(kind, a, b)
        if op is ast.FloorDiv:
            quotient = self.new(f"fdiv {kind.llvm} {a}, {b}")
            return self.called(kind.llvm, f"llvm.floor.{SUFFIX[kind]}", [f"{kind.llvm} {quotient}"])
        if op not in REAL:
            raise UntranslatableError(op.__name__)
        return self.new(f"{REAL[op]}{self.flags} {kind.llvm} {a}, {b}")

    def _divided(self, op: type[ast.operator], kind: Scalar, a: str, b: str) -> str:
        """Return Python's quotient or remainder of integers, rounded down; of a division by 0, 0."""
        if kind == U64:
            raise UntranslatableError(op.__name__)
        if b.isdigit() and b != "0":  # what it is rounded by is then a shift, or a product
            divisor = b
        else:
            none = self.new(f"icmp eq i64 {b}, 0")
            divisor = self.new(f"select i1 {none}, i64 1, i64 {b}")
        quotient, rest = self.new(f"sdiv i64 {a}, {divisor}"), self.new(f"srem i64 {a}, {divisor}")
        signs = self.new(f"xor i64 {rest}, {divisor}")
        negative, some = self.new(f"icmp slt i64 {signs}, 0"), self.new(f"icmp ne i64 {rest}, 0")
        lower = self.new(f"and i1 {negative}, {some}")
        if op is ast.Mod:
            moved = self.new(f"add i64 {rest}, {divisor}")
            found = self.new(f"select i1 {lower}, i64 {moved}, i64 {rest}")
        else:
            moved = self.new(f"sub i64 {quotient}, 1")
            found = self.new(f"select i1 {lower}, i64 {moved}, i64 {quotient}")
        return found if divisor == b else self.new(f"select i1 {none}, i64 0, i64 {found}")

    def _remainder(self, kind: Scalar, a: str, b: str) -> str:
        """Return Python's remainder of reals, which has the sign of the divisor."""
        llvm = kind.llvm
        rest = self.new(f"frem {llvm} {a}, {b}")
        shifted = self.new(f"fadd {llvm} {rest}, {b}")
        signs = [self.new(f"fcmp olt {llvm} {each}, 0.0") for each in (rest, b)]
        differ = self.new(f"xor i1 {signs[0]}, {signs[1]}")
        exact = self.new(f"fcmp oeq {llvm} {rest}, 0.0")
        signed = self.called(llvm, f"llvm.copysign.{SUFFIX[kind]}", [f"{llvm} {rest}", f"{llvm} {b}"])
        moved = self.new(f"select i1 {differ}, {llvm} {shifted}, {llvm} {rest}")
        return self.new(f"select i1 {exact}, {llvm} {signed}, {llvm} {moved}")

    def compare(self, op: type[ast.cmpop], left: Value, right: Value) -> Value:
        """Return whether two numbers are so related."""
        if op not in COMPARED:
            raise UntranslatableError(op.__name__)
        kind = common(left.scalar, right.scalar)
        a, b = self.convert(left, kind).text, self.convert(right, kind).text
        real, integer = COMPARED[op]
        if kind == U64:
            integer = integer.replace("s", "u") if integer not in ("eq", "ne") else integer
        return Value(BIT, (self.new(f"{f'fcmp {real}' if kind.real else f'icmp {integer}'} {kind.llvm} {a}, {b}"),))

    def negative(self, value: Value) -> Value:
        """Return a number with its sign changed."""
        kind = value.scalar
        if value.literal is not None and kind != BIT and kind != U64:
            opposite = -value.literal
            if kind.real:
                return self.convert(Value(F64, (bits_of(opposite),), opposite), kind)
            return Value(kind, (str(int(opposite)),), opposite)
        if kind.real:
            return Value(kind, (self.new(f"fneg{self.flags} {kind.llvm} {value.text}"),))
        if kind not in WHOLE:
            raise UntranslatableError("a number without a sign")
        return Value(I64, (self.new(f"sub i64 0, {self.whole(value)}"),))

    def select(self, condition: str, first: Value, second: Value) -> Value:
        """Return one of two numbers."""
        kind = first.scalar if first.type == second.type else common(first.scalar, second.scalar)
        a, b = self.convert(first, kind).text, self.convert(second, kind).text
        return Value(kind, (self.new(f"select i1 {condition}, {kind.llvm} {a}, {kind.llvm} {b}"),))

    def smaller(self, op: type[ast.cmpop], first: Value, second: Value) -> Value:
        """Return what Python's min and max return: the first, unless the second is smaller or larger."""
        return self.select(self.compare(op, second, first).text, second, first)

    def power(self, base: Value, exponent: Value) -> Value:
        """Return a power, of an integer as exponent by products."""
        kind = base.scalar if base.scalar.real else F64 if exponent.scalar.real else I64
        if isinstance(exponent.literal, int) and abs(exponent.literal) <= POWERS:
            return self._product(self.convert(base, kind), exponent.literal)
        if not kind.real:
            raise UntranslatableError("a power of an integer")
        x = self.convert(base, kind).text
        if not exponent.scalar.real:
            return Value(kind, (self._whole_power(kind, x, self.whole(exponent)),))
        kind = common(base.scalar, exponent.scalar)
        a, b = self.convert(base, kind).text, self.convert(exponent, kind).text
        return Value(
            kind, (self.called(kind.llvm, f"llvm.pow.{SUFFIX[kind]}", [f"{kind.llvm} {a}", f"{kind.llvm} {b}"]),)
        )

    def _product(self, base: Value, exponent: int) -> Value:
        kind, rest = base.scalar, abs(exponent)
        if exponent < 0 and not kind.real:
            raise UntranslatableError("a power of an integer")
        if exponent == 0:
            return Value(kind, (bits_of(1.0) if kind.real else "1",))
        result, square = None, base
        while rest:
            if rest & 1:
                result = square if result is None else self.arithmetic(ast.Mult, result, square)
            rest >>= 1
            if rest:
                square = self.arithmetic(ast.Mult, square, square)
        assert result is not None
        if exponent > 0:
            return result
        return self.arithmetic(ast.Div, Value(kind, (bits_of(1.0),)), result)

    def _whole_power(self, kind: Scalar, base: str, exponent: str) -> str:
        """Return a power with an integer that the text does not give: products in a loop, one for each bit."""
        llvm, one = kind.llvm, bits_of(1.0)
        places = self.place(llvm), self.place(llvm), self.place("i64")
        size = self.called("i64", "llvm.abs.i64", [f"i64 {exponent}", "i1 false"])
        for what, where in zip((f"{llvm} {one}", f"{llvm} {base}", f"i64 {size}"), places, strict=True):
            self.do(f"store {what}, ptr {where}")
        test, loop, after = self.label(), self.label(), self.label()
        self.jump(test)
        self.begin(test)
        left = self.new(f"load i64, ptr {places[2]}")
        self.branch(self.new(f"icmp ne i64 {left}, 0"), loop, after)
        self.begin(loop)
        square, total = self.new(f"load {llvm}, ptr {places[1]}"), self.new(f"load {llvm}, ptr {places[0]}")
        more = self.new(f"fmul{self.flags} {llvm} {total}, {square}")
        odd = self.new(f"trunc i64 {left} to i1")
        self.do(f"store {llvm} {self.new(f'select i1 {odd}, {llvm} {more}, {llvm} {total}')}, ptr {places[0]}")
        self.do(f"store {llvm} {self.new(f'fmul{self.flags} {llvm} {square}, {square}')}, ptr {places[1]}")
        self.do(f"store i64 {self.new(f'lshr i64 {left}, 1')}, ptr {places[2]}")
        self.jump(test)
        self.begin(after)
        found = self.new(f"load {llvm}, ptr {places[0]}")
        inverse = self.new(f"fdiv{self.flags} {llvm} {one}, {found}")
        below = self.new(f"icmp slt i64 {exponent}, 0")
        return self.new(f"select i1 {below}, {llvm} {inverse}, {llvm} {found}")
