"""The docstring of an emitted module: the objective, the table of its arrays, where it comes from."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from gradcompile.emit.layout import WIDTH
from gradcompile.emit.mathematics import harmless
from gradcompile.emit.names import Names
from gradcompile.ir import Graph, Input

LONGEST = 2000  # characters of the objective that are quoted
CALLED = 80  # columns of a user's name in the table
PLACEHOLDER = "@" * 16  # where the hash of the text goes


def header(graph: Graph, names: Names, target: str, dtype: str) -> Iterator[str]:
    """Yield the lines of the docstring; the hash of the module's text is left open.

    Parameters
    ----------
    graph : Graph
        The program.
    names : Names
        Its identifiers; names of the user that are not identifiers are quoted, escaped, beside what stands for them.
    target, dtype : str
        What the module is for.
    """
    from gradcompile import __version__  # the package's front door imports this module

    renamed = list(_renamed(names))
    start = 'r"""' if any("\\" in line for line in renamed) else '"""'
    parameters = ", ".join(names.inputs[name] for name in graph.wrt)
    says = f"Value and gradient with respect to {parameters}:" if parameters else "Value of"
    yield from _filled(start + says, "")
    yield ""
    yield from _objective(graph.objective)
    yield ""
    yield from _table(graph, names, dtype)
    yield ""
    if names.sizes:
        yield from _filled(f"Sizes, found from the arrays: {', '.join(names.sizes.values())}.", "")
    yield from renamed
    yield f"Written by gradcompile {__version__} for {target}. The hash of this text: {PLACEHOLDER}"
    yield '"""'


def _filled(text: str, end: str) -> Iterator[str]:
    yield from textwrap.wrap(text + end, WIDTH, break_long_words=True)


def _objective(text: str) -> Iterator[str]:
    cut = text if len(text) <= LONGEST else f"{text[:LONGEST]} ..."
    clean = harmless(" ".join(cut.split())) or "an expression"
    yield from textwrap.wrap(clean, WIDTH, initial_indent="    ", subsequent_indent="    ", break_long_words=True)


def _table(graph: Graph, names: Names, dtype: str) -> Iterator[str]:
    rows = [("array", "axes", "dtype", "role")]
    for i in graph.inputs.values():
        rows.append((names.inputs[i.name], _axes(i, names), "int64" if i.kind == "int" else dtype, i.role))
    widths = [max(len(row[k]) for row in rows) for k in range(3)]
    for row in rows:
        cells = [text.ljust(width) for text, width in zip(row, widths, strict=False)]
        yield "  ".join([*cells, row[3]])[:WIDTH].rstrip()


def _axes(declared: Input, names: Names) -> str:
    sizes = [names.size(size) for size in declared.shape]
    return f"({', '.join(sizes)}{',' * (len(sizes) == 1)})" if sizes else "number"


def _renamed(names: Names) -> Iterator[str]:
    """Yield what the model calls the names that could not be kept."""
    if names.renamed:
        yield "What stands here for names of the model that are not plain identifiers:"
    for identifier, name in names.renamed.items():
        yield f"    {identifier}  {quoted(name)}"


def quoted(name: str) -> str:
    """Return a user's name, escaped and cut: safe in a raw docstring, in a comment and on a terminal."""
    return "".join(c if c == "\\" else harmless(c) for c in ascii(repr(name).replace('"', "'"))[1:-1][:CALLED])
