"""Statements and expressions about numbers, translated; what a name stands for is a matter of the heirs."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from typing import Any

from gradcompile.jit.direct.kinds import BIT, Scalar, Type, UntranslatableError, Value, held, literal, merged
from gradcompile.jit.direct.writer import Writer

SIMPLE = 3  # operations that are done for nothing rather than by way of a branch
RULES = {
    ast.Expr: "_note", ast.Assign: "_assignment", ast.AugAssign: "_augmented", ast.If: "_if", ast.While: "_while",
    ast.For: "_for", ast.Return: "_returning", ast.Raise: "_raising",
    ast.Name: "_name", ast.Constant: "_constant", ast.Tuple: "_tuple", ast.Attribute: "_attribute",
    ast.Subscript: "_subscript", ast.UnaryOp: "_unary", ast.BinOp: "_binary", ast.Compare: "_compare",
    ast.BoolOp: "_logical", ast.IfExp: "_choice", ast.Call: "_call",
}  # fmt: skip


class Numbers:
    """What a function says of numbers, in the making; an heir without the method for some syntax does without it.

    Parameters
    ----------
    writer : Writer
        The function's text.

    Attributes
    ----------
    depth : int
        Of the loops and choices that are open.
    """

    def __init__(self, writer: Writer) -> None:
        self.writer = writer
        self.depth = 0

    def assign(self, name: str, value: Value) -> None:
        """Give a name a value."""
        raise NotImplementedError

    def read(self, name: str) -> Value:
        """Return what a name stands for."""
        raise NotImplementedError

    def fitted(self, value: Value, kind: Type) -> Value:
        """Return a value as one of a wider type."""
        if not isinstance(kind, Scalar):
            raise UntranslatableError("something else where a number is needed")
        return self.writer.convert(value, kind)

    def _translated(self, node: ast.AST) -> Any:
        rule = getattr(self, RULES.get(type(node), ""), None)
        if rule is None:
            raise UntranslatableError(type(node).__name__)
        return rule(node)

    # Statements: each returns whether what follows it is never reached

    def statements(self, body: Iterable[ast.stmt]) -> bool:
        """Translate statements."""
        return any(self._translated(statement) for statement in body)

    def _nested(self, body: Iterable[ast.stmt]) -> bool:
        self.depth += 1
        over = self.statements(body)
        self.depth -= 1
        return over

    def _augmented(self, node: ast.AugAssign) -> bool:
        if not isinstance(node.target, ast.Name):
            raise UntranslatableError("an assignment to something that is no name")
        before = self.read(node.target.id)
        self.assign(node.target.id, self.writer.arithmetic(type(node.op), before, self.expression(node.value)))
        return False

    def _if(self, node: ast.If) -> bool:
        then, otherwise, after = (self.writer.label() for _ in range(3))
        self.writer.branch(self.writer.truth(self.expression(node.test)).text, then, otherwise)
        over = []
        for label, body in ((then, node.body), (otherwise, node.orelse)):
            self.writer.begin(label)
            over.append(self._nested(body))
            if not over[-1]:
                self.writer.jump(after)
        if not all(over):
            self.writer.begin(after)
        return all(over)

    def _while(self, node: ast.While) -> bool:
        test, loop, after = (self.writer.label() for _ in range(3))
        self.writer.jump(test)
        self.writer.begin(test)
        self.writer.branch(self.writer.truth(self.expression(node.test)).text, loop, after)
        self.writer.begin(loop)
        if not self._nested(node.body):
            self.writer.again(test)
        self.writer.begin(after)
        return False

    # Expressions

    def expression(self, node: ast.expr) -> Value:
        """Translate an expression."""
        found: Value = self._translated(node)
        return found

    def _name(self, node: ast.Name) -> Value:
        return self.read(node.id)

    def _constant(self, node: ast.Constant) -> Value:
        if not isinstance(node.value, int | float):
            raise UntranslatableError(repr(node.value))
        return literal(node.value)

    def _unary(self, node: ast.UnaryOp) -> Value:
        value = self.expression(node.operand)
        if isinstance(node.op, ast.Not):
            return Value(BIT, (self.writer.new(f"xor i1 {self.writer.truth(value).text}, true"),))
        if isinstance(node.op, ast.USub):
            return self.writer.negative(value)
        if isinstance(node.op, ast.UAdd):
            return value
        raise UntranslatableError(type(node.op).__name__)

    def _binary(self, node: ast.BinOp) -> Value:
        left, right = self.expression(node.left), self.expression(node.right)
        if isinstance(node.op, ast.Pow):
            return self.writer.power(left, right)
        return self.writer.arithmetic(type(node.op), left, right)

    def _compare(self, node: ast.Compare) -> Value:
        values = [self.expression(each) for each in (node.left, *node.comparators)]
        found = ""
        for op, left, right in zip(node.ops, values, values[1:], strict=False):
            this = self.writer.compare(type(op), left, right).text
            found = self.writer.new(f"and i1 {found}, {this}") if found else this
        return Value(BIT, (found,))

    def _logical(self, node: ast.BoolOp) -> Value:
        """Translate ``and`` and ``or``: what follows is reached only where it counts."""
        first, *rest = node.values
        if not rest:
            found = self.expression(first)
            if found.type != BIT:
                raise UntranslatableError("a number as a condition")
            return found
        others, stops = ast.BoolOp(node.op, rest), ast.Constant(isinstance(node.op, ast.Or))
        yes, no = (stops, others) if isinstance(node.op, ast.Or) else (others, stops)
        return self._choice(ast.IfExp(first, yes, no))

    def _choice(self, node: ast.IfExp) -> Value:
        condition = self.writer.truth(self.expression(node.test)).text
        if all(is_simple(each) or self.is_arithmetic(each) for each in (node.body, node.orelse)):
            first, second = self.expression(node.body), self.expression(node.orelse)
            if isinstance(first.type, Scalar) and isinstance(second.type, Scalar):
                return self.writer.select(condition, first, second)
        return self._branches(condition, node)

    def is_arithmetic(self, node: ast.expr) -> bool:
        """Return whether an expression is rather computed for nothing than kept from a loop that is vectors."""
        return False

    def _branches(self, condition: str, node: ast.IfExp) -> Value:
        writer, before = self.writer, self.writer.out
        then, otherwise, after = (writer.label() for _ in range(3))
        writer.branch(condition, then, otherwise)
        arms = []
        for label, each in ((then, node.body), (otherwise, node.orelse)):
            writer.out = []
            writer.begin(label)
            self.depth += 1
            arms.append((self.expression(each), writer.out, writer.block))
            self.depth -= 1
        kind, ways = merged(arms[0][0].type, arms[1][0].type), []
        for value, written, block in arms:
            writer.out = written
            ways.append((self.fitted(value, kind).parts, block))
            writer.jump(after)
            before += written
        writer.out = before
        writer.begin(after)
        pairs = zip(held(kind), *(parts for parts, _ in ways), strict=True)
        phi = "phi {} [ {}, %{} ], [ {}, %{} ]"
        return Value(kind, tuple(writer.new(phi.format(h, a, ways[0][1], b, ways[1][1])) for h, a, b in pairs))


def is_simple(node: ast.expr) -> bool:
    """Return whether an expression may be computed where its value is not needed, and takes next to no time."""
    return _operations(node) <= SIMPLE


def _operations(node: ast.expr) -> int:
    """Return how many operations on two numbers there are in an expression; too many if there is anything else."""
    if isinstance(node, ast.Name | ast.Constant):
        return 0
    if isinstance(node, ast.BinOp):
        return 1 + _operations(node.left) + _operations(node.right)
    inner = node.operand if isinstance(node, ast.UnaryOp) else node.value if isinstance(node, ast.Attribute) else None
    return SIMPLE + 1 if inner is None else _operations(inner)
