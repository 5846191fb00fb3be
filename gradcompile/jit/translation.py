"""From emitted Python on floats to the text of LLVM: what long programs of scalars are compiled from.

Numba takes some ten milliseconds for a line, most of it to find out what each name is. Here that is known: every
number is a double, every condition a bit. A function of many lines becomes several parts of `PART` statements, because
what LLVM does with a function takes longer than in proportion to its length; values that another part needs are kept
in an array. Function bodies may hold assignments, choices, loops with a condition, and arithmetic; for anything else
there is an error, and somebody else has to compile the program.
"""

from __future__ import annotations

import ast
import math
import struct
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import count
from typing import Any, NamedTuple

from gradcompile.garbage import uncollected

PART = 500  # statements of a function that LLVM sees at once
NUMBER, BIT = "double", "i1"
POWERS = 4  # whole exponents up to which a power is written as products

BINARY = {ast.Add: "fadd", ast.Sub: "fsub", ast.Mult: "fmul", ast.Div: "fdiv"}
COMPARED = {ast.Lt: "olt", ast.LtE: "ole", ast.Gt: "ogt", ast.GtE: "oge", ast.Eq: "oeq", ast.NotEq: "une"}
INTRINSICS = {
    "abs": "llvm.fabs.f64", "math.fabs": "llvm.fabs.f64", "math.sqrt": "llvm.sqrt.f64", "math.floor": "llvm.floor.f64",
    "math.ceil": "llvm.ceil.f64", "int": "llvm.trunc.f64", "math.copysign": "llvm.copysign.f64",
}  # fmt: skip
LIBRARY = {f"math.{name}": name for name in (
    "acos", "acosh", "asin", "asinh", "atan", "atan2", "atanh", "cbrt", "cos", "cosh", "erf", "erfc", "exp", "expm1",
    "fmod", "hypot", "lgamma", "log", "log10", "log1p", "log2", "pow", "sin", "sinh", "tan", "tanh",
)} | {"math.gamma": "tgamma"}  # fmt: skip
SMALLER = {"min": "olt", "max": "ogt"}
WAVES, PAIR = ("sin", "cos"), "sincos"
CONSTANTS = {"math.pi": math.pi, "math.e": math.e, "math.inf": math.inf, "math.nan": math.nan}


class UntranslatableError(Exception):
    """The text holds something that is not arithmetic on floats."""


class Operand(NamedTuple):
    """A value of LLVM: what stands for it, and its type."""

    text: str
    type: str = NUMBER


class Translated(NamedTuple):
    """A function in LLVM.

    Parameters
    ----------
    modules : tuple of str
        One for each part, one for what they call, and one for the function itself, which calls the parts in turn:
        ``void(memory)`` of a pointer to doubles, which are the arguments, what is kept, and the results.
    kept : int
        How many doubles are kept.
    """

    modules: tuple[str, ...]
    kept: int


