"""A model as the command line names it: a file, a shipped name, an expression, or an object of a Python module."""

from __future__ import annotations

import argparse
import contextlib
import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from difflib import get_close_matches
from importlib import import_module
from importlib.resources import files
from pathlib import Path
from typing import Any

from gradcompile.cli.confinement import confine
from gradcompile.cli.numbers import sizes
from gradcompile.errors import ArgumentError, DataError, ModelError, UnknownNameError
from gradcompile.files import missing
from gradcompile.language import load, parse, parse_expression
from gradcompile.language.limits import Limits
from gradcompile.model import Model

SUFFIX = ".model"
NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}", re.ASCII)
FILE = re.compile(r"\.{1,2}|[A-Za-z_]\w*\.[A-Za-z_]\w*", re.ASCII)  # no expression has such a point
OBJECT = re.compile(r"([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*):([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)", re.ASCII)
STATEMENT = re.compile(r"^\s*[A-Za-z]\w*\s*(\[[^\]\n]*\]\s*)?(:|=(?!=))", re.ASCII | re.MULTILINE)

HELP = (
    "a file NAME.model, the name of a shipped model (see `gradcompile models`), an expression in quotes, - for stdin, "
    "or package.module:object, which imports that module: Python code runs then, and only then"
)


@dataclass(frozen=True)
class Given:
    """A model and how it was named.

    Parameters
    ----------
    model : Model
        The mathematics.
    name : str
        What messages and files call it.
    files : tuple of Path
        The files that it was read from: no output may replace them.
    dtype : str
        Of its arrays.
    bare : bool
        Whether it is an expression alone, whose names have no roles but those that options give.
    """

    model: Model
    name: str
    files: tuple[Path, ...] = ()
    dtype: str = "float64"
    bare: bool = False


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add MODEL and the options that say how it is read."""
    parser.add_argument("model", metavar="MODEL", help=HELP)
    parser.add_argument("--wrt", metavar="NAMES", help="the parameters, as in w,b (default: all names)")
    averaged = "names of an expression with one value a sample, over which it is averaged"
    parser.add_argument("--columns", metavar="NAMES", default="", help=averaged)
    parser.add_argument("--loss", metavar="NAME", help="which definition of the model is the objective (default: loss)")
    parser.add_argument("--limits", metavar="NAME=N,...", default="", help="how much text is read, as in nesting=400")
    parser.add_argument("--dtype", choices=("float64", "float32"), help="of the arithmetic (default: float64)")


def untrusted(parser: argparse.ArgumentParser) -> None:
    """Add the option for models that anybody may have written; for commands that end with the model's text."""
    limits = "the model is anybody's: allow 20 s of work and 1 GiB of memory, and import no Python"
    parser.add_argument("--untrusted", action="store_true", help=limits)


def read(chosen: argparse.Namespace) -> Given:
    """Return the model that the arguments name.

    Raises
    ------
    GradcompileError
        There is no such model, or it is not in the language; the message shows the place.
    OSError
        A file cannot be read.
    """
    word = chosen.model.strip() or chosen.model
    _limits(chosen)  # those of a model that is not read as text may be wrong, too
    if getattr(chosen, "untrusted", False):
        if OBJECT.fullmatch(word):
            raise ArgumentError(f"{word} is Python code, and --untrusted runs none", hint="leave --untrusted out")
        confine()
    found = _named(word, chosen) or _expression(word, chosen)
    return replace(found, dtype=chosen.dtype or found.dtype)


def _limits(chosen: argparse.Namespace) -> Limits:
    """Return how much text is read: the limits that the user has changed, and the others."""
    changed = sizes(chosen.limits, "--limits")
    known = [row.name for row in fields(Limits)]
    for name in changed:
        if name not in known:
            hint = nearest(name, known)
            raise UnknownNameError(f"there is no limit {name!r}", expected=", ".join(known), found=name, hint=hint)
    return Limits(**changed)


def names_in(words: str | None) -> list[str]:
    """Return the names of a list such as ``w, b``."""
    return [name for name in re.split(r"[,\s]+", words or "") if name]


