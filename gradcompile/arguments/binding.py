"""Given arrays become the arguments of a kernel: found by name, checked against the declared axes, and cast.

Everything that NumPy accepts is accepted, and copied only where the kernel needs another layout: native byte order,
C order, aligned, the model's dtype, int64 for labels. An array that fits is passed on as it is, and the checks of one
that fits cost well under a microsecond.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import numpy as np

from gradcompile.arguments.copies import FITTING, Copied, is_laid_out, laid_out, may_wait, told
from gradcompile.arguments.labels import Array, LabelIndex, LabelRange, label_ranges, labels_in, outside, places
from gradcompile.arguments.numeric import numeric
from gradcompile.arguments.signature import Signature, axes, wanted
from gradcompile.arguments.sizes import Shape, Sizes
from gradcompile.errors import ArgumentError, DataError, GradcompileError, LabelError, ShapeError
from gradcompile.interpret import evaluate
from gradcompile.ir import ONE, Graph, Input

Argument = Array | float | int
Solution = tuple[dict[str, int], list[tuple[int, int]]]  # the sizes, and the limits of each label array

LABELS = np.dtype(np.int64)
BLOCK = 1 << 16  # entries looked at together in the search for one that is not finite: bounds the memory
EXACT = 1 << 53  # up to here, every whole number is a float64


class Bound(list[Argument]):
    """Arguments that have been checked, with their sizes.

    Attributes
    ----------
    by : Arguments
        What has checked them.
    sizes : dict of str to int
        As of `Arguments.sizes`.
    """

    __slots__ = ("by", "sizes")
    by: Arguments
    sizes: dict[str, int]


class Waiting(Bound):
    """Arguments of which some arrays are still as they were given, to be laid out some samples at a time."""


class Arguments:
    """Checks and casts the arguments of the calls of one graph.

    Parameters
    ----------
    graph : Graph
        Its inputs are the arguments, in call order: the parameters first.
    dtype : {"float64", "float32"}
        What real arrays are cast to. Real scalars are Python floats, labels int64.

    Attributes
    ----------
    names : tuple of str
        The arguments in call order.
    copies : tuple of Copied
        Which arrays of the last call were copied; printed, each says why.

    Examples
    --------
    >>> from gradcompile.ir import Builder, Graph, Input, Size
    >>> x = Input("x", (Size.of("N"), Size.of(2)))
    >>> arguments = Arguments(Graph(Builder(), {"x": x}, {}))
    >>> (x,), sizes = arguments.bind({"x": [[1, 2], [3, 4], [5, 6]]})
    >>> x.dtype, sizes
    (dtype('float64'), {'N': 3})
    """

    def __init__(self, graph: Graph, dtype: str = "float64") -> None:
        self.graph = graph
        self.names = tuple(graph.inputs)
        self.dtype = np.dtype(dtype)
        self.signature = Signature(graph.inputs)
        self._rows = tuple(
            (i, i.name, len(i.shape), LABELS if i.kind == "int" else self.dtype) for i in graph.inputs.values()
        )
        self._defaults = {i.name: i.default for i in graph.inputs.values() if i.default is not None}
        limits = list(label_ranges(graph))
        self._ranges = [(limit, self.names.index(limit.name)) for limit in limits if isinstance(limit, LabelRange)]
        indices = [limit for limit in limits if isinstance(limit, LabelIndex)]
        self._indices = [limit for limit in indices if labels_in(limit.value)]
        self._places = [limit for limit in indices if not labels_in(limit.value)]
        self.copies: tuple[Copied, ...] = ()
        self._last: tuple[tuple[Shape, ...] | None, Solution] = (
            None,
            ({}, []),
        )  # replaced as a whole: safe between threads

    def __str__(self) -> str:
        """Return the arguments with their axes: ``W[D, C], b[C], lam``."""
        return str(self.signature)

    def bind(
        self, given: Mapping[str, Any], *, check_finite: bool = False, whole: bool = True
    ) -> tuple[list[Argument], dict[str, int]]:
        """Return the arguments in call order, and the sizes by name.

        Parameters
        ----------
        given : mapping of str to array-like
            The arguments by name. ``(n,)`` is taken for a declared ``(n, 1)``. Labels may be whole numbers of any
            dtype, floats included.
        check_finite : bool
            Whether a nan or an infinity in the data is an error, as it is in training. Elsewhere both flow through
            the arithmetic as IEEE 754 says.
        whole : bool
            Whether every array is laid out as a kernel takes it. Else large ones may be left, in a list that is
            `Waiting`, for `laid_out`.

        Raises
        ------
        ArgumentError
            An argument is missing, or holds no numbers.
        UnknownNameError
            There is no such argument.
        ShapeError
            An array has the wrong rank, or disagrees with another about the length of an axis.
        LabelError
            A label leaves the axis that it indexes, or is not a whole number.
        DataError
            An array is empty or, with `check_finite`, holds a nan or an infinity.
        TooLargeError
            An array has to be copied, and there is no memory for that.
        """
        if len(given) != len(self._rows):
            given = self._completed(given)
        arguments = Bound()
        others: list[tuple[str, object, Argument, np.dtype[Any]]] = []  # what does not fit as it is
        for declared, name, rank, dtype in self._rows:
            try:
                value = given[name]
            except KeyError:
                raise self._absent(given, name) from None
            if type(value) is np.ndarray and value.dtype is dtype and value.ndim == rank and rank and value.size:
                fits = value.flags.num & FITTING == FITTING
                arguments.append(value if fits else self._laid_out(declared, value, whole=whole))
                if not fits:
                    others.append((name, value, arguments[-1], dtype))
            elif not rank and dtype is not LABELS and _is_float(value):
                arguments.append(float(value))
            elif type(value) is int and not rank and -EXACT <= value <= EXACT:
                arguments.append(value if dtype is LABELS else float(value))
            else:
                arguments.append(self._cast(declared, value, given, whole=whole))
                others.append((name, value, arguments[-1], dtype))
        sizes, limits = self._solved(arguments)
        if self._ranges:
            self._check_ranges(arguments, limits, sizes)
        if self._indices:
            self._check_indices(self._indices, arguments, sizes)
        if check_finite:
            self.check_finite(arguments)
        self.copies = told(others) if others else ()
        if not whole and not all(is_laid_out(made, dtype) for _, _, made, dtype in others):
            arguments = Waiting(arguments)
        arguments.by, arguments.sizes = self, sizes
        return arguments, dict(sizes)

    def laid_out(self, arguments: Sequence[Argument], names: Container[str] | None = None) -> list[Argument]:
        """Return the arguments of a call with every array, or some of them, as a kernel takes it."""
        wanted = self.names if names is None else names
        return [
            self._laid_out(i, each, whole=True) if isinstance(each, np.ndarray) and i.name in wanted else each
            for i, each in zip(self.graph.inputs.values(), arguments, strict=True)
        ]

    def _completed(self, given: Mapping[str, Any]) -> Mapping[str, Any]:
        """Add the defaults, after a look for names that are not arguments."""
        for name in given:
            if name not in self.names:
                raise self.signature.unknown(name)
        return {**self._defaults, **given}

    def _absent(self, given: Mapping[str, Any], name: str) -> GradcompileError:
        """Return the error for a missing argument; a misspelt one explains it better."""
        unknown = [other for other in given if other not in self.names]
        return self.signature.unknown(unknown[0]) if unknown else self.signature.missing(name, given)

    # casting ------------------------------------------------------------------------------------------------------

    def _cast(self, declared: Input, value: object, given: Mapping[str, Any], *, whole: bool) -> Argument:
        """Return any value as what the kernel takes, but for what may wait, or say why it cannot be."""
        array = self._ranked(declared, self._numeric(declared, value), given)
        if declared.kind == "int":
            self._check_whole(declared, array)
        if not declared.shape:
            return int(array) if declared.kind == "int" else float(array)
        return self._laid_out(declared, array, whole=whole)

    def _laid_out(self, declared: Input, array: Array, *, whole: bool) -> Array:
        """Return an array as the kernel takes it, or as it is, if it may wait."""
        if declared.kind == "int":
            return laid_out(declared.name, array, LABELS)
        waits = not whole and may_wait(array, self.dtype)
        return array if waits else laid_out(declared.name, array, self.dtype)

    def _numeric(self, declared: Input, value: object) -> Array:
        """Return `value` as an array of numbers."""
        if isinstance(value, np.ma.MaskedArray) and np.ma.is_masked(value):
            hint = "fill the masked entries, and give the mask as data of its own"
            raise self.signature.fail(DataError, declared.name, f"{declared.name} has masked entries", hint=hint)
        return numeric(value, lambda found: self._no_numbers(declared, value, found))

    def _no_numbers(self, declared: Input, value: object, found: str) -> GradcompileError:
        what, hint = f"{declared.name} does not hold real numbers", _as_numbers(declared, value, found)
        return self.signature.fail(
            ArgumentError, declared.name, what, expected=wanted(declared), found=found, hint=hint
        )

    def _ranked(self, declared: Input, array: Array, given: Mapping[str, Any]) -> Array:
        """Return the array with its declared rank: ``(n,)`` is taken for ``(n, 1)``."""
        ones = tuple(k for k, size in enumerate(declared.shape) if size == ONE)
        if ones and array.ndim == len(declared.shape) - len(ones):
            array = np.expand_dims(array, ones)
        if array.ndim != len(declared.shape):
            raise self._wrong_rank(declared, array, given)
        if array.size == 0:
            axis = declared.shape[array.shape.index(0)]
            what, hint = f"{declared.name} is empty: its axis {axis} has length 0", "give at least one entry"
            raise self.signature.fail(
                DataError, declared.name, what, expected=wanted(declared), found=f"shape {array.shape}", hint=hint
            )
        return array

    def _wrong_rank(self, declared: Input, array: Array, given: Mapping[str, Any]) -> GradcompileError:
        name, rank, found = declared.name, len(declared.shape), f"shape {array.shape}"
        if not rank:
            what = f"{name} is one number, not an array"
            hint = f"give one number; list {name} in data=[...] if there is one a sample"
        else:
            what = f"{name} has axes {axes(declared)}"
            told = self._told_by_others(declared, given)
            found = f"{found}; {told}" if told else found
            hint = f"give {name} {rank} {'axis' if rank == 1 else 'axes'}"
            if array.ndim > rank == sum(length > 1 for length in array.shape):
                hint += f", as numpy.squeeze({name}) has"
            elif declared.kind == "int" and array.ndim == rank + 1:
                hint += f", as numpy.argmax({name}, axis=-1) has if each row is one 1 among zeros"
        return self.signature.fail(ShapeError, name, what, expected=wanted(declared), found=found, hint=hint)

    def _told_by_others(self, declared: Input, given: Mapping[str, Any]) -> str:
        """Return what the other arguments say about the axes of one that does not fit."""
        sizes = Sizes(self.signature)
        for other, name, rank, _ in self._rows:
            with suppress(GradcompileError, KeyError, ValueError):
                if other is not declared and len(shape := np.shape(given[name])) == rank:
                    sizes.solve([(other, shape)])
        names = dict.fromkeys(name for size in declared.shape for name, _ in size.terms if name in sizes.known)
        return ", ".join(map(sizes.told, names))

    # checking -----------------------------------------------------------------------------------------------------

    def sizes(self, arguments: Sequence[Argument]) -> dict[str, int]:
        """Return the sizes of checked arguments; the same object for shapes as in the last call."""
        if isinstance(arguments, Bound) and arguments.by is self:
            return arguments.sizes
        return self._solved(arguments)[0]

    def _solved(self, arguments: Sequence[Argument]) -> Solution:
        """Return the sizes, and the limits of the labels; shapes as in the last call need no second look."""
        shapes = tuple([a.shape for a in arguments if type(a) is np.ndarray])
        last, solution = self._last
        if shapes != last:
            sizes = Sizes(self.signature)
            sizes.solve(zip([i for i, _, rank, _ in self._rows if rank], shapes, strict=True))
            for requirement in self.graph.requirements:
                sizes.require(requirement)
            # What is known to stay on its axis is so for sizes of at least 1: `x[N + 1]` of one number has an N of 0.
            at_risk = self._places if all(sizes.known.values()) else list(places(self.graph))
            if at_risk:  # these depend on the sizes alone
                self._check_indices(at_risk, arguments, sizes.known)
            solution = sizes.known, [limit.limits(sizes.known) for limit, _ in self._ranges]
            self._last = shapes, solution
        return solution

    def _check_whole(self, declared: Input, array: Array) -> None:
        """Raise unless every label is a whole number that int64 holds."""
        if array.dtype.kind == "f":
            array = array.astype(np.float64)
            wrong = ~(np.abs(array) < 2.0**63) | (array != np.rint(array))
        else:
            wrong = array > np.iinfo(np.int64).max
        if wrong.any():
            at = int(np.flatnonzero(wrong)[0])
            entry = array.flat[at]
            are = "too large for one" if np.isfinite(entry) and entry == np.rint(entry) else "not whole numbers"
            what = f"{declared.name} is used as an index, and has entries that are {are}"
            details = {"expected": wanted(declared), "found": _entry(declared.name, array, at)}
            hint = "give labels counted from 0; rows without a label are left out"
            raise self.signature.fail(LabelError, declared.name, what, **details, hint=hint)

    def _out_of_range(
        self, limit: LabelRange, labels: Array, low: int, high: int, sizes: Mapping[str, int]
    ) -> GradcompileError:
        wrong = np.flatnonzero((labels < low) | (labels > high))
        found = _entry(limit.name, labels, int(wrong[0])) + (f", and {len(wrong) - 1} more" if len(wrong) > 1 else "")
        from_one = int(labels.min()) > low and int(labels.max()) == high + 1
        hint = (
            f"labels count from {low}: give {limit.name} - 1"
            if from_one
            else f"correct {limit.name}, or give {limit.array or 'the array'} more entries"
        )
        what = f"{limit.name} leaves the axis that it indexes: {_axis(limit, sizes)}"
        expected = f"whole numbers from {low} to {high}"
        return self.signature.fail(LabelError, limit.name, what, expected=expected, found=found, hint=hint)

    def _check_ranges(self, arguments: list[Argument], limits: list[tuple[int, int]], sizes: Mapping[str, int]) -> None:
        """Look at the labels that index an axis, or that an affine index is made of."""
        for (limit, position), (low, high) in zip(self._ranges, limits, strict=True):
            labels = arguments[position]
            if outside(labels, low, high):
                raise self._out_of_range(limit, np.asarray(labels), low, high, sizes)

    def _check_indices(
        self, limits: Sequence[LabelIndex], arguments: Sequence[Argument], sizes: Mapping[str, int]
    ) -> None:
        """Evaluate indices, and look at what comes out."""
        given = {name: np.asarray(value) for name, value in zip(self.names, arguments, strict=True)}
        for limit in limits:
            index = evaluate(replace(self.graph, outputs={"index": limit.value}), given)["index"]
            if outside(index, 0, limit.length.evaluate(sizes) - 1):
                raise self._leaves(limit, index, sizes)

    def _leaves(self, limit: LabelIndex, index: Array, sizes: Mapping[str, int]) -> GradcompileError:
        """Return the error for an index that leaves its axis."""
        labels = labels_in(limit.value)
        return (LabelError if labels else ShapeError)(
            f"an index{f' of {labels}' if labels else ''} leaves the axis that it indexes: {_axis(limit, sizes)}",
            text=str(self),
            expected=f"whole numbers from 0 to {limit.length.evaluate(sizes) - 1}",
            found=f"{index.min()} to {index.max()}",
            hint="correct the labels that it is made of"
            if labels
            else f"give a longer array, or take the remainder by {limit.length}",
        )

    def check_finite(
        self, arguments: list[Argument], roles: tuple[str, ...] = ("data",), known: Container[str] = ()
    ) -> None:
        """Raise a DataError if the data among bound arguments, or others, hold a nan or an infinity; it says where.

        Arrays in `known` are not looked at.
        """
        for (declared, name, _, _), value in zip(self._rows, arguments, strict=True):
            asked = declared.role in roles and name not in known
            at = _first_not_finite(np.asarray(value)) if asked else None
            if at is None:
                continue
            array = np.asarray(value)
            row = f" in row {np.unravel_index(at, array.shape)[0]}" if array.ndim else ""
            what = f"{name} has {_shown(array.flat[at])}{row}" if array.ndim else f"{name} is {_shown(value)}"
            hint = "fill or leave out the rows that are not finite"
            hint = hint if declared.role == "data" and array.ndim else f"give {name} finite numbers"
            raise self.signature.fail(
                DataError, name, what, expected="finite numbers", found=_entry(name, array, at), hint=hint
            )


def _is_float(value: object) -> bool:
    """Return whether a value is one real number: of Python, of NumPy, or in an array without axes."""
    if type(value) is np.ndarray:
        return value.ndim == 0 and value.dtype.kind == "f"
    return isinstance(value, float | np.floating)


def _as_numbers(declared: Input, value: object, found: str) -> str:
    """Return what to do with something that holds no real numbers."""
    name = declared.name
    if not declared.shape:
        return "give one number"
    if declared.kind == "int" and ("array of text" in found or "] is '" in found):
        return f"number the classes: numpy.unique({name}, return_inverse=True)[1]"
    if "] is None" in found or "type NAType" in found:  # the second is of pandas
        return f"fill what is missing in {name}, or leave out its samples"
    if "complex" in found:
        return f"give {name}.real, if that is what is meant"
    if hasattr(value, "toarray"):  # of SciPy
        return f"give {name}.toarray()"
    if hasattr(value, "detach"):  # of PyTorch
        return f"give {name}.detach(){_to_memory(value)}.numpy()"
    if isinstance(value, Iterator):
        return f"give all that it yields: list({name})"
    if "unequal" in found:
        return f"give {name} rows of one length"
    return "convert it to an array of real numbers, as numpy.asarray(..., dtype=float) does"


def _to_memory(tensor: Any) -> str:
    """Return what PyTorch's tensor needs before NumPy takes it: it may be elsewhere, sparse, or of half floats."""
    moved = "" if str(getattr(tensor, "device", "cpu")) == "cpu" else ".cpu()"
    dense = ".to_dense()" if getattr(tensor, "is_sparse", False) else ""
    return moved + dense + (".float()" if "bfloat16" in str(getattr(tensor, "dtype", "")) else "")


