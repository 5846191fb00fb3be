"""Data for a model from a file: a table whose columns go to inputs, or arrays by name."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from gradcompile.cli import columns, comma_separated
from gradcompile.cli.columns import Need
from gradcompile.cli.gathering import Gathered
from gradcompile.errors import ArgumentError, DataError
from gradcompile.ir import Input
from gradcompile.saving import arrays

FORMATS = ".csv, .tsv, .npy, .npz, .parquet"
ROWS = ("data", "labels")  # roles that are read from files


@dataclass(frozen=True)
class Data:
    """What a file gave.

    Parameters
    ----------
    inputs : mapping of str to array
        By the names of the model.
    rows, rejected : int
        How many rows are used, and how many were left out.
    reasons : tuple of str
        Why, for the first of those.
    names : tuple of str
        The columns or arrays of the file.
    """

    inputs: Mapping[str, Any]
    rows: int
    rejected: int = 0
    reasons: tuple[str, ...] = ()
    names: tuple[str, ...] = ()

    def told(self, name: str) -> str:
        """Return the count of rows as a sentence."""
        lines = [f"{name}: {self.rows + self.rejected:,} rows read, {self.rows:,} used, {self.rejected:,} rejected"]
        return "\n".join([*lines, *(f"  {reason}" for reason in self.reasons)])


def arguments(parser: argparse.ArgumentParser, *, required: bool) -> None:
    """Add the options that say where data come from."""
    parser.add_argument("--data", metavar="FILE", required=required, help=f"a table or arrays: {FORMATS}, or - for CSV")
    example = "which columns go where, if the names differ: x=pixel_*,gt=digit"
    parser.add_argument("--map", metavar="NAME=COLUMNS,...", default="", help=example)
    skipping = "leave out rows with a mistake, and say how many; otherwise the first is an error"
    parser.add_argument("--skip-bad-rows", action="store_true", help=skipping)


def read(
    chosen: argparse.Namespace, inputs: Mapping[str, Input], dtype: str = "float64", unused: Collection[str] = ()
) -> Data:
    """Return the data of `--data` for inputs of a model.

    Parameters
    ----------
    chosen : Namespace
        With the options of `arguments`.
    inputs : mapping of str to Input
        Which inputs to look for.
    dtype : str
        Of real arrays.
    unused : collection of str
        Other inputs of the model: `--map` may name them, as it does where the same columns serve to train it.

    Raises
    ------
    DataError
        The file is not what it should be, or lacks an input.
    """
    needs = [Need(name, len(i.shape), i.kind == "int") for name, i in inputs.items()]
    given = {name: found for name, found in columns.mapping(chosen.map).items() if name in inputs or name not in unused}
    path = Path(chosen.data)
    suffix = ".csv" if chosen.data == "-" else path.suffix.lower()
    if suffix in comma_separated.DELIMITERS:
        found = _text(chosen, comma_separated.DELIMITERS[suffix], needs, given, inputs, dtype)
    elif suffix == ".parquet":
        found = _parquet(path, needs, given, inputs, dtype)
    elif suffix in (".npy", ".npz"):
        found = _arrays(path, needs, given, inputs, dtype)
    else:
        raise ArgumentError(
            f"{chosen.data}: data are read from files {FORMATS}",
            found=suffix or "no suffix",
            hint="give the file one of these suffixes",
        )
    for need in needs:
        if need.name not in found.inputs:
            raise columns.missing(need, found.names, path.name)
    if not found.rows and any(need.rank for need in needs):
        what, hint = f"{path.name} has no rows", "give a file with rows of numbers"
        raise DataError(what, expected="at least one row", found="arrays of length 0", hint=hint)
    return found


def _text(
    chosen: argparse.Namespace,
    delimiter: str,
    needs: Sequence[Need],
    given: Mapping[str, Sequence[str]],
    inputs: Mapping[str, Input],
    dtype: str,
) -> Data:
    name = "stdin" if chosen.data == "-" else Path(chosen.data).name
    with _opened(chosen.data) as stream:
        reader = comma_separated.Reader(stream, name, delimiter)
        places = columns.choose(needs, reader.names, given, name)
        wanted = sorted({k for ks in places.values() for k in ks})
        if not wanted:
            raise columns.missing(needs[0], reader.names, name)
        told, gathered = comma_separated.Rows(np.empty((0, 0))), Gathered(places, wanted, inputs, dtype)
        for part in reader.parts(wanted, told, skip=chosen.skip_bad_rows):
            gathered.add(part)
    return Data(gathered.arrays(), gathered.rows, told.rejected, tuple(told.reasons), tuple(reader.names))


@contextmanager
def _opened(name: str) -> Iterator[BinaryIO]:
    """Open a file, or stdin, which stays open."""
    if name == "-":
        yield sys.stdin.buffer
    else:
        with Path(name).open("rb") as file:
            yield file


def _parquet(
    path: Path, needs: Sequence[Need], given: Mapping[str, Sequence[str]], inputs: Mapping[str, Input], dtype: str
) -> Data:
    from gradcompile.cli.parquet import ParquetTable

    table = ParquetTable(path)
    places = columns.choose(needs, table.names, given, path.name)
    wanted = sorted({k for ks in places.values() for k in ks})
    gathered = Gathered(places, wanted, inputs, dtype)
    for part in table.parts(wanted):
        gathered.add(part)
    return Data(gathered.arrays(), gathered.rows, names=tuple(table.names))


def _arrays(
    path: Path, needs: Sequence[Need], given: Mapping[str, Sequence[str]], inputs: Mapping[str, Input], dtype: str
) -> Data:
    """Return arrays by name; an NPY file holds one array, or a table with named columns."""
    if path.suffix.lower() == ".npz":
        names = arrays.member_names(path)
        sources = {need.name: (given.get(need.name) or [need.name])[0] for need in needs}
        wanted = [source for source in sources.values() if source in names]
        members = arrays.load_members(path, wanted)
        parts = {name: members[source] for name, source in sources.items() if source in members}
        return Data(parts, _count(parts), names=tuple(names))
    array = arrays.load_array(path)
    if array.dtype.names:
        places = columns.choose(needs, array.dtype.names, given, path.name)
        numbers = {k: np.asarray(array[array.dtype.names[k]], np.float64) for ks in places.values() for k in ks}
        order = sorted(numbers)
        gathered = Gathered(places, order, inputs, dtype)
        gathered.add(np.column_stack([numbers[k] for k in order]))
        return Data(gathered.arrays(), gathered.rows, names=array.dtype.names)
    if len(needs) == 1:
        return Data({needs[0].name: array}, len(array), names=(path.stem,))
    parts = {need.name: array for need in needs if need.name == path.stem}
    return Data(parts, len(array), names=(path.stem,))


def _count(parts: Mapping[str, Any]) -> int:
    return max((len(array) for array in parts.values() if array.ndim), default=0)
