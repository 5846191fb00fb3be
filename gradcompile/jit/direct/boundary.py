"""Between Python and LLVM: a function of LLVM that takes and returns Python's objects.

It is what ``METH_FASTCALL`` of CPython asks for. Arguments are floats, integers and arrays in C order; results are
floats, integers, tuples, and arrays whose memory NumPy frees.
"""

from __future__ import annotations

from gradcompile.jit.direct.body import SINGULAR, returned_kind, returned_parts
from gradcompile.jit.direct.kinds import (
    BIT,
    F64,
    I64,
    Array,
    Function,
    Scalar,
    Several,
    Type,
    UntranslatableError,
    Value,
    held,
)
from gradcompile.jit.direct.sharing import Definition
from gradcompile.jit.direct.writer import Writer

ENTRY, TABLE = "gradcompile.entry", "gradcompile.table"
ARRAY_TYPE, ARRAY_NEW, ERROR = range(3)  # places in the table: addresses of NumPy's in this process
MESSAGE = "gradcompile.message"
SAYS = "Matrix is singular to machine precision, or has elements that are not finite."
TYPE, DATA, RANK, LENGTHS, DESCRIPTION, FLAGS = 8, 16, 24, 32, 56, 64  # bytes from the beginning of an array object
ORDER, NUMBER = 26, 28  # and of a description: the byte order, and the number of the type
DENSE, OWNED, ALIGNED, WRITEABLE = 1, 4, 0x100, 0x400  # flags of an array
SWAPPED = ord(">")
OBJECT = "nounwind"  # the trait of Python's functions


def entry(writer: Writer, function: Function) -> Definition:
    """Return the function that Python calls.

    Parameters
    ----------
    writer : Writer
        An empty one.
    function : Function
        What is to be called.
    """
    return _Entry(writer).definition(function)