def shipped() -> dict[str, str]:
    """Return the texts of the models that the package ships, by name."""
    folder = files("gradcompile") / "models"
    paths = sorted((p for p in folder.iterdir() if p.name.endswith(SUFFIX)), key=lambda p: p.name)
    return {p.name.removesuffix(SUFFIX): p.read_text(encoding="utf-8") for p in paths}


def nearest(word: str, known: Iterable[str]) -> str:
    """Return ``did you mean softmax?`` for the known name that is nearest, or an empty text."""
    close = get_close_matches(word, list(known), 1) or get_close_matches(word.lower(), list(known), 1)
    return f"did you mean {close[0]}?" if close else ""


def _named(word: str, chosen: argparse.Namespace) -> Given | None:
    """Return the model that `word` is the name of; None if it must be an expression."""
    if word == "-":
        return _text(_read_stdin(_limits(chosen)), "stdin", chosen)
    if OBJECT.fullmatch(word):
        return _adjusted(_object(word, chosen), chosen)
    if word.endswith(SUFFIX) or word.startswith(("/", "./", "../")) or FILE.fullmatch(word):
        return _file(Path(word), chosen)
    if not NAME.fullmatch(word):
        return None
    known = shipped()
    if word in known:
        model = parse(known[word], loss=chosen.loss or "loss", name=word + SUFFIX)
        return _adjusted(Given(model, word), chosen)
    if chosen.wrt is None:
        raise _no_such_model(word, list(known))
    return None


def _file(path: Path, chosen: argparse.Namespace) -> Given:
    """Return the model in a file."""
    try:
        model = load(path, loss=chosen.loss or "loss", limits=_limits(chosen))
    except FileNotFoundError:
        other = path.with_suffix(SUFFIX)
        hint = f"did you mean {other}?" if other.exists() else "`gradcompile models` lists the models that need no file"
        raise missing(chosen.model, hint) from None
    return _adjusted(Given(model, path.stem, (path,)), chosen)


def _no_such_model(word: str, known: Sequence[str]) -> UnknownNameError:
    hint = nearest(word, known) or "`gradcompile models` lists those that are shipped."
    if Path(word + SUFFIX).exists():
        hint = f"did you mean the file {word}{SUFFIX}?"
    return UnknownNameError(
        f"there is no model {word!r}", hint=f"{hint} If it is an expression, name its parameter: --wrt {word}"
    )


def _expression(text: str, chosen: argparse.Namespace) -> Given:
    if chosen.loss:
        raise ArgumentError(
            "--loss chooses a definition of a model, and an expression has none",
            text=text,
            expected="no --loss",
            hint="leave --loss out",
        )
    wanted = names_in(chosen.wrt)
    wrt = None if chosen.wrt is None else wanted[0] if len(wanted) == 1 else wanted
    if wrt == []:
        raise ArgumentError("--wrt names no parameter", hint="list the names, as in --wrt w,b")
    return Given(parse_expression(text, wrt, names_in(chosen.columns), limits=_limits(chosen)), "expression", bare=True)


def _text(text: str, name: str, chosen: argparse.Namespace) -> Given:
    """Return the model of a text that may be a model file or an expression."""
    if not STATEMENT.search(text):
        return replace(_expression(text.strip() or text, chosen), name=name)
    return _adjusted(Given(parse(text, loss=chosen.loss or "loss", name=name, limits=_limits(chosen)), name), chosen)


def _read_stdin(limits: Limits) -> str:
    """Return what stands in stdin, and no more than the language reads."""
    text = sys.stdin.read(limits.characters + 1)
    if not text:
        raise DataError(
            "stdin is empty",
            expected="an expression, or the text of a model",
            hint="write it to the command, as in: echo 'x**2' | gradcompile emit -",
        )
    return text


