"""`gradcompile models`: the models that the package ships."""

from __future__ import annotations

import argparse
import re

from gradcompile.cli import given, terminal
from gradcompile.errors import UnknownNameError

EXAMPLES = """\
examples:
  gradcompile models
  gradcompile models softmax > my.model
  gradcompile emit softmax --target numpy
  gradcompile models --json

The name of a shipped model can stand wherever a command takes a MODEL.
"""

DECLARATION = re.compile(
    r"^([A-Za-z]\w*)\s*:\s*(data|labels|parameter|constant)\b\s*(\[[^\]]*\])?", re.ASCII | re.MULTILINE
)


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    parser.add_argument("name", nargs="?", metavar="NAME", help="print the text of this model")
    terminal.arguments(parser, json="the list, or the model, as a line of JSON")


def run(chosen: argparse.Namespace) -> int:
    """Print the list or a text; return the exit status."""
    known = given.shipped()
    if chosen.name is not None:
        if chosen.name not in known:
            raise UnknownNameError(
                f"no model {chosen.name!r} is shipped",
                expected=", ".join(known),
                hint=given.nearest(chosen.name, known) or "`gradcompile models` lists them with what they are",
            )
        text = known[chosen.name]
        if chosen.json:
            terminal.result_as_json({"name": chosen.name, "summary": _summary(text), "text": text})
        else:
            terminal.result(text)
        return 0
    rows = [(name, _summary(text), _declared(text, "parameter")) for name, text in known.items()]
    if chosen.json:
        heads = ("name", "summary", "parameters")
        terminal.result_as_json([dict(zip(heads, row, strict=True)) for row in rows])
    else:
        terminal.table(("name", "what it is", "parameters"), rows)
    return 0


def _summary(text: str) -> str:
    """Return the comment at the top of a model."""
    first = text.splitlines()[0]
    return first.removeprefix("#").strip() if first.startswith("#") else ""


def _declared(text: str, role: str) -> str:
    """Return the names with a role, and their axes."""
    return ", ".join(name + axes for name, found, axes in DECLARATION.findall(text) if found == role)
