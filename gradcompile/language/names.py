"""What every name of an expression stands for: a user's name first, then an index, then the language's own words."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import sympy

from gradcompile.errors import ParseError

from .functions import CONSTANTS, FUNCTIONS, REDUCTIONS, WORDS, WRITTEN_INSTEAD
from .grammar import Node
from .ranges import Axis, TwoSizesError, join
from .source import Source, quoted, suggestion
from .statements import ROLES

MOST_LISTED = 8  # names that a message tells


@dataclass(eq=False)
class Entry:
    """A name of the user's, visible everywhere.

    word : the name
    role : "data", "labels", "parameter", "constant", "size", "definition" or "input"
    place : where it is introduced
    axes : one for each index; a number has none
    symbol : the Symbol or IndexedBase that stands for it, once its sizes are known
    """

    word: str
    role: str
    place: int
    axes: tuple[Axis, ...] = ()
    symbol: sympy.Basic | None = None


@dataclass(eq=False)
class Index:
    """An index of a definition or of a sum, visible in it.

    word : the name
    place : where it is bound
    symbol : the integer symbol that stands for it
    axis : what it runs over, where it has no bounds
    bounds : lowest and highest value as arguments of the call, both included
    hidden : the index around it that has the same name
    """

    word: str
    place: int
    symbol: sympy.Symbol
    axis: Axis = field(default_factory=Axis)
    bounds: tuple[Node, Node] | None = None
    hidden: Index | None = None


@dataclass(frozen=True, slots=True)
class Alone:
    """A place where an index, and nothing else, indexes an axis."""

    index: Index
    axis: Axis
    place: int


Scope = Mapping[str, Index]
Scoped = list[tuple[Node, Scope]]


def _around(scope: Scope) -> Iterator[Index]:
    """Yield all indices whose sums are around, those that others hide as well."""
    for visible in scope.values():
        index: Index | None = visible
        while index is not None:
            yield index
            index = index.hidden


class Names:
    """Resolves the names of expressions.

    Parameters
    ----------
    source : Source
        The text, for errors.
    entries : dict of str to Entry
        The user's names.
    implicit : bool
        Whether a name that nothing declares becomes an input: the form of an expression alone.
    constants : collection of str
        The constants of the language that the user has not taken as names.

    Attributes
    ----------
    meaning : dict of int to Entry or Index
        What the name at each place stands for.
    bound : dict of int to tuple of Index
        The indices of the call at each place.
    alone : list of Alone
        Where indices without bounds index an axis alone, in the order of the text.
    """

    def __init__(
        self,
        source: Source,
        entries: dict[str, Entry],
        *,
        implicit: bool = False,
        constants: Collection[str] = frozenset(CONSTANTS),
    ) -> None:
        self.source, self.entries, self.implicit, self.constants = source, entries, implicit, constants
        self.meaning: dict[int, Entry | Index] = {}
        self.bound: dict[int, tuple[Index, ...]] = {}
        self.alone: list[Alone] = []
        self.indices: list[Index] = []

    def new_index(self, word: str, place: int, scope: Scope, axis: Axis | None = None) -> Index:
        """Return a new index; one that hides another of its name gets a symbol of its own.

        Raises
        ------
        ParseError
            If the name is taken by something else than an index.
        """
        if word in self.entries:
            entry = self.entries[word]
            raise self.source.error(
                place,
                f"{quoted(word)} cannot be an index: it is {_described(entry)}, {self.source.line_of(entry.place)}",
                expected="a name that nothing else has",
                hint="choose another letter for the index",
            )
        if word in ("and", "or", "not"):
            what, hint = f"{quoted(word)} is a word of the language, not an index", "choose a letter for the index"
            raise self.source.error(place, what, expected="a name", hint=hint)
        taken = {index.symbol.name for index in _around(scope)}.union(self.entries)
        name = next(n for n in (word, *(f"{word}_{k}" for k in range(2, len(taken) + 3))) if n not in taken)
        index = Index(word, place, sympy.Symbol(name, integer=True), axis or Axis(), hidden=scope.get(word))
        self.indices.append(index)
        return index

    def resolve(self, node: Node, scope: Scope) -> set[Entry]:
        """Find the meaning of every name in an expression.

        Returns
        -------
        set of Entry
            The definitions that the expression uses.

        Raises
        ------
        ParseError
            At an unknown name, a wrong number of indices or arguments.
        """
        used: set[Entry] = set()
        stack: Scoped = [(node, scope)]
        while stack:
            node, scope = stack.pop()
            if node.kind == "call":
                stack += reversed(self._call(node, scope))
                continue
            if node.kind in ("name", "read") and node.place not in self.meaning:
                self._name(node, scope)
            found = self.meaning.get(node.place)
            if isinstance(found, Entry) and found.role == "definition":
                used.add(found)
            stack += [(part, scope) for part in reversed(node.parts)]
        return used

    def _name(self, node: Node, scope: Scope) -> None:
        """Find what a name stands for, and check that it is written with its indices."""
        found = scope.get(node.word) or self.entries.get(node.word)
        if found is None and node.kind == "name" and node.word in self.constants:
            return
        if found is None and self.implicit and node.kind == "name":
            found = self._new_input(node)
        if found is None:
            raise self._unknown(node, scope)
        self._check_rank(node, found)
        self.meaning[node.place] = found
        for part, axis in zip(node.parts, found.axes if isinstance(found, Entry) else (), strict=True):
            index = scope.get(part.word) if part.kind == "name" else None
            if index is not None and index.bounds is None:
                self.alone.append(Alone(index, axis, part.place))

    def _new_input(self, node: Node) -> Entry:
        """Let a name that nothing declares be an input; the order of `place` is the order of appearance."""
        if any(index.word == node.word for index in self.indices):
            what = f"{quoted(node.word)} is an index elsewhere and cannot be an input as well"
            expected, hint = "a name that no index has", "choose another letter for the index"
            raise self.source.error(node.place, what, expected=expected, hint=hint)
        entry = self.entries[node.word] = Entry(node.word, "input", node.place)
        return entry

    def _check_rank(self, node: Node, found: Entry | Index) -> None:
        rank = len(found.axes) if isinstance(found, Entry) else 0
        if len(node.parts) == rank:
            return
        if not rank:
            raise self.source.error(
                node.place,
                f"{quoted(node.word)} is a number and has no axes",
                expected=f"{node.word}, without indices",
                found=f"indices: {len(node.parts)}",
                hint="an expression alone has no arrays; declare them in a model file"
                if self.implicit
                else f"take the indices away, or give {node.word} axes where it is introduced: {node.word}[N]",
            )
        assert isinstance(found, Entry)
        raise self.source.error(
            node.place,
            f"{quoted(node.word)} needs one index for each of its axes",
            expected=f"{rank}: it is {_described(found)}",
            found=str(len(node.parts)),
            hint="write one for each: Sum(x[s, j], j) sums along the last axis",
        )

    def join(self, loose: Collection[Index] = ()) -> dict[Index, TwoSizesError]:
        """Let every index run over the axes that it indexes alone, whatever it ran over before.

        Parameters
        ----------
        loose : collection of Index
            Those that do not, since other places end them earlier.

        Returns
        -------
        dict of Index to TwoSizesError
            The first contradiction for each index that has one.
        """
        found: dict[Index, TwoSizesError] = {}
        for index in self.indices:
            index.axis.forget()
        for use in self.alone:
            if use.index not in loose:
                try:
                    join(use.index.axis, use.axis, use.place)
                except TwoSizesError as two:
                    found.setdefault(use.index, two)
        return found

    def two_sizes(self, index: Index, two: TwoSizesError) -> ParseError:
        """Return the error for an index that indexes axes of two sizes."""
        hint = "use two indices, or give one of them bounds: Sum(f, j, 0, D - 1)"
        if all(index not in indices for indices in self.bound.values()):
            hint = "use two indices, or arrays of one length: an element that where() leaves out is never read"
        return self.source.error(
            two.second.place,
            f"the index {quoted(index.word)} has two sizes",
            expected=f"{two.first.size}, from {self.source.line_of(two.first.place)}",
            found=f"{two.second.size}, here",
            hint=hint,
        )

    def _call(self, node: Node, scope: Scope) -> Scoped:
        """Check a call, bind its indices, and return its arguments with the scope of each."""
        word = node.word
        taken = scope.get(word) or self.entries.get(word)
        if taken:
            what = f"{quoted(word)} is {_described(taken)} here, not a function"
            raise self.source.error(node.place, what, expected="a function", hint=f"write {word}*(...) for a product")
        if word not in WORDS:
            raise self._unknown_function(node)
        if word == "softmax":
            return self._softmax(node, scope)
        if word in REDUCTIONS:
            return self._bind(node, scope)
        fewest, most = (3, 3) if word == "where" else (FUNCTIONS[word].fewest, FUNCTIONS[word].most)
        if not fewest <= len(node.parts) <= (most or len(node.parts)):
            expected = str(fewest) if fewest == most else f"{fewest} or more"
            what = f"{quoted(word)} has {len(node.parts)} argument{'s' * (len(node.parts) != 1)}"
            raise self.source.error(node.place, what, expected=expected, hint=f"write {_as_called(word, fewest)}")
        if word in OVER_INDEX and node.parts[1:] and self._is_new(node.parts[-1], scope):
            hint = f"the {OVER_INDEX[word]} over an index is {word.capitalize()}(f, {node.parts[-1].word})"
            what = f"{quoted(word)} compares numbers, and there is no {quoted(node.parts[-1].word)}"
            raise self.source.error(node.parts[-1].place, what, expected="a number", hint=hint)
        return [(part, scope) for part in node.parts]

    def _is_new(self, node: Node, scope: Scope) -> bool:
        """Return whether a node is a name that stands for nothing."""
        known = node.word in scope or node.word in self.entries or node.word in self.constants
        return node.kind == "name" and not known and not self.implicit

    def _softmax(self, node: Node, scope: Scope) -> Scoped:
        """Check ``softmax(f, i)``, whose index is bound outside."""
        parts = node.parts
        index = scope.get(parts[1].word) if len(parts) == 2 and parts[1].kind == "name" else None
        if index is None:
            what = "softmax needs an expression and an index that is bound outside of it"
            expected, hint = "softmax(f, i)", "write p[s, i] = softmax(y[s, i], i)"
            raise self.source.error(node.place, what, expected=expected, hint=hint)
        self.bound[node.place] = (index,)
        return [(part, scope) for part in parts]

    def _bind(self, node: Node, scope: Scope) -> Scoped:
        """Bind the indices of ``Sum(f, i, j, 1, N)``: names, each with two bounds or none."""
        bound: list[Index] = []
        bounds: Scoped = []
        inner = dict(scope)
        rest = list(node.parts[1:])
        while rest:
            name = rest.pop(0)
            if name.kind != "name":
                raise self._no_index(node, name)
            index = self.new_index(name.word, name.place, inner)
            if self._is_bound(rest, inner):
                if len(rest) < 2:
                    raise self._one_bound(node, index, rest[0])
                index.bounds = (rest.pop(0), rest.pop(0))
                bounds += [(part, inner) for part in index.bounds]
            self.meaning[name.place] = index
            inner = {**inner, name.word: index}
            bound.append(index)
        if not bound:
            what = f"{quoted(node.word)} needs an index to run over"
            raise self.source.error(node.place, what, expected="a name", hint=f"write {node.word}(x[i], i)")
        if len({index.word for index in bound}) < len(bound):
            what, hint = f"an index of {quoted(node.word)} is named twice", "take one away, or choose another letter"
            raise self.source.error(bound[-1].place, what, expected="a name for each index", hint=hint)
        self.bound[node.place] = tuple(bound)
        return [(node.parts[0], inner), *bounds]

    def _is_bound(self, rest: list[Node], scope: Scope) -> bool:
        """Whether the next argument is a bound, and not the next index: it is no new name."""
        if not rest:
            return False
        fresh = [n.kind == "name" and n.word not in scope and n.word not in self.entries for n in rest[:2]]
        return rest[0].kind != "name" or (len(fresh) == 2 and not any(fresh))

    def _one_bound(self, call: Node, index: Index, bound: Node) -> Exception:
        what = "an index has a lower and an upper bound, or none"
        hint = f"write {call.word}(f, {index.word}, 0, N - 1): both ends are included"
        return self.source.error(bound.place, what, expected="two bounds", found="one", hint=hint)

    def _no_index(self, call: Node, argument: Node) -> Exception:
        hint = f"write {call.word}(x[i], i) or, with bounds, {call.word}(x[i], i, 0, N - 1)"
        if call.word in ("Max", "Min"):
            hint += f"; the {call.word.lower()} of numbers is {call.word.lower()}(a, b)"
        what = f"{quoted(call.word)} runs over an index"
        return self.source.error(argument.place, what, expected="a name", hint=hint)

    def _unknown(self, node: Node, scope: Scope) -> Exception:
        line = self.source.text.rfind("\n", 0, node.place)  # what is introduced in it does not explain it
        known = [*scope, *(entry.word for entry in self.entries.values() if not line < entry.place < node.place)]
        what, hint = f"there is no {quoted(node.word)}", self._what_to_do(node, scope)
        return self.source.error(node.place, what, expected=_listed(known), hint=hint)

    def _what_to_do(self, node: Node, scope: Scope) -> str:
        """Return what somebody may have meant, or may have forgotten, who wrote a name that stands for nothing."""
        if self.implicit:
            return "an expression alone has no arrays; declare them in a model file"
        if node.word in WORDS:
            return f"{quoted(node.word)} is a function: write {node.word}(...)"
        near = [*self.entries, *scope, *CONSTANTS]
        if len(node.word) == 1:  # which is like any short name
            near = [name for name in near if len(name) == 1]
        meant = suggestion(node.word, near)
        if meant:
            return f"{meant} An index is bound by its sum: Sum(f, {node.word})" if len(node.word) == 1 else meant
        if node.word in ROLES:
            return f"a declaration has a colon, as in x: {node.word}[N]"
        if node.kind == "name":
            return f"declare it, {node.word}: constant, or bind it as an index: Sum(f, {node.word})"
        return f"declare it, as in {node.word}: data[{', '.join('NDKCTM'[: len(node.parts)])}], or define it"

    def _unknown_function(self, node: Node) -> Exception:
        written = WRITTEN_INSTEAD.get(node.word, "")
        hint = f"write {written}" if written else suggestion(node.word, WORDS)
        if node.word in CONSTANTS or len(node.word) == 1:
            hint = f"write {node.word}*(...) for a product"
        expected = "a function of the language" if hint else "one of " + " ".join((*FUNCTIONS, "where"))
        hint = hint or f"write it with these, or as a definition: {node.word}[i] = ..."
        what = f"there is no function {quoted(node.word)}"
        return self.source.error(node.place, what, expected=expected, found=quoted(node.word), hint=hint)


OVER_INDEX = {"max": "largest", "min": "smallest"}  # functions of numbers for which there is a Max over indices
CALLS = {"where": "where(condition, a, b)", "max": "max(a, b); the largest over an index is Max(f, i)"}


def _as_called(word: str, arguments: int) -> str:
    """Return how a function is written."""
    return CALLS.get(word) or f"{word}({', '.join('xyz'[:arguments])})"


def _listed(words: Sequence[str]) -> str:
    """Return the first of the names that could have stood at a place."""
    shown = [*words[:MOST_LISTED], *(["..."] if len(words) > MOST_LISTED else [])]
    return f"one of {', '.join(shown)}" if len(words) > 1 else "".join(shown)


def _described(found: Entry | Index) -> str:
    """Return ``data[N, D]``: what a name is, with the sizes that are known."""
    if isinstance(found, Index):
        return "an index"
    axes = [str(axis.root.size) for axis in found.axes]
    if found.role == "definition":  # no length is known before all of them are read
        return f"a definition with {len(axes)} {'axis' if len(axes) == 1 else 'axes'}" if axes else "a definition"
    if axes:
        return f"{found.role}[{', '.join(axes)}]"
    return (
        found.role if found.role in ("data", "labels") else "a number" if found.role == "input" else f"a {found.role}"
    )
