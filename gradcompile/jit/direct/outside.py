"""What emitted text calls that is no Python: BLAS, LAPACK, requests for memory that is soon needed, other threads."""

from __future__ import annotations

from gradcompile.jit.direct.arrays import Scope
from gradcompile.jit.direct.kinds import BIT, F32, F64, I64, UntranslatableError, Value, literal
from gradcompile.jit.lines import DATA, LINE, LONGEST, NEAR, NEAREST, NEXT, READ, SHORT

DOUBLE, SINGLE = "gradcompile_dgemm", "gradcompile_sgemm"  # BLAS's dgemm and sgemm, which take addresses alone
LAPACK = "gradcompile_"  # before the names of LAPACK's functions
LETTERS, INTEGERS, NUMBERS = (1, 2), (3, 4, 5, 8, 10, 13), (6, 7, 9, 11, 12)  # arguments of the product, from 0
PRODUCTS = f"""\
declare void @{DOUBLE}(ptr, ptr, ptr, ptr, ptr, ptr, ptr, ptr, ptr, ptr, ptr, ptr, ptr) nounwind
declare void @{SINGLE}(ptr, ptr, ptr, ptr, ptr, ptr, ptr, ptr, ptr, ptr, ptr, ptr, ptr) nounwind"""
KINDS = {F64: "d", F32: "s"}  # LAPACK's letters
# As `jit.fetch` says it. How many lines a row has a part in is not counted: the loop would end at no known step.
PREFETCH = f"""\
declare void @llvm.prefetch.p0(ptr, i32, i32, i32)
define internal void @fetch(ptr %data, i64 %size, i64 %length, i64 %row) nounwind {{
entry:
  %near = icmp slt i64 %size, {NEAR}
  br i1 %near, label %after, label %far
far:
  %start = mul i64 %row, %length
  %first = getelementptr i8, ptr %data, i64 %start
  %line = call i64 @llvm.smin.i64(i64 %length, i64 {LINE})
  %within = sub nsw i64 %line, 1
  %number = ptrtoint ptr %data to i64
  %either = or i64 %number, %length
  %odd = and i64 %either, %within
  %apart = icmp ne i64 %odd, 0
  %short = icmp sle i64 %length, {SHORT}
  %most = call i64 @llvm.smin.i64(i64 %length, i64 {LONGEST})
  br label %test
test:
  %place = phi i64 [ 0, %far ], [ %next, %ask.nearest ], [ %next, %ask.next ]
  %next = add nsw i64 %place, {LINE}
  %more = icmp slt i64 %place, %most
  br i1 %more, label %loop, label %end
end:
  br i1 %apart, label %last, label %after
last:
  %byte = sub nsw i64 %most, 1
  %address.last = getelementptr i8, ptr %first, i64 %byte
  br i1 %short, label %last.nearest, label %last.next
last.nearest:
  call void @llvm.prefetch.p0(ptr %address.last, i32 {READ}, i32 {NEAREST}, i32 {DATA})
  br label %after
last.next:
  call void @llvm.prefetch.p0(ptr %address.last, i32 {READ}, i32 {NEXT}, i32 {DATA})
  br label %after
loop:
  %address = getelementptr i8, ptr %first, i64 %place
  br i1 %short, label %ask.nearest, label %ask.next
ask.nearest:
  call void @llvm.prefetch.p0(ptr %address, i32 {READ}, i32 {NEAREST}, i32 {DATA})
  br label %test
ask.next:
  call void @llvm.prefetch.p0(ptr %address, i32 {READ}, i32 {NEXT}, i32 {DATA})
  br label %test
after:
  ret void
}}"""


def product(scope: Scope, values: list[Value]) -> Value:
    """Call BLAS with what emitted text calls it: the letter of a type, then the arguments of gemm.

    Numbers, letters and sizes are given by address there.
    """
    writer = scope.writer
    writer.around.declare(PRODUCTS)
    numbers = [writer.whole(each) for each in values]
    given = {}
    for kind, places in (("i8", LETTERS), ("i32", INTEGERS)):
        for k in places:
            at = given[k] = writer.place(kind)
            writer.do(f"store {kind} {writer.new(f'trunc i64 {numbers[k]} to {kind}')}, ptr {at}")
    for k in NUMBERS:
        given[k] = writer.new(f"inttoptr i64 {numbers[k]} to ptr")
    arguments = ", ".join(f"ptr {given[k]}" for k in sorted(given))
    single, double, after = (writer.label() for _ in range(3))
    writer.branch(writer.new(f"icmp eq i64 {numbers[0]}, {ord('d')}"), double, single)
    for label, name in ((double, DOUBLE), (single, SINGLE)):
        writer.begin(label)
        writer.do(f"call void @{name}({arguments})")
        writer.jump(after)
    writer.begin(after)
    return literal(0)


