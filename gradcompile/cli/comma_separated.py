"""Tables of numbers as text: one line of names, then one row a line.

Plain blocks are read by NumPy, whose floats are the nearest to the text, bit for bit. A block that NumPy does not
take as it is, or whose rows differ in length, or that holds something that is not finite, is read again field by field:
that gives the place of the mistake, or keeps the good rows where the user wants the others left out. Blocks with
quotes are read field by field from the start. A row is used or counted as rejected; none goes missing.
"""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from gradcompile.errors import DataError

Table = NDArray[np.float64]

BLOCK = 1 << 24  # bytes that are read at once: bounds the memory beside the numbers
DELIMITERS = {".csv": ",", ".tsv": "\t"}  # by suffix
LONGEST = 1 << 26  # bytes of one line
MOST_COLUMNS = 1 << 20
QUOTED = {mark: re.compile(rb'(?<![^\n%s])"(?:[^"]|"")*+"' % mark.encode()) for mark in DELIMITERS.values()}
NUMBER = re.compile(r"[ \t]*[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?[ \t]*", re.ASCII)
ENCODING = "latin-1"  # every byte is a character; what is not ASCII is in no number
PACKED = 4096  # rows that are Python's numbers at a time
EXAMPLES = 5  # rejected rows that are described


@dataclass
class Rows:
    """The rows of a table that were read.

    Parameters
    ----------
    numbers : array of float64, axes (row, column)
        The wanted columns of the rows that are used.
    rejected : int
        How many rows were left out.
    reasons : list of str
        Why, for the first of them.
    """

    numbers: Table
    rejected: int = 0
    reasons: list[str] = field(default_factory=list)


SKIP = "correct the row, or leave out such rows with --skip-bad-rows"


