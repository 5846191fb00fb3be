"""Learned parameters in an NPZ file, in which NumPy sees the arrays and nothing else.

The comment of the archive says of which model they are, and what the SHA-256 of the arrays is.
"""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

from gradcompile.errors import DataError
from gradcompile.saving import arrays
from gradcompile.saving.archive import Saved, checked_arrays, digest, members_of, npy_members, zipped
from gradcompile.saving.comparison import Facts, check_same, facts
from gradcompile.saving.description import packed, unpacked

START = b'{"gradcompile parameters":1,'
KEYS = {"gradcompile parameters", "model", "arrays", "sha256"}
FACTS = {"parameters": str, "inputs": dict, "objective": str, "operations": str}
LONGEST_COMMENT = 65_535  # bytes: what an archive can hold


def to_bytes(saved: Saved) -> bytes:
    """Return the parameters and constants of a model as the bytes of a file; the same for the same arrays."""
    members, places = npy_members(saved.known)
    content = {"gradcompile parameters": 1, "model": facts(saved.graph), "arrays": places, "sha256": digest(members)}
    comment = packed(content)
    if len(comment) > LONGEST_COMMENT:  # thousands of inputs: the digest of the operations tells models apart, too
        content["model"] = {**facts(saved.graph), "inputs": {}}
        comment = packed(content)
    return zipped(members, comment)


def is_told(archive: zipfile.ZipFile) -> bool:
    """Return whether an archive says of which model its arrays are."""
    return archive.comment.startswith(START)


def read(path: Path, model: Saved) -> dict[str, Any] | None:
    """Return the parameters in a file of a model; None if the file does not say of which model it is.

    Raises
    ------
    DataError
        The file is broken, was changed, or holds parameters of another model.
    """
    with arrays.opened(path) as archive:
        if not is_told(archive):
            return None
        content = unpacked(archive.comment, path.name)
        if set(content) != KEYS or not _is_facts(content["model"]):
            raise DataError(
                f"{path.name} does not say of which model it is",
                expected="parameters that gradcompile has saved",
                hint="save the parameters again",
            )
        members = members_of(archive, path.name)
    if content["sha256"] != digest(members):
        raise DataError(
            f"{path.name} was changed since it was saved: its SHA-256 is another",
            expected="the digest that it was saved with",
            hint="train the model again, and save its parameters",
        )
    ours = facts(model.graph)
    check_same(content["model"], ours if content["model"]["inputs"] else {**ours, "inputs": {}}, path.name)
    return checked_arrays(path, content["arrays"], model.graph)


def _is_facts(part: Any) -> bool:
    """Return whether a part of the comment is what `facts` makes."""

    def fits(found: Facts) -> bool:
        return set(found) == set(FACTS) and all(isinstance(found[key], kind) for key, kind in FACTS.items())

    return isinstance(part, dict) and fits(part) and all(isinstance(d, str) for d in part["inputs"].values())