def translate(
    source: str, name: str, *, contract: bool, pairs: bool = False, pause: Callable[[], None] = lambda: None
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
        parts = _Parts(_paired(functions[name]) if pairs else functions[name])
        shared = _Module(functions, " contract" if contract else "")
        modules = []
        for k in range(len(parts.bodies)):
            pause()
            module = _Module(functions, shared.flags)
            head = f"define void @{name}.{k}({POINTERS}) {{"
            modules.append(module.text([head, *_Body(module, parts, k).lines(), "}"]))
            shared.called |= module.called
    return Translated((*modules, shared.support(), _entry(name, parts)), len(parts.slots))


def _entry(name: str, parts: _Parts) -> str:
    """Return the module of the function itself."""
    count = len(parts.bodies)
    kept, results = len(parts.arguments), len(parts.arguments) + len(parts.slots)
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


POINTERS = "ptr noalias %given, ptr noalias %kept, ptr noalias %results"


class _Module:
    """What is known of one module of LLVM in the making.

    Attributes
    ----------
    called : dict of str to int
        The functions of the emitted module that are called, and how many arguments each takes.
    """

    def __init__(self, functions: Mapping[str, ast.FunctionDef], flags: str) -> None:
        self.functions, self.flags = functions, flags
        self.declared: dict[str, int] = {}  # functions of LLVM and of the C library
        self.called: dict[str, int] = {}
        self.pairs = False  # whether it computes sines and cosines together

    def text(self, lines: list[str]) -> str:
        """Return a module with a function, and declarations of all that it calls."""
        others = self.declared | {_own(name): arity for name, arity in self.called.items()}
        declared = [f"declare double @{name}({', '.join([NUMBER] * n)}) #0" for name, n in others.items()]
        if self.pairs:
            declared.append(f"declare void @{PAIR}(double, ptr, ptr) nounwind willreturn memory(argmem: write)")
        return "\n".join([*declared, *lines, "attributes #0 = { nounwind willreturn memory(none) }", ""])

    def support(self) -> str:
        """Return a module with all functions of the emitted module that are called, and those that these call."""
        lines: list[str] = []
        done: dict[str, int] = {}
        while missing := [name for name in self.called if name not in done]:
            for name in missing:
                function = self.functions[name]
                parameters = ", ".join(f"{NUMBER} %{a.arg}.given" for a in function.args.args)
                body = _Body(self, _Parts(function, whole=True), 0).lines()
                lines += [f"define double @{_own(name)}({parameters}) {{", *body, "}"]
                done[name] = self.called[name]
        self.called = {}
        return self.text(lines)

    def library(self, name: str, arity: int) -> str:
        """Return the name of a function of the C library or of LLVM, which is declared from now on."""
        self.declared[name] = arity
        return name

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
    whole : bool
        Whether it is one part, and returns its result.
    """

    def __init__(self, function: ast.FunctionDef, *, whole: bool = False) -> None:
        self.whole = whole
        self.arguments = {a.arg: k for k, a in enumerate(function.args.args)}
        statements = [s for s in function.body if not isinstance(s, ast.Expr)]
        size = len(statements) if whole else PART
        self.bodies = [statements[k : k + size] for k in range(0, len(statements), size)]
        first: dict[str, int] = {}
        across: dict[str, None] = {}
        self.nested: set[str] = set()  # names that are assigned in a choice or a loop, or more than once
        for k, body in enumerate(self.bodies):
            for statement in body:
                self._note(statement, k, first, across)
        self.slots = {name: k for k, name in enumerate(across)}

    def _note(self, statement: ast.stmt, part: int, first: dict[str, int], across: dict[str, None]) -> None:
        for name in read_names(statement):
            if first.get(name, part) != part:
                across[name] = None
        plain = isinstance(statement, ast.Assign)
        for name in assigned_names(statement):
            if not plain or name in first or name in self.arguments:
                self.nested.add(name)
            first.setdefault(name, part)


def _paired(function: ast.FunctionDef) -> ast.FunctionDef:
    """Compute a sine and a cosine of one name in one call, where the name is assigned.

    Derivatives have both, one forward and one backward, and together they cost little more than one.
    """
    asked: dict[str, set[str]] = {}
    for node in ast.walk(function):
        if wave := _wave(node):
            asked.setdefault(wave[1], set()).add(wave[0])
    plain = [s.targets[0] for s in function.body if isinstance(s, ast.Assign)]
    once = Counter(name for statement in function.body for name in assigned_names(statement))
    once.update(a.arg for a in function.args.args)
    known = {t.id for t in plain if isinstance(t, ast.Name)} | {a.arg for a in function.args.args}
    pairs = {name for name, waves in asked.items() if len(waves) == len(WAVES) and name in known and once[name] == 1}
    if not pairs:
        return function
    body = [s for a in function.args.args if a.arg in pairs for s in _both(a.arg)]
    for statement in function.body:
        body.append(_Waves(pairs).visit(statement))
        if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
            body += _both(statement.targets[0].id) if statement.targets[0].id in pairs else []
    return ast.FunctionDef(function.name, function.args, body, [])


def _wave(node: ast.AST) -> tuple[str, str] | None:
    """Return ("sin", name) for ``math.sin(name)``, and likewise for the cosine."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in WAVES:
        return (node.func.attr, node.args[0].id) if isinstance(node.args[0], ast.Name) else None
    return None


def _both(name: str) -> list[ast.stmt]:
    """Return the assignment of the sine and the cosine of a name, to names that no Python has."""
    targets: list[ast.expr] = [ast.Name(f"{name}.{wave}", ast.Store()) for wave in WAVES]
    called = ast.Call(ast.Name(PAIR, ast.Load()), [ast.Name(name, ast.Load())], [])
    return [ast.Assign([ast.Tuple(targets, ast.Store())], called)]


class _Waves(ast.NodeTransformer):
    """Replaces the sines and cosines of some names by what has been computed."""

    def __init__(self, names: set[str]) -> None:
        self.names = names

    def visit_Call(self, node: ast.Call) -> ast.expr:
        self.generic_visit(node)
        wave = _wave(node)
        return ast.Name(f"{wave[1]}.{wave[0]}", ast.Load()) if wave and wave[1] in self.names else node


def read_names(statement: ast.stmt) -> Iterator[str]:
    """Yield the names that a statement reads."""
    for node in ast.walk(statement):
        if isinstance(node, ast.Name) and (isinstance(node.ctx, ast.Load)):
            yield node.id
        elif isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name):
            yield node.target.id


