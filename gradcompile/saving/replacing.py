"""Files that are written whole or not at all: a temporary file in the same folder takes the name.

The file that had the name before is never opened, so a link is replaced, and what it points to stays as it is.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path

from gradcompile.errors import DataError
from gradcompile.files import naming


def replace(target: Path, packed: bytes, *, force: bool = True) -> None:
    """Write a file.

    Parameters
    ----------
    target : Path
        Its name.
    packed : bytes
        Its content.
    force : bool
        Whether a file of that name may be replaced.

    Raises
    ------
    DataError
        There is such a file, and it may not be replaced.
    OSError
        The operating system refuses.
    """
    if target.is_dir():
        what, hint = f"{target} is a folder", f"name a file in it: {target / 'model.npz'}"
        raise DataError(what, expected="the name of a file", found="the name of a folder", hint=hint)
    with naming(target):
        _replace(target, packed, force)


def _replace(target: Path, packed: bytes, force: bool) -> None:
    descriptor, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name[:40]}.", suffix=".part")
    try:
        with open(descriptor, "wb") as file:
            file.write(packed)
            file.flush()
            os.fsync(descriptor)
            os.fchmod(descriptor, 0o666 & ~_mask())
        if force or not _linked(temporary, target):
            os.replace(temporary, target)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)


def _linked(temporary: str, target: Path) -> bool:
    """Give a file a second name, which must be new; return False where the file system knows no such thing."""
    try:
        os.link(temporary, target)
    except FileExistsError:  # since it was looked for
        raise DataError(f"{target} exists already", hint="give another name, or --force to replace it") from None
    except OSError:
        return False
    return True


def _mask() -> int:
    """Return the user's mask of permissions, which can only be read by setting it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