class _Entry:
    """The function in the making."""

    def __init__(self, writer: Writer) -> None:
        self.writer = writer
        self.failure = writer.place("i32")  # how the function fails

    def definition(self, function: Function) -> Definition:
        """Return the function: it raises a TypeError, a MemoryError, or NumPy's LinAlgError."""
        writer, arguments = self.writer, list[str]()
        self._demand(writer.new(f"icmp eq i64 %count, {len(function.types)}"))
        for k, kind in enumerate(function.types):
            at = writer.new(f"getelementptr ptr, ptr %arguments, i64 {k}")
            given = self._given(writer.new(f"load ptr, ptr {at}"), kind)
            arguments += [f"{h} {part}" for h, part in zip(held(kind), given, strict=True)]
        state = writer.called("ptr", "PyEval_SaveThread", [], OBJECT) if function.nogil else ""
        returned = returned_kind(function.result, function.fails)
        found = writer.new(f"call {returned} @{function.symbol}({', '.join(arguments)})")
        if function.nogil:
            writer.called("void", "PyEval_RestoreThread", [f"ptr {state}"], OBJECT)
        writer.do(f"ret ptr {self._object(Value(function.result, self._parts(function, returned, found)))}")
        self._end("mistaken", "i32 @PyErr_BadArgument()")
        self._end("exhausted", "ptr @PyErr_NoMemory()")
        if function.fails:
            self._singular()
        self._end("raised")
        head = f"ptr @{ENTRY}(ptr %self, ptr %arguments, i64 %count)"
        table = f"@{TABLE} = global [3 x ptr] zeroinitializer"
        table += f'\n@{MESSAGE} = private constant [{len(SAYS) + 1} x i8] c"{SAYS}\\00"' if function.fails else ""
        return Definition(ENTRY, head, writer.lines(), apart=True, beside=table)

    def _demand(self, condition: str) -> None:
        """Go on where a condition holds; else it was called by mistake."""
        good = self.writer.label()
        self.writer.branch(condition, good, "mistaken")
        self.writer.begin(good)

    def _end(self, label: str, call: str = "") -> None:
        """End with an exception, or with the one that there is."""
        self.writer.begin(label)
        if call:
            self.writer.around.declare(f"declare {call} {OBJECT}")
            self.writer.do(f"call {call}")
        self.writer.do("ret ptr null")

    def _singular(self) -> None:
        """End where a function has failed: with an error of linear algebra, or for want of memory."""
        self.writer.begin("failed")
        other = self.writer.label()
        code = self.writer.new(f"load i32, ptr {self.failure}")
        self.writer.branch(self.writer.new(f"icmp eq i32 {code}, {SINGULAR}"), other, "exhausted")
        self.writer.begin(other)
        self.writer.called("void", "PyErr_SetString", [f"ptr {self._table(ERROR)}", f"ptr @{MESSAGE}"], OBJECT)
        self.writer.do("ret ptr null")

    # Arguments

    def _given(self, it: str, kind: Type) -> list[str]:
        """Return what LLVM holds of an object."""
        if isinstance(kind, Array):
            return self._array(it, kind)
        if not isinstance(kind, Scalar) or kind.name not in ("float64", "int64"):
            raise UntranslatableError("an argument of another type")
        name, none = ("PyFloat_AsDouble", "fcmp une double {}, -1.0") if kind.real else (
            "PyLong_AsLongLong", "icmp ne i64 {}, -1")  # fmt: skip
        number = self.writer.called(kind.llvm, name, [f"ptr {it}"], OBJECT)
        error, good = self.writer.label(), self.writer.label()
        self.writer.branch(self.writer.new(none.format(number)), good, error)
        self.writer.begin(error)
        raised = self.writer.called("ptr", "PyErr_Occurred", [], OBJECT)
        self.writer.branch(self.writer.new(f"icmp eq ptr {raised}, null"), good, "raised")
        self.writer.begin(good)
        return [number]

    def _field(self, it: str, offset: int, kind: str) -> str:
        at = self.writer.new(f"getelementptr i8, ptr {it}, i64 {offset}")
        return self.writer.new(f"load {kind}, ptr {at}")

    def _array(self, it: str, kind: Array) -> list[str]:
        new = self.writer.new
        own, wanted = self._field(it, TYPE, "ptr"), self._table(ARRAY_TYPE)
        exact, other, good = new(f"icmp eq ptr {own}, {wanted}"), self.writer.label(), self.writer.label()
        self.writer.branch(exact, good, other)
        self.writer.begin(other)
        below = self.writer.called("i32", "PyType_IsSubtype", [f"ptr {own}", f"ptr {wanted}"], OBJECT)
        self.writer.branch(new(f"icmp ne i32 {below}, 0"), good, "mistaken")
        self.writer.begin(good)
        description = self._field(it, DESCRIPTION, "ptr")
        flags = new(f"and i32 {self._field(it, FLAGS, 'i32')}, {DENSE | ALIGNED}")
        conditions = [
            f"icmp eq i32 {self._field(it, RANK, 'i32')}, {kind.rank}",
            f"icmp eq i32 {flags}, {DENSE | ALIGNED}",
            f"icmp eq i32 {self._field(description, NUMBER, 'i32')}, {kind.dtype.number}",
            f"icmp ne i8 {self._field(description, ORDER, 'i8')}, {SWAPPED}",
        ]
        for each in conditions:
            self._demand(new(each))
        lengths = self._field(it, LENGTHS, "ptr")
        return [self._field(it, DATA, "ptr"), *(self._field(lengths, 8 * k, "i64") for k in range(kind.rank))]

    def _table(self, place: int) -> str:
        return self._field(f"@{TABLE}", 8 * place, "ptr")

    # Results

    def _parts(self, function: Function, kind: str, found: str) -> tuple[str, ...]:
        """Return what LLVM holds of a result; there is none where there was no memory."""
        count = len(returned_parts(function.result, function.fails))
        if count == 1:
            return (found,)
        parts = [self.writer.new(f"extractvalue {kind} {found}, {k}") for k in range(count)]
        if function.fails:
            code, good = parts.pop(0), self.writer.label()
            self.writer.do(f"store i32 {code}, ptr {self.failure}")
            self.writer.branch(self.writer.new(f"icmp eq i32 {code}, 0"), good, "failed")
            self.writer.begin(good)
        return tuple(parts)

    def _object(self, value: Value) -> str:
        """Return an object for a value."""
        if isinstance(value.type, Several):
            return self._tuple(value.items())
        if isinstance(value.type, Array):
            return self._new_array(value)
        if value.scalar == BIT:
            number = self.writer.new(f"zext i1 {value.text} to i64")
            return self.writer.called("ptr", "PyBool_FromLong", [f"i64 {number}"], OBJECT)
        if value.scalar.real:
            number = self.writer.convert(value, F64).text
            return self.writer.called("ptr", "PyFloat_FromDouble", [f"double {number}"], OBJECT)
        return self.writer.called("ptr", "PyLong_FromLongLong", [f"i64 {self.writer.convert(value, I64).text}"], OBJECT)

    def _tuple(self, items: list[Value]) -> str:
        made = self._object_or_end(self.writer.called("ptr", "PyTuple_New", [f"i64 {len(items)}"], OBJECT))
        for k, each in enumerate(items):
            item = self._object_or_end(self._object(each))
            self.writer.called("i32", "PyTuple_SetItem", [f"ptr {made}", f"i64 {k}", f"ptr {item}"], OBJECT)
        return made

    def _object_or_end(self, it: str) -> str:
        """Go on where there is an object; else the exception is on its way."""
        good = self.writer.label()
        self.writer.branch(self.writer.new(f"icmp eq ptr {it}, null"), "raised", good)
        self.writer.begin(good)
        return it

    def _new_array(self, value: Value) -> str:
        new, rank = self.writer.new, value.array.rank
        lengths = self.writer.place(f"[{rank} x i64]")
        for k, length in enumerate(value.lengths):
            self.writer.do(f"store i64 {length}, ptr {new(f'getelementptr i64, ptr {lengths}, i64 {k}')}")
        flags = DENSE | ALIGNED | WRITEABLE
        given = (
            f"ptr {self._table(ARRAY_TYPE)}, i32 {rank}, ptr {lengths}, i32 {value.array.dtype.number}, ptr null, "
            f"ptr {value.address}, i32 0, i32 {flags}, ptr null"
        )
        made = self._object_or_end(new(f"call ptr {self._table(ARRAY_NEW)}({given})"))
        at = new(f"getelementptr i8, ptr {made}, i64 {FLAGS}")
        flags_there = new(f"load i32, ptr {at}")
        self.writer.do(f"store i32 {new(f'or i32 {flags_there}, {OWNED}')}, ptr {at}")
        return made
