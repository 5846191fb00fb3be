"""From emitted Python on floats to the text of LLVM: what long programs of scalars are compiled from.

Numba takes some ten milliseconds for a line, most of it to find out what each name is. Here that is known: every
number is a double, every condition a bit. Calls of elementary functions may be made in packs (`jit.packs`), which leave
their results in an array. A function of many lines becomes several parts of `PART` statements, because what LLVM does
with a function takes longer than in proportion to its length; values that another part needs are kept in that array,
too. Function bodies may hold assignments, choices, loops with a condition, and arithmetic; for anything else there is
an error, and somebody else has to compile the program.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Mapping
from itertools import chain
from typing import NamedTuple

from gradcompile.garbage import uncollected
from gradcompile.jit.direct.calls import NAMES, OF_NUMBERS, intrinsic
from gradcompile.jit.direct.kinds import BIT, F64, Scalar, UntranslatableError, Value, Vectors, bits_of
from gradcompile.jit.direct.numbers import Numbers
from gradcompile.jit.direct.writer import Surroundings, Writer
from gradcompile.jit.library import LIBRARY, PAIR
from gradcompile.jit.packs import LANES, PACK, called, gathered, is_product, pack_of, paired, results_of
from gradcompile.jit.statements import Statement

PART = 500  # statements of a function that LLVM sees at once
VECTOR = f"<{LANES} x double>"
ALIGNED = 8 * LANES  # bytes: a vector
WAVES = ("sin", "cos")
WRITING = "nounwind willreturn memory(argmem: write)"  # the traits of the function of both
POINTERS = "ptr noalias %given, ptr noalias %kept, ptr noalias %results"
WHOLE = {"int": intrinsic("trunc"), "math.floor": intrinsic("floor"), "math.ceil": intrinsic("ceil")}  # as doubles


class Translated(NamedTuple):
    """A function in LLVM.

    Parameters
    ----------
    modules : tuple of str
        One for each part, one for what they call, and one for the function itself, which calls the parts in turn:
        ``void(memory)`` of a pointer to doubles, which are the arguments, what is kept, and the results. What is kept
        begins at a multiple of `ALIGNED` bytes.
    kept : int
        How many doubles are kept.
    rows : tuple of str
        The functions of packs that they call.
    """

    modules: tuple[str, ...]
    kept: int
    rows: tuple[str, ...]


def translate(
    source: str,
    name: str,
    *,
    contract: bool,
    pairs: bool = False,
    packs: bool = False,
    pause: Callable[[], None] = lambda: None,
) -> Translated:
    r"""Return a function of an emitted module in plain Python as LLVM.

    Parameters
    ----------
    source : str
        The module.
    name : str
        The function. It takes numbers and returns a number, or a number and a tuple of them.
    contract : bool
        Whether a product and a sum may be rounded once.
    pairs : bool
        Whether there is a function ``sincos(x, &sine, &cosine)``, as in the GNU C library.
    packs : bool
        Whether independent calls of one function may be made at once, by the functions of `jit.direct.vectors`.
    pause : callable
        What is done between two parts.

    Raises
    ------
    UntranslatableError
        The module holds something else.

    Examples
    --------
    >>> text = translate("def value(x):\n    return 2*x\n", "value", contract=True).modules[0]
    >>> "fmul contract double" in text
    True
    """
    with uncollected():
        tree = ast.parse(source)
        functions = {f.name: f for f in tree.body if isinstance(f, ast.FunctionDef)}
        parts = _Parts(functions[name], (gathered if packs else paired)(functions[name]))
        shared = _Module(functions, " contract" if contract else "", pairs)
        modules = []
        for k in range(len(parts.bodies)):
            pause()
            module = _Module(functions, shared.flags, pairs)
            head = f"define void @{name}.{k}({POINTERS}) {{"
            modules.append(module.text([head, *_Body(module, parts, k).lines(), "}"]))
            shared.called |= module.called
    return Translated((*modules, shared.support(), _entry(name, parts)), parts.kept, parts.rows)


def _entry(name: str, parts: _Parts) -> str:
    """Return the module of the function itself."""
    count = len(parts.bodies)
    kept, results = len(parts.arguments), len(parts.arguments) + parts.kept
    lines = [
        *(f"declare void @{name}.{k}(ptr, ptr, ptr)" for k in range(count)),
        f"define void @{name}(ptr %given) {{",
        f"  %kept = getelementptr double, ptr %given, i64 {kept}",
        f"  %results = getelementptr double, ptr %given, i64 {results}",
        *(f"  call void @{name}.{k}(ptr %given, ptr %kept, ptr %results)" for k in range(count)),
        "  ret void",
        "}",
    ]
    return "\n".join(lines) + "\n"


def returned(row: str) -> str:
    """Return the type of what a function returns for a pack."""
    return VECTOR if results_of(row) == 1 else f"{{ {', '.join([VECTOR] * results_of(row))} }}"


class _Module:
    """What is known of one module of LLVM in the making.

    Attributes
    ----------
    around : Surroundings
        What it has of functions outside.
    called : dict of str to int
        The functions of the emitted module that are called, and how many arguments each takes.
    """

    def __init__(self, functions: Mapping[str, ast.FunctionDef], flags: str, pairs: bool) -> None:
        self.functions, self.flags, self.pairs = functions, flags, pairs
        self.around = Surroundings()
        self.called: dict[str, int] = {}

    def text(self, lines: list[str]) -> str:
        """Return a module with functions, and declarations of all that they call."""
        own = [f"declare double @{_own(name)}({', '.join(['double'] * n)}) #0" for name, n in self.called.items()]
        return self.around.module([*own, *lines])

    def support(self) -> str:
        """Return a module with all functions of the emitted module that are called, and those that these call."""
        lines: list[str] = []
        done: dict[str, int] = {}
        while missing := [name for name in self.called if name not in done]:
            for name in missing:
                function = self.functions[name]
                parameters = ", ".join(f"double %{a.arg}.given" for a in function.args.args)
                body = _Body(self, _Parts(function, paired(function), whole=True), 0).lines()
                lines += [f"define double @{_own(name)}({parameters}) {{", *body, "}"]
                done[name] = self.called[name]
        self.called = {}
        return self.text(lines)

    def own(self, name: str, arity: int) -> str:
        """Return what a function of the emitted module is called here."""
        if name not in self.functions:
            raise UntranslatableError(name)
        self.called[name] = arity
        return _own(name)


def _own(name: str) -> str:
    """Return another name: LLVM would take one like ``floor`` for the C library's."""
    return f"{name}.support"