class Reader:
    """Reads a table from a binary stream: first the names, then wanted columns.

    Parameters
    ----------
    stream : binary file
        Read once, from front to back.
    name : str
        What messages call it.
    delimiter : str
        Between fields.
    """

    def __init__(self, stream: BinaryIO, name: str, delimiter: str = ",") -> None:
        self.stream, self.name, self.delimiter = stream, name, delimiter
        self.lines = 0  # before the next block
        self.rest, self.ended = b"", False
        self.names = self._header()

    def read(self, wanted: Sequence[int], *, skip: bool = False) -> Rows:
        """Return the columns at the positions `wanted`.

        Parameters
        ----------
        wanted : sequence of int
            Positions in `names`.
        skip : bool
            Whether rows with a mistake are left out, and counted; otherwise the first is an error.

        Raises
        ------
        DataError
            There is no row, or a row has a mistake; the message says ``file:line:column``.
        """
        found = Rows(np.empty((0, len(wanted))))
        parts = list(self.parts(wanted, found, skip=skip))
        found.numbers = np.concatenate([found.numbers, *parts])
        return found

    def parts(self, wanted: Sequence[int], told: Rows, *, skip: bool = False) -> Iterator[Table]:
        """Yield the columns at the positions `wanted`, some rows at a time; see `read`.

        Parameters
        ----------
        wanted : sequence of int
            Positions in `names`.
        told : Rows
            Gets the count of rejected rows, and the reasons.
        skip : bool
            Whether rows with a mistake are left out, and counted.
        """
        columns, rows = list(wanted), 0
        for block in self._blocks():
            part = self._quickly(block, columns)
            if part is None:
                part = self._slowly(block, columns, told if skip else None)
            rows += len(part)
            yield part
        if not rows:
            rejected = f"{told.rejected:,} rejected rows" if told.rejected else "a line of names and nothing else"
            raise DataError(
                f"{self.name} has no rows that can be used",
                expected="a line with the names of the columns, then rows of numbers",
                found=rejected,
                hint="give a file with rows of numbers",
            )

    def _header(self) -> list[str]:
        """Return the names of the columns."""
        line = self._first_line()
        try:
            text = line.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            what, hint = "the names are not text in UTF-8", "save the table as CSV in UTF-8"
            raise self._error(1, error.start + 1, what, expected="UTF-8", hint=hint) from None
        names = [name.strip() for name in next(csv.reader([text], delimiter=self.delimiter), [])]
        if not any(names):
            raise DataError(
                f"{self.name} is empty",
                expected="a line with the names of the columns, then rows",
                hint="give a file that has data",
            )
        if len(names) > MOST_COLUMNS:
            raise self._error(1, 1, f"there are {len(names):,} columns", expected=f"at most {MOST_COLUMNS:,}")
        if all(NUMBER.fullmatch(name) for name in names):
            hint = "put the names of the columns on the first line"
            raise self._error(1, 1, "the first line holds numbers", expected="names", hint=hint)
        known = set[str]()
        for name in names:
            if name and name in known:
                raise self._error(
                    1, text.rfind(name) + 1, f"two columns are called {name!r}", hint="give each a name of its own"
                )
            known.add(name)
        self.lines = 1
        return names

    def _first_line(self) -> bytes:
        while b"\n" not in self.rest and not self.ended:
            self._fill()
        line, _, self.rest = self.rest.partition(b"\n")
        return line

    def _fill(self) -> None:
        """Read on, with every kind of line end as one new line."""
        more = self.stream.read(BLOCK)
        if more.endswith(b"\r"):
            more += self.stream.read(1)
        self.ended = not more
        if b"\r" in more:
            more = more.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        self.rest += more
        if len(self.rest) > LONGEST and not _whole_lines(self.rest, self.delimiter):
            raise self._error(self.lines + 1, 1, f"the line is longer than {LONGEST:,} bytes")

    def _blocks(self) -> Iterator[bytes]:
        """Yield whole lines, about `BLOCK` bytes at once."""
        while self.rest or not self.ended:
            end = _whole_lines(self.rest, self.delimiter)
            while not self.ended and (len(self.rest) < BLOCK or not end):
                self._fill()
                end = _whole_lines(self.rest, self.delimiter)
            end = len(self.rest) if self.ended else end
            block, self.rest = self.rest[:end], self.rest[end:]
            yield block
            self.lines += block.count(b"\n")

    def _quickly(self, block: bytes, columns: list[int]) -> Table | None:
        """Return the numbers of a block; None if a closer look is needed."""
        if b'"' in block or b"\0" in block or not self._even(block):
            return None
        if not block.strip():
            return np.empty((0, len(columns)))
        try:
            part: Table = np.loadtxt(
                io.BytesIO(block),
                delimiter=self.delimiter,
                usecols=columns,
                ndmin=2,
                comments=None,
                encoding=ENCODING,
            )
        except (ValueError, IndexError):
            return None
        return part if np.isfinite(part).all() else None

    def _even(self, block: bytes) -> bool:
        """Return whether every line has as many fields as there are names, or is empty."""
        characters = np.frombuffer(block if block.endswith(b"\n") else block + b"\n", np.uint8)
        ends = np.flatnonzero(characters == ord("\n"))
        marks = np.searchsorted(np.flatnonzero(characters == ord(self.delimiter)), ends)
        counts = np.diff(marks, prepend=0)
        empty = np.diff(ends, prepend=-1) == 1
        return bool(np.all((counts == len(self.names) - 1) | empty))

    def _slowly(self, block: bytes, columns: list[int], skipped: Rows | None) -> Table:
        """Return the numbers of a block, field by field; raise at the first mistake, or count it in `skipped`."""
        text = block.decode(ENCODING)
        lines = csv.reader(io.StringIO(text, newline=""), delimiter=self.delimiter, strict=True)
        good: list[list[float]] = []
        parts: list[Table] = []
        before = 0
        while True:
            try:
                fields = next(lines)
                if any(fields) or len(fields) > 1:
                    good.append(self._row(fields, columns, self.lines + before + 1))
            except StopIteration:
                parts.append(np.array(good, np.float64).reshape(-1, len(columns)))
                return np.concatenate(parts)
            except csv.Error as error:
                what, hint = f"the quotes or fields are broken: {error}", "close the quotes that are opened there"
                raise self._error(self.lines + before + 1, 1, what, hint=hint) from None
            except DataError as error:
                if skipped is None:
                    raise
                skipped.rejected += 1
                skipped.reasons += [error.args[0].split("\n")[0]] if len(skipped.reasons) < EXAMPLES else []
            before = lines.line_num
            if len(good) == PACKED:
                parts.append(np.array(good, np.float64))
                good.clear()

    def _row(self, fields: list[str], columns: list[int], line: int) -> list[float]:
        """Return the wanted numbers of a row."""
        if len(fields) != len(self.names):
            column = len(self.delimiter.join(fields[: len(self.names)])) + 1
            what = f"the row has {len(fields)} fields"
            expected, hint = f"{len(self.names)}, as many as there are names", SKIP
            raise self._error(line, column, what, expected=expected, found=str(len(fields)), hint=hint)
        return [self._number(fields, k, line) for k in columns]

    def _number(self, fields: list[str], k: int, line: int) -> float:
        number = float(fields[k]) if NUMBER.fullmatch(fields[k]) else math.nan
        if not math.isfinite(number):
            column = len(self.delimiter.join(fields[:k])) + (2 if k else 1)
            found = fields[k].strip()[:40]
            what = f"{self.names[k]} is missing" if not found else f"{self.names[k]} is not a finite number"
            hint = f"{SKIP}; classes are numbers, from 0" if found.isalpha() else SKIP
            expected = "a number such as 0.5 or 1e-3"
            raise self._error(line, column, what, expected=expected, found=ascii(found), hint=hint)
        return number

    def _error(
        self, line: int, column: int, what: str, *, expected: str = "", found: str = "", hint: str = ""
    ) -> DataError:
        return DataError(what, expected=expected, found=found, hint=hint, source=f"{self.name}:{line}:{column}")


def _whole_lines(text: bytes, delimiter: str) -> int:
    """Return where the last line of a text ends that is whole: a line break in quotes ends none."""
    if b'"' not in text:
        return text.rfind(b"\n") + 1
    plain = QUOTED[delimiter].sub(lambda field: b"x" * len(field[0]), text)
    opened = re.search(rb'(?<![^\n%s])"' % delimiter.encode(), plain)  # a field whose quotes are not closed yet
    return plain.rfind(b"\n", 0, opened.start() if opened else len(plain)) + 1
