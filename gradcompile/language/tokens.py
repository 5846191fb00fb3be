"""Text to tokens: ASCII mathematics and nothing else."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterator
from typing import NamedTuple

from gradcompile.model.text import NO_NAMES

from .limits import Limits
from .source import Source, quoted


class Token(NamedTuple):
    """A number, a name, a sign, the end of a line or the end of the text.

    kind : "number", "name", "sign", "newline" or "end"
    text : as written
    place : offset into the source
    """

    kind: str
    text: str
    place: int


PATTERN = re.compile(
    r"""(?P<space>[ \t]+)
      | (?P<comment>\#[^\n]*)
      | (?P<newline>\r?\n)
      | (?P<number>(?:[0-9]|\.[0-9])(?:[eE][+-](?=[0-9])|[0-9A-Za-z_.])*)
      | (?P<name>[A-Za-z][A-Za-z0-9_]*)
      | (?P<sign>\*\*|<=|>=|==|!=|[-+*/(),\[\]<>=:])""",
    re.VERBOSE,
)
NUMBER = re.compile(r"(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
BRACKETS = {"(": 1, "[": 1, ")": -1, "]": -1}
LARGEST_EXACT = 2**53  # larger whole numbers are floats, as everywhere in float64
LONG = 20  # characters of a word that a hint repeats

OF_MODULE = re.compile(r"\b(np|numpy|jnp|math|sympy|sp|torch)\.([A-Za-z]\w*)")
WRITTEN_INSTEAD = {
    "^": "a power is written x**2",
    ".": "a point stands in numbers only: 0.5",
    "%": "a remainder is written mod(a, b)",
    "&": "write 'and' inside where(...)",
    "|": "write 'or' inside where(...), abs(x) for a magnitude",
    "~": "write 'not' inside where(...)",
    "!": "a factorial is written gamma(n + 1)",
    "'": "text has no place in mathematics; a transpose exchanges the indices: W[i, j]",
    '"': "text has no place in mathematics",
    "{": "brackets are ( ) and, for indices, [ ]",
    "}": "brackets are ( ) and, for indices, [ ]",
    "@": "a product of matrices is a sum: Sum(A[i, k]*B[k, j], k)",
    ";": "each definition stands on a line of its own",
    "#": "comments belong to model files",
    "\\": "a formula may go on in the next line inside brackets",
    "\r": "end lines with a line feed, alone or after it",
    "−": "a minus is written -",
    "×": "a product is written a*b",
    "·": "a product is written a*b",
    "÷": "a quotient is written a/b",
    "²": "a power is written x**2",
    "³": "a power is written x**3",
    "∗": "a product is written a*b",
    "⋅": "a product is written a*b",
    "∑": "a sum is written Sum(f, i)",
    "Σ": "a sum is written Sum(f, i)",
    "∏": "a product is written Product(f, i)",
    "½": "write 1/2",
    "∞": "a number is finite; a sum ends at the size of an axis",
    "√": "a root is written sqrt(x)",
    "π": "write pi",
    "λ": "write lam",
    "≤": "write <=",
    "≥": "write >=",
    "≠": "write !=",
}


def tokenise(source: Source, limits: Limits, *, lines: bool) -> list[Token]:
    """Return the tokens of a text, the last of kind "end".

    Parameters
    ----------
    source : Source
        The text.
    limits : Limits
        What it may cost.
    lines : bool
        Whether this is a model file: ends of lines count (outside of brackets) and ``#`` begins a comment.

    Raises
    ------
    ParseError
        At a character that is not of the language, a malformed number or name, or beyond a limit.
    """
    if len(source.text) > limits.characters:
        raise source.error(0, f"the text has {len(source.text):,} characters", hint=limits.exceeded("characters"))
    tokens: list[Token] = []
    names: set[str] = set()
    for token in _scan(source, lines):
        if len(tokens) == limits.tokens:
            raise source.error(token.place, "the text has too many tokens", hint=limits.exceeded("tokens"))
        if token.kind == "name":
            _check_name(source, token, limits)
            names.add(token.text)
            if len(names) > limits.names:
                raise source.error(token.place, "the text has too many names", hint=limits.exceeded("names"))
        tokens.append(token)
    return [*tokens, Token("end", "", len(source.text))]


def _scan(source: Source, lines: bool) -> Iterator[Token]:
    """Yield numbers, names, signs and, where they count, ends of lines."""
    depth, end = 0, 0
    for match in PATTERN.finditer(source.text):
        kind, place = match.lastgroup, match.start()
        if place > end or (kind == "comment" and not lines):
            raise _stranger(source, end)
        end = match.end()
        if kind == "number" or kind == "name":
            yield Token(kind, match.group(), place)
        elif kind == "sign":
            sign = match.group()
            depth = max(0, depth + BRACKETS.get(sign, 0))
            yield Token(kind, sign, place)
        elif kind == "comment":
            _check_comment(source, place, match.group())
        elif kind == "newline" and lines and depth == 0:
            yield Token(kind, "\n", place)
    if end < len(source.text):
        raise _stranger(source, end)


def _stranger(source: Source, place: int) -> Exception:
    """Return the error for a character that is not of the language."""
    character = source.text[place]
    name = unicodedata.name(character, "")
    shown = quoted(character) if character.isprintable() and character.isascii() else f"U+{ord(character):04X} {name}"
    hint = WRITTEN_INSTEAD.get(character, "")
    of_module = next((m for m in OF_MODULE.finditer(source.text) if m.end(1) == place), None)
    if of_module:
        hint = f"functions are written without their module: {of_module[2][:LONG]}(...)"
    elif character == "_":
        hint = "a name begins with a letter"
    elif not hint and character.isalnum():
        hint = "names are of the letters A to Z, a to z, digits and _"
    return source.error(
        place,
        f"the character {shown.strip()} is not of the language",
        expected="numbers, names, + - * / **, brackets, commas",
        hint=hint or "take it away",
    )


def _check_comment(source: Source, place: int, comment: str) -> None:
    """Refuse characters that make a comment look like something else."""
    for offset, character in enumerate(comment.rstrip("\r")):
        if not (character.isprintable() or character == "\t"):
            what = f"a comment holds the invisible character U+{ord(character):04X}"
            raise source.error(place + offset, what, expected="what can be seen", hint="take it away")


def _check_name(source: Source, token: Token, limits: Limits) -> None:
    word = token.text
    if len(word) > limits.name_characters:
        raise source.error(token.place, f"a name has {len(word):,} letters", hint=limits.exceeded("name_characters"))
    if "__" in word:
        what = f"the name {quoted(word)} has two underscores in a row"
        raise source.error(token.place, what, expected="one", found="two", hint="take one away")
    if word in NO_NAMES:
        what = f"{quoted(word)} is not a real number and cannot be a name"
        truth = word in ("True", "False")
        hint = "write the condition itself, as in where(x > 0, a, b)" if truth else "choose another name"
        raise source.error(token.place, what, expected="a number or a name", hint=hint)


def value_of(source: Source, token: Token, limits: Limits) -> int | float:
    """Return the number that a token of kind "number" stands for.

    Whole numbers to 2**53 stay exact; others are the nearest float64.

    Raises
    ------
    ParseError
        If the number is malformed, too long, or not within the range of float64.
    """
    text = token.text
    if len(text) > limits.number_characters:
        what = f"a number has {len(text):,} characters"
        raise source.error(token.place, what, hint=limits.exceeded("number_characters"))
    match = NUMBER.match(text)
    if match is None or match.end() != len(text) or (len(text) > 1 and text[0] == "0" and text[1].isdigit()):
        what, expected = f"{quoted(text)} is not a number", "digits, as in 3, 0.5 or 1e-4"
        raise source.error(token.place, what, expected=expected, hint=_meant(text, match))
    if text.isdigit() and int(text) <= LARGEST_EXACT:
        return int(text)
    value = float(text)
    if math.isinf(value) or (value == 0 and any(c in "123456789" for c in re.split("[eE]", text)[0])):
        what, hint = f"the number {text} is not within the range of float64", "choose other units"
        raise source.error(token.place, what, expected="5e-324 to 1.8e308", hint=hint)
    return value


def _meant(text: str, match: re.Match[str] | None) -> str:
    """Return a hint for a malformed number: ``2x`` is a product."""
    number = match.group() if match else ""
    rest = text[len(number) :]
    if number and re.fullmatch("[A-Za-z][A-Za-z0-9]*", rest) and not text.startswith(("0x", "0b", "0o")):
        return f"write {number}*{rest} for a product" if len(rest) < LONG else "write * for a product"
    return "numbers are written 12, 0.5, 1e-4"
