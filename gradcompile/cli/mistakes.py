"""What argparse finds wrong with the words of a command, said as every other mistake is."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from difflib import get_close_matches

from gradcompile.errors import ArgumentError

NUMBERS = {"int": "a whole number", "float": "a number", "seed": "a whole number from 0"}

MEANT = {  # what others call it -> what to do here
    **dict.fromkeys(("fit", "learn", "optimize", "optimise", "minimize"), "gradcompile train"),
    **dict.fromkeys(("grad", "gradient", "diff", "derive", "compile", "code", "generate"), "gradcompile emit"),
    **dict.fromkeys(("tex", "latex", "pdf"), "gradcompile latex"),
    **dict.fromkeys(
        ("c", "cpp", "c++", "julia", "rust", "fortran"), "python's and numba's loops are the nearest to it"
    ),
    **dict.fromkeys(("run", "eval", "value"), "gradcompile check MODEL --at NAME=NUMBER,..., or predict"),
    **dict.fromkeys(("list", "examples"), "gradcompile models"),
    **dict.fromkeys(("graph", "print", "view"), "gradcompile show, or gradcompile emit MODEL --stage forward"),
    **dict.fromkeys(("test", "verify"), "gradcompile check"),
    "help": "gradcompile --help",
}


def mistake(message: str, command: str, words: Sequence[str]) -> ArgumentError:
    """Return the error that a message of argparse stands for.

    Parameters
    ----------
    message : str
        Of argparse.
    command : str
        What was called: ``gradcompile emit``.
    words : sequence of str
        The words of the user, after ``gradcompile``.

    Examples
    --------
    >>> print(mistake("argument --order: invalid int value: 'two'", "gradcompile emit", ["emit", "--order", "two"]))
    --order takes no 'two'
        gradcompile emit --order two
                                 ^
      expected: a whole number
      to do:    gradcompile emit --help has examples
    """
    for pattern, made in MESSAGES.items():
        if found := re.fullmatch(pattern, message, re.DOTALL):
            return made(command, words, *found.groups())
    return _error(message, command, words)


def unknown_option(word: str, command: str, words: Sequence[str], known: Iterable[str]) -> ArgumentError:
    """Return the error for a word that a command has no use for."""
    option = word.split("=")[0]
    name = command.removeprefix("gradcompile ")
    what = f"{name} has no option {option}" if word.startswith("-") else f"{name} has no use for {word!r}"
    hint = "" if word.startswith("-") else 'a model of several words stands in quotes: "x**2 + y**2"'
    return _error(what, command, words, option, hint=_nearest(option, known) or hint)


def _choice(command: str, words: Sequence[str], where: str, found: str, known: str) -> ArgumentError:
    word, choices = _bare(found), [_bare(choice) for choice in known.split(", ")]
    what = f"there is no command {word!r}" if where == "COMMAND" else f"{where} takes no {word!r}"
    hint = MEANT.get(word, "") if where in ("COMMAND", "--target") else ""
    return _error(what, command, words, word, ", ".join(choices), hint or _nearest(word, choices))


def _lacking(command: str, words: Sequence[str], names: str) -> ArgumentError:
    them = " and ".join(name.split("/")[-1] for name in names.split(", "))
    return _error(f"{command.removeprefix('gradcompile ')} needs {them}", command, words)


def _value(command: str, words: Sequence[str], where: str, kind: str, found: str) -> ArgumentError:
    word = _bare(found).strip()
    return _error(f"{where} takes no {word!r}", command, words, word, NUMBERS.get(kind, kind))


def _argument(command: str, words: Sequence[str], where: str, what: str) -> ArgumentError:
    option = where.split("/")[-1]
    if what == "expected one argument":
        return _error(f"{option} needs a value", command, words, option)
    return _error(f"{option}: {what}", command, words, option)


MESSAGES: dict[str, Callable[..., ArgumentError]] = {  # of argparse, whose quotes are not the same in all versions
    r"argument (\S+): invalid choice: (.+) \(choose from (.+)\)": _choice,
    r"the following arguments are required: (.+)": _lacking,
    r"argument (\S+): invalid (\w+) value: (.+)": _value,
    r"argument (\S+): (.+)": _argument,
}


def _error(
    what: str, command: str, words: Sequence[str], place: str = "", expected: str = "", hint: str = ""
) -> ArgumentError:
    text = " ".join(["gradcompile", *words])
    advice = f"{command} --help has examples"
    shown = text if place and place in text else ""
    return ArgumentError(what, text=shown, place=_place(text, place), expected=expected, hint=hint or advice)


def _place(text: str, word: str) -> str | int:
    """Return where a word stands by itself, and not within another."""
    alone = re.search(rf"(?<!\S){re.escape(word)}(?!\S)", text)
    return alone.start() if alone else word


def _bare(quoted: str) -> str:
    return quoted.strip().strip("'\"")


def _nearest(word: str, known: Iterable[str]) -> str:
    close = get_close_matches(word, list(known), 1)
    return f"did you mean {close[0]}?" if close else ""
