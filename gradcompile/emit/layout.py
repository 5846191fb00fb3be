"""Lines of emitted code: broken where they are too long, with comments in a column of their own."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

WIDTH = 100
INDENT = "    "
COLUMN = 60  # a comment starts here at the latest, or two columns after its code
BREAKS = re.compile(r"(?<=, )|(?= (?:[-+@|&<>]|==|!=|<=|>=|and|or|if|else) )|(?<=[\w)\]])(?=[*/])(?<!\*)")
HEADS = (
    re.compile(r"(def \w+\()(.*)(\):)"),
    re.compile(r"((?:if|elif) )(.*)(:)"),
    re.compile(r"(return )(.*)()"),
    re.compile(r"([\w., \[\]:]+? [-+*]?= )(.*)()"),
    re.compile(r"(\w[\w.]*\()(.*)(\))"),
)


def wrapped(line: str, width: int = WIDTH) -> Iterator[str]:
    """Yield a line of code, broken inside of parentheses if it is longer than `width`."""
    indent = line[: len(line) - len(line.lstrip())]
    if len(line) <= width:
        yield line
        return
    for head in HEADS:
        if match := head.fullmatch(line.strip()):
            start, body, end = match.groups()
            opened = start.endswith("(")
            yield indent + start + ("" if opened else "(")
            yield from _filled(body, indent + INDENT * (2 if start.startswith("def ") else 1), width)
            yield indent + ("" if opened else ")") + end
            return
    yield line


def _filled(body: str, indent: str, width: int) -> Iterator[str]:
    """Yield pieces of code, as many to a line as fit."""
    line = ""
    for piece in _pieces(body):
        if line and len(indent) + len(line) + len(piece.rstrip()) > width:
            yield (indent + line.strip()).rstrip()
            line = ""
        line += piece
    yield indent + line.strip()


def _pieces(body: str) -> Iterator[str]:
    """Yield a text in pieces between which a line may be broken: never inside of a string."""
    start = 0
    for match in BREAKS.finditer(body):
        if body.count('"', 0, match.start()) % 2 == 0 and match.start() > start:
            yield body[start : match.start()]
            start = match.start()
    yield body[start:]


def commented(lines: Iterable[tuple[str, str]], width: int = WIDTH - len(INDENT)) -> Iterator[str]:
    """Yield lines of (code, comment) for a function's body: comments stand in one column, or above a long line."""
    pairs = list(lines)
    short = [len(code) for code, comment in pairs if comment and len(code) + 2 <= COLUMN]
    column = max(short, default=0) + 2
    for code, comment in pairs:
        place = max(column, len(code) + 2)
        if comment and place + 2 + len(comment) <= width:
            yield f"{code:<{place}}# {comment}"
            continue
        indent = code[: len(code) - len(code.lstrip())]
        if comment and len(indent) + 2 + len(comment) <= width:
            yield f"{indent}# {comment}"
        yield from wrapped(code, width)
