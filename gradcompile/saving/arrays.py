"""Arrays in NPY and NPZ files, from anybody: no pickle, and no more memory than the file says and the machine has.

The header of an array is looked at before the array is: its type holds numbers, and its size is that of the file. A
member of an NPZ is inflated only when it is wanted, after its declared size was compared with its header.
"""

from __future__ import annotations

import io
import math
import os
import re
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np
from numpy.typing import NDArray

from gradcompile.errors import DataError
from gradcompile.files import naming

Array = NDArray[Any]

MAGIC = b"\x93NUMPY"
LENGTHS = {(1, 0): 2, (2, 0): 4}  # bytes that hold the length of the header, by version
LONGEST_HEADER = 10_000  # bytes
START = 8  # bytes of magic and version
ENTRY = re.compile(
    r"""'(?P<key>descr|fortran_order|shape)'\s*:\s*
    (?:'(?P<type>[^']{1,16})' | \[(?P<fields>[^\]]*)\] | (?P<order>True|False) | \((?P<shape>[0-9, ]*)\))\s*,?""",
    re.VERBOSE | re.ASCII,
)
FIELD = re.compile(r"\(\s*'(?P<field>[^'\\]*)'\s*,\s*'(?P<type>[^']{1,16})'\s*\)")
NUMBERS = "biuf"  # kinds of dtype


def load_array(path: Path) -> Array:
    """Return the array in an NPY file; it stays on the disk until it is used.

    Raises
    ------
    DataError
        The file is no array of numbers, or its header does not agree with its size.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        header = _header(file, size, path.name)
    found: Array = np.load(path, mmap_mode=None if 0 in header.shape else "r", allow_pickle=False)
    return found


@contextmanager
def unbroken(what: str, *, expected: str, hint: str) -> Iterator[None]:
    """Raise a `DataError` that begins with `what` for all that can be wrong with an archive which is being read."""
    try:
        yield
    except DataError:
        raise
    except Exception as error:  # a broken archive makes zipfile and zlib raise errors of many sorts
        raise DataError(f"{what}: {error}", expected=expected, hint=hint) from None


def member_names(path: Path) -> list[str]:
    """Return the names of the arrays in an NPZ file."""
    with opened(path) as archive:
        names = [i.filename.removesuffix(".npy") for i in archive.infolist() if i.filename.endswith(".npy")]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise DataError(
            f"{path.name} has two arrays called {twice!r}",
            expected="a name for each array",
            hint="write the file again, with a name for each",
        )
    return names


def load_members(path: Path, wanted: Iterable[str] | None = None) -> dict[str, Array]:
    """Return arrays of an NPZ file by name: those that are wanted, or all.

    Raises
    ------
    DataError
        The file is no archive of arrays, an array does not hold numbers or is not of the size that it declares, or the
        arrays do not fit into the memory of the machine.
    """
    names = member_names(path) if wanted is None else list(wanted)
    found: dict[str, Array] = {}
    with opened(path) as archive:
        members = {name: _member(archive, name, path.name) for name in names}
        check_fits(members.values(), path.name)
        for name, info in members.items():
            shown = f"{path.name}, array {name}"
            written, again = "an array that NumPy has written", "write the file again"
            with unbroken(shown, expected=written, hint=again), archive.open(info) as file:
                header = _header(file, info.file_size, shown)
                content = file.read(header.bytes)
            if len(content) != header.bytes:
                raise DataError(f"{shown} is cut short", expected="a whole array", hint="write the file again")
            found[name] = np.frombuffer(content, header.dtype).reshape(header.shape, order=header.order)
    return found


def check_fits(entries: Iterable[zipfile.ZipInfo], name: str) -> None:
    """Raise if members declare more bytes than the machine has memory."""
    if sum(entry.file_size for entry in entries) > _memory():
        raise DataError(
            f"the arrays in {name} do not fit into memory",
            expected="less than the memory of the machine",
            hint="give a file with fewer rows",
        )


def _member(archive: zipfile.ZipFile, name: str, file: str) -> zipfile.ZipInfo:
    try:
        return archive.getinfo(f"{name}.npy")
    except KeyError:
        raise DataError(
            f"{file} has no array {name!r:.80}",
            expected="an array of this name",
            hint="write the file again, with all arrays",
        ) from None


def packed(arrays: Mapping[str, Any]) -> bytes:
    """Return an NPZ file of arrays, as bytes; the same bytes for the same arrays."""
    file = io.BytesIO()
    np.savez(file, allow_pickle=False, **arrays)
    return file.getvalue()


def opened(path: Path) -> zipfile.ZipFile:
    """Return an NPZ file, opened."""
    try:
        with naming(path):
            return zipfile.ZipFile(path)
    except OSError:
        raise
    except Exception as error:  # of many sorts, see `unbroken`
        raise DataError(
            f"{path.name} is not an NPZ file: {error}",
            expected="arrays that NumPy has written",
            hint="write it with numpy.savez",
        ) from None


@dataclass(frozen=True)
class _Header:
    """What an array declares: its type, its shape, its order in memory, and the bytes that its numbers take."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    order: Literal["C", "F"]
    bytes: int


