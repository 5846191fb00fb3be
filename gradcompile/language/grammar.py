"""Tokens to a tree, by precedence climbing with a stack of its own: no text is too deep for Python's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from .functions import BETWEEN, WORDS
from .limits import Limits
from .source import Source, quoted
from .tokens import Token, value_of


class Node(NamedTuple):
    """One step of an expression, as it was written.

    Parameters
    ----------
    kind : str
        "number", "name", "call", "read" (a name with indices), "sum", "product", "power", "negative",
        "reciprocal", "compare", "and", "or" or "not". A difference is a sum with a "negative" in it, a quotient a
        product with a "reciprocal".
    place : int
        Offset into the text; those of names are unique.
    word : str
        The name, or the sign of a comparison.
    parts : tuple of Node
        Operands, arguments or indices.
    value : int or float
        Of a number.
    """

    kind: str
    place: int
    word: str = ""
    parts: tuple[Node, ...] = ()
    value: int | float = 0


class Operator(NamedTuple):
    """How an operator binds and what it makes of its right operand."""

    level: int
    kind: str
    right: str = ""


OUTSIDE, NOT, COMPARE, SIGN = 0, 3, 4, 7
COMPARISON = Operator(COMPARE, "compare")
OPERATORS = {
    "or": Operator(1, "or"),
    "and": Operator(2, "and"),
    **dict.fromkeys(("<", "<=", ">", ">=", "==", "!="), COMPARISON),
    "+": Operator(5, "sum"),
    "-": Operator(5, "sum", "negative"),
    "*": Operator(6, "product"),
    "/": Operator(6, "product", "reciprocal"),
    "**": Operator(8, "power"),
}
PREFIXES = {"-": Operator(SIGN, "negative"), "+": Operator(SIGN, "plus"), "not": Operator(NOT, "not")}
CLOSES = {"group": ")", "call": ")", "read": "]"}
OPENS = {"group": "(", "call": "(", "read": "["}
OPENED = {")": "(", "]": "["}


@dataclass(slots=True)
class Frame:
    """A node that is not finished: the operands so far, and what becomes of the next one."""

    kind: str
    place: int
    level: int
    word: str = ""
    parts: list[Node] = field(default_factory=list)
    wrap: str = ""
    wrap_place: int = 0

    def add(self, operand: Node) -> None:
        """Take the operand that this frame waited for."""
        self.parts.append(Node(self.wrap, self.wrap_place, parts=(operand,)) if self.wrap else operand)
        self.wrap = ""

    def finished(self, operand: Node) -> Node:
        """Return the node, `operand` being its last part."""
        self.add(operand)
        if self.kind in ("group", "plus"):
            return operand
        return Node(self.kind, self.place, self.word, tuple(self.parts))


class ExpressionParser:
    """Reads one expression from a list of tokens.

    Parameters
    ----------
    source : Source
        The text, for errors.
    tokens : sequence of Token
        The last one is of kind "end".
    start : int
        Where in `tokens` the expression begins.
    limits : Limits
        How deep it may be.
    """

    def __init__(self, source: Source, tokens: Sequence[Token], start: int, limits: Limits) -> None:
        self.source, self.tokens, self.position, self.limits = source, tokens, start, limits
        self.stack: list[Frame] = []

    def parse(self) -> Node:
        """Return the expression; `position` is left at the token that ended it.

        Raises
        ------
        ParseError
            If the tokens are not an expression, or nested beyond the limit.
        """
        node: Node | None = None
        while True:
            token = self.tokens[self.position]
            if node is None:
                node = self._operand(token)
            elif token.kind in ("newline", "end"):
                return self._whole(node)
            else:
                node = self._operator(token, node)

    def _push(self, frame: Frame) -> None:
        if len(self.stack) >= self.limits.nesting:
            raise self.source.error(
                frame.place, "the expression is nested too deeply", hint=self.limits.exceeded("nesting")
            )
        self.stack.append(frame)

    def _operand(self, token: Token) -> Node | None:
        """Read a number or a name, or open what stands before an operand."""
        self.position += 1
        following = self.tokens[self.position].text if token.kind == "name" else ""
        if token.kind == "number":
            return Node("number", token.place, value=value_of(self.source, token, self.limits))
        if token.text in PREFIXES:
            operator = PREFIXES[token.text]
            self._push(Frame(operator.kind, token.place, operator.level))
        elif token.text == "(":
            self._push(Frame("group", token.place, OUTSIDE))
        elif token.kind == "name" and token.text not in OPERATORS:
            if following not in ("(", "["):
                return Node("name", token.place, token.text)
            self.position += 1
            self._push(Frame("call" if following == "(" else "read", token.place, OUTSIDE, token.text))
        else:
            raise self._no_operand(token)
        return None

    def _operator(self, token: Token, node: Node) -> Node | None:
        """Read what may follow an operand: an operator, a comma, a closing bracket."""
        operator = OPERATORS.get(token.text)
        self.position += 1
        if operator is not None:
            self._infix(operator, token, node)
            return None
        node = self._close(node, OUTSIDE + 1)
        frame = self.stack[-1] if self.stack else None
        if frame and token.text == CLOSES[frame.kind]:
            return self.stack.pop().finished(node)
        if frame and token.text == "," and frame.kind != "group":
            frame.add(node)
            if len(frame.parts) >= self.limits.arguments:
                what = f"{quoted(frame.word)} has too many arguments"
                raise self.source.error(token.place, what, hint=self.limits.exceeded("arguments"))
            return None
        raise self._no_operator(token, frame)

    def _infix(self, operator: Operator, token: Token, node: Node) -> None:
        """Finish what binds tighter, then go on with a chain of the same kind or begin a new node."""
        node = self._close(node, operator.level + 1)
        top = self.stack[-1] if self.stack else None
        if top and top.level == operator.level and operator.kind == "compare":
            what = "comparisons do not chain"
            hint = "write a < b and b < c"
            raise self.source.error(token.place, what, expected="one comparison", found="two in a row", hint=hint)
        if not (top and top.level == operator.level and operator.kind != "power"):
            word = token.text if operator.kind == "compare" else ""
            top = Frame(operator.kind, token.place, operator.level, word)
            self._push(top)
        top.add(node)
        top.wrap, top.wrap_place = operator.right, token.place

    def _close(self, node: Node, level: int) -> Node:
        """Finish all open operators that bind at least as tightly as `level`."""
        while self.stack and self.stack[-1].level >= level:
            node = self.stack.pop().finished(node)
        return node

    def _whole(self, node: Node) -> Node:
        """Return the expression at its end, if every bracket is closed."""
        node = self._close(node, OUTSIDE + 1)
        if self.stack:
            raise self._never_closed(self.stack[-1], self.tokens[self.position])
        return node

    def _never_closed(self, frame: Frame, token: Token) -> Exception:
        place, closing = frame.place + len(frame.word), CLOSES[frame.kind]
        what = f"the bracket '{OPENS[frame.kind]}' is never closed"
        hint = f"write '{closing}' where it ends, or take it away"
        return self.source.error(place, what, expected=f"a '{closing}'", found=_shown(token), hint=hint)

    def _no_operand(self, token: Token) -> Exception:
        """Return the error for a token where a number, a name or a bracket must stand."""
        frame = next((f for f in reversed(self.stack) if f.level == OUTSIDE), None)
        if token.kind == "end" and frame:
            return self._never_closed(frame, token)
        found = _shown(token)
        hint = DOUBLED.get(self.tokens[self.position - 2].text + token.text, "") if self.position > 1 else ""
        what, expected = f"an expression is missing before {found}", "a number, a name or '('"
        hint = hint or "write what is missing, or take away what stands next to it"
        return self.source.error(token.place, what, expected=expected, found=found, hint=hint)

    def _no_operator(self, token: Token, frame: Frame | None) -> Exception:
        """Return the error for a token that cannot follow an operand."""
        found = _shown(token)
        if frame and token.text in ("=", ":") and "\n" in self.source.text[frame.place : token.place]:
            return self._never_closed(frame, token)
        if token.text in (")", "]"):
            wanted = f"a '{CLOSES[frame.kind]}'" if frame else "an operator or the end"
            hint = f"write {wanted}" if frame else f"take it away, or open it with '{OPENED[token.text]}'"
            what = f"{found} closes nothing that is open"
            return self.source.error(token.place, what, expected=wanted, found=found, hint=hint)
        hint = NOT_AN_OPERATOR.get(token.text, "")
        before = next((t for t in reversed(self.tokens) if t.place < token.place), token)
        if not hint and (token.kind in ("name", "number") or token.text == "("):
            hint = "write a*b for a product"
            if before.text in WORDS:
                hint = f"what a function is of stands in brackets: {before.text}(...)"
            elif token.text in BETWEEN:
                hint = f"write {BETWEEN[token.text]}"
        elif token.text == "," and before.kind == "number" and not frame:
            hint = "decimals stand behind a point: 1.5"
        elif token.text == "," and frame:
            hint = "bounds follow their index without brackets: Sum(f, j, 0, D - 1)"
        hint = hint or "one expression stands in a line; take away what follows it"
        expected = f"an operator or '{CLOSES[frame.kind]}'" if frame else "an operator or the end of the line"
        return self.source.error(token.place, f"{found} cannot follow here", expected=expected, found=found, hint=hint)


DOUBLED = {
    "//": "a whole quotient is written floor(a/b)",
    "<<": "a comparison is written a < b",
    ">>": "a comparison is written a > b",
}
NOT_AN_OPERATOR = {
    "=": "a comparison is written a == b; a definition stands in a model file, on its own line: y = ...",
    ":": "declarations stand in a model file, on their own line; a definition has '=', not ':='",
    "if": "a choice is written where(condition, a, b)",
    "for": "an index follows its expression: Sum(f, i)",
    "lambda": "a product is written a*b",
}


def _shown(token: Token) -> str:
    """Return a token for a message."""
    return {"end": "the end of the text", "newline": "the end of the line"}.get(token.kind) or quoted(token.text)
