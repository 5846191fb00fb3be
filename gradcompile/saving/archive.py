"""Saved models: one NPZ file with the parameters as arrays, the model as JSON, and a digest of both.

NumPy reads the arrays as those of any NPZ file. Nothing in the file is ever run: arrays hold numbers, the model is a
list of operations of gradcompile's own table.
"""

from __future__ import annotations

import hashlib
import io
import re
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from gradcompile.errors import DataError
from gradcompile.ir import Graph
from gradcompile.saving import arrays
from gradcompile.saving.description import FORMAT, decoded, encoded, packed, unpacked

MODEL, DIGEST = "model.json", "sha256"
LARGEST_MODEL = 256 * 2**20  # bytes of JSON
NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*", re.ASCII)
DTYPES = ("float64", "float32")
EPOCH = (1980, 1, 1, 0, 0, 0)  # the same bytes for the same model: no time of day is in the file


@dataclass(frozen=True)
class Saved:
    """What a file holds.

    Parameters
    ----------
    graph : Graph
        The objective and the outputs, lowered, before differentiation.
    dtype : {"float64", "float32"}
        Of the arithmetic.
    strict, single : bool
        Whether arithmetic is done as written; whether one gradient and not a tuple comes back.
    known : dict of str to array
        Parameters and constants, by name.
    """

    graph: Graph
    dtype: str = "float64"
    strict: bool = False
    single: bool = False
    known: Mapping[str, Any] = field(default_factory=dict)

    @property
    def outputs(self) -> tuple[str, ...]:
        """Return the names of what can be predicted."""
        return tuple(name for name in self.graph.outputs if name != "value")

    def __reduce__(self) -> tuple[Any, ...]:
        """Return the call that makes it again in another process, of the graph as it is in files: without recursion."""
        return _restored, (encoded(self.graph), self.dtype, self.strict, self.single, dict(self.known))

    @property
    def text(self) -> str:
        """Refuse: the operations are saved, not the formulas."""
        raise DataError(
            "a model from a file has no text", hint="keep the model file, or print(model.text) before saving"
        )


def _restored(graph: dict[str, Any], *rest: Any) -> Saved:
    return Saved(decoded(graph), *rest)


def to_bytes(saved: Saved) -> bytes:
    """Return the file as bytes: the same for the same model and arrays."""
    from gradcompile import __version__  # the package's front door imports this module

    members, places = npy_members(saved.known)
    kind = {"dtype": saved.dtype, "strict": saved.strict, "single": saved.single, "arrays": places}
    members[MODEL] = packed({"format": FORMAT, "version": __version__, **kind, "graph": encoded(saved.graph)})
    members[DIGEST] = digest(members).encode("ascii")
    return zipped(members)


def read(path: Path) -> Saved:
    """Return what is saved in a file.

    Raises
    ------
    DataError
        The file is no saved model, or was changed since it was saved.
    OSError
        It cannot be read.
    """
    with arrays.opened(path) as archive:
        if not is_saved(archive):
            raise DataError(
                f"{path.name} is not a saved model",
                expected="a file that model.save has written",
                hint="give a file that model.save has written; gradcompile.load reads model files",
            )
        content = _checked(archive, path.name)
    described = _described(content, path.name)
    return replace(described, known=checked_arrays(path, content["arrays"], described.graph))


def is_saved(archive: zipfile.ZipFile) -> bool:
    """Return whether an archive holds a model, and not arrays alone."""
    return MODEL in archive.namelist()


def npy_members(known: Mapping[str, Any]) -> tuple[dict[str, bytes], dict[str, str]]:
    """Return arrays as members of an archive, and the member of each name: names of any sort may be in a model."""
    members: dict[str, bytes] = {}
    places: dict[str, str] = {}
    for number, (name, array) in enumerate(known.items()):
        places[name] = name if NAME.fullmatch(name) else f"array {number}"
        file = io.BytesIO()
        np.lib.format.write_array(file, np.asarray(array), allow_pickle=False)
        members[f"{places[name]}.npy"] = file.getvalue()
    return members, places


