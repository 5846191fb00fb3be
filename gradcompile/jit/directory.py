"""The user's cache directory: private, written atomically, bounded in size; and what happens where there is none.

Machine code is run as it is found, so it is read only from files and a directory that belong to this user and that
nobody else may write to. Everything that is wrong with the directory leads to the same end: kernels are compiled in
memory, and one warning says so.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import time
import uuid
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

MODULES = 1000  # entries that are kept; the ones that were not used for longest go first
BYTES = 512 * 2**20  # and how much they may hold together
HOUR = 3600.0  # seconds after which a temporary file has no writer any more

DIGEST = hashlib.sha256().digest_size
OTHERS_MAY_WRITE = stat.S_IWGRP | stat.S_IWOTH


class CacheWarning(UserWarning):
    """The cache directory cannot be used, so that kernels are compiled again in every process."""


class UnusableError(Exception):
    """Why a directory cannot be the cache; never leaves this package."""


class PrivateDirectory:
    """A directory whose files are this user's own.

    Parameters
    ----------
    path : Path
        It exists, and was found to be private.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self, name: str) -> bytes | None:
        """Return the content of a file of our own; None if there is none that can be trusted."""
        try:
            handle = os.open(self.path / name, os.O_RDONLY | os.O_NOFOLLOW)
        except OSError:
            return None
        facts = os.fstat(handle)
        if not stat.S_ISREG(facts.st_mode) or not _private(facts):  # a folder cannot even be opened as a file
            os.close(handle)
            return None
        with open(handle, "rb") as file:
            return file.read()

    def write(self, name: str, content: bytes) -> bool:
        """Write a file at once or not at all; return whether it was written, with a warning if not."""
        temporary = self.path / f"{name}.{uuid.uuid4().hex}.tmp"
        try:
            with open(temporary, "xb", opener=_owner_only) as file:
                file.write(content)
            os.replace(temporary, self.path / name)
        except OSError as error:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
            warn_once(f"{self.path} cannot be written to ({error.strerror})")
            return False
        return True

    def read_signed(self, name: str) -> bytes | None:
        """Return what `write_signed` was given; None if there is nothing, or something else, which is put aside."""
        content = self.read(name)
        if content is None:
            return None
        if content[:DIGEST] == _digest(name, content[DIGEST:]):
            return content[DIGEST:]
        self.put_aside(name)
        return None

    def write_signed(self, name: str, content: bytes) -> bool:
        """Write a file as `write` does, after its digest."""
        return self.write(name, _digest(name, content) + content)

    def put_aside(self, name: str) -> None:
        """Take a damaged file out of the way, and keep it for whoever wants to know."""
        with contextlib.suppress(OSError):
            os.replace(self.path / name, self.path / f"{name}.damaged")

    def touch(self, name: str) -> None:
        """Mark an entry as used now."""
        with contextlib.suppress(OSError):
            os.utime(self.path / name)

    def trim(self, keep: str, modules: int = MODULES, size: int = BYTES) -> None:
        """Remove the entries that were not used for longest until the rest is within the limits.

        Parameters
        ----------
        keep : str
            An entry that stays, whatever its age. An entry is all files that begin with the same digest.
        modules, size : int
            The limits: entries, bytes.
        """
        entries = self._entries()
        oldest_last = sorted(
            entries, key=lambda digest: (digest == keep, max(f.stat.st_mtime for f in entries[digest]))
        )
        oldest_last.reverse()
        total = 0
        for count, digest in enumerate(oldest_last, start=1):
            total += sum(file.stat.st_size for file in entries[digest])
            if (count > modules or total > size) and digest != keep:
                _remove(file.path for file in entries[digest])

    def _entries(self) -> dict[str, list[_File]]:
        """Return the files of every entry, after removing what dead writers left behind."""
        entries: dict[str, list[_File]] = {}
        for path in self.path.iterdir():
            with contextlib.suppress(OSError):
                file = _File(path, path.lstat())
                if path.suffix == ".tmp" and time.time() - file.stat.st_mtime > HOUR:
                    _remove([path])
                elif stat.S_ISREG(file.stat.st_mode):
                    entries.setdefault(path.name.split(".")[0], []).append(file)
        return entries


class _File(NamedTuple):
    path: Path
    stat: os.stat_result


def cache_directory() -> PrivateDirectory | None:
    """Return the user's cache directory, made now if it is missing; None, after one warning, if it cannot be used.

    ``$GRADCOMPILE_CACHE``, else ``$XDG_CACHE_HOME/gradcompile``, else ``~/.cache/gradcompile``.
    """
    try:
        path = _location()
        with contextlib.suppress(FileExistsError):
            path.mkdir(mode=0o700, parents=True)
        _check(path)
    except UnusableError as reason:
        warn_once(str(reason))
    except OSError as error:
        warn_once(f"{error.filename} cannot be made ({error.strerror})")
    else:
        return PrivateDirectory(path)
    return None


def _location() -> Path:
    """Return where the cache should be, by the XDG base directory specification."""
    own, shared, home = (os.environ.get(name, "") for name in ("GRADCOMPILE_CACHE", "XDG_CACHE_HOME", "HOME"))
    if own:
        return Path(own).absolute()
    if os.path.isabs(shared):  # the specification: a relative path is to be ignored
        return Path(shared, "gradcompile")
    if not os.path.isabs(home) or not os.path.isdir(home):
        raise UnusableError("there is no home directory")
    return Path(home, ".cache", "gradcompile")


def _check(path: Path) -> None:
    """Raise unless the directory is one that nobody else can put files into."""
    facts = path.lstat()
    if stat.S_ISLNK(facts.st_mode):
        raise UnusableError(f"{path} is a symbolic link")
    if not stat.S_ISDIR(facts.st_mode):
        raise UnusableError(f"{path} is not a directory")
    if not _private(facts):
        raise UnusableError(f"{path} belongs to somebody else, or others may write to it")


def _private(facts: os.stat_result) -> bool:
    return facts.st_uid == os.geteuid() and not facts.st_mode & OTHERS_MAY_WRITE


def _digest(name: str, content: bytes) -> bytes:
    """Return the digest of a file: its name counts, so that no file can stand in for another."""
    return hashlib.sha256(name.encode() + content).digest()


def _owner_only(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _remove(paths: Iterable[Path]) -> None:
    for path in paths:
        with contextlib.suppress(OSError):
            path.unlink()


_warned = False


def warn_once(reason: str) -> None:
    """Warn that there is no cache: once a process."""
    global _warned
    if not _warned:
        _warned = True
        told = f"{reason}: kernels are kept in memory, and compiled again in every process"
        warnings.warn(f"{told}; set GRADCOMPILE_CACHE to a directory of your own", CacheWarning, stacklevel=2)
