"""Lines of emitted code: broken where they are too long, with comments in a column of their own."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

WIDTH = 100
INDENT = "    "
COLUMN = 60  # a comment starts here at the latest, or two columns after its code
BREAKS = re.compile(r"(?<=, )|(?= (?:[-+@|&<>]|==|!=|<=|>=|and|or|if|else) )|(?<=[\w)\]])(?=[*/])(?<!\*)")
COMMAS = re.compile(r"(?<=, )")
WORD = re.compile(r"[A-Za-z_]\w*")
HEADS = (
    re.compile(r"(def \w+\()(.*)(\):)"),
    re.compile(r"((?:if|elif) )(.*)(:)"),
    re.compile(r"(return )(.*)()"),
    re.compile(r"([^=]+? [-+*]?= )(.*)()"),
    re.compile(r"(\w[\w.]*\()(.*)(\))"),
)


def wrapped(line: str, width: int = WIDTH) -> Iterator[str]:
    """Yield a line of code, broken inside of parentheses if it is longer than `width`."""
    indent = line[: len(line) - len(line.lstrip())]
    if len(line) <= width or (match := _head(line.strip())) is None:
        yield line
        return
    start, body, end = match.groups()
    inner = indent + INDENT * (2 if start.startswith("def ") else 1)
    if len(indent + start) >= width and start.endswith("= "):
        yield from _assigned(start, body, indent, width)
    elif start.endswith("("):
        yield indent + start
        yield from _filled(body, inner, width)
        yield indent + end
    elif not _is_call(body) or len(indent + start) + _opening(body) >= width:
        yield f"{indent}{start}("
        yield from _filled(body, inner, width)
        yield f"{indent}){end}"
    else:  # one call: its own parentheses will do
        opened = _opening(body)
        yield indent + start + body[: opened + 1]
        yield from _filled(body[opened + 1 : -1], inner, width)
        yield f"{indent}){end}"


def _assigned(start: str, body: str, indent: str, width: int) -> Iterator[str]:
    """Yield an assignment to what is too long for a line itself: an element, or several names."""
    opened, closed = _longest(start)
    if opened == closed:
        start = f"({start.removesuffix(' = ')}) = "
        opened, closed = 0, len(start) - len(") = ")
    yield indent + start[: opened + 1]
    yield from _filled(start[opened + 1 : closed], indent + INDENT, width)
    yield from wrapped(indent + start[closed:] + body, width)


def _head(line: str) -> re.Match[str] | None:
    """Return the statement taken apart; an expression is one call or none."""
    match = next((m for head in HEADS if (m := head.fullmatch(line))), None)
    whole = match is None or match.re is not HEADS[-1] or _opening(line) == len(match[1]) - 1
    return match if whole else None


def _is_call(body: str) -> bool:
    """Return whether an expression is one call, whose parentheses it can be broken in."""
    return body.endswith(")") and len(list(_pieces(body))) == 1


def _opening(call: str) -> int:
    """Return where the parenthesis is opened that the last character closes."""
    depth = 0
    for place in range(len(call) - 1, -1, -1):
        depth += (call[place] in ")]") - (call[place] in "([")
        if depth == 0:
            return place
    return 0


def _filled(body: str, indent: str, width: int) -> Iterator[str]:
    """Yield pieces of code, as many to a line as fit: arguments, or terms and factors where there are none."""
    several, room = next(_pieces(body, COMMAS)) != body, width - len(indent)
    line = ""
    for piece in _pieces(body, COMMAS if several else BREAKS):
        if line and len((line + piece).strip()) > room:
            opens = len(line) + _longest(piece)[0] + 1 <= room
            if not several and opens and len(piece.strip()) > room:  # broken in any case: inside of its brackets
                yield from _opened((line + piece).strip(), indent, width)
                line = ""
                continue
            yield from _narrowed(line.strip(), indent, width)
            line = ""
        line += piece
    if line:
        yield from _narrowed(line.strip(), indent, width)


def _narrowed(piece: str, indent: str, width: int) -> Iterator[str]:
    """Yield a piece; one that is too long is broken between its terms, or else inside of its longest brackets."""
    if len(indent) + len(piece) <= width:
        yield indent + piece
    elif next(_pieces(piece, BREAKS)) != piece:
        yield from _filled(piece, indent, width)
    else:
        yield from _opened(piece, indent, width)


def _opened(piece: str, indent: str, width: int) -> Iterator[str]:
    """Yield a piece broken inside of its longest brackets, if it has any."""
    opened, closed = _longest(piece)
    if opened == closed:
        yield indent + piece
        return
    yield indent + piece[: opened + 1]
    yield from _filled(piece[opened + 1 : closed], indent + INDENT, width)
    yield indent + piece[closed:]


def _longest(piece: str) -> tuple[int, int]:
    """Return where the longest outermost brackets of a piece open and close; equal if there are none."""
    best, depth, opened = (0, 0), 0, 0
    for place, character in enumerate(piece):
        if character in "([":
            opened, depth = (place if depth == 0 else opened), depth + 1
        elif character in ")]":
            depth -= 1
            if depth == 0 and place - opened > best[1] - best[0]:
                best = opened, place
    return best


def _pieces(body: str, breaks: re.Pattern[str] = BREAKS) -> Iterator[str]:
    """Yield a text in pieces between which a line may be broken: not inside of brackets, nor of a string."""
    outside, depth, quoted = [], 0, False
    for character in body:
        quoted ^= character == '"'
        depth += 0 if quoted else (character in "([") - (character in ")]")
        outside.append(depth == 0 and not quoted)
    start = 0
    for match in breaks.finditer(body):
        place = match.start()
        if start < place < len(body) and outside[place - 1]:
            yield body[start:place]
            start = place
    yield body[start:]


def commented(lines: Iterable[tuple[str, str]], width: int = WIDTH - len(INDENT)) -> Iterator[str]:
    """Yield lines of (code, comment) for a function's body: comments stand in one column, or above a long line.

    A comment that the code says itself is left out.
    """
    pairs = [(code, "" if comment.replace(" ", "") in code.replace(" ", "") else comment) for code, comment in lines]
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


def words(lines: Iterable[str]) -> set[str]:
    """Return the names and keywords in lines of code, without those of comments."""
    return {word for line in lines for word in WORD.findall(line.partition("#")[0])}