def zipped(members: Mapping[str, bytes], comment: bytes = b"") -> bytes:
    """Return an archive: members as they are, and no time of day."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name, EPOCH), content)
        archive.comment = comment
    return file.getvalue()


def digest(members: Mapping[str, bytes]) -> str:
    """Return the SHA-256 of names and contents."""
    found = hashlib.sha256()
    for name, content in members.items():
        for part in (name.encode(), content):
            found.update(len(part).to_bytes(8, "little"))
            found.update(part)
    return found.hexdigest()


def _checked(archive: zipfile.ZipFile, name: str) -> Any:
    """Return the content of the JSON, once the digest agrees with every member."""
    members = members_of(archive, name)
    if list(members)[-1] != DIGEST or len(members[MODEL]) > LARGEST_MODEL:
        raise DataError(
            f"{name} is not a saved model: its digest is missing, or its model is too large",
            expected="a file that model.save has written",
            hint="save the model again",
        )
    if members.pop(DIGEST) != digest(members).encode("ascii"):
        raise DataError(f"{name} was changed since it was saved: its SHA-256 is another", hint="save the model again")
    return unpacked(members[MODEL], name)


def members_of(archive: zipfile.ZipFile, name: str) -> dict[str, bytes]:
    """Return all members of an archive that holds them as they are, unpacked.

    Raises
    ------
    DataError
        Two have one name, one is packed or longer than it declares, or they do not fit into memory.
    """
    entries = archive.infolist()
    if len({entry.filename for entry in entries}) < len(entries):
        raise DataError(
            f"{name} has two members of one name",
            expected="a file that model.save has written",
            hint="save the model again",
        )
    if any(e.compress_type != zipfile.ZIP_STORED or e.file_size != e.compress_size for e in entries):
        raise DataError(f"{name} is packed: its members would have to be inflated", hint="save the model again")
    arrays.check_fits(entries, name)
    with arrays.unbroken(
        f"{name} is broken", expected="a file that model.save has written", hint="save the model again"
    ):
        return dict(_contents(archive, entries))


def _contents(archive: zipfile.ZipFile, entries: list[zipfile.ZipInfo]) -> Iterator[tuple[str, bytes]]:
    """Yield the members, each no longer than it is declared."""
    for entry in entries:
        with archive.open(entry) as file:
            content = file.read(entry.file_size + 1)
        if len(content) != entry.file_size:
            raise DataError(
                f"{entry.filename} is not of the size that it declares",
                expected="as many bytes as it declares",
                hint="save the model again",
            )
        yield entry.filename, content


def _described(content: Any, name: str) -> Saved:
    """Return the model that the JSON describes."""
    keys = {"format", "version", "dtype", "strict", "single", "arrays", "graph"}
    if not isinstance(content, dict) or set(content) != keys:
        raise DataError(
            f"{name} is not a saved model of this kind", expected=", ".join(sorted(keys)), hint="save the model again"
        )
    if content["format"] != FORMAT:
        found = f"format {content['format']!r:.20} of gradcompile {content['version']!r:.20}"
        raise DataError(
            f"{name} has another format",
            expected=f"format {FORMAT}",
            found=found,
            hint="save the model again, with this version",
        )
    dtype, strict, single = (content[key] for key in ("dtype", "strict", "single"))
    if dtype not in DTYPES or type(strict) is not bool or type(single) is not bool:
        raise DataError(
            f"{name} has no dtype, or no flags",
            found=f"{dtype!r:.40}, {strict!r:.40}, {single!r:.40}",
            hint="save the model again",
        )
    return Saved(decoded(content["graph"]), dtype, strict, single)


def checked_arrays(path: Path, places: Any, graph: Graph) -> dict[str, Any]:
    """Return arrays by the names of a model, which must have them with these axes."""
    if not isinstance(places, dict) or not all(isinstance(place, str) for place in places.values()):
        raise DataError(
            f"{path.name} does not say what its arrays are",
            expected="a name for each array",
            hint="save the model again",
        )
    members = arrays.load_members(path, dict.fromkeys(places.values()))
    known = {name: members[place] if members[place].ndim else members[place][()] for name, place in places.items()}
    _check_axes(known, graph, path.name)
    return known


def _check_axes(known: Mapping[str, Any], graph: Graph, name: str) -> None:
    """Raise unless every array has the name and the axes of an input; sizes that are names agree with one another."""
    sizes: dict[str, int] = {}
    for key, array in known.items():
        declared = graph.inputs.get(key)
        lengths = np.shape(array)
        if declared is None or len(lengths) != len(declared.shape):
            expected = "no such array" if declared is None else f"{len(declared.shape)} axes"
            raise DataError(
                f"{name}: the array {key!r:.80} is not of the model",
                expected=expected,
                found=f"{lengths}",
                hint="save the model again",
            )
        for size, length in zip(declared.shape, lengths, strict=True):
            told = size.terms[0][0] if len(size.terms) == 1 and size == type(size).of(size.terms[0][0]) else ""
            known_length = size.constant if not size.terms else sizes.setdefault(told, length) if told else length
            if length != known_length:
                what = f"{name}: {key!r:.80} has {length} along an axis"
                raise DataError(
                    what,
                    expected=f"{size} = {known_length}",
                    found=f"the shape {lengths}",
                    hint="save the model again, with arrays that agree about their axes",
                )
