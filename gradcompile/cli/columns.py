"""Which columns of a table belong to which input of a model: by name, or by the user's ``--map``."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from fnmatch import fnmatchcase
from itertools import pairwise

from gradcompile.errors import ArgumentError, DataError

SHOWN = 12  # columns that a message lists
MANY = 1000  # names among which the nearest is looked for


@dataclass(frozen=True)
class Need:
    """An input that data are wanted for.

    Parameters
    ----------
    name : str
        What the model calls it.
    rank : int
        The number of its axes; the first one is the row.
    whole : bool
        Whether it holds labels: whole numbers.
    """

    name: str
    rank: int
    whole: bool = False


def mapping(text: str) -> dict[str, list[str]]:
    """Return the columns that ``x=pixel_*,gt=digit`` gives to each input.

    A part without ``=`` belongs to the input before it: ``x=height,weight,t=age`` gives two columns to x.

    Examples
    --------
    >>> mapping("x=pixel_*, extra, gt=digit")
    {'x': ['pixel_*', 'extra'], 'gt': ['digit']}
    """
    found: dict[str, list[str]] = {}
    name = ""
    for part in (part.strip() for part in text.split(",") if part.strip()):
        before, equals, after = (word.strip() for word in part.partition("="))
        if equals:
            name, part = before, after
        if not name or not part:
            raise ArgumentError(
                "--map does not say which input", text=text, place=part, hint="write x=pixel_*,gt=digit"
            )
        found.setdefault(name, []).append(part)
    return found


def choose(
    needs: Sequence[Need], names: Sequence[str], given: Mapping[str, Sequence[str]], file: str
) -> dict[str, list[int]]:
    """Return the positions of the columns of each input; an input without any is left out.

    Parameters
    ----------
    needs : sequence of Need
        The inputs.
    names : sequence of str
        The columns of the table.
    given : mapping of str to sequence of str
        Columns or patterns that the user maps to an input.
    file : str
        What messages call the table.

    Raises
    ------
    ArgumentError
        The user maps something that is not there.
    """
    known = {need.name: need for need in needs}
    for name in given:
        if name not in known:
            raise ArgumentError(
                f"--map names {name!r}, which takes no data",
                expected=", ".join(known),
                found=name,
                hint="map columns to one of these",
            )
    chosen = {}
    for need in needs:
        mapped = given.get(need.name)
        found = _mapped(need, mapped, names, file) if mapped else _by_name(need, names, file)
        if need.rank < 2 and len(found) > 1:
            shown = ", ".join(names[k] for k in found[:SHOWN])
            raise ArgumentError(
                f"{need.name} is one column, and {len(found)} are mapped to it",
                found=shown,
                hint="map one to it, or declare a second axis",
            )
        if found:
            chosen[need.name] = found
    return chosen


def missing(need: Need, names: Sequence[str], file: str) -> DataError:
    """Return the error for an input that the table, or the file of arrays, does not have."""
    close = _near(need.name, names) or _near(need.name.swapcase(), names)
    if file.lower().endswith((".npy", ".npz")):
        expected, hint = f"an array {need.name}", f"say which array: --map {need.name}={close[0] if close else 'NAME'}"
        if file.lower().endswith(".npy"):
            hint = f"write an NPZ file with all of them: numpy.savez(file, {need.name}=..., ...)"
        return DataError(f"{file} has no data for {need.name}", expected=expected, found=_listed(names), hint=hint)
    expected = f"a column {need.name}" if need.rank < 2 else f"columns {need.name}0, {need.name}1, ..."
    hint = f"say which columns: --map {need.name}={close[0] if close else 'NAME' if need.rank < 2 else 'NAMES_*'}"
    if len(names) == 1 and any(mark in names[0] for mark in ",;\t|"):
        hint = "separate the columns by commas; in a file .tsv, by tabs"
    return DataError(f"{file} has no data for {need.name}", expected=expected, found=_listed(names), hint=hint)


def _near(word: str, names: Sequence[str]) -> list[str]:
    """Return the nearest name, if any is near: of very many names, one of the first."""
    return get_close_matches(word, names[:MANY], 1)


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(name or "''" for name in names[:SHOWN]) or "nothing"
    return f"{shown}, ... ({len(names)} columns)" if len(names) > SHOWN else shown


def _mapped(need: Need, patterns: Sequence[str], names: Sequence[str], file: str) -> list[int]:
    """Return the columns of the user's names and patterns, in the order of the patterns and then of the table."""
    found: dict[int, None] = {}
    for pattern in patterns:
        here = [k for k, name in enumerate(names) if name == pattern] or [
            k for k, name in enumerate(names) if fnmatchcase(name, pattern)
        ]
        if not here:
            close = _near(pattern, names)
            hint = f"did you mean {close[0]}?" if close else f"write --map {need.name}=COLUMN with one of these"
            raise ArgumentError(
                f"{file} has no column {pattern!r} for {need.name}", expected=_listed(names), found=pattern, hint=hint
            )
        found |= dict.fromkeys(here)
    return list(found)


def _by_name(need: Need, names: Sequence[str], file: str) -> list[int]:
    """Return the column of that name; for a matrix the columns x0, x1, ..., in the order of their numbers."""
    if need.rank < 2:
        return [k for k, name in enumerate(names) if name == need.name]
    pattern = re.compile(re.escape(need.name) + r"[_.\[ ]?([0-9]{1,9})\]?", re.ASCII)
    numbered = sorted((int(match[1]), k) for k, name in enumerate(names) if (match := pattern.fullmatch(name)))
    numbers = [number for number, _ in numbered]
    if numbers and numbers != list(range(numbers[0], numbers[0] + len(numbers))):
        gap = next(number for number, following in pairwise(numbers) if following != number + 1)
        what = f"the columns of {need.name} in {file} are not numbered one after another"
        raise ArgumentError(what, found=f"a gap or a repetition after {gap}", hint=f"--map {need.name}=... names them")
    return [k for _, k in numbered] or [k for k, name in enumerate(names) if name == need.name]
