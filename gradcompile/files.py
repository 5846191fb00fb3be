"""Files that users name: what an error says where there is none, or a folder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from os import PathLike
from pathlib import Path

from gradcompile.errors import ArgumentError, FolderError, MissingFileError

MANY = 1000  # names of a folder among which the nearest is looked for


def path_of(given: str | PathLike[str]) -> Path:
    """Return a path, or raise `ArgumentError` for what is none."""
    try:
        return Path(given)
    except TypeError:
        found = f"an object of type {type(given).__name__}"
        hint = "write its name, as in 'line.model'"
        raise ArgumentError("there is no file without a name", expected="a path", found=found, hint=hint) from None


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Say what is missing, is a folder or cannot be used, where the operating system only says that something is."""
    try:
        yield
    except FileNotFoundError as error:
        if isinstance(error, MissingFileError):
            raise
        raise missing(path) from None
    except IsADirectoryError:
        raise is_folder(path) from None
    except OSError as error:
        error.filename = str(path)  # of a disk that is full there is no name, of a temporary file a strange one
        raise


def is_folder(name: str | Path) -> FolderError:
    """Return the error for a folder that is given as a file."""
    what, hint = f"{name} is a folder", "name a file in it"
    return FolderError(what, expected="the name of a file", found="the name of a folder", hint=hint)


def missing(name: str | Path, hint: str = "") -> MissingFileError:
    """Return the error for a file that is not there, or whose folder is not.

    Parameters
    ----------
    name : str or Path
        As the user gave it.
    hint : str
        What to do if no file there has a similar name.
    """
    path = Path(name)
    folder = path.parent
    if not folder.is_dir():
        found, hint = f"no folder {folder}", hint or "correct the name, or make the folder first"
    else:
        found, hint = f"no such name in {folder.absolute()}", _nearest(path) or hint or "correct the name"
    return MissingFileError(f"there is no file {name}", expected="the name of a file", found=found, hint=hint)


def _nearest(path: Path) -> str:
    """Return ``did you mean line.model?`` for the file of this sort that has the nearest name, or an empty text."""
    try:
        names = [each.name for each, _ in zip(path.parent.glob(f"*{path.suffix}"), range(MANY), strict=False)]
    except (OSError, ValueError):  # a folder that may not be read, or a suffix that is a pattern
        return ""
    near = get_close_matches(path.name, names, 1)
    return f"did you mean {near[0]}?" if near else ""
