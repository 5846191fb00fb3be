"""The lines of a model file: declarations and definitions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeVar

from .grammar import ExpressionParser, Node
from .limits import Limits
from .source import Source, quoted, suggestion
from .tokens import Token, tokenise, value_of

ROLES = ("data", "column", "labels", "parameter", "constant")
FORMS = "name: role[axes]  or  name[indices] = expression"
Item = TypeVar("Item")


class Length(NamedTuple):
    """The length of an axis as it is written, a sum such as ``2*N - 1``.

    place : where it begins
    terms : how many times each size is in it, its name (none for a number), and its place
    """

    place: int
    terms: tuple[tuple[int, str, int], ...]


class Declaration(NamedTuple):
    """A line ``name: role[axes] = default``.

    word : the name
    place : its offset
    role : one of `ROLES`
    axes : the length of each axis
    default : the value of a constant, or None
    """

    word: str
    place: int
    role: str
    axes: tuple[Length, ...] = ()
    default: Node | None = None


class Definition(NamedTuple):
    """A line ``name[indices] = body``.

    word : the name
    place : its offset
    indices : name and place of each index
    body : the right side
    """

    word: str
    place: int
    indices: tuple[tuple[str, int], ...]
    body: Node


class StatementParser:
    """Reads a model file line by line.

    Parameters
    ----------
    source : Source
        The text.
    limits : Limits
        What it may cost.
    """

    def __init__(self, source: Source, limits: Limits) -> None:
        self.source, self.limits = source, limits
        self.tokens: Sequence[Token] = tokenise(source, limits, lines=True)
        self.position = 0

    def parse(self) -> list[Declaration | Definition]:
        """Return the statements in the order of the text.

        Raises
        ------
        ParseError
            If a line is neither a declaration nor a definition.
        """
        found: list[Declaration | Definition] = []
        while (token := self._token()).kind != "end":
            if token.kind == "newline":
                self.position += 1
            else:
                found.append(self._statement())
        return found

    def _token(self) -> Token:
        return self.tokens[self.position]

    def _take(self, expected: str, *, sign: str = "", kind: str = "sign", hint: str = "") -> Token:
        """Return the next token, which must be the sign, or of the kind."""
        token = self._token()
        if token.kind != kind or (sign and token.text != sign):
            shown = "the end" if token.kind in ("newline", "end") else quoted(token.text)
            what = f"{shown} cannot stand here"
            raise self.source.error(token.place, what, expected=expected, found=shown, hint=hint)
        self.position += 1
        return token

    def _statement(self) -> Declaration | Definition:
        """Read one line."""
        name = self._take("a name", kind="name", hint=f"a line is {FORMS}")
        if name.text in ("and", "or", "not"):
            what = f"{quoted(name.text)} is a word of the language, not a name"
            raise self.source.error(name.place, what, expected="a name", hint="choose another name")
        if self._token().text == ":":
            self.position += 1
            return self._declaration(name)
        indices = self._bracketed(self._index)
        hint = f"a line is {FORMS}" if indices else f"a line is {FORMS}; what is minimised is loss = ..."
        hint = "a definition has one '='" if self._token().text == "==" else hint
        self._take("'=' or ':'", sign="=", hint=hint)
        return Definition(name.text, name.place, indices, self._expression())

    def _declaration(self, name: Token) -> Declaration:
        role = self._take("one of " + ", ".join(ROLES), kind="name", hint=f"a line is {FORMS}")
        if role.text not in ROLES:
            raise self.source.error(
                role.place,
                f"there is no role {quoted(role.text)}",
                expected="one of " + ", ".join(ROLES),
                hint=suggestion(role.text, ROLES) or "write what it is, as in x: data[N] or w: parameter",
            )
        axes = self._bracketed(self._length)
        default = self._default(role, axes) if self._token().text == "=" else None
        if self._token().kind not in ("newline", "end"):
            self._take("the end of the line", sign="\n", hint=f"a line is {FORMS}")
        return Declaration(name.text, name.place, role.text, axes, default)

    def _default(self, role: Token, axes: tuple[Length, ...]) -> Node:
        """Read the value of a constant."""
        sign = self._take("'='", sign="=")
        if role.text != "constant" or axes:
            what = "only a constant without axes has a value in the text"
            hint = "give it when the model is called or fitted"
            raise self.source.error(sign.place, what, expected="the end of the line", found="'='", hint=hint)
        return self._expression()

    def _bracketed(self, read: Callable[[], Item]) -> tuple[Item, ...]:
        """Read ``[N, D]``; nothing where there is no bracket."""
        if self._token().text != "[":
            return ()
        opened = self._token().place
        found: list[Item] = []
        while not found or self._token().text == ",":
            self.position += 1
            found.append(read())
        if "\n" in self.source.text[opened : self._token().place] and self._token().text != "]":
            what, expected = "the bracket '[' is never closed", "',' or ']' in its line"
            raise self.source.error(opened, what, expected=expected, hint="write ']' after the last one")
        self._take("',' or ']'", sign="]", hint=f"a line is {FORMS}")
        return tuple(found)

    def _index(self) -> tuple[str, int]:
        """Read the name of an index."""
        item = self._take("an index, one letter or word", kind="name", hint=f"a line is {FORMS}")
        return item.text, item.place

    def _length(self) -> Length:
        """Read ``N``, ``3`` or a sum such as ``2*N - 1``."""
        place, terms = self._token().place, [self._multiple(1)]
        while (sign := self._token().text) in ("+", "-"):
            self.position += 1
            terms.append(self._multiple(1 if sign == "+" else -1))
        return Length(place, tuple(terms))

    def _multiple(self, sign: int) -> tuple[int, str, int]:
        """Read a name, a number or ``2*N``."""
        expected, hint = "a size, such as N or 3", f"a line is {FORMS}"
        if self._token().kind == "number":
            token = self._take(expected, kind="number")
            count = self._size(token)
            if self._token().text != "*":
                return sign * count, "", token.place
            self.position += 1
            sign *= count
        token = self._take(expected, kind="name", hint=hint)
        return sign, token.text, token.place

    def _size(self, token: Token) -> int:
        """Return a number that is the size of an axis."""
        value = value_of(self.source, token, self.limits)
        if not isinstance(value, int) or value < 1:
            what, hint = f"{token.text} is not a size", "write its length, or a name for it: N"
            raise self.source.error(token.place, what, expected="a whole number from 1", hint=hint)
        return value

    def _expression(self) -> Node:
        parser = ExpressionParser(self.source, self.tokens, self.position, self.limits)
        node = parser.parse()
        self.position = parser.position
        return node
