"""One family of errors; each is also the builtin that a caller would guess.

Every message says *what* went wrong, *where* (with a caret under the place in the user's own text), what was
expected, what was found, and what to do about it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager


class GradcompileError(Exception):
    """Base of every error that gradcompile raises on purpose.

    Parameters
    ----------
    what : str
        One sentence: what is wrong.
    text : str, optional
        The user's expression, formula or line that holds the mistake.
    place : str or int, optional
        The part of `text` to point at: a substring (its first occurrence) or a column counted from 0.
    expected, found : str, optional
        What the compiler needed and what it got.
    hint : str, optional
        What to do.
    source : str, optional
        The file and line, ``model.model:3``, where there is one.

    Examples
    --------
    >>> print(GradcompileError("there is no function 'foo'", text="1 + foo(x)", place="foo", hint="write exp"))
    there is no function 'foo'
        1 + foo(x)
            ^^^
      to do:    write exp
    """

    def __init__(
        self,
        what: str,
        *,
        text: str = "",
        place: str | int = "",
        expected: str = "",
        found: str = "",
        hint: str = "",
        source: str = "",
    ) -> None:
        self.what, self.text, self.place = what, text, place
        self.expected, self.found, self.hint, self.source = expected, found, hint, source
        super().__init__(self._message())

    def _message(self) -> str:
        lines = [_clean(f"{self.source}: {self.what}" if self.source else self.what)]
        if self.text:
            lines += _pointed(self.text, self.place)
        lines += [
            f"  {label:<9} {_clean(value)}"
            for label, value in (("expected:", self.expected), ("found:", self.found), ("to do:", self.hint))
            if value
        ]
        return "\n".join(lines)


WIDTH = 88  # columns of the user's text that a message shows


def _pointed(text: str, place: str | int) -> list[str]:
    """Return the line of `text` that holds `place`, and a line with a caret under it."""
    column = place if isinstance(place, int) else max(text.find(place), 0) if place else -1
    length = len(place) if isinstance(place, str) else 1
    if column < 0:
        return ["    " + _clean(text[:WIDTH])]
    first = text.rfind("\n", 0, column) + 1
    line, column = text[first:].split("\n", 1)[0], column - first
    start = max(0, column - WIDTH // 2) if len(line) > WIDTH else 0
    shown = line[start : start + WIDTH]
    length = max(1, min(length, len(shown) - (column - start)))
    return ["    " + _clean(shown), "    " + " " * (column - start) + "^" * length]


def _clean(text: str) -> str:
    """Make untrusted text safe to print: one column a character, no control characters."""
    return "".join(c if c.isprintable() else "?" for c in text)


class ModelError(GradcompileError, ValueError):
    """The mathematics that was given is not a model that can be compiled."""


class ParseError(ModelError):
    """A text is not in the language."""


class UnknownNameError(ModelError, NameError):
    """A name, function or argument that nothing declares."""


class UnknownAttributeError(GradcompileError, AttributeError):
    """An attribute that something of gradcompile does not have."""


class DuplicateNameError(ModelError):
    """Two different symbols, or two declarations, bear one name."""


class IndexRangeError(ModelError, IndexError):
    """An index has no range, or two, or leaves the axis that it indexes."""


class UnsupportedError(ModelError, NotImplementedError):
    """A SymPy object for which gradcompile has no meaning."""


class TooDeepError(ModelError, RecursionError):
    """An expression has more operations inside of one another than Python can follow."""


class NonDifferentiableError(ModelError, TypeError):
    """A gradient was asked for through something that has none."""


class MinibatchError(ModelError):
    """The objective is not a sum over samples, so a part of them does not estimate it."""


class ArgumentError(GradcompileError, TypeError):
    """An argument is missing, unknown, or of the wrong type."""


class ShapeError(GradcompileError, ValueError):
    """An array has the wrong rank or shape, or two arrays disagree about an axis."""


class LabelError(GradcompileError, IndexError):
    """An integer array that is used as an index leaves the axis that it indexes."""


class DataError(GradcompileError, ValueError):
    """Data that no model can use: not a number, empty, unreadable."""


class MissingFileError(GradcompileError, FileNotFoundError):
    """There is no file of a name, or no folder for it."""


class FolderError(GradcompileError, IsADirectoryError):
    """A name of a folder stands where a file is to be read."""


class TooLargeError(GradcompileError, MemoryError):
    """Arrays of these sizes, or what is computed from them, do not fit into memory."""


class GradientCheckError(GradcompileError, AssertionError):
    """A gradient and its check disagree."""


class EmissionError(GradcompileError, RuntimeError):
    """Emitted code holds something that is not on the allow-list, so it was neither written nor run."""


def no_attribute(owner: str, name: str, known: Iterable[str], meant: Mapping[str, str], otherwise: str) -> Exception:
    """Return the error for an attribute that is not there, and say which one is.

    Parameters
    ----------
    owner : str
        What does not have it, in words.
    name : str
        The attribute that was asked for.
    known : iterable of str
        Those that there are.
    meant : mapping of str to str
        What to do, for names that other libraries have.
    otherwise : str
        What to do if no name is near.
    """
    what = f"{owner} has no attribute {name!r}"
    if name.startswith("_"):  # asked by protocols, as those of copies and notebooks
        return AttributeError(what)
    from difflib import get_close_matches  # no program has to wait for it that does not need it

    names = {each.casefold(): each for each in known if not each.startswith("_")}
    near = get_close_matches(name.casefold(), names, 1)
    hint = meant.get(name) or (f"did you mean {names[near[0]]!r}?" if near else otherwise)
    return UnknownAttributeError(what, hint=hint)


@contextmanager
def within_depth() -> Iterator[None]:
    """Say what to do where Python's recursion ends: SymPy's own functions recurse, as printing does."""
    try:
        yield
    except TooDeepError:
        raise
    except RecursionError as error:
        raise TooDeepError(
            "the objective is nested too deeply",
            expected="operations inside of one another that Python's recursion limit allows for",
            hint="name inner parts with define={...}",
        ) from error