def _axis(limit: LabelRange | LabelIndex, sizes: Mapping[str, int]) -> str:
    """Return an axis and its length in words: ``axis C of y, of length 10``."""
    of = f" of {limit.array}" if limit.array else ""
    name = f"axis {limit.length}{of}, " if limit.length.terms else f"an axis{of} "
    return f"{name}of length {limit.length.evaluate(sizes)}"


def _entry(name: str, array: Array, at: int) -> str:
    """Return one entry as it is found: ``gt[17] = 12``."""
    place = ", ".join(map(str, np.unravel_index(at, array.shape)))
    return f"{name}{f'[{place}]' if place else ''} = {_shown(array.flat[at])}"


def _shown(number: object) -> str:
    """Return a NumPy number as Python writes it."""
    return str(number.item()) if isinstance(number, np.generic) else str(number)


def _first_not_finite(array: Array) -> int | None:
    """Return the place of the first nan or infinity; None if there is none. Needs no memory of the array's size."""
    with np.errstate(over="ignore", invalid="ignore"):
        if np.isfinite(array.sum()):  # a sum is finite only if all of it is
            return None
    flat = array.reshape(-1)
    for start in range(0, flat.size, BLOCK):
        wrong = np.flatnonzero(~np.isfinite(flat[start : start + BLOCK]))
        if len(wrong):
            return start + int(wrong[0])
    return None
