"""The text that is read, and how an error points into it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import NamedTuple

from gradcompile.errors import ParseError

SHOWN = 200  # characters after the place that an error keeps of a line
LONGEST_WORD_SHOWN = 40


class Source(NamedTuple):
    """A text and the name under which messages speak of it.

    Parameters
    ----------
    name : str
        The file name, or what the text is.
    text : str
        All of it; a place is an offset into it, counted from 0.
    """

    name: str
    text: str

    def position(self, place: int) -> tuple[int, int]:
        """Return line and column, both counted from 1, of an offset."""
        start = self.text.rfind("\n", 0, place) + 1
        return self.text.count("\n", 0, place) + 1, place - start + 1

    def line_of(self, place: int) -> str:
        """Return ``line 3, column 5`` of an offset, for messages that name a second place."""
        line, column = self.position(place)
        return f"line {line}, column {column}"

    def error(self, place: int, what: str, *, expected: str = "", found: str = "", hint: str = "") -> ParseError:
        """Return an error with a caret under `place`."""
        line, column = self.position(place)
        start = place - column + 1
        end = self.text.find("\n", place)
        end = min(len(self.text) if end < 0 else end, place + SHOWN)
        return ParseError(
            what,
            text=self.text[start:end].rstrip("\r") or " ",
            place=column - 1,
            expected=expected,
            found=found,
            hint=hint,
            source=f"{self.name}:{line}:{column}",
        )


def quoted(word: str) -> str:
    """Return a word of the user's for a message: in quotes, printable and not too long."""
    shown = word if len(word) <= LONGEST_WORD_SHOWN else word[:LONGEST_WORD_SHOWN] + "..."
    return "'" + "".join(c if c.isprintable() else "?" for c in shown) + "'"


def suggestion(word: str, known: Iterable[str]) -> str:
    """Return ``did you mean 'w1'?`` for the nearest known word, or an empty string."""
    names = list(known)
    folded = {name.lower(): name for name in names}
    near = difflib.get_close_matches(word, names, 1) or [
        folded[n] for n in difflib.get_close_matches(word.lower(), list(folded), 1)
    ]
    return f"did you mean {quoted(near[0])}?" if near else ""
