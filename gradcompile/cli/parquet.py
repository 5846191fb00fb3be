"""Tables in Parquet files, read by pyarrow: the optional extra `parquet`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradcompile.errors import DataError

BROKEN = (ValueError, OSError, LookupError, TypeError, RuntimeError)  # what pyarrow raises, its own errors included
ROWS = 1 << 16  # that are read at once
OLDEST = (14, 0, 1)  # earlier ones run code from files (CVE-2023-47248)


class ParquetTable:
    """The columns of a Parquet file.

    Parameters
    ----------
    path : Path
        The file.
    """

    def __init__(self, path: Path) -> None:
        self.path, self._arrow = path, _arrow()
        try:
            self._file = self._arrow.ParquetFile(path)
        except BROKEN as error:
            raise DataError(
                f"{path.name} is not a Parquet file: {_first(error)}",
                expected="a Parquet file",
                hint="write the file again, or give it the suffix of what it is",
            ) from None
        self.names: list[str] = list(self._file.schema_arrow.names)

    def parts(self, wanted: Sequence[int]) -> Iterator[NDArray[np.float64]]:
        """Yield the columns at the positions `wanted`, axes (row, column), some rows at a time.

        Raises
        ------
        DataError
            A column does not hold numbers, or misses one.
        """
        names = [self.names[k] for k in wanted]
        before = 0
        for batch in self._batches(names):
            part = np.empty((batch.num_rows, len(names)))
            for k, name in enumerate(names):
                part[:, k] = self._column(batch.column(batch.schema.names.index(name)), name, before)
            before += len(part)
            yield part
        if not before:
            raise DataError(f"{self.path.name} has no rows", expected="a row", hint="give a file that has data")

    def _batches(self, names: Sequence[str]) -> Iterator[Any]:
        """Yield rows as the file holds them; what is wrong with it is an error of ours."""
        batches = self._file.iter_batches(columns=list(names), batch_size=ROWS)
        while True:
            try:
                batch = next(batches)
            except StopIteration:
                return
            except BROKEN as error:
                raise DataError(
                    f"{self.path.name} is broken: {_first(error)}",
                    expected="a Parquet file",
                    hint="write the file again",
                ) from None
            yield batch

    def _column(self, column: Any, name: str, before: int) -> Any:
        types = import_module("pyarrow.types")
        kind = column.type
        if not (types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind)):
            raise DataError(
                f"{self.path.name}: column {name} does not hold numbers",
                found=str(kind)[:80],
                hint="leave the column out with --map, or convert it to numbers",
            )
        if column.null_count:
            row = next(k for k, entry in enumerate(column.is_null().to_pylist()) if entry)
            raise DataError(
                f"{self.path.name}: {name} is missing in row {before + row + 1}",
                expected="a number",
                hint="fill it, or leave the row out",
            )
        return column.to_numpy(zero_copy_only=False)


def _arrow() -> Any:
    """Return pyarrow's reader, or say how to get it."""
    try:
        pyarrow, parquet = import_module("pyarrow"), import_module("pyarrow.parquet")
    except ImportError:
        raise DataError("Parquet files need pyarrow", hint="pip install 'gradcompile[parquet]'") from None
    version = tuple(int(part) for part in pyarrow.__version__.split(".")[:3] if part.isdigit())
    if version < OLDEST:
        raise DataError(f"pyarrow {pyarrow.__version__} runs code from files", hint="pip install 'pyarrow>=14.0.1'")
    return parquet


def _first(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
