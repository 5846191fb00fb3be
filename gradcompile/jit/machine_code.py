"""Machine code that Numba compiled, kept from one process to the next.

Numba's own file cache trusts what it finds: a flipped bit in its index or its data is an exception from the depths or a
wrong result, and two processes that write one index at once can swap two functions. Here every compiled function is
a file of its own, named by everything that it depends on, and read only if its digest is right.
"""

from __future__ import annotations

import hashlib
from typing import Any

from numba.core import compiler, serialize
from numba.core.caching import _Cache
from numba.core.dispatcher import Dispatcher
from numba.core.runtime.nrt import rtsys

from gradcompile.garbage import importing
from gradcompile.jit.directory import PrivateDirectory

CompileResult: Any = compiler.CompileResult  # Numba's type hints are partial
runtime: Any = rtsys
pack: Any = serialize.dumps


class MachineCode(_Cache):
    """The compiled forms of one function, for Numba's dispatcher.

    Parameters
    ----------
    directory : PrivateDirectory
        Where the files are.
    digest : str
        The digest of the module: of its text, of the options and of all versions.
    function : str
        The function's name in the module.
    """

    def __init__(self, directory: PrivateDirectory, digest: str, function: str) -> None:
        self.directory, self.digest, self.function = directory, digest, function

    @property
    def cache_path(self) -> str:
        """Return the directory."""
        return str(self.directory.path)

    @importing()
    def load_overload(self, sig: object, target_context: Any) -> Any:
        """Return the function compiled for a signature; None if it has to be compiled."""
        name = self._file(sig)
        content = self.directory.read_signed(name)
        if content is None:
            target_context.refresh()  # as the compilation that follows would, with a search for garbage
            return None
        runtime.initialize(target_context)  # without its refresh(), which imports what only compilations need
        try:
            return CompileResult._rebuild(target_context, *serialize.loads(content))
        except Exception:  # written by something else, though its digest is right: compile again
            self.directory.put_aside(name)
            return None

    def save_overload(self, sig: object, data: Any) -> None:
        """Keep a function that was compiled for a signature."""
        if data.lifted or data.library.has_dynamic_globals:  # depends on this process
            return
        self.directory.write_signed(self._file(sig), pack(_reduced(data)))

    def enable(self) -> None:
        """Do nothing: there is no state."""

    def disable(self) -> None:
        """Do nothing: there is no state."""

    def flush(self) -> None:
        """Do nothing: files are removed by age, see `PrivateDirectory.trim`."""

    def _file(self, sig: object) -> str:
        return f"{self.digest}.{hashlib.sha256(f'{self.function} {sig}'.encode()).hexdigest()[:32]}.o"


def _reduced(data: Any) -> tuple[Any, ...]:
    """Return what a compiled function is made of again.

    Of the functions that it calls Numba keeps the environments, and imports their modules with them: half of NumPy's
    functions and SciPy's linear algebra. Machine code needs one for its constants, to print, and to raise with numbers
    that are known only then, which Numba's own functions for arrays do not.
    """
    *rest, environments = data._reduce()
    return (*rest, tuple(each for each in environments if each.consts or not _is_numbas(each)))


def _is_numbas(environment: Any) -> bool:
    return str(environment.globals.get("__name__")).startswith("numba.")


def keep(function: object, directory: PrivateDirectory, digest: str) -> None:
    """Keep the machine code of a function in a directory, if it is one that Numba compiles."""
    if isinstance(function, Dispatcher):
        dispatcher: Any = function
        dispatcher._cache = MachineCode(directory, digest, dispatcher.__qualname__)
