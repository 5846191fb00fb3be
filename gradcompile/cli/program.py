"""The program `gradcompile`: it finds the command, runs it, and makes of what goes wrong a message and a status."""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import Any, NoReturn

from gradcompile import __version__
from gradcompile.cli import mistakes
from gradcompile.errors import GradcompileError, GradientCheckError
from gradcompile.files import is_folder, missing, naming
from gradcompile.garbage import rarely_collected

OK, FAILED, USAGE, DEFECT, INTERRUPTED, CLOSED_PIPE = 0, 1, 2, 70, 130, 141
OPTION = re.compile(r"-|--|-[A-Za-z]{1,3}|-o.+|--[a-z][a-z-]*(=.*)?", re.DOTALL)
LONG = re.compile(r"--[a-z][a-z-]*")
TRACEBACK = "GRADCOMPILE_TRACEBACK"  # the environment variable that asks for one

# Each command is a module of this package, imported when it is called: help and completion start at once.
COMMANDS: Mapping[str, str] = MappingProxyType(
    {
        "emit": "write value and gradient as code, or as the listing of a lecture",
        "check": "check a gradient; exit status 1 if it is wrong",
        "show": "show a model as mathematics, and what the compiler found in it",
        "latex": "write the objective and the derivation of its gradient as LaTeX",
        "train": "fit a model to data from a file",
        "predict": "compute an output of a trained model",
        "models": "list the models that are shipped",
        "completion": "print a script that completes commands and options in the shell",
        "demo": "print the lecture's example, then train a classifier of handwritten digits",
    }
)

EPILOG = """\
examples:
  gradcompile emit "1 + exp(w1*x + w0)" --wrt x,w1,w0 --target listing
  gradcompile emit softmax --target numpy -o softmax_gradient.py
  gradcompile check "log(1 + exp(-t*(w*x + b)))" --wrt w,b
  gradcompile demo

`gradcompile COMMAND --help` says more of each. Code and results go to stdout, messages to stderr. The exit status is 0,
1 if a check failed, 2 if the command or its input makes no sense, and 70 for a defect of gradcompile.
"""


class _Parser(argparse.ArgumentParser):
    """A parser whose help keeps the lines of its examples, and whose errors are messages like all others."""

    words: Sequence[str] = ()  # what the user wrote

    def __init__(self, **settings: Any) -> None:
        super().__init__(formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False, **settings)

    def error(self, message: str) -> NoReturn:
        raise mistakes.mistake(message, self.prog, self.words)


def main(words: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status.

    Parameters
    ----------
    words : sequence of str, optional
        The words after ``gradcompile``; those of the process if not given.

    Returns
    -------
    int
        0; 1 if a check failed; 2 if the command or its input makes no sense; 70 if gradcompile has a defect;
        130 after Ctrl-C; 141 if the reader of stdout went away.

    Examples
    --------
    >>> main(["emit", "x**2", "--target", "listing"])  # doctest: +ELLIPSIS
    # forward
    ...
    0
    """
    given = list(sys.argv[1:] if words is None else words)
    _replace_closed()
    _prefer_utf8()
    try:
        with rarely_collected():
            status = _run(given)
        with naming(Path("stdout")):
            sys.stdout.flush()
    except BrokenPipeError:
        _abandon_stdout()
        return CLOSED_PIPE
    except KeyboardInterrupt:
        return _failure("interrupted", INTERRUPTED)
    except GradientCheckError as error:
        return _failure(str(error), FAILED)
    except GradcompileError as error:
        return _failure(str(error), USAGE)
    except FileNotFoundError as error:
        return _failure(str(missing(error.filename)) if error.filename else _of_system(error), USAGE)
    except IsADirectoryError as error:
        return _failure(str(is_folder(error.filename)) if error.filename else _of_system(error), USAGE)
    except OSError as error:
        _abandon_stdout()  # its buffer may hold what could not be written
        return _failure(_of_system(error), USAGE)
    except MemoryError:
        return _failure("there is not enough memory for this", USAGE)
    except Exception as error:
        return _defect(error)
    return status


def parser_for(words: Sequence[str]) -> argparse.ArgumentParser:
    """Return the parser of all commands, with the arguments of those that `words` name."""
    parser = _Parser(
        prog="gradcompile",
        description="Write a loss as mathematics, read its gradient as code, and run that same code.",
        epilog=EPILOG,
    )
    parser.add_argument("--version", action="version", version=f"gradcompile {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name, summary in COMMANDS.items():
        sentence = summary[0].upper() + summary[1:] + "."
        if name not in words:
            commands.add_parser(name, help=summary)
            continue
        module = import_module(f"gradcompile.cli.{name}")
        command = commands.add_parser(name, help=summary, description=sentence, epilog=module.EXAMPLES)
        module.arguments(command)
        command.set_defaults(run=module.run, options=LONG.findall(command.format_usage()))
    return parser


def _run(words: Sequence[str]) -> int:
    """Read the words and run the command that they name."""
    command = next((word for word in words if word in COMMANDS), "")
    _Parser.words = words
    try:
        chosen, strange = parser_for([command]).parse_known_args([_protected(word) for word in words])
    except SystemExit as stop:  # argparse has printed help, a version or a mistake
        return stop.code if isinstance(stop.code, int) else USAGE
    if strange:
        raise mistakes.unknown_option(strange[0], f"gradcompile {command}", words, chosen.options)
    return int(chosen.run(chosen))


def _protected(word: str) -> str:
    """Keep argparse from reading an expression such as ``-x**2`` as an option: a space before it means nothing."""
    return f" {word}" if word.startswith("-") and not OPTION.fullmatch(word) else word


def _replace_closed() -> None:
    """Put streams in the place of those that the shell has closed.

    There is nothing to read then, results cannot be written, and messages are lost; `print` would take stdout for a
    stderr that is none.
    """
    for name, how in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):  # each gets the number that is free
        if getattr(sys, name) is None:
            descriptor = os.open(os.devnull, os.O_WRONLY if name == "stderr" else os.O_RDONLY)
            setattr(sys, name, open(descriptor, how, encoding="utf-8"))  # noqa: SIM115  # it is used until Python ends


def _prefer_utf8() -> None:
    """Write UTF-8 whatever the locale: code is UTF-8, and comments hold the mathematics."""
    reconfigure = getattr(sys.stdout, "reconfigure", None)
    if reconfigure is not None and (sys.stdout.encoding or "").lower().replace("-", "") != "utf8":
        reconfigure(encoding="utf-8")


def _abandon_stdout() -> None:
    """Let Python's exit not stumble over a stdout that takes nothing any more."""
    with contextlib.suppress(OSError, ValueError):  # a stdout that a test replaced has no descriptor
        descriptor = sys.stdout.fileno()
        if descriptor == 1:
            os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)


def _failure(message: str, status: int) -> int:
    print(f"gradcompile: {message}", file=sys.stderr)
    return status


def _of_system(error: OSError) -> str:
    """Return what the operating system complains of, with the file."""
    reason = error.strerror or str(error)
    return f"{error.filename}: {reason}" if error.filename else reason


def _defect(error: Exception) -> int:
    """Say that this should not have happened, and how to report it; the traceback comes when asked for."""
    if os.environ.get(TRACEBACK):
        import traceback

        traceback.print_exception(error)
    lines = str(error).splitlines() or [""]
    return _failure(
        f"a defect of gradcompile {__version__}: {type(error).__name__}: {lines[0][:200]}\n"
        f"  to do:    please report the command and this message; {TRACEBACK}=1 adds the traceback",
        DEFECT,
    )
