"""The docstring of an emitted module: the objective, the table of its arrays, where it comes from."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from gradcompile.emit.layout import INDENT, WIDTH
from gradcompile.emit.mathematics import harmless
from gradcompile.emit.names import Names
from gradcompile.ir import Graph, Input

ARRAYS = "Arrays are those of NumPy, in native byte order; neither lengths nor labels are looked at."
LONGEST = 2000  # characters of the objective that are quoted
DEEPEST = 40  # columns by which a line of the objective may be indented
CALLED = 80  # columns of a user's name in the table
PLACEHOLDER = "@" * 16  # where the hash of the text goes


def header(graph: Graph, names: Names, target: str, dtype: str, says: str = "") -> Iterator[str]:
    """Yield the lines of the docstring; the hash of the module's text is left open.

    Parameters
    ----------
    graph : Graph
        The program.
    names : Names
        Its identifiers; names of the user that are not identifiers are quoted, escaped, beside what stands for them.
    target, dtype : str
        What the module is for.
    says : str
        The first line, if it is not that of a value and its gradient.
    """
    from gradcompile import __version__  # the package's front door imports this module

    renamed = list(_renamed(names))
    start = 'r"""' if any("\\" in line for line in renamed) else '"""'
    parameters = ", ".join(names.inputs[name] for name in graph.wrt)
    differentiated = any(f"d{name}" in graph.outputs for name in graph.wrt)
    says = says or (f"Value and gradient with respect to {parameters}:" if differentiated else "Value of")
    yield from _filled(start + says, "")
    yield ""
    yield from _objective(graph.objective)
    yield ""
    yield from _table(graph, names, dtype)
    yield ""
    yield from _sizes(graph, names)
    if target == "numba" and any(given.shape for given in graph.inputs.values()):
        yield ARRAYS
    yield from renamed
    yield f"Written by gradcompile {__version__} for {target}. The hash of this text: {PLACEHOLDER}"
    yield '"""'


def _sizes(graph: Graph, names: Names) -> Iterator[str]:
    """Yield what the sizes are: found from the arrays, or numbers, if the code is for calls with these alone."""
    found = [identifier for name, identifier in names.sizes.items() if name not in graph.known]
    fixed = [f"{identifier} = {graph.known[name]}" for name, identifier in names.sizes.items() if name in graph.known]
    if fixed:
        yield from _filled(f"Planned for {', '.join(fixed)}, and wrong for any other sizes.", "")
    if found:
        yield from _filled(f"Sizes, found from the arrays: {', '.join(found)}.", "")


def _filled(text: str, end: str) -> Iterator[str]:
    yield from textwrap.wrap(text + end, WIDTH, break_long_words=True)


def _objective(text: str) -> Iterator[str]:
    """Yield the objective: an expression is filled; the lines of a model's text stay, without their comments."""
    lines = _without_comments(text) if "\n" in text else [" ".join(text.split())]
    whole = "\n".join(lines)
    cut = whole if len(whole) <= LONGEST else f"{whole[:LONGEST]} ..."
    for line in cut.split("\n"):
        yield from _quoted_line(harmless(line) or "an expression" * (len(lines) < 2), INDENT * (len(lines) > 1))


def _without_comments(text: str) -> list[str]:
    """Return the lines that say something, and the empty ones between them."""
    said = [line.partition("#")[0].expandtabs(4).rstrip() for line in text.splitlines()]
    lines = [bare for bare, line in zip(said, text.splitlines(), strict=True) if bare or not line.strip()]
    return "\n".join(lines).strip("\n").split("\n")


def _quoted_line(line: str, more: str) -> Iterator[str]:
    """Yield a line, indented, and where it is too long the rest indented by `more`."""
    bare = line.lstrip()
    margin = INDENT + " " * min(len(line) - len(bare), DEEPEST)
    yield from textwrap.wrap(
        bare, WIDTH, initial_indent=margin, subsequent_indent=margin + more, break_long_words=True
    ) or [""]


def _table(graph: Graph, names: Names, dtype: str) -> Iterator[str]:
    rows = [("array", "axes", "dtype", "role")]
    for i in graph.inputs.values():
        role = i.role if i.default is None else f"{i.role}, {i.default:.15g} in the model"
        rows.append((names.inputs[i.name], _axes(i, names), "int64" if i.kind == "int" else dtype, role))
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