def _adjusted(given: Given, chosen: argparse.Namespace) -> Given:
    """Return a model with the parameters that ``--wrt`` asks for."""
    if chosen.columns:
        raise ArgumentError(
            "--columns belongs to an expression; a model says itself what its data are",
            expected="no --columns",
            hint="leave --columns out, and declare what is data in the model",
        )
    if chosen.wrt is None:
        return given
    model = given.model
    known = {str(symbol): symbol for symbol in (*model.wrt, *model.inputs)}
    wanted = names_in(chosen.wrt)
    for name in wanted:
        if name not in known:
            expected, hint = ", ".join(known), nearest(name, known)
            raise UnknownNameError(f"the model has no {name!r}", expected=expected, found=chosen.wrt, hint=hint)
    if not wanted:
        raise ArgumentError("--wrt names no parameter", hint="list the names, as in --wrt w,b")
    wrt = tuple(known[name] for name in wanted)
    others = tuple(symbol for symbol in (*model.wrt, *model.inputs) if symbol not in wrt)
    return replace(given, model=replace(model, wrt=wrt, single=len(wrt) == 1, inputs=others))


def _object(word: str, chosen: argparse.Namespace) -> Given:
    """Return the model that a Python module holds. This runs the module."""
    match = OBJECT.fullmatch(word)
    assert match is not None
    module, path = match.groups()
    found: Any = _imported(module)
    for name in path.split("."):
        if not hasattr(found, name):
            known = [n for n in vars(found) if not n.startswith("_")] if hasattr(found, "__dict__") else []
            hint = nearest(name, known)
            raise UnknownNameError(f"{module} has no {name!r}", text=word, place=name, hint=hint)
        found = getattr(found, name)
    return _model_in(found, word, chosen)


def _imported(module: str) -> Any:
    """Import a module, with the current folder first; what it prints goes to stderr."""
    if "" not in sys.path:
        sys.path.insert(0, "")
    try:
        with contextlib.redirect_stdout(sys.stderr):
            return import_module(module)
    except ModuleNotFoundError as error:
        hint = "it is looked for in the current folder and where Python finds modules"
        raise UnknownNameError(
            f"there is no module {error.name!r}", text=module, place=str(error.name), hint=hint
        ) from None
    except Exception as error:
        what = f"the module {module} cannot be imported: {type(error).__name__}: {error}"
        raise ModelError(what, hint=f"`python -c 'import {module}'` shows where") from error


def _model_in(found: Any, word: str, chosen: argparse.Namespace) -> Given:
    if isinstance(found, Model):
        return Given(found, word)
    model, dtype = getattr(found, "model", None), getattr(found, "dtype", None)
    if isinstance(model, Model) and isinstance(dtype, str):
        return Given(model, word, dtype=dtype)
    if hasattr(found, "free_symbols"):
        return Given(_bare(found, word, chosen), word)
    kind = type(found).__name__
    expected = "a compiled model, a Model, or a SymPy expression"
    raise ModelError(
        f"{word} is no model",
        expected=expected,
        found=f"an object of type {kind}",
        hint="name one of these after the colon: module:name",
    )


def _bare(expression: Any, word: str, chosen: argparse.Namespace) -> Model:
    """Return the model of a SymPy expression alone: its parameters and data are those that the options name."""
    variables = _variables(expression)
    if chosen.wrt is None and not all(variable.is_Symbol for variable in variables.values()):
        hint = f"--wrt chooses from {', '.join(variables)}"
        raise ArgumentError(f"{word} does not say what its parameters are", hint=hint)
    columns = names_in(chosen.columns)
    for name in columns:
        if name not in variables:
            raise UnknownNameError(
                f"the expression has no {name!r}",
                expected=", ".join(variables),
                found=chosen.columns,
                hint="name one of these",
            )
    chosen.columns = ""
    wrt = tuple(v for n, v in variables.items() if n not in columns)
    return Model(expression, wrt, data=tuple(variables[name] for name in columns))


def _variables(expression: Any) -> dict[str, Any]:
    """Return the arrays, matrices and real symbols of an expression by name, in the order of their names."""
    from sympy import IndexedBase, MatrixSymbol, Symbol

    arrays = {str(array): array for array in expression.atoms(IndexedBase, MatrixSymbol)}
    symbols = {str(symbol): symbol for symbol in expression.atoms(Symbol) if not symbol.is_integer}
    return dict(sorted((symbols | arrays).items()))