class _Parts:
    """The statements of a function in parts, and the values that one part needs from another.

    Parameters
    ----------
    function : FunctionDef
        The function.
    statements : list of Statement
        What is in it.
    whole : bool
        Whether it is one part, and returns its result.
    """

    def __init__(self, function: ast.FunctionDef, statements: list[Statement], *, whole: bool = False) -> None:
        self.whole = whole
        self.arguments = {a.arg: k for k, a in enumerate(function.args.args)}
        size = len(statements) if whole else PART
        self.bodies = [statements[k : k + size] for k in range(0, len(statements), size)]
        first: dict[str, int] = {}
        across: dict[str, None] = {}
        self.nested: set[str] = set()  # names that are assigned in a choice or a loop, or more than once
        for k, body in enumerate(self.bodies):
            for statement in body:
                self._note(statement, k, first, across)
        packs = [pack for body in self.bodies for statement in body if (pack := pack_of(statement))]
        self.rows = tuple(dict.fromkeys(row for row, _ in packs))
        blocks = [names for _, results in packs for names in results]  # each has lanes enough for a vector
        self.slots = {name: LANES * k + lane for k, names in enumerate(blocks) for lane, name in enumerate(names)}
        first_other = LANES * len(blocks)
        others = [name for name in across if name not in self.slots]
        self.slots |= {name: first_other + k for k, name in enumerate(others)}
        self.kept = first_other + len(others)

    def _note(self, statement: Statement, part: int, first: dict[str, int], across: dict[str, None]) -> None:
        for name in statement.read:
            if first.get(name, part) != part:
                across[name] = None
        plain = isinstance(statement.node, ast.Assign)
        for name in statement.assigned:
            if not plain or name in first or name in self.arguments:
                self.nested.add(name)
            first.setdefault(name, part)


