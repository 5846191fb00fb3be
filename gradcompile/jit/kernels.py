"""A function of an emitted module as machine code: made by LLVM directly, and by Numba where that cannot be."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cache
from types import MappingProxyType
from typing import Any

import numpy as np

from gradcompile.garbage import importing
from gradcompile.jit.loading import Given, Typed, given, load, specialise

VARIABLE = "GRADCOMPILE_COMPILER"  # "numba": it compiles everything, as it does where emitted files are run
Compiled = Callable[..., Any]
NUMBER, WHOLE = Given("float64", 0), Given("int64", 0)
NO_FUNCTIONS: Mapping[str, Any] = MappingProxyType({})

_built: dict[tuple[str, str, tuple[Given, ...]], Compiled | None] = {}  # None where Numba has to do it
_lock = threading.RLock()


def kernel(source: str, name: str, types: Typed, short: Collection[str] = ()) -> Compiled:
    r"""Return a function of an emitted module, compiled for the only types that it will be called with.

    Parameters
    ----------
    source : str
        Emitted text for Numba, after its own check.
    name : str
        The function.
    types : sequence of Given
        One for each argument; arrays are in C order.
    short : collection of str
        The functions that are not worth optimising by themselves.

    Raises
    ------
    EmissionError
        The code does not compile, which is a defect of gradcompile.

    Examples
    --------
    >>> text = "@njit(error_model='numpy')\ndef half(x):\n    return x/2\n"
    >>> kernel(text, "half", [Given("float64", 0)])(3.0)
    1.5
    """
    made = _directly(source, name, types)
    if made is None:
        with _lock:  # of two models with one text, the second finds it compiled
            made = getattr(load(source, compiled=True, short=short), name)
            specialise(made, types)
    return made


class ByArguments:
    """A function of an emitted module, which is compiled at its first call with arguments of new types.

    Parameters
    ----------
    source, name, short
        As of `kernel`.
    inner : collection of str
        Further functions that only compiled code calls.
    beside : mapping of str to sequence of int
        Functions that will be needed, too, and which of the arguments they have: compiled at the same time.
    """

    def __init__(
        self,
        source: str,
        name: str,
        inner: Collection[str],
        short: Collection[str],
        beside: Mapping[str, Sequence[int]] = NO_FUNCTIONS,
    ) -> None:
        self.source, self.name, self.inner, self.short, self.beside = source, name, inner, short, beside

    def __call__(self, *arguments: Any) -> Any:
        """Call the function."""
        return self.made(*arguments)(*arguments)

    def made(self, *arguments: Any) -> Compiled:
        """Return the function as it is compiled for arguments of the types of these."""
        types, made = tuple(_type(each) for each in arguments), None
        if None not in types:
            beside = {name: tuple(types[place] for place in places) for name, places in self.beside.items()}
            made = _directly(self.source, self.name, types, beside)  # type: ignore[arg-type]  # none of them is
        if made is None:
            module = load(self.source, compiled=True, inner=self.inner, short=self.short)
            made = getattr(module, self.name)
        return made


def _type(argument: object) -> Given | None:
    """Return the dtype and the rank of an argument; None if Numba has to say what it is."""
    if isinstance(argument, np.ndarray):
        plain = argument.flags.c_contiguous and argument.flags.aligned and argument.dtype.isnative and argument.ndim
        return _array(argument.dtype, argument.ndim) if plain else None
    if isinstance(argument, float | int | np.integer) and not isinstance(argument, bool):
        return NUMBER if isinstance(argument, float) else WHOLE
    return None


@cache
def _array(dtype: np.dtype[Any], rank: int) -> Given:
    """Return what an array is; to ask a dtype for its name takes microseconds."""
    return Given(dtype.name, rank)


def compile_all(source: str, wanted: Mapping[str, Typed]) -> None:
    """Compile functions of an emitted module beside one another, where Numba is not needed: `kernel` finds them then.

    Parameters
    ----------
    source : str
        As of `kernel`.
    wanted : mapping of str to sequence of Given
        The functions, and the types of their arguments.
    """
    if wants_numba():
        return
    full = {name: tuple(given(types)) for name, types in wanted.items()}
    with _lock:
        missing = {name: types for name, types in full.items() if (source, name, types) not in _built}
        for name, made in _translated(source, missing).items() if missing else ():
            _built[source, name, full[name]] = made


def _directly(source: str, name: str, types: Typed, beside: Mapping[str, Typed] = NO_FUNCTIONS) -> Compiled | None:
    """Return the function without Numba; None if that cannot be, or is not asked for."""
    if wants_numba():
        return None
    asked = source, name, tuple(given(types))
    if asked not in _built:  # seen without the lock, for the thread in the background may hold it for seconds
        compile_all(source, {name: types, **beside})
    return _built[asked]


def wants_numba() -> bool:
    """Return whether Numba is asked for."""
    return os.environ.get(VARIABLE) == "numba" or os.environ.get("NUMBA_DISABLE_JIT", "0") not in ("", "0")


@importing()
def _translated(source: str, wanted: Mapping[str, Typed]) -> dict[str, Compiled | None]:
    from gradcompile.jit.direct import UntranslatableError, build_all  # LLVM takes its time to import

    found = build_all(source, wanted)
    return {name: None if isinstance(made, UntranslatableError) else made for name, made in found.items()}
