"""Arrays that grow while a file is read: in memory as long as there is room, beyond that in temporary files.

A temporary file has no name: it is gone when the process is, however that ends. The array is then a map of the file,
which training reads where it is, so that data may be larger than memory.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from gradcompile.errors import DataError
from gradcompile.ir import Input

Array = NDArray[Any]

PART_OF_MEMORY = 4  # arrays may take a quarter of the machine's memory
ROOMY = "/var/tmp"  # where temporary files may be large; TMPDIR says otherwise


@dataclass
class Room:
    """The memory that arrays may take together, in bytes: how much there is, and how much is used."""

    limit: int
    used: int = 0

    @staticmethod
    def of_this_machine() -> Room:
        """Return a part of the memory of the machine."""
        return Room(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // PART_OF_MEMORY)


class Growing:
    """A table that rows are added to.

    Parameters
    ----------
    columns : int
        Its width.
    dtype : dtype
        Of its numbers.
    room : Room
        What it shares with other tables.
    """

    def __init__(self, columns: int, dtype: Any, room: Room) -> None:
        self.columns, self.dtype, self.room = columns, np.dtype(dtype), room
        self.rows = 0
        self._numbers: Array = np.empty((0, columns), dtype)
        self._file: IO[bytes] | None = None

    def add(self, part: Array) -> None:
        """Add rows."""
        with np.errstate(over="ignore"):  # a number beyond float32 is an infinity, as IEEE 754 says
            part = np.ascontiguousarray(part, self.dtype)
        needed = self.rows + len(part)
        if self._file is None and needed > len(self._numbers):
            self._grow(max(needed, len(self._numbers) * 3 // 2))
        if self._file is None:
            self._numbers[self.rows : needed] = part
        else:
            self._file.write(part.data)
        self.rows = needed

    def array(self) -> Array:
        """Return the table, axes (row, column), once it is whole; from a file, it can only be read."""
        if self._file is None:
            self._numbers.resize((self.rows, self.columns), refcheck=False)
            return self._numbers
        with self._file as file:  # the map keeps what it shows
            file.flush()
            return np.asarray(np.memmap(file, self.dtype, "r", shape=(self.rows, self.columns)))

    def _grow(self, rows: int) -> None:
        """Make room in memory, or go on in a file."""
        row = self.columns * self.dtype.itemsize
        more = (rows - len(self._numbers)) * row
        if self.room.used + more > self.room.limit:
            self._file = _nameless()
            self._file.write(self._numbers[: self.rows].data)
            self.room.used -= len(self._numbers) * row
            self._numbers = self._numbers[:0]
            return
        self.room.used += more
        self._numbers.resize((rows, self.columns), refcheck=False)


def _nameless() -> IO[bytes]:
    """Return a temporary file without a name, which lives as long as it is open or mapped."""
    folder = os.environ.get("TMPDIR") or (ROOMY if os.path.isdir(ROOMY) else None)
    return tempfile.TemporaryFile(dir=folder)


class Gathered:
    """The inputs of a model, each from its own columns of a table that is read part by part.

    Parameters
    ----------
    places : mapping of str to sequence of int
        The columns of each input.
    wanted : sequence of int
        The columns that each part holds, in their order.
    inputs : mapping of str to Input
        What the model declares.
    dtype : str
        Of its real arrays.
    """

    def __init__(
        self, places: Mapping[str, Sequence[int]], wanted: Sequence[int], inputs: Mapping[str, Input], dtype: str
    ) -> None:
        where = {column: k for k, column in enumerate(wanted)}
        room = Room.of_this_machine()
        self._inputs, self._rows = inputs, 0
        self._columns = {name: [where[column] for column in own] for name, own in places.items()}
        self._tables = {
            name: Growing(len(own), np.int64 if inputs[name].kind == "int" else dtype, room)
            for name, own in places.items()
        }

    def add(self, part: Array) -> None:
        """Add rows, axes (row, column)."""
        for name, table in self._tables.items():
            own = part if self._columns[name] == list(range(part.shape[1])) else part[:, self._columns[name]]
            if table.dtype.kind == "i":
                self._check_whole(name, own)
            table.add(own)
        self._rows += len(part)

    def arrays(self) -> dict[str, Array]:
        """Return the array of each input."""
        return {name: _shaped(table.array(), self._inputs[name]) for name, table in self._tables.items()}

    @property
    def rows(self) -> int:
        """Return how many rows there are."""
        return self._rows

    def _check_whole(self, name: str, labels: Array) -> None:
        wrong = np.flatnonzero((labels != np.floor(labels)) | (np.abs(labels) > 2.0**62))
        if len(wrong):
            found = f"{labels.flat[wrong[0]]:g} in row {self._rows + int(wrong[0]) // labels.shape[1] + 1}"
            raise DataError(
                f"{name} holds labels, and they are whole numbers",
                found=found,
                hint="number the classes from 0, or declare it as data",
            )


def _shaped(table: Array, declared: Input) -> Array:
    """Return columns as the axes of an input: those after the first must be numbers if there are several."""
    if len(declared.shape) < 2:
        return table.reshape(len(table))
    if len(declared.shape) == 2:
        return table
    lengths = [size.constant if not size.terms else 0 for size in declared.shape[1:]]
    if 0 in lengths or np.prod(lengths) != table.shape[1]:
        axes = ", ".join(map(str, declared.shape))
        hint = "give the sizes as numbers in the model, or the array in an NPZ file"
        raise DataError(
            f"{declared.name}[{axes}] cannot be made of {table.shape[1]} columns",
            hint=hint,
            expected="columns for each of its elements",
        )
    return table.reshape(len(table), *lengths)