def assigned_names(statement: ast.stmt) -> Iterator[str]:
    """Yield the names that a statement assigns to."""
    yield from (n.id for n in ast.walk(statement) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store))


class _Body:
    """The text of one part in the making."""

    def __init__(self, module: _Module, parts: _Parts, number: int) -> None:
        self.module, self.parts, self.number = module, parts, number
        self.entry: list[str] = []  # what comes first: places for names that change
        self.out: list[str] = []
        self.fresh = count()
        self.values: dict[str, Operand] = {}  # names that are assigned once
        self.places: dict[str, str] = {}  # names that change, and the type of each
        self.depth = 0  # choices and loops that are open
        self.calls = 0  # of functions outside, so far: no register outlives one
        self.known: dict[str, int] = {}  # how many there had been when a name got its value
        self.pointers: dict[str, str] = {}  # where sines and cosines are

    def lines(self) -> list[str]:
        """Return the body, line by line."""
        for name, place in self.parts.arguments.items():
            if not self.parts.whole:
                self.entry.append(f"  %{name}.at = getelementptr double, ptr %given, i64 {place}")
                self.entry.append(f"  %{name}.given = load double, ptr %{name}.at")
            if name in self.parts.nested:
                self._store(name, Operand(f"%{name}.given"))
            else:
                self.values[name] = Operand(f"%{name}.given")
        returned = False
        for statement in self.parts.bodies[self.number]:
            self._load(statement)
            returned = self._statement(statement)
        if not returned:
            self.out.append("  ret void")
        return ["entry:", *self.entry, *self.out]

    def _load(self, statement: ast.stmt) -> None:
        """Load, before a statement, what it needs from other parts."""
        for name in [*read_names(statement), *assigned_names(statement)]:
            known = name in self.values or name in self.places
            if name in self.parts.slots and not known and not self._assigns_plainly(statement, name):
                loaded = Operand(self._new(f"load double, ptr {self._slot(name)}"))
                if name in self.parts.nested:
                    self._store(name, loaded)
                else:
                    self._keep(name, loaded)

    def _assigns_plainly(self, statement: ast.stmt, name: str) -> bool:
        written = isinstance(statement, ast.Assign) and name in assigned_names(statement)
        return written and name not in read_names(statement)

    def _slot(self, name: str) -> str:
        return self._new(f"getelementptr double, ptr %kept, i64 {self.parts.slots[name]}")

    # Statements: each returns whether what follows it is never reached

    def _statement(self, node: ast.stmt) -> bool:
        rule = STATEMENTS.get(type(node))
        if rule is None:
            raise UntranslatableError(type(node).__name__)
        return rule(self, node)

    def _block(self, body: Iterable[ast.stmt]) -> bool:
        over = False
        self.depth += 1
        for statement in body:
            over = self._statement(statement)
        self.depth -= 1
        return over

    def _assign(self, node: ast.Assign) -> bool:
        [target] = node.targets
        if not isinstance(target, ast.Name):
            return self._assign_several(target, node.value)
        self._store(target.id, self._expression(node.value))
        return False

    def _assign_several(self, target: ast.expr, value: ast.expr) -> bool:
        if not isinstance(target, ast.Tuple):
            raise UntranslatableError("an assignment to something that is no name")
        if isinstance(value, ast.Call) and ast.unparse(value.func) == PAIR:
            self._pair(target, self._number(self._expression(value.args[0])))
            return False
        if not isinstance(value, ast.Tuple):
            raise UntranslatableError("an assignment of something that is no number")
        values = [self._expression(each) for each in value.elts]
        for name, each in zip(target.elts, values, strict=True):
            if not isinstance(name, ast.Name):
                raise UntranslatableError("an assignment to something that is no name")
            self._store(name.id, each)
        return False

    def _pair(self, names: ast.Tuple, argument: Operand) -> None:
        """Assign the sine and the cosine of a number: the call writes them to where they are read later."""
        self.module.pairs = True
        at = []
        for name in names.elts:
            assert isinstance(name, ast.Name)
            if name.id in self.parts.slots:
                self.pointers[name.id] = self._slot(name.id)
            else:
                self.pointers[name.id] = f"%{name.id}.place"
                self.entry.append(f"  %{name.id}.place = alloca {NUMBER}")
            self.places[name.id] = NUMBER
            at.append(f"ptr {self.pointers[name.id]}")
        self.out.append(f"  call void @{PAIR}(double {argument.text}, {', '.join(at)})")
        self.calls += 1

    def _augmented(self, node: ast.AugAssign) -> bool:
        if not isinstance(node.target, ast.Name):
            raise UntranslatableError("an assignment to something that is no name")
        before = self._name(ast.Name(node.target.id, ast.Load()))
        self._store(node.target.id, self._arithmetic(node.op, before, self._expression(node.value)))
        return False

    def _store(self, name: str, value: Operand) -> None:
        if name in self.parts.slots:
            self.out.append(f"  store double {self._number(value).text}, ptr {self._slot(name)}")
        if name not in self.parts.nested:
            self._keep(name, self._number(value) if name in self.parts.slots else value)
            return
        if name not in self.places:
            self.places[name] = NUMBER if name in self.parts.slots else value.type
            self.entry.append(f"  %{name}.place = alloca {self.places[name]}")
        if self.places[name] == NUMBER:
            value = self._number(value)
        elif value.type != BIT:
            raise UntranslatableError(f"{name} is a condition and a number")
        self.out.append(f"  store {value.type} {value.text}, ptr %{name}.place")

    def _keep(self, name: str, value: Operand) -> None:
        """Have a name stand for a value."""
        self.values[name] = value
        self.known[name] = self.calls

    def _if(self, node: ast.If) -> bool:
        number = next(self.fresh)
        condition = self._bit(self._expression(node.test))
        self.out.append(f"  br i1 {condition.text}, label %then{number}, label %else{number}")
        over = []
        for word, body in (("then", node.body), ("else", node.orelse)):
            self.out.append(f"{word}{number}:")
            over.append(self._block(body))
            if not over[-1]:
                self.out.append(f"  br label %after{number}")
        if not all(over):
            self.out.append(f"after{number}:")
        return all(over)

    def _while(self, node: ast.While) -> bool:
        number = next(self.fresh)
        self.out += [f"  br label %test{number}", f"test{number}:"]
        condition = self._bit(self._expression(node.test))
        self.out += [f"  br i1 {condition.text}, label %loop{number}, label %after{number}", f"loop{number}:"]
        self._block(node.body)
        self.out += [f"  br label %test{number}", f"after{number}:"]
        return False

    def _for(self, node: ast.For) -> bool:
        """Write a loop over a range as one with a condition; its number is a double, as all numbers are."""
        if not isinstance(node.target, ast.Name) or not isinstance(node.iter, ast.Call) or node.orelse:
            raise UntranslatableError("a loop over something else than a range")
        if ast.unparse(node.iter.func) != "range" or len(node.iter.args) > 2:
            raise UntranslatableError("a loop over something else than a range")
        *start, stop = node.iter.args
        name, first = node.target.id, start[0] if start else ast.Constant(0)
        self._store(name, self._number(self._expression(first)))
        more = ast.AugAssign(ast.Name(name, ast.Store()), ast.Add(), ast.Constant(1))
        test = ast.Compare(ast.Name(name, ast.Load()), [ast.Lt()], [stop])
        return self._while(ast.While(test, [*node.body, more], []))

    def _return(self, node: ast.Return) -> bool:
        if node.value is None:
            raise UntranslatableError("a function without a result")
        if self.parts.whole:
            self.out.append(f"  ret double {self._number(self._expression(node.value)).text}")
            return True
        for place, value in enumerate(_flat(node.value)):
            at = self._new(f"getelementptr double, ptr %results, i64 {place}")
            self.out.append(f"  store double {self._number(self._expression(value)).text}, ptr {at}")
        self.out.append("  ret void")
        return True

    # Expressions

    def _new(self, instruction: str) -> str:
        name = f"%t{next(self.fresh)}"
        self.out.append(f"  {name} = {instruction}")
        return name

    def _expression(self, node: ast.expr) -> Operand:
        rule = EXPRESSIONS.get(type(node))
        if rule is None:
            raise UntranslatableError(type(node).__name__)
        return rule(self, node)

    def _number(self, value: Operand) -> Operand:
        return value if value.type == NUMBER else Operand(self._new(f"uitofp i1 {value.text} to double"))

    def _bit(self, value: Operand) -> Operand:
        return value if value.type == BIT else Operand(self._new(f"fcmp une double {value.text}, 0.0"), BIT)

    def _name(self, node: ast.Name) -> Operand:
        if node.id in self.values:
            return self._again(node.id) if node.id in self.parts.slots else self.values[node.id]
        if node.id in self.places:
            kind = self.places[node.id]
            at = self.pointers.get(node.id, f"%{node.id}.place")
            return Operand(self._new(f"load {kind}, ptr {at}"), kind)
        raise UntranslatableError(f"{node.id} has no value")

    def _again(self, name: str) -> Operand:
        """Return a value that is kept: after a call, which no register outlives, from where it is kept."""
        if self.known.get(name) == self.calls:
            return self.values[name]
        loaded = Operand(self._new(f"load double, ptr {self._slot(name)}"))
        if not self.depth:  # else it would not be known on every way
            self._keep(name, loaded)
        return loaded

    def _constant(self, node: ast.Constant) -> Operand:
        if isinstance(node.value, bool):
            return Operand(str(node.value).lower(), BIT)
        if not isinstance(node.value, int | float):
            raise UntranslatableError(repr(node.value))
        return _literal(float(node.value))

    def _attribute(self, node: ast.Attribute) -> Operand:
        name = ast.unparse(node)
        if name not in CONSTANTS:
            raise UntranslatableError(name)
        return _literal(CONSTANTS[name])

    def _unary(self, node: ast.UnaryOp) -> Operand:
        value = self._expression(node.operand)
        if isinstance(node.op, ast.Not):
            return Operand(self._new(f"xor i1 {self._bit(value).text}, true"), BIT)
        if isinstance(node.op, ast.USub):
            return Operand(self._new(f"fneg{self.module.flags} double {self._number(value).text}"))
        raise UntranslatableError(type(node.op).__name__)

    def _binary(self, node: ast.BinOp) -> Operand:
        left = self._number(self._expression(node.left))
        if isinstance(node.op, ast.Pow):
            return self._power(left, node.right)
        return self._arithmetic(node.op, left, self._expression(node.right))

    def _arithmetic(self, op: ast.operator, left: Operand, right: Operand) -> Operand:
        left, right = self._number(left), self._number(right)
        if isinstance(op, ast.Mod):
            return self._remainder(left, right)
        if type(op) not in BINARY:
            raise UntranslatableError(type(op).__name__)
        return Operand(self._new(f"{BINARY[type(op)]}{self.module.flags} double {left.text}, {right.text}"))

    def _power(self, base: Operand, exponent: ast.expr) -> Operand:
        try:
            whole = ast.literal_eval(exponent)
        except ValueError:
            whole = None
        if not isinstance(whole, int) or not 0 < abs(whole) <= POWERS:
            return self._call_library("pow", [base, self._number(self._expression(exponent))])
        result = base
        for _ in range(abs(whole) - 1):
            result = Operand(self._new(f"fmul{self.module.flags} double {result.text}, {base.text}"))
        return result if whole > 0 else Operand(self._new(f"fdiv double 1.0, {result.text}"))

    def _remainder(self, left: Operand, right: Operand) -> Operand:
        """Return Python's remainder, which has the sign of the divisor."""
        rest = self._new(f"frem double {left.text}, {right.text}")
        shifted = self._new(f"fadd double {rest}, {right.text}")
        other = [self._new(f"fcmp olt double {each}, 0.0") for each in (rest, right.text)]
        differ = self._new(f"xor i1 {other[0]}, {other[1]}")
        exact = self._new(f"fcmp oeq double {rest}, 0.0")
        signed = self._call_library("llvm.copysign.f64", [Operand(rest), right])
        moved = self._new(f"select i1 {differ}, double {shifted}, double {rest}")
        return Operand(self._new(f"select i1 {exact}, double {signed.text}, double {moved}"))

    def _compare(self, node: ast.Compare) -> Operand:
        values = [self._number(self._expression(each)).text for each in (node.left, *node.comparators)]
        found: Operand | None = None
        for op, left, right in zip(node.ops, values, values[1:], strict=False):
            if type(op) not in COMPARED:
                raise UntranslatableError(type(op).__name__)
            this = Operand(self._new(f"fcmp {COMPARED[type(op)]} double {left}, {right}"), BIT)
            found = this if found is None else Operand(self._new(f"and i1 {found.text}, {this.text}"), BIT)
        assert found is not None
        return found

    def _logical(self, node: ast.BoolOp) -> Operand:
        """Return ``and`` and ``or``; nothing here has an effect, so that all of it may be computed."""
        found, *rest = (self._bit(self._expression(each)).text for each in node.values)
        for each in rest:
            both = f"{each}, i1 false" if isinstance(node.op, ast.And) else f"true, i1 {each}"
            found = self._new(f"select i1 {found}, i1 {both}")
        return Operand(found, BIT)

    def _choice(self, node: ast.IfExp) -> Operand:
        condition = self._bit(self._expression(node.test))
        first, second = self._expression(node.body), self._expression(node.orelse)
        if first.type != second.type:
            first, second = self._number(first), self._number(second)
        chosen = f"select i1 {condition.text}, {first.type} {first.text}, {second.type} {second.text}"
        return Operand(self._new(chosen), first.type)

    def _call(self, node: ast.Call) -> Operand:
        name = ast.unparse(node.func)
        arguments = [self._number(self._expression(each)) for each in node.args]
        if name == "float":
            return arguments[0]
        if name in ("math.isnan", "math.isfinite", "math.isinf"):
            return self._kind(name, arguments[0])
        if name in SMALLER and len(arguments) == 2:
            return self._smaller(SMALLER[name], *arguments)
        known = INTRINSICS.get(name) or LIBRARY.get(name)
        if known is not None:
            return self._call_library(known, arguments)
        own = self.module.own(name, len(arguments))
        self.calls += 1
        return Operand(self._new(f"call double @{own}({', '.join(f'double {a.text}' for a in arguments)})"))

    def _smaller(self, relation: str, first: Operand, second: Operand) -> Operand:
        """Return what Python's min and max return: the first, unless the second is smaller or larger."""
        other = self._new(f"fcmp {relation} double {second.text}, {first.text}")
        return Operand(self._new(f"select i1 {other}, double {second.text}, double {first.text}"))

    def _kind(self, name: str, value: Operand) -> Operand:
        if name == "math.isnan":
            return Operand(self._new(f"fcmp uno double {value.text}, {value.text}"), BIT)
        size = self._call_library("llvm.fabs.f64", [value])
        relation = "one" if name == "math.isfinite" else "oeq"
        return Operand(self._new(f"fcmp {relation} double {size.text}, {_literal(math.inf).text}"), BIT)

    def _call_library(self, name: str, arguments: list[Operand]) -> Operand:
        called = self.module.library(name, len(arguments))
        self.calls += not name.startswith("llvm.")
        return Operand(self._new(f"call double @{called}({', '.join(f'double {a.text}' for a in arguments)})"))


def _literal(number: float) -> Operand:
    """Return a number by its bits: LLVM reads no decimals that it would have to round."""
    return Operand(f"0x{struct.unpack('>Q', struct.pack('>d', number))[0]:016X}")


def _flat(node: ast.expr) -> Iterator[ast.expr]:
    if isinstance(node, ast.Tuple):
        for each in node.elts:
            yield from _flat(each)
    else:
        yield node


STATEMENTS: dict[type[ast.AST], Callable[[_Body, Any], bool]] = {
    ast.Assign: _Body._assign,
    ast.AugAssign: _Body._augmented,
    ast.If: _Body._if,
    ast.While: _Body._while,
    ast.For: _Body._for,
    ast.Return: _Body._return,
}
EXPRESSIONS: dict[type[ast.AST], Callable[[_Body, Any], Operand]] = {
    ast.Name: _Body._name,
    ast.Constant: _Body._constant,
    ast.Attribute: _Body._attribute,
    ast.UnaryOp: _Body._unary,
    ast.BinOp: _Body._binary,
    ast.Compare: _Body._compare,
    ast.BoolOp: _Body._logical,
    ast.IfExp: _Body._choice,
    ast.Call: _Body._call,
}
