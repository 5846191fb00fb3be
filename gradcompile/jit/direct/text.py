"""An emitted module as it is written, ready to be translated: for all functions of a module, it is parsed once."""

from __future__ import annotations

import ast
from collections import Counter
from functools import lru_cache

from gradcompile.garbage import uncollected
from gradcompile.jit.direct.ahead import ask_ahead
from gradcompile.jit.direct.factors import share_factors
from gradcompile.jit.direct.flat import flatten
from gradcompile.jit.direct.jam import jam
from gradcompile.jit.direct.matrices import USED, definitions
from gradcompile.jit.direct.outline import NOTHING, Arrays, Part, outlined
from gradcompile.jit.direct.rings import unroll_rings
from gradcompile.jit.direct.signs import numbers, shapes
from gradcompile.jit.direct.streams import read_in_turn
from gradcompile.jit.direct.syntax import names, nodes, spelled
from gradcompile.jit.direct.widths import width
from gradcompile.jit.linking import BY_STRIDES, PRODUCT
from gradcompile.vecmath import SELDOM


class Text:
    """An emitted module as it is written.

    Parameters
    ----------
    source : str
        The emitted text.

    Attributes
    ----------
    nodes : dict of str to FunctionDef
        Its functions, and the parts of long ones.
    algebra : frozenset of str
        Those of linear algebra, which are here if it calls any.
    constants : dict of str to expression
        The names of the module that are no functions.
    blas : set of str
        Those of them that multiply matrices.
    inlined : set of str
        The functions that are arithmetic without branches, written out where they are called.
    width : str
        The attribute of its functions that says how wide vectors are.
    parts : dict of str to Part
        The parts of functions, by their names.
    in_turn : set of Subscript
        The elements of arguments of a function that are read one after the other.
    """

    def __init__(self, source: str) -> None:
        with uncollected():
            tree = ast.parse(source)
        functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
        algebra = definitions() if USED in source else []
        self.shapes = {node.name: shapes(node) for node in functions}
        self.nodes = {node.name: _trusted(node) for node in (*functions, *algebra)}
        self.algebra = frozenset(node.name for node in algebra)
        self.constants: dict[str, ast.expr] = {}
        for node in tree.body:
            if isinstance(node, ast.Assign):
                [target], value = node.targets, node.value
                pairs = [(target, value)]
                if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
                    pairs = list(zip(target.elts, value.elts, strict=True))
                self.constants |= {name.id: each for name, each in pairs if isinstance(name, ast.Name)}
        self.width = width({node.name: node for node in functions})
        self.inlined = {name for name, node in self.nodes.items() if _is_inlined(node)}
        self.blas = {name for name, value in self.constants.items() if PRODUCT in ast.unparse(value)}
        self.parts: dict[str, Part] = {}
        self.in_turn: set[ast.Subscript] = set()
        self._costs: dict[str, int] = {}
        self._ready: set[str] = set()

    def prepared(self, name: str) -> ast.FunctionDef:
        """Return a function as it is translated for any types: in parts, and with several steps in one pass."""
        if name not in self._ready:
            self._ready.add(name)
            if self.algebra and name not in self.algebra:
                share_factors(self.nodes[name])
            if name not in self.parts:  # a part has no parts
                *parts, whole = outlined(self.nodes[name], self.shapes.get(name, NOTHING))
                self.nodes |= {part.node.name: part.node for part in (*parts, whole)}
                self.parts |= {part.node.name: part for part in parts}
            self._flatten(name)
            if name not in BY_STRIDES:
                unroll_rings(self.nodes[name], self.cost)
                jam(self.nodes[name])
            ask_ahead(self.nodes[name])
            if name not in self.parts:
                self.in_turn.update(read_in_turn(self.nodes[name]))
        return self.nodes[name]

    def _flatten(self, name: str) -> None:
        """Let rows be one row in arrays that a function makes, or is given, and of which it knows the lengths."""
        node, part = self.nodes[name], self.part(self.nodes[name])
        times = Counter(each.id for each in names(node) if isinstance(each.ctx, ast.Store))
        known = {each: number for each, number in numbers(node, hidden=True).items() if times[each] == 1}
        own = Arrays.of(node, known, times)
        lengths, cut = {**part.lengths, **own.lengths}, {**part.cut, **own.cut}
        given = self.shapes.get(name, part.shapes)
        flatten(node, part._replace(lengths=lengths, cut=cut).known(given), known)

    def part(self, node: ast.FunctionDef) -> Part:
        """Return what is known of the arguments of a function: nothing, if it is no part of another."""
        return self.parts.get(node.name, Part(node))

    def cost(self, node: ast.AST) -> int:
        """Return how many statements of functions there are that are written out in a node, as elementary ones are."""
        called = [spelled(each.func) for each in nodes(node) if isinstance(each, ast.Call)]
        return sum(self._cost(name) for name in called if name in self.nodes)

    def _cost(self, name: str) -> int:
        if name not in self._costs:
            node = self.nodes[name]
            written_out = name in self.inlined and name not in SELDOM
            self._costs[name] = len(node.body) + self.cost(node) if written_out else 0
        return self._costs[name]


def _trusted(node: ast.FunctionDef) -> ast.FunctionDef:
    """Return a function that does not ask for which sizes it is planned: the caller knows."""
    node.body = [each for each in node.body if not isinstance(each, ast.Assert)]
    return node


def _is_inlined(node: ast.FunctionDef) -> bool:
    calls = [each for each in node.decorator_list if isinstance(each, ast.Call)]
    return any(option.arg == "forceinline" for each in calls for option in each.keywords)


parsed = lru_cache(maxsize=1)(Text)  # one after the other, the functions of a module are compiled
