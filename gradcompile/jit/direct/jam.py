"""Sums of products in loops: several steps of the outer loop are taken in one pass of the inner one.

In ``for j: for s: c[s] += a[j, s]*w[j]``, each product costs three transfers: two loads and a store. Of four steps of
``j`` in one pass, ``c[s]`` stays in a register. Likewise, of four sums over ``s`` in one pass, what they have in common
is loaded once. Every sum keeps its order. LLVM has a pass for that, which it does not use.
"""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterable, Iterator
from copy import deepcopy
from typing import Any

from gradcompile.jit.direct.aliases import sharing
from gradcompile.jit.direct.liveness import Liveness
from gradcompile.jit.direct.syntax import expression, listed, mentioned, nodes, spelled

STEPS = 4  # of the outer loop in one pass
Assignment = ast.Assign | ast.AugAssign


def jam(function: ast.FunctionDef) -> None:
    """Let a function take several steps in one pass wherever that changes nothing but time."""
    _Jam(function).visit(function)


class _Jam(ast.NodeTransformer):
    """Replaces the loops around innermost ones."""

    def __init__(self, function: ast.FunctionDef) -> None:
        self.function = function
        self.shared = sharing(function)

    def visit(self, node: ast.AST) -> Any:
        """Look at statements alone: there is no loop in an expression."""
        return super().visit(node) if isinstance(node, ast.stmt) else node

    def visit_For(self, loop: ast.For) -> ast.For | list[ast.stmt]:
        """Return the loops that stand for one: of several steps in one pass, and of those that are left."""
        nest = _Nest.of(loop)
        if nest and nest.pays() and nest.has_own_elements(self.shared) and nest.has_own_names(self.function):
            return list(nest.several())
        self.generic_visit(loop)
        return loop