def factorise(scope: Scope, values: list[Value]) -> Value:
    """Call LAPACK for the factors of a square matrix by columns, which take its place; return what it says."""
    matrix, chosen = values
    return _lapack(scope, "getrf", matrix, [_size(scope, matrix), *_square(scope, matrix), chosen.address])


def invert(scope: Scope, values: list[Value]) -> Value:
    """Call LAPACK for the inverse of a matrix of which it has made factors, in their place; return what it says."""
    matrix, chosen, work = values
    given = [*_square(scope, matrix), chosen.address, work.address, _size(scope, work)]
    return _lapack(scope, "getri", matrix, given)


def substitute(scope: Scope, values: list[Value]) -> Value:
    """Call LAPACK for solutions in the place of right sides, by columns, given the factors; return what it says."""
    writer = scope.writer
    matrix, chosen, right = values
    letter = writer.place("i8")
    writer.do(f"store i8 {ord('N')}, ptr {letter}")
    size = _size(scope, matrix)
    given = [letter, size, _size(scope, right), matrix.address, size, chosen.address, right.address, size]
    return _lapack(scope, "getrs", matrix, given)


def _lapack(scope: Scope, name: str, matrix: Value, given: list[str]) -> Value:
    """Call a function of LAPACK with addresses, the last of them for what it says."""
    writer = scope.writer
    if matrix.array.dtype not in KINDS:
        raise UntranslatableError("a matrix of other numbers")
    symbol, says = f"{LAPACK}{KINDS[matrix.array.dtype]}{name}", writer.place("i32")
    writer.called("void", symbol, [f"ptr {each}" for each in (*given, says)], "nounwind")
    return Value(I64, (writer.new(f"sext i32 {writer.new(f'load i32, ptr {says}')} to i64"),))


def _square(scope: Scope, matrix: Value) -> list[str]:
    """Return where LAPACK finds a square matrix: its rows, itself, and from one column to the next."""
    size = _size(scope, matrix)
    return [size, matrix.address, size]


def _size(scope: Scope, array: Value) -> str:
    """Return the address of the length of an array's first axis."""
    at = scope.writer.place("i32")
    scope.writer.do(f"store i32 {scope.writer.new(f'trunc i64 {array.lengths[0]} to i32')}, ptr {at}")
    return at


def fetch(scope: Scope, values: list[Value]) -> Value:
    """Ask for the row of an array, or for the first of it; see `jit.fetch`. If rows are spread out, nothing is done."""
    array, row = values
    if not array.array.dense:
        return literal(0)
    writer, width = scope.writer, array.array.dtype.width
    writer.around.declare("declare i64 @llvm.smin.i64(i64, i64) #0")
    writer.around.declare(PREFETCH)
    size = writer.new(f"mul i64 {scope.arrays.count(array)}, {width}")
    length = writer.new(f"mul i64 {scope.arrays.strides(array)[0]}, {width}")
    writer.do(f"call void @fetch(ptr {array.address}, i64 {size}, i64 {length}, i64 {writer.whole(row)})")
    return literal(0)


# The threads of a team, see `jit.team`


def look(scope: Scope, values: list[Value]) -> Value:
    """Return the integer at a place of an array, and see all that was written before it was put there."""
    return Value(I64, (scope.writer.new(f"load atomic i64, ptr {_place(scope, values)} acquire, align 8"),))


def swap(scope: Scope, values: list[Value]) -> Value:
    """Put an integer in the place of another one; return whether that was there."""
    writer = scope.writer
    old, new = (writer.whole(each) for each in values[2:])
    found = writer.new(f"cmpxchg ptr {_place(scope, values)}, i64 {old}, i64 {new} acq_rel acquire")
    return Value(BIT, (writer.new(f"extractvalue {{ i64, i1 }} {found}, 1"),))


def rest(scope: Scope, values: list[Value]) -> Value:
    """Let other threads have the processor."""
    scope.writer.called("i32", "sched_yield", [], "nounwind")
    return literal(0)


def _place(scope: Scope, values: list[Value]) -> str:
    """Return the address of an element of an array of integers."""
    array, place = values[:2]
    return scope.arrays.element(array, [scope.writer.whole(place)])
