"""Statements that a function repeats with other names, as the steps of a recurrence that is written out.

LLVM takes its time for each of them. As one function that is called for each step, it compiles them once.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from copy import deepcopy
from typing import Any, NamedTuple

from gradcompile.jit.direct.syntax import listed, nodes

LONGEST = 24  # statements in a row that are compared; loops count as one
LEAST = 5  # statements of a function, those inside of loops included
SAVED = 40  # statements that need not be compiled, from which on it is worth while


class Outline(NamedTuple):
    """How a statement is written, but for its names.

    Attributes
    ----------
    text : str
        Its structure, with the names of functions.
    names : tuple of str
        Its names in their order, each as often as it occurs.
    places : tuple of int
        The numbers that are indices.
    length : int
        How many statements it is.
    """

    text: str
    names: tuple[str, ...]
    places: tuple[int, ...]
    length: int


class Repeat(NamedTuple):
    """Statements that are the same but for their names and for numbers that are indices.

    Attributes
    ----------
    starts : list of int
        Where they begin among all.
    size : int
        How many there are each time.
    saved : int
        How many statements need not be compiled.
    """

    starts: list[int]
    size: int
    saved: int


def repeats(body: Sequence[ast.stmt], known: Collection[str]) -> list[Repeat]:
    """Return the repetitions among statements that are worth a function; no two overlap.

    Parameters
    ----------
    body : sequence of stmt
        The statements.
    known : collection of str
        The names that may differ.
    """
    outlines = [outline(each, known) if isinstance(each, ast.For | ast.Expr) else None for each in body]
    found, taken = list[Repeat](), set[int]()
    for each in sorted(_candidates(outlines), key=lambda repeat: (-repeat.saved, repeat.size, repeat.starts)):
        free = [s for s in each.starts if taken.isdisjoint(range(s, s + each.size))]
        length = each.saved // (len(each.starts) - 1)
        if (len(free) - 1) * length >= SAVED:
            found.append(Repeat(free, each.size, (len(free) - 1) * length))
            taken.update(place for s in free for place in range(s, s + each.size))
    return found


def _candidates(outlines: Sequence[Outline | None]) -> Iterator[Repeat]:
    """Yield what is repeated, of any length."""
    numbers = dict[str, int]()
    texts = [None if each is None else numbers.setdefault(each.text, len(numbers)) for each in outlines]
    for count in range(1, LONGEST + 1):
        windows = [tuple(texts[k : k + count]) for k in range(len(texts) - count + 1)]
        times = Counter(windows)
        groups: dict[object, list[int]] = {}
        for start, window in enumerate(windows):
            if times[window] > 1 and None not in window:
                run = [each for each in outlines[start : start + count] if each is not None]
                groups.setdefault((window, _order(name for each in run for name in each.names)), []).append(start)
        if not groups:
            return  # what is not repeated is no part of what is
        for starts in groups.values():
            apart = _apart(starts, count)
            length = sum(each.length for each in outlines[starts[0] : starts[0] + count] if each is not None)
            if length >= LEAST and len(apart) > 1 and (len(apart) - 1) * length >= SAVED:
                yield Repeat(apart, count, (len(apart) - 1) * length)


def _apart(starts: Sequence[int], count: int) -> list[int]:
    """Return the first of several places, and of the others those that are so far from one another."""
    found = list(starts[:1])
    for start in starts[1:]:
        if start >= found[-1] + count:
            found.append(start)
    return found


def _order(names: Iterator[str]) -> tuple[int, ...]:
    """Return names as numbers, in the order in which they occur first."""
    numbers = dict[str, int]()
    return tuple([numbers.setdefault(name, len(numbers)) for name in names])


def outline(statement: ast.stmt, known: Collection[str]) -> Outline:
    """Return how a statement is written, but for those of its names that are known."""
    parts, names, places = list[str](), list[str](), list[int]()
    stack: list[object] = [statement]
    while stack:
        node = stack.pop()
        if isinstance(node, ast.Name) and node.id in known:
            parts.append("?")
            names.append(node.id)
        elif isinstance(node, _Place):
            parts.append("#")
            places.append(node.number)
        elif isinstance(node, ast.AST):
            parts.append(type(node).__name__)
            stack.extend(reversed(_fields(node)))
        else:
            parts.append(repr(node))
    return Outline(" ".join(parts), tuple(names), tuple(places), sum(isinstance(n, ast.stmt) for n in nodes(statement)))


class _Place(NamedTuple):
    """A whole number that is an index."""

    number: int


def _fields(node: ast.AST) -> list[object]:
    """Return the parts of a node, with their number where that may differ."""
    found: list[object] = []
    for name, field in ast.iter_fields(node):
        inner = field if isinstance(field, list) else [field]
        found += [name, len(inner), *inner]
    if isinstance(node, ast.Subscript):
        return [type(node.ctx).__name__, node.value, *map(_index, listed(node.slice))]
    return found


def _index(node: ast.expr) -> object:
    return _Place(node.value) if isinstance(node, ast.Constant) and isinstance(node.value, int) else node


def with_places(body: Sequence[ast.stmt], places: Iterable[str | None]) -> list[ast.stmt]:
    """Return statements with names in place of numbers that are indices, in the order of their outlines.

    Parameters
    ----------
    body : sequence of stmt
        The statements.
    places : iterable of (str or None)
        The names; None leaves a number.
    """
    named = _Named(iter(places))
    return [named.visit(deepcopy(each)) for each in body]


class _Named(ast.NodeTransformer):
    """Puts names in place of numbers that are indices."""

    def __init__(self, places: Iterator[str | None]) -> None:
        self.places = places

    def visit_Subscript(self, node: ast.Subscript) -> ast.Subscript:
        """Return an element at the places that have names."""
        node.value = self.visit(node.value)
        indices = [self._index(each) for each in listed(node.slice)]
        node.slice = ast.Tuple(indices, ast.Load()) if isinstance(node.slice, ast.Tuple) else indices[0]
        return node

    def _index(self, index: ast.expr) -> Any:
        if not isinstance(_index(index), _Place):
            return self.visit(index)
        name = next(self.places)
        return index if name is None else ast.Name(name, ast.Load())