class _Body(Numbers):
    """The text of one part in the making: every number in it is a double."""

    def __init__(self, module: _Module, parts: _Parts, number: int) -> None:
        super().__init__(Writer(module.flags, module.around))
        self.module, self.parts, self.number = module, parts, number
        self.values: dict[str, Value] = {}  # names that are assigned once
        self.places: dict[str, tuple[Scalar, str]] = {}  # names that change: the type of each, and where it is
        self.calls = 0  # of functions outside, so far: no register outlives one
        self.known: dict[str, int] = {}  # how many there had been when a name got its value

    def lines(self) -> list[str]:
        """Return the body, line by line."""
        writer = self.writer
        for name, place in self.parts.arguments.items():
            if self.number and name in self.parts.slots:  # it has changed
                continue
            number = f"%{name}.given"
            if not self.parts.whole:
                number = writer.new(f"load double, ptr {writer.new(f'getelementptr double, ptr %given, i64 {place}')}")
            self.assign(name, Value(F64, (number,)))
        returned = False
        for statement in self.parts.bodies[self.number]:
            self._load(statement)
            returned = self.statements([statement.node])
        if not returned:
            writer.do("ret void")
        return writer.lines()

    # Names

    def _load(self, statement: Statement) -> None:
        """Load, before a statement, what it needs from other parts."""
        for name in chain(statement.read, statement.assigned):
            known = name in self.values or name in self.places
            if name in self.parts.slots and not known and not self._assigns_plainly(statement, name):
                loaded = self._kept(name)
                if name in self.parts.nested:
                    self._place(name, loaded)
                else:
                    self._hold(name, loaded)

    def _assigns_plainly(self, statement: Statement, name: str) -> bool:
        written = isinstance(statement.node, ast.Assign) and name in statement.assigned
        return written and name not in statement.read

    def _slot(self, name: str) -> str:
        return self.writer.new(f"getelementptr double, ptr %kept, i64 {self.parts.slots[name]}")

    def _kept(self, name: str) -> Value:
        return Value(F64, (self.writer.new(f"load double, ptr {self._slot(name)}"),))

    def assign(self, name: str, value: Value) -> None:
        """Give a name a value, and keep it if another part needs it."""
        if name in self.parts.slots or value.type != BIT:
            value = self.writer.convert(value, F64)
        if name in self.parts.slots:
            self.writer.do(f"store double {value.text}, ptr {self._slot(name)}")
        if name in self.parts.nested:
            self._place(name, value)
        else:
            self._hold(name, value)

    def _place(self, name: str, value: Value) -> None:
        """Put a value where a name that changes is."""
        if name not in self.places:
            self.places[name] = value.scalar, self.writer.place(value.scalar.llvm)
        kind, place = self.places[name]
        if kind == BIT and value.type != BIT:
            raise UntranslatableError(f"{name} is a condition and a number")
        self.writer.do(f"store {kind.llvm} {self.writer.convert(value, kind).text}, ptr {place}")

    def _hold(self, name: str, value: Value) -> None:
        """Have a name stand for a value."""
        self.values[name] = value
        self.known[name] = self.calls

    def read(self, name: str) -> Value:
        """Return a value: after a call, which no register outlives, from where it is kept."""
        if name in self.places:
            kind, place = self.places[name]
            return Value(kind, (self.writer.new(f"load {kind.llvm}, ptr {place}"),))
        if name not in self.values:
            raise UntranslatableError(f"{name} has no value")
        if name not in self.parts.slots or self.known[name] == self.calls:
            return self.values[name]
        loaded = self._kept(name)
        if not self.depth:  # else it would not be known on every way
            self._hold(name, loaded)
        return loaded

    # Statements

    def _assignment(self, node: ast.Assign) -> bool:
        [target], value = node.targets, node.value
        if isinstance(target, ast.Name):
            self.assign(target.id, self.expression(value))
            return False
        names = [each.id for each in target.elts if isinstance(each, ast.Name)] if isinstance(target, ast.Tuple) else []
        if isinstance(value, ast.Call) and names:
            self._assign_results(names, called(value), [self._number(each).text for each in value.args])
        elif isinstance(value, ast.Tuple) and len(value.elts) == len(names):
            for name, each in zip(names, [self.expression(each) for each in value.elts], strict=True):
                self.assign(name, each)
        else:
            raise UntranslatableError("an assignment to something that is no name, or of something that is no number")
        return False

    def _assign_results(self, names: list[str], function: str, arguments: list[str]) -> None:
        """Assign the results of a call that has several."""
        if function.endswith(PACK):
            self._pack(names, function, arguments)
        elif function != PAIR:
            raise UntranslatableError(f"several results of {function}")
        elif self.module.pairs:
            self._pair(names, arguments[0])
        else:
            for name, wave in zip(names, WAVES, strict=True):
                self.assign(name, Value(F64, (self.writer.called("double", wave, [f"double {arguments[0]}"]),)))
        self.calls += 1

    def _pack(self, names: list[str], function: str, arguments: list[str]) -> None:
        """Write the call of a pack: what has been kept of its results is read where it is needed."""
        row = function.removesuffix(PACK)
        size = len(names) // results_of(row)
        vectors = [self._vector(arguments[k : k + size]) for k in range(0, len(arguments), size)]
        symbol = Vectors(row, F64, LANES).symbol
        found = self.writer.called(returned(row), symbol, [f"{VECTOR} {each}" for each in vectors])
        for k in range(results_of(row)):
            part = found if results_of(row) == 1 else self.writer.new(f"extractvalue {returned(row)} {found}, {k}")
            self.writer.do(f"store {VECTOR} {part}, ptr {self._slot(names[k * size])}, align {ALIGNED}")

    def _vector(self, numbers: list[str]) -> str:
        """Return a vector of numbers; the first of them once more where there are too few."""
        found = "poison"
        for lane, number in enumerate([*numbers, *[numbers[0]] * (LANES - len(numbers))]):
            found = self.writer.new(f"insertelement {VECTOR} {found}, double {number}, i64 {lane}")
        return found

    def _pair(self, names: list[str], argument: str) -> None:
        """Write the call for a sine and a cosine, which are put where they are read later."""
        slots = self.parts.slots
        at = [self._slot(name) if name in slots else self.writer.place("double") for name in names]
        self.writer.called("void", PAIR, [f"double {argument}", *(f"ptr {each}" for each in at)], WRITING)
        self.places |= {name: (F64, place) for name, place in zip(names, at, strict=True)}

    def _for(self, node: ast.For) -> bool:
        """Write a loop over a range as one with a condition; its number is a double, as all numbers are."""
        if isinstance(node.iter, ast.Tuple) and not node.orelse:
            return any(self.statements([ast.Assign([node.target], each), *node.body]) for each in node.iter.elts)
        if not isinstance(node.target, ast.Name) or not isinstance(node.iter, ast.Call) or node.orelse:
            raise UntranslatableError("a loop over something else than a range")
        if called(node.iter) != "range" or len(node.iter.args) > 2:
            raise UntranslatableError("a loop over something else than a range")
        *start, stop = node.iter.args
        name, first = node.target.id, start[0] if start else ast.Constant(0)
        self.assign(name, self.expression(first))
        more = ast.AugAssign(ast.Name(name, ast.Store()), ast.Add(), ast.Constant(1))
        test = ast.Compare(ast.Name(name, ast.Load()), [ast.Lt()], [stop])
        return self._while(ast.While(test, [*node.body, more], []))

    def _returning(self, node: ast.Return) -> bool:
        if node.value is None:
            raise UntranslatableError("a function without a result")
        if self.parts.whole:
            self.writer.do(f"ret double {self._number(node.value).text}")
            return True
        for place, value in enumerate(_flat(node.value)):
            at = self.writer.new(f"getelementptr double, ptr %results, i64 {place}")
            self.writer.do(f"store double {self._number(value).text}, ptr {at}")
        self.writer.do("ret void")
        return True

    # Expressions

    def _number(self, node: ast.expr) -> Value:
        return self.writer.convert(self.expression(node), F64)

    def _constant(self, node: ast.Constant) -> Value:
        if isinstance(node.value, bool) or not isinstance(node.value, int | float):
            return super()._constant(node)
        return Value(F64, (bits_of(float(node.value)),), node.value)

    def _attribute(self, node: ast.Attribute) -> Value:
        name = ast.unparse(node)
        if name not in NAMES:
            raise UntranslatableError(name)
        return NAMES[name]

    def _binary(self, node: ast.BinOp) -> Value:
        if isinstance(node.op, ast.FloorDiv):
            raise UntranslatableError("a quotient that is rounded down")  # as Python does, from the remainder
        found = super()._binary(node)
        self.calls += isinstance(node.op, ast.Pow) and not is_product(node.right)
        return found

    def _call(self, node: ast.Call) -> Value:
        name = called(node)
        arguments = [self._number(each) for each in node.args]
        known = WHOLE.get(name) or OF_NUMBERS.get(name)
        if known is not None:
            self.calls += name in LIBRARY
            return known(self, arguments)
        own = self.module.own(name, len(arguments))
        self.calls += 1
        numbers = ", ".join(f"double {each.text}" for each in arguments)
        return Value(F64, (self.writer.new(f"call double @{own}({numbers})"),))


def _flat(node: ast.expr) -> Iterator[ast.expr]:
    if isinstance(node, ast.Tuple):
        for each in node.elts:
            yield from _flat(each)
    else:
        yield node
