"""Data for a model from a file: a table whose columns go to inputs, or arrays by name."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from gradcompile.cli import columns, comma_separated
from gradcompile.cli.columns import Need
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


def read(chosen: argparse.Namespace, inputs: Mapping[str, Input], optional: Sequence[str] = ()) -> Data:
    """Return the data of `--data` for inputs of a model.

    Parameters
    ----------
    chosen : Namespace
        With the options of `arguments`.
    inputs : mapping of str to Input
        Which inputs to look for; those in `optional` may be missing.

    Raises
    ------
    DataError
        The file is not what it should be, or lacks an input.
    """
    needs = [Need(name, len(i.shape), i.kind == "int") for name, i in inputs.items()]
    given = columns.mapping(chosen.map)
    path = Path(chosen.data)
    suffix = ".csv" if chosen.data == "-" else path.suffix.lower()
    if suffix in comma_separated.DELIMITERS:
        found = _text(chosen, comma_separated.DELIMITERS[suffix], needs, given, inputs)
    elif suffix == ".parquet":
        found = _parquet(path, needs, given, inputs)
    elif suffix in (".npy", ".npz"):
        found = _arrays(path, needs, given, inputs)
    else:
        raise ArgumentError(f"{chosen.data}: data are read from files {FORMATS}", found=suffix or "no suffix")
    for need in needs:
        if need.name not in found.inputs and need.name not in optional:
            raise columns.missing(need, found.names, path.name)
    return found


def _text(
    chosen: argparse.Namespace,
    delimiter: str,
    needs: Sequence[Need],
    given: Mapping[str, Sequence[str]],
    inputs: Mapping[str, Input],
) -> Data:
    name = "stdin" if chosen.data == "-" else Path(chosen.data).name
    with _opened(chosen.data) as stream:
        reader = comma_separated.Reader(stream, name, delimiter)
        places = columns.choose(needs, reader.names, given, name)
        wanted = sorted({k for ks in places.values() for k in ks})
        if not wanted:
            raise columns.missing(needs[0], reader.names, name)
        rows = reader.read(wanted, skip=chosen.skip_bad_rows)
    parts = dict(_split(rows.numbers, wanted, places, inputs))
    return Data(parts, len(rows.numbers), rows.rejected, tuple(rows.reasons), tuple(reader.names))


@contextmanager
def _opened(name: str) -> Iterator[BinaryIO]:
    """Open a file, or stdin, which stays open."""
    if name == "-":
        yield sys.stdin.buffer
    else:
        with Path(name).open("rb") as file:
            yield file


def _parquet(
    path: Path, needs: Sequence[Need], given: Mapping[str, Sequence[str]], inputs: Mapping[str, Input]
) -> Data:
    from gradcompile.cli.parquet import ParquetTable

    table = ParquetTable(path)
    places = columns.choose(needs, table.names, given, path.name)
    wanted = sorted({k for ks in places.values() for k in ks})
    numbers = table.read(wanted)
    return Data(dict(_split(numbers, wanted, places, inputs)), len(numbers), names=tuple(table.names))


def _arrays(path: Path, needs: Sequence[Need], given: Mapping[str, Sequence[str]], inputs: Mapping[str, Input]) -> Data:
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
        whole = np.column_stack([numbers[k] for k in order])
        return Data(dict(_split(whole, order, places, inputs)), len(whole), names=array.dtype.names)
    if len(needs) == 1:
        return Data({needs[0].name: array}, len(array), names=(path.stem,))
    parts = {need.name: array for need in needs if need.name == path.stem}
    return Data(parts, len(array), names=(path.stem,))


def _count(parts: Mapping[str, Any]) -> int:
    return max((len(array) for array in parts.values() if array.ndim), default=0)


def _split(
    numbers: Any, wanted: Sequence[int], places: Mapping[str, Sequence[int]], inputs: Mapping[str, Input]
) -> Iterator[tuple[str, Any]]:
    """Yield the array of each input from the columns that were read."""
    where = {column: k for k, column in enumerate(wanted)}
    for name, own in places.items():
        chosen = [where[column] for column in own]
        rank = len(inputs[name].shape)
        if rank < 2:
            yield name, np.ascontiguousarray(numbers[:, chosen[0]])
        elif chosen == list(range(numbers.shape[1])):
            yield name, _shaped(numbers, inputs[name])
        else:
            yield name, _shaped(np.ascontiguousarray(numbers[:, chosen]), inputs[name])


def _shaped(table: Any, declared: Input) -> Any:
    """Return columns as the axes of an input: those after the first must be numbers if there are several."""
    if len(declared.shape) == 2:
        return table
    lengths = [size.constant if not size.terms else 0 for size in declared.shape[1:]]
    if 0 in lengths or np.prod(lengths) != table.shape[1]:
        axes = ", ".join(map(str, declared.shape))
        hint = "give the sizes as numbers in the model, or the array in an NPZ file"
        raise DataError(f"{declared.name}[{axes}] cannot be made of {table.shape[1]} columns", hint=hint)
    return table.reshape(len(table), *lengths)