def _header(file: IO[bytes], size: int, name: str) -> _Header:
    """Return the header of an array in a file of `size` bytes, once it agrees with it."""
    start = file.read(START)
    version = (start[6], start[7]) if start[:6] == MAGIC and len(start) == START else None
    if version not in LENGTHS:
        raise DataError(
            f"{name} is not an array in NPY format",
            expected="an array that NumPy has written",
            hint="write it with numpy.save",
        )
    told = file.read(LENGTHS[version])
    length = int.from_bytes(told, "little")
    rest = size - START - len(told) - length
    if len(told) < LENGTHS[version] or length > LONGEST_HEADER or rest < 0:
        raise DataError(
            f"{name}: the header is longer than the file, or than {LONGEST_HEADER:,} bytes",
            expected="an array that NumPy has written",
            hint="write the file again",
        )
    header = _parsed(file.read(length).decode("latin-1"), name)
    if header.bytes != rest:
        raise DataError(
            f"{name}: the header declares {header.bytes:,} bytes, and there are {rest:,}",
            expected="as many bytes as the header declares",
            hint="write the file again",
        )
    return header


def _parsed(text: str, name: str) -> _Header:
    """Read the text of a header: three entries, by patterns and not as Python."""
    entries = {match["key"]: match for match in ENTRY.finditer(text)}
    rest = ENTRY.sub("", text).split()
    try:
        shape = tuple(int(length) for length in entries["shape"]["shape"].split(",") if length.strip())
        dtype = _dtype(entries["descr"])
        fortran = entries["fortran_order"]["order"] == "True"
    except (KeyError, TypeError, ValueError, AttributeError):  # of NumPy, for a type that there is not, among others
        rest = []
    if "".join(rest) != "{}":
        raise DataError(
            f"{name}: the header of the array is broken",
            expected="an array that NumPy has written",
            hint="write the file again",
        )
    fields = [dtype[field] for field in dtype.names] if dtype.names else [dtype]
    if not all(field.kind in NUMBERS and not field.shape for field in fields):
        raise DataError(
            f"{name} does not hold numbers",
            expected="integers or floats",
            found=f"dtype {dtype}"[:120],
            hint="convert it before it is written",
        )
    return _Header(dtype, shape, "F" if fortran else "C", dtype.itemsize * math.prod(shape))


def _dtype(entry: re.Match[str]) -> np.dtype[Any]:
    """Return the type of an array: one, or one for each named field."""
    if entry["type"] is not None:
        return np.dtype(entry["type"])
    fields = [(match["field"], match["type"]) for match in FIELD.finditer(entry["fields"])]
    if FIELD.sub("", entry["fields"]).strip(", "):
        raise ValueError(entry["fields"])
    return np.dtype(fields)


def _memory() -> int:
    """Return the bytes of memory that the machine has."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
