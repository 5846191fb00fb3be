"""Arrays: where an element is, what a part of one is, and their memory."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from itertools import accumulate
from typing import Protocol

from gradcompile.jit.direct.kinds import BIT, I64, U32, Array, Scalar, UntranslatableError, Value
from gradcompile.jit.direct.writer import Writer

ALIGNED = 64  # bytes: a line of the cache
LARGEST = 2**56  # bytes; products of lengths stay below 2**63 where every one of them is checked against it
FAMILY = '"alloc-family"="malloc"'
ALLOCATE = f"nounwind willreturn {FAMILY}"
FREE = f'nounwind willreturn allockind("free") {FAMILY}'
# Of memory that is large the system is asked for large pages, as NumPy asks: 512 times fewer to find and to clear.
LARGE, PAGE, WANTED = 2**22, 4096, 14  # bytes, and Linux's number for the wish
PAGES = f"""\
declare i32 @madvise(ptr nocapture, i64, i32) nounwind memory(inaccessiblemem: readwrite)
define internal void @pages(ptr nocapture %data, i64 %size) noinline nounwind memory(inaccessiblemem: readwrite) {{
entry:
  %small = icmp ult i64 %size, {LARGE}
  %none = icmp eq ptr %data, null
  %not = or i1 %small, %none
  br i1 %not, label %after, label %large
large:
  %address = ptrtoint ptr %data to i64
  %above = add i64 %address, {PAGE - 1}
  %first = and i64 %above, {-PAGE}
  %page = inttoptr i64 %first to ptr
  %before = sub i64 %first, %address
  %length = sub i64 %size, %before
  %done = call i32 @madvise(ptr %page, i64 %length, i32 {WANTED})
  br label %after
after:
  ret void
}}"""
Cut = tuple[str | None, str | None]  # the first and the last of a slice


class Writing(Protocol):
    """A function in the making, as calls of functions of numbers know it."""

    writer: Writer


class Scope(Writing, Protocol):
    """A function in the making, as calls within it know it."""

    arrays: Arrays

    def failed(self) -> str:
        """Return the block to go on with where there is no memory."""
        ...


class Arrays:
    """What is done with arrays in one function.

    Parameters
    ----------
    writer : Writer
        The function's text.

    Attributes
    ----------
    owners : list of str
        The places that keep the addresses of memory that the function has to give back.
    leaves : bool
        Whether the next new array is returned, so that it begins where its memory does: whoever gets it frees it.
    waits : bool
        Whether it is asked later if there was memory for the next new array.
    lacking : str
        The condition that there was none for one of those; "" if there are none.
    """

    def __init__(self, writer: Writer) -> None:
        self.writer = writer
        self.owners: list[str] = []
        self.leaves = self.waits = False
        self.lacking = ""

    # Elements

    def strides(self, array: Value) -> tuple[str, ...]:
        """Return the stride of each axis, in elements."""
        if not array.array.dense:
            return array.strides
        found = ["1"]
        for length in reversed(array.lengths[1:]):
            found.insert(0, length if found[0] == "1" else self.writer.new(f"mul nsw i64 {found[0]}, {length}"))
        return tuple(found)

    def element(self, array: Value, indices: Sequence[str]) -> str:
        """Return the address of an element."""
        if len(indices) != array.array.rank:
            raise UntranslatableError("a part of an array without a slice")
        new = self.writer.new
        if array.array.dense:
            place = indices[0]
            for index, length in zip(indices[1:], array.lengths[1:], strict=True):
                place = new(f"add nsw i64 {new(f'mul nsw i64 {place}, {length}')}, {index}")
        else:
            place = self._distance(indices, array.strides)
        return new(f"getelementptr inbounds {memory(array.array.dtype)}, ptr {array.address}, i64 {place}")

    def _distance(self, indices: Sequence[str], strides: Sequence[str]) -> str:
        new = self.writer.new
        terms = [i if s == "1" else new(f"mul nsw i64 {i}, {s}") for i, s in zip(indices, strides, strict=True)]
        *_, place = accumulate(terms, lambda a, b: new(f"add nsw i64 {a}, {b}"))
        return place

    def load(self, array: Value, address: str) -> Value:
        """Return the element at an address."""
        dtype = array.array.dtype
        loaded = Value(dtype, (self.writer.new(f"load {memory(dtype)}, ptr {address}"),))
        if dtype == BIT:
            return Value(BIT, (self.writer.new(f"icmp ne i8 {loaded.text}, 0"),))
        return self.writer.convert(loaded, I64) if dtype == U32 else loaded

    def store(self, array: Value, address: str, value: Value) -> None:
        """Put a number where an element is."""
        dtype = array.array.dtype
        text = self.writer.convert(value, dtype).text
        if dtype == BIT:
            text = self.writer.new(f"zext i1 {text} to i8")
        self.writer.do(f"store {memory(dtype)} {text}, ptr {address}")

    # Parts

    def part(self, array: Value, cuts: Sequence[str | Cut]) -> Value:
        """Return a part: some axes at a place, and of the others a slice, which ends where the axis does."""
        writer, rank = self.writer, array.array.rank
        cuts = [*cuts, *[(None, None)] * (rank - len(cuts))]
        if len(cuts) != rank:
            raise UntranslatableError("more indices than an array has axes")
        strides, first, kept = self.strides(array), list[str](), list[tuple[str, str]]()
        for cut, length, stride in zip(cuts, array.lengths, strides, strict=True):
            if isinstance(cut, str):
                first.append(cut)
                continue
            start, stop = (self._within(each, length) for each in cut)
            size = stop or length
            if start is not None:
                size = self._positive(writer.new(f"sub nsw i64 {size}, {start}"))
            first.append(start or "0")
            kept.append((size, stride))
        moved = [k for k, each in enumerate(first) if each != "0"]
        address = array.address
        if moved:
            place = self._distance([first[k] for k in moved], [strides[k] for k in moved])
            address = writer.new(f"getelementptr inbounds {memory(array.array.dtype)}, ptr {address}, i64 {place}")
        lengths, rest = [size for size, _ in kept], [stride for _, stride in kept]
        leading = next((k for k, cut in enumerate(cuts) if not isinstance(cut, str)), rank)
        if array.array.dense and all(cut == (None, None) for cut in cuts[leading + 1 :]):
            return Value(Array(array.array.dtype, len(kept)), (address, *lengths), owner=None if moved else array.owner)
        return Value(Array(array.array.dtype, len(kept), dense=False), (address, *lengths, *rest))

    def _within(self, place: str | None, length: str) -> str | None:
        """Return where a slice begins or ends: from the end if negative, and within the axis."""
        if place is None:
            return None
        new = self.writer.new
        if not place.isdigit():
            back = new(f"add i64 {place}, {length}")
            place = new(f"select i1 {new(f'icmp slt i64 {place}, 0')}, i64 {back}, i64 {place}")
            place = self._positive(place)
        return self.writer.called("i64", "llvm.smin.i64", [f"i64 {place}", f"i64 {length}"])

    def _positive(self, size: str) -> str:
        return self.writer.called("i64", "llvm.smax.i64", [f"i64 {size}", "i64 0"])

    def turned(self, array: Value) -> Value:
        """Return the transpose."""
        if array.array.rank < 2:
            return array
        kind = Array(array.array.dtype, array.array.rank, dense=False)
        return Value(kind, (array.address, *array.lengths[::-1], *self.strides(array)[::-1]))

    def loose(self, array: Value) -> Value:
        """Return an array with its strides."""
        kind = Array(array.array.dtype, array.array.rank, dense=False)
        return Value(kind, (array.address, *array.lengths, *self.strides(array)), owner=array.owner)

    def reshaped(self, array: Value, lengths: Sequence[Value]) -> Value:
        """Return an array of the same elements, with other axes."""
        if not array.array.dense:
            raise UntranslatableError("a new shape for an array that is not contiguous")
        sizes = [self.writer.whole(each) for each in lengths]
        unknown = [k for k, each in enumerate(lengths) if each.literal == -1]
        for k in unknown:
            known = self._times([each for j, each in enumerate(sizes) if j != k])
            sizes[k] = self.writer.new(f"sdiv i64 {self.count(array)}, {known}")
        return Value(Array(array.array.dtype, len(sizes)), (array.address, *sizes), owner=array.owner)

    def count(self, array: Value) -> str:
        """Return how many elements there are."""
        return self._times(array.lengths)

    def _times(self, factors: Sequence[str]) -> str:
        *_, product = accumulate(factors, lambda a, b: self.writer.new(f"mul nsw i64 {a}, {b}"), initial="1")
        return product

    # Memory

    def made(self, dtype: Scalar, lengths: Sequence[str], *, zero: bool, failed: str) -> Value:
        """Return a new array; go on at `failed` where there is no memory for it, at once or when they `settle`."""
        writer = self.writer
        new, owner = writer.new, self.owner()
        size, good = self._bytes(dtype, lengths)
        writer.called("void", "free", [f"ptr {new(f'load ptr, ptr {owner}')}"], FREE)  # of the last time round a loop
        room = new(f"add i64 {size}, {ALIGNED}")
        if self.leaves:
            room = new(f"and i64 {room}, {-ALIGNED}")
        room = new(f"select i1 {good}, i64 {room}, i64 {-ALIGNED}")  # more than there is
        if self.leaves:
            address = writer.called("noalias ptr", "aligned_alloc", [f"i64 {ALIGNED}", f"i64 {room}"], ALLOCATE)
        else:  # glibc finds again what was freed only for requests of the same kind as that one's
            address = writer.called("noalias ptr", "malloc", [f"i64 {room}"], ALLOCATE)
        if sys.platform == "linux":
            writer.around.declare(PAGES)
            writer.do(f"call void @pages(ptr {address}, i64 {room})")
        writer.do(f"store ptr {address}, ptr {owner}")
        none = new(f"icmp eq ptr {address}, null")
        self.lacking = new(f"or i1 {self.lacking}, {none}") if self.lacking else none
        if not self.waits:
            self.settle(failed)
        if not self.leaves:
            address = self._aligned(address)
        if zero:
            size = new(f"select i1 {none}, i64 0, i64 {size}")
            given = [f"ptr {address}", "i8 0", f"i64 {size}", "i1 false"]
            writer.called("void", "llvm.memset.p0.i64", given, "")
        return Value(Array(dtype, len(lengths)), (address, *lengths), owner=owner if self.leaves else None)

    def settle(self, failed: str) -> None:
        """Go on at `failed` if there was no memory for one of the new arrays since the last time.

        A way there from each of many arrays would be as many as there are arrays to give back at its end, for each.
        """
        if self.lacking:
            there = self.writer.label()
            self.writer.branch(self.lacking, failed, there)
            self.writer.begin(there)
            self.lacking = ""

    def _aligned(self, address: str) -> str:
        """Return the next address where a line of the cache begins."""
        new = self.writer.new
        more = new(f"sub i64 0, {new(f'ptrtoint ptr {address} to i64')}")
        return new(f"getelementptr inbounds i8, ptr {address}, i64 {new(f'and i64 {more}, {ALIGNED - 1}')}")

    def _bytes(self, dtype: Scalar, lengths: Sequence[str]) -> tuple[str, str]:
        """Return the size of an array in bytes, and whether it is one that memory can have."""
        writer, size, good = self.writer, str(dtype.width), "true"
        for length in lengths:
            writer.around.declare("declare { i64, i1 } @llvm.umul.with.overflow.i64(i64, i64)")
            both = writer.new(f"call {{ i64, i1 }} @llvm.umul.with.overflow.i64(i64 {size}, i64 {length})")
            size = writer.new(f"extractvalue {{ i64, i1 }} {both}, 0")
            much = writer.new(f"extractvalue {{ i64, i1 }} {both}, 1")
            good = writer.new(f"select i1 {much}, i1 false, i1 {good}")
        small = writer.new(f"icmp ult i64 {size}, {LARGEST}")
        good = writer.new(f"select i1 {good}, i1 {small}, i1 false")
        return size, good

    def kept(self, address: str) -> str:
        """Return a place for memory that a function has returned, in the place of what was there."""
        owner = self.owner()
        self.writer.called("void", "free", [f"ptr {self.writer.new(f'load ptr, ptr {owner}')}"], FREE)
        self.writer.do(f"store ptr {address}, ptr {owner}")
        return owner

    def copied(self, array: Value, dtype: Scalar, failed: str) -> Value:
        """Return a new array of the same numbers."""
        new = self.made(dtype, array.lengths, zero=False, failed=failed)
        self._each(array, new, [])
        return new

    def fill(self, array: Value, source: Value) -> None:
        """Set the elements of an array to those of another one, which has as many along each axis."""
        if array.array.rank != source.array.rank:
            raise UntranslatableError("an array that is given elements of one with other axes")
        self._each(source, array, [])

    def _each(self, array: Value, new: Value, indices: list[str]) -> None:
        """Copy the elements with these first indices, in a loop for each axis that follows."""
        axis = len(indices)
        if axis == array.array.rank:
            value = self.load(array, self.element(array, indices))
            self.store(new, self.element(new, indices), value)
            return
        writer, place = self.writer, self.writer.place("i64")
        test, loop, after = (writer.label() for _ in range(3))
        writer.do(f"store i64 0, ptr {place}")
        writer.jump(test)
        writer.begin(test)
        now = writer.new(f"load i64, ptr {place}")
        writer.branch(writer.new(f"icmp slt i64 {now}, {array.lengths[axis]}"), loop, after)
        writer.begin(loop)
        self._each(array, new, [*indices, now])
        writer.do(f"store i64 {writer.new(f'add nsw i64 {now}, 1')}, ptr {place}")
        writer.again(test)
        writer.begin(after)

    def owner(self) -> str:
        """Return a place for the address of memory that the function has to give back."""
        place = self.writer.place("ptr")
        self.writer.entry.append(f"  store ptr null, ptr {place}")
        self.owners.append(place)
        return place

    def release(self) -> None:
        """Give back all memory that has a place."""
        for place in self.owners:
            self.writer.called("void", "free", [f"ptr {self.writer.new(f'load ptr, ptr {place}')}"], FREE)


def memory(dtype: Scalar) -> str:
    """Return the type of an element in memory."""
    return "i8" if dtype == BIT else dtype.llvm