class _Nest:
    """A loop around one innermost loop of one sum, with assignments before and after.

    Attributes
    ----------
    counter : str
        The name that the outer loop counts with.
    term : AugAssign
        The statement of the inner loop.
    statements : list of Assign or AugAssign
        All of a step, in their order.
    own : list of str
        The names that a step gives values.
    stored : list of Subscript
        The elements that it gives values.
    """

    def __init__(self, loop: ast.For, inner: ast.For, term: ast.AugAssign) -> None:
        self.loop, self.inner, self.term = loop, inner, term
        self.counter = spelled(loop.target)
        body = [term if each is inner else each for each in loop.body]
        self.statements = [each for each in body if isinstance(each, Assignment)]
        targets = [each.target if isinstance(each, ast.AugAssign) else each.targets[0] for each in self.statements]
        self.own = [each.id for each in targets if isinstance(each, ast.Name)]
        self.stored = [each for each in targets if isinstance(each, ast.Subscript)]

    @classmethod
    def of(cls, loop: ast.For) -> _Nest | None:
        """Return the nest that a loop is, if it is one."""
        inner = [each for each in loop.body if isinstance(each, ast.For)]
        if len(inner) != 1 or len(inner[0].body) != 1 or not isinstance(inner[0].body[0], ast.AugAssign):
            return None
        others = [each for each in loop.body if each is not inner[0]]
        if not all(isinstance(each, Assignment) for each in others):
            return None
        nest = cls(loop, inner[0], inner[0].body[0])
        changing = {nest.counter, *nest.own}
        changing |= {spelled(each.value) for each in nest.stored}
        still = changing.isdisjoint(mentioned(inner[0].iter) | mentioned(loop.iter))
        inside = [node for each in (nest.term, *others) for node in nodes(each)]
        plain = not any(isinstance(each, ast.Call | ast.IfExp) for each in inside)  # choices may be of other loops
        return nest if still and plain and _is_range(loop.iter) and _is_range(inner[0].iter) else None

    def pays(self) -> bool:
        """Return whether steps side by side add to the same elements, or to names and load the same elements."""
        if isinstance(self.term.target, ast.Subscript):
            return self._is_common(self.term.target)
        return any(isinstance(each, ast.Subscript) and self._is_common(each) for each in nodes(self.term.value))

    def _is_common(self, element: ast.Subscript) -> bool:
        """Return whether every step of the outer loop has the same elements, one for each of the inner loop."""
        changing = {self.counter, *self.own}
        return changing.isdisjoint(mentioned(element)) and _is_among(spelled(self.inner.target), element)

    def has_own_names(self, function: ast.FunctionDef) -> bool:
        """Return whether each step gives its names values before it reads them, and nobody reads them afterwards."""
        liveness = Liveness()
        needed, later = liveness.before(self.loop.body, frozenset()), liveness.after(self.loop, function.body)
        return needed.isdisjoint(self.own) and later.isdisjoint({self.counter, *self.own})

    def has_own_elements(self, shared: Collection[str]) -> bool:
        """Return whether each step has elements of its own, or all add to elements that nothing else reads."""
        return all(self._is_apart(each, shared) for each in self.stored)

    def _is_apart(self, stored: ast.Subscript, shared: Collection[str]) -> bool:
        array = spelled(stored.value)
        inside = [node for statement in self.statements for node in nodes(statement)]
        mentions = sum(isinstance(node, ast.Name) and node.id == array for node in inside)
        same = sum(isinstance(node, ast.Subscript) and ast.unparse(node) == ast.unparse(stored) for node in inside)
        sums = stored is self.term.target and self._is_common(stored) and mentions == 1
        return array not in shared and (sums or (_is_among(self.counter, stored) and same == mentions))

    def several(self) -> Iterator[ast.stmt]:
        """Yield the loop of several steps in one pass, and that of the steps which are left."""
        first, last = _bounds(self.loop.iter)
        steps = [_Step(self.counter, k, self.own) for k in range(STEPS)]
        body: list[ast.stmt] = []
        for each in self.loop.body:
            copies = [step.of(self.term if each is self.inner else each) for step in steps]
            body += [ast.For(self.inner.target, self.inner.iter, copies, [])] if each is self.inner else copies
        top = f"{self.counter}.top"  # no identifier, so that no name of the text is the same
        whole = f"{first} + max({last} - ({first}), 0)//{STEPS}*{STEPS}" if first != "0" else f"{last}//{STEPS}*{STEPS}"
        yield ast.Assign([ast.Name(top, ast.Store())], expression(whole))
        yield ast.For(
            self.loop.target, _range(expression(first), ast.Name(top, ast.Load()), ast.Constant(STEPS)), body, []
        )
        yield ast.For(self.loop.target, _range(ast.Name(top, ast.Load()), expression(last)), self.loop.body, [])


class _Step(ast.NodeTransformer):
    """Turns what a loop does into what it does some steps later, with names of its own."""

    def __init__(self, counter: str, later: int, own: Iterable[str]) -> None:
        self.counter, self.later, self.own = counter, later, set(own)

    def of(self, statement: ast.stmt) -> ast.stmt:
        """Return a statement of that step."""
        found = self.visit(deepcopy(statement))
        assert isinstance(found, ast.stmt)
        return found

    def visit_Name(self, node: ast.Name) -> ast.expr:
        """Return what stands for a name."""
        if node.id == self.counter and self.later:
            return ast.BinOp(node, ast.Add(), ast.Constant(self.later))
        return ast.Name(f"{node.id}.{self.later}", node.ctx) if node.id in self.own else node


def _is_among(name: str, element: ast.Subscript) -> bool:
    """Return whether a name is one of the indices of an element."""
    return any(isinstance(each, ast.Name) and each.id == name for each in listed(element.slice))


def _is_range(node: ast.expr) -> bool:
    """Return whether a loop counts upwards, one by one."""
    return isinstance(node, ast.Call) and spelled(node.func) == "range" and len(node.args) < 3


def _bounds(node: ast.expr) -> tuple[str, str]:
    """Return where a range begins and where it ends."""
    assert isinstance(node, ast.Call)
    first, last = map(ast.unparse, [ast.Constant(0), *node.args][-2:])
    return first, f"({last})"


def _range(*bounds: ast.expr) -> ast.Call:
    return ast.Call(ast.Name("range", ast.Load()), list(bounds), [])
