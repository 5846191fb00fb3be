"""Files that commands write: whole or not at all, never through a link, never over an input.

The text goes to a temporary file in the same folder, which then takes the name: the file that had the name before is
never opened, so a link is replaced and what it points to stays as it is.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import os
import stat
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from gradcompile.cli import terminal
from gradcompile.errors import DataError
from gradcompile.files import missing, naming
from gradcompile.saving import replacing

STANDARD = {
    "-": "stdout",
    "/dev/stdout": "stdout",
    "/dev/fd/1": "stdout",
    "/dev/stderr": "stderr",
    "/dev/fd/2": "stderr",
}


def write(path: str, content: str | bytes, *, force: bool = False, inputs: Iterable[Path] = ()) -> None:
    """Write a file, or a standard stream.

    Parameters
    ----------
    path : str
        Where; ``-`` is stdout. Devices and named pipes are written to as they are.
    content : str or bytes
        What; text is written as UTF-8.
    force : bool
        Whether an existing file may be replaced.
    inputs : iterable of Path
        Files that were read: none of them is replaced, whatever its name here.

    Raises
    ------
    DataError
        The file exists, is an input, or is reached through a link.
    OSError
        The operating system refuses.
    """
    packed = content.encode() if isinstance(content, str) else content
    if path in STANDARD:
        with naming(Path(STANDARD[path])):
            _stream(STANDARD[path], packed)
    elif _is_device(path):
        with naming(Path(path)), open(path, "wb", buffering=0) as device:
            device.write(packed)
    else:
        check_writable(path, force=force, inputs=inputs)
        replacing.replace(Path(path), packed, force=force)


def deliver(chosen: argparse.Namespace, text: str, facts: Mapping[str, Any], inputs: Iterable[Path]) -> None:
    """Write the text that a command has made where the user wants it, and say so.

    Parameters
    ----------
    chosen : Namespace
        With the options `output`, `force`, `json` and `quiet`.
    text : str
        The result.
    facts : mapping
        What there is to say of it in JSON, beginning with the model.
    inputs : iterable of Path
        As in `write`.
    """
    shown = chosen.output in STANDARD
    if not (shown and chosen.json):
        write(chosen.output, text, force=chosen.force, inputs=inputs)
    lines = text.count("\n")
    if chosen.json:
        terminal.result_as_json({**facts, **({"text": text} if shown else {"file": chosen.output, "lines": lines})})
    elif not shown:
        terminal.note(f"wrote {chosen.output}: {facts['model']}, {lines} lines", quiet=chosen.quiet)


def check_writable(path: str, *, force: bool = False, inputs: Iterable[Path] = ()) -> None:
    """Raise what `write` would raise, before the work is done whose result it is."""
    if path in STANDARD or _is_device(path):
        return
    target = Path(path)
    if target.is_dir() and not target.is_symlink():
        raise DataError(f"{path} is a folder", hint="give the name of a file")
    _check_folders(target)
    if not target.parent.is_dir():
        raise missing(target)
    if not os.access(target.parent, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(target))
    found = _status(target)
    for source in inputs:
        if found is not None and _same(target, source):
            raise DataError(f"{path} is an input of this command", hint="write to another file")
    if found is not None and not force:
        raise DataError(f"{path} exists already", hint="give another name, or --force to replace it")


def _stream(name: str, packed: bytes) -> None:
    stream = getattr(sys, name)
    stream.flush()
    binary = getattr(stream, "buffer", None)
    if binary is None:  # a stream of text that somebody put there
        stream.write(packed.decode())
    else:
        binary.write(packed)
        binary.flush()


def _is_device(path: str) -> bool:
    """Return whether a path is a device or a pipe, which no file can replace."""
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def _status(path: Path) -> os.stat_result | None:
    """Return the status of the name itself, link or not; None if there is none."""
    try:
        return path.lstat()
    except FileNotFoundError:
        return None


def _same(target: Path, source: Path) -> bool:
    """Return whether two names are one file: the same name, a hard link or a symbolic one."""
    with contextlib.suppress(OSError):
        return os.path.samefile(target, source)
    return False


def _check_folders(target: Path) -> None:
    """Refuse a folder that is a link: whoever may write beside it decides where the file goes."""
    for folder in target.parents:
        if folder.is_symlink():
            hint = f"name the folder itself: {os.path.join(os.path.realpath(target.parent), target.name)}"
            raise DataError(f"{folder} is a link to a folder", hint=hint)
