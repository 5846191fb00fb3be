"""A text as a model: `parse`, `load` and `parse_expression`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from os import PathLike
from types import MappingProxyType

import sympy

from gradcompile.errors import ArgumentError
from gradcompile.files import naming, path_of
from gradcompile.model import Model
from gradcompile.model.affine import untold_sizes

from .expressions import Builder
from .extents import complete_ranges
from .functions import CONSTANTS
from .grammar import ExpressionParser
from .limits import LIMITS, Limits
from .names import Entry, Index, Names
from .ranges import Axis
from .source import Source, quoted, suggestion
from .statements import Declaration, Definition, Length, StatementParser
from .subscripts import size_of
from .tokens import tokenise

BYTES_PER_CHARACTER = 4  # at most, in UTF-8
FILE = re.compile(r"\s*[^\n=:]+\.model\s*", re.ASCII)


def parse(text: str, *, loss: str = "loss", name: str = "model", limits: Limits = LIMITS) -> Model:
    """Return the model that a text in the model language describes. Nothing in it is ever run.

    Parameters
    ----------
    text : str
        Declarations ``name: role[axes]``, definitions ``name[indices] = expression``, comments. The roles are data,
        labels (whole numbers, used as an index), parameter, constant, and column: one value a sample (or an array of
        the axes), over which the objective is averaged.
    loss : str
        The definition to minimise; a number, without axes.
    name : str
        What messages call the text.
    limits : Limits
        What it may cost.

    Returns
    -------
    Model
        `wrt` are the parameters, `inputs` the rest, both as declared; every other definition is an output.

    Raises
    ------
    ParseError
        If the text is not in the language; with file, line, a caret, what was expected and a suggestion.

    Examples
    --------
    >>> model = parse('''
    ... x: data[N]
    ... t: data[N]
    ... w: parameter
    ... loss = Sum((w*x[s] - t[s])**2, s)
    ... ''')
    >>> model.wrt
    (w,)
    >>> model.objective
    Sum((w*x[s] - t[s])**2, (s, 0, N - 1))
    """
    if not isinstance(text, str):
        raise _no_text(text)
    _check_settings(limits, loss)
    if FILE.fullmatch(text):
        what, hint = "this is the name of a file, not the text of a model", f"read it: gradcompile.load({text!r})"
        raise ArgumentError(what, expected="a text of declarations and definitions", found=text, hint=hint)
    return _ModelText(Source(name, text), limits).model(loss)


def _check_settings(limits: object, loss: object = "") -> None:
    """Raise if what goes with a text is of another type."""
    if not isinstance(loss, str):
        what, hint = "loss is no name of a definition", 'write its name in quotes: loss="loss"'
        raise ArgumentError(what, expected="a text", found=f"loss={loss!r}"[:80], hint=hint)
    if not isinstance(limits, Limits):
        what, hint = "limits are not what a text may cost", "write limits=gradcompile.Limits(nesting=400)"
        raise ArgumentError(what, expected="an object of type Limits", found=f"limits={limits!r}"[:80], hint=hint)


def _no_text(given: object) -> ArgumentError:
    """Return the error for what is no text of a model."""
    hint = "decode it: text.decode()" if isinstance(given, bytes) else "gradcompile.compile takes what SymPy makes"
    what, found = "a model to parse is a text", f"an object of type {type(given).__name__}"
    return ArgumentError(what, expected="a text of declarations and definitions", found=found, hint=hint)


def load(path: str | PathLike[str], *, loss: str = "loss", limits: Limits = LIMITS) -> Model:
    r"""Return the model in a file; see `parse`.

    Parameters
    ----------
    path : path
        A text in UTF-8, usually ``*.model``.
    loss : str
        The definition to minimise.
    limits : Limits
        What it may cost; no more than that is read.

    Returns
    -------
    Model
        What `compile` takes.

    Raises
    ------
    MissingFileError, FolderError, OSError
        If there is no such file; if it is a folder; if it cannot be read.
    ParseError
        If it is not a text in the model language.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "parabola.model")
    ...     _ = path.write_text("w: parameter\nloss = (w - 1)**2\n")
    ...     load(path).objective
    (w - 1)**2
    """
    _check_settings(limits, loss)
    if isinstance(path, str) and "\n" in path:
        what, hint = "this is the text of a model, not the name of a file", "read it: gradcompile.parse(text)"
        raise ArgumentError(what, expected="the name of a file", found=f"{path!r:.60} ...", hint=hint)
    path = path_of(path)
    with naming(path), path.open("rb") as file:
        content = file.read(BYTES_PER_CHARACTER * limits.characters + 1)
    shown = path.name
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        readable = Source(shown, content[: error.start].decode("utf-8-sig"))
        byte, hint = f"the byte {content[error.start]:#04x}", "save it as UTF-8; a model is a text"
        what = "the file is not a text in UTF-8"
        raise readable.error(len(readable.text), what, expected="UTF-8", found=byte, hint=hint) from None
    return parse(text, loss=loss, name=shown, limits=limits)


def parse_expression(
    text: str,
    wrt: Sequence[str] | str | None = None,
    data: Iterable[str] = (),
    *,
    name: str = "expression",
    limits: Limits = LIMITS,
) -> Model:
    """Return the model of an expression alone, in which every name is a number. Nothing in it is ever run.

    Parameters
    ----------
    text : str
        One expression.
    wrt : sequence of str, or str
        The parameters, in the order of the gradients; one name for one gradient that is no tuple. All names that
        are not data, in order of appearance, if not given.
    data : iterable of str
        The names that have one value a sample; the objective is then the mean over the samples.
    name : str
        What messages call the text.
    limits : Limits
        What it may cost.

    Raises
    ------
    ParseError
        If the text is not an expression of the language, or does not hold a name of `wrt` or `data`.

    Examples
    --------
    >>> model = parse_expression("1 + exp(w1*x + w0)", wrt=["w1", "w0"])
    >>> model.objective, model.wrt, model.inputs
    (exp(w0 + w1*x) + 1, (w1, w0), (x,))
    """
    _check_settings(limits)
    source = Source(name, text)
    parser = ExpressionParser(source, tokenise(source, limits, lines=False), 0, limits)
    node = parser.parse()
    single, columns = isinstance(wrt, str), tuple(data)
    wanted = [wrt] if isinstance(wrt, str) else list(wrt or ())
    names = Names(source, {}, implicit=True, constants=CONSTANTS.keys() - {*wanted, *columns})
    names.resolve(node, {})
    complete_ranges(names, [node], limits)
    entries = {e.word: e for e in sorted(names.entries.values(), key=lambda e: e.place)}
    for entry in entries.values():
        entry.symbol = sympy.Symbol(entry.word, real=True)
    _check_occur(source, (*wanted, *columns), names)
    if wrt is None:
        wanted = [word for word in entries if word not in columns]
    return Model(
        objective=Builder(source, names, limits).expression(node),
        wrt=tuple(entries[word].symbol for word in wanted),
        single=single,
        data=tuple(entries[word].symbol for word in columns),
        inputs=tuple(entry.symbol for word, entry in entries.items() if word not in wanted),
        source=text,
    )


def _check_occur(source: Source, wanted: Sequence[str], names: Names) -> None:
    """Check that each parameter and each column of data is a name of the expression, named once."""
    occurring = {found.word for found in names.meaning.values() if isinstance(found, Entry)}
    for position, word in enumerate(wanted):
        if word in wanted[:position]:
            raise source.error(0, f"{quoted(word)} is given twice", hint="a name is a parameter or data, once")
        if word not in occurring:
            hint = suggestion(word, sorted(occurring)) or "the names are " + ", ".join(sorted(occurring)[:10])
            raise source.error(0, f"there is no {quoted(word)} in the expression", hint=hint)


class _ModelText:
    """The statements of a model file and what they mean together."""

    def __init__(self, source: Source, limits: Limits) -> None:
        self.source, self.limits = source, limits
        self.entries: dict[str, Entry] = {}
        self.names = Names(source, self.entries)
        statements = StatementParser(source, limits).parse()
        self.declarations = [s for s in statements if isinstance(s, Declaration)]
        self.definitions = {s.word: s for s in statements if isinstance(s, Definition)}
        self.indices: dict[str, tuple[Index, ...]] = {}
        for statement in statements:
            self._introduce(statement)
        self._check_sizes()

    def model(self, loss: str) -> Model:
        """Return the model with that objective."""
        self._check_loss(loss)
        order = self._ordered(self._resolved())
        complete_ranges(self.names, [definition.body for definition in self.definitions.values()], self.limits)
        for entry in self.entries.values():
            entry.symbol = _symbol(entry)
        builder = Builder(self.source, self.names, self.limits)
        bodies = {word: builder.expression(self.definitions[word].body) for word in order}
        used = {found.word for found in self.names.meaning.values() if isinstance(found, Entry)}
        keys = {word: self._key(word) for word in order if word != loss or word in used}
        return Model(
            objective=keys[loss] if loss in keys else bodies[loss],
            wrt=self._symbols("parameter"),
            definitions=MappingProxyType({key: bodies[word] for word, key in keys.items()}),
            outputs=MappingProxyType({w: self._output(w, keys[w]) for w in self.definitions if w != loss}),
            data=self._symbols("column"),
            inputs=self._symbols("data", "labels", "constant"),
            defaults=MappingProxyType({d.word: builder.constant(d.default) for d in self.declarations if d.default}),
            loss=loss,
            source=self.source.text,
        )

    def _symbols(self, *roles: str) -> tuple[sympy.Basic, ...]:
        return tuple(self.entries[d.word].symbol for d in self.declarations if d.role in roles)

    def _introduce(self, statement: Declaration | Definition) -> None:
        """Make the name of a statement, and the sizes in it, known."""
        if isinstance(statement, Declaration):
            self._enter(Entry(statement.word, statement.role, statement.place, self._declared_axes(statement)))
        else:
            axes = tuple(Axis() for _ in statement.indices)
            self._enter(Entry(statement.word, "definition", statement.place, axes))

    def _enter(self, entry: Entry) -> None:
        earlier = self.entries.get(entry.word)
        if earlier is not None:
            what = f"the name {quoted(entry.word)} is taken"
            where = f"{'used as a size' if earlier.role == 'size' else 'introduced'} in"
            found = f"{where} {self.source.line_of(earlier.place)}"
            raise self.source.error(entry.place, what, expected="a new name", found=found, hint="choose another name")
        self.entries[entry.word] = entry

    def _declared_axes(self, declaration: Declaration) -> tuple[Axis, ...]:
        """Return the axes of an array; a size that is a name is known from its first use on."""
        return tuple(Axis(self._declared_size(length), length.place) for length in declaration.axes)

    def _declared_size(self, length: Length) -> sympy.Expr:
        """Return the length of an axis, a sum of sizes and numbers."""
        for _, word, place in length.terms:
            known = self.entries.get(word)
            if word and known is None:
                self._enter(Entry(word, "size", place, symbol=_size(word)))
            elif known is not None and known.role != "size":
                what = f"{quoted(word)} is not a size: it is introduced in {self.source.line_of(known.place)}"
                raise self.source.error(place, what, expected="a size", hint="choose another name for the size")
        size = sympy.Add(*(count * _size(word) if word else count for count, word, _ in length.terms))
        if size.is_nonpositive:
            what, hint = f"the length {size} leaves nothing of an axis", "write its length, or a name for it: N"
            raise self.source.error(length.place, what, expected="a length from 1", hint=hint)
        return size

    def _check_sizes(self) -> None:
        """Check that the lengths of the arrays of a call say how large every size is."""
        axes = [axis for declaration in self.declarations for axis in self.entries[declaration.word].axes]
        for name in untold_sizes(map(size_of, axes)):
            place = next(axis.place for axis in axes if name in dict(size_of(axis).terms))
            what = f"no array says how large {quoted(name)} is"
            expected = f"an axis of length {name}, or others that say the rest of this one"
            hint = f"declare an array with it, as in x: data[{name}], or give the whole length one name"
            raise self.source.error(place, what, expected=expected, hint=hint)

    def _check_loss(self, loss: str) -> None:
        scalars = [word for word, definition in self.definitions.items() if not definition.indices]
        if loss not in self.definitions:
            others = f"the scalar definitions are {', '.join(scalars)}" if scalars else "write loss = ..."
            hint = suggestion(loss, scalars) or others
            what, expected = f"there is no definition of {quoted(loss)}", f"a line {loss} = ..."
            raise self.source.error(len(self.source.text), what, expected=expected, hint=hint)
        definition = self.definitions[loss]
        if definition.indices:
            what = f"{quoted(loss)} has axes; what is minimised is one number"
            hint = f"sum over them: Sum({loss}[s], s)"
            raise self.source.error(definition.place, what, expected="a number", hint=hint)
        if not any(d.role == "parameter" for d in self.declarations):
            what, hint = "the model has no parameter", "declare one: w: parameter[D]"
            raise self.source.error(definition.place, what, expected="something to differentiate by", hint=hint)

    def _resolved(self) -> dict[str, set[str]]:
        """Resolve every definition, and return the definitions that each one uses."""
        for entry in self.entries.values():
            if entry.role == "definition":
                self.indices[entry.word] = self._left_side(self.definitions[entry.word], entry)
        for declaration in self.declarations:
            if declaration.default:
                self.names.resolve(declaration.default, {})
        uses = {}
        for word, definition in self.definitions.items():
            scope = {index.word: index for index in self.indices[word]}
            uses[word] = {entry.word for entry in self.names.resolve(definition.body, scope)}
        return uses

    def _left_side(self, definition: Definition, entry: Entry) -> tuple[Index, ...]:
        """Return the indices of a definition, each running over its axis."""
        scope: dict[str, Index] = {}
        for (word, place), axis in zip(definition.indices, entry.axes, strict=True):
            if word in scope:
                what, hint = f"the index {quoted(word)} is written twice", "choose another letter for one of them"
                raise self.source.error(place, what, expected="a name for each index", hint=hint)
            scope[word] = self.names.new_index(word, place, scope, axis)
        return tuple(scope.values())

    def _ordered(self, uses: Mapping[str, set[str]]) -> list[str]:
        """Return the definitions so that each comes after those it uses, in the order of the text otherwise."""
        order: dict[str, None] = {}
        for word in uses:
            path = {word: iter(sorted(uses[word]))} if word not in order else {}
            while path:
                last = next(reversed(path))
                following = next((w for w in path[last] if w not in order), None)
                if following is None:
                    order[last] = None
                    path.popitem()
                elif following in path:
                    raise self._cycle([*path][[*path].index(following) :])
                else:
                    path[following] = iter(sorted(uses[following]))
        return list(order)

    def _cycle(self, words: Sequence[str]) -> Exception:
        circle = " -> ".join([*words, words[0]])
        what = f"{quoted(words[0])} is defined by itself"
        return self.source.error(
            self.definitions[words[0]].place, what, found=circle, hint="a definition uses others, never itself"
        )

    def _key(self, word: str) -> sympy.Expr:
        """Return the left side of a definition."""
        indices = tuple(index.symbol for index in self.indices[word])
        symbol = self.entries[word].symbol
        return symbol[indices] if isinstance(symbol, sympy.IndexedBase) else symbol

    def _output(self, word: str, key: sympy.Expr) -> sympy.Basic:
        indices = tuple(index.symbol for index in self.indices[word])
        return sympy.Lambda(indices, key) if indices else key


def _size(word: str) -> sympy.Symbol:
    return sympy.Symbol(word, integer=True, positive=True)


def _symbol(entry: Entry) -> sympy.Basic:
    """Return what stands for a name in SymPy."""
    if entry.role == "size":
        return _size(entry.word)
    if entry.axes:
        return sympy.IndexedBase(entry.word, shape=tuple(axis.root.size for axis in entry.axes))
    assumption = "integer" if entry.role == "labels" else "real"
    return sympy.Symbol(entry.word, **{assumption: True})
