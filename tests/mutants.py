"""Negative controls: break generated backward code in small ways, and see whether the checks of the tests notice.

`python -m tests.mutants 2000` makes that many mutants of emitted modules of random models, runs each at two points and
holds it to the bound of test_random_models.py; what gives the same there goes on to further points, where other
branches are taken. A mutant is *killed* if a component of the gradient leaves the bound, is not finite, or an exception
comes. It is *equivalent* if it returns the same as the unbroken code, to the bit, at every one of these points: a term
that is 0 everywhere, a branch that is decided for all. The rest survive, and are printed.
"""

from __future__ import annotations

import ast
import copy
import itertools
import math
import random
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

import gradcompile as gc
from tests import tape
from tests.oracle import Answer, Problem, mp
from tests.random_models import numbered
from tests.zoo import arguments

BOUND = 64 * float(np.finfo(np.float64).eps)
POINTS, FURTHER = 2, 24
EACH = 12  # mutants of one module at most
Function = ast.FunctionDef
Mutation = Callable[[ast.stmt], Iterator[Callable[[], None]]]  # a statement -> changes that can be made in place


# The mutations --------------------------------------------------------------------------------------------------------


def drop(statement: ast.stmt) -> Iterator[Callable[[], None]]:
    """Drop an accumulation."""
    if isinstance(statement, ast.AugAssign):
        yield lambda: setattr(statement, "value", ast.Constant(0.0))


def overwrite(statement: ast.stmt) -> Iterator[Callable[[], None]]:
    """Make ``+=`` an ``=``: the last contribution alone."""
    if isinstance(statement, ast.AugAssign):
        yield lambda: become_assignment(statement)


def become_assignment(statement: Any) -> None:
    statement.__class__, statement.targets = ast.Assign, [statement.target]


def flip(statement: ast.stmt) -> Iterator[Callable[[], None]]:
    """Flip a sign: of a sum's operand, of a negation, or of all."""
    for node in expressions(statement):
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Sub):
            other = ast.Sub() if isinstance(node.op, ast.Add) else ast.Add()
            yield lambda node=node, other=other: setattr(node, "op", other)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            yield lambda node=node: setattr(node, "op", ast.UAdd())


def swap(statement: ast.stmt) -> Iterator[Callable[[], None]]:
    """Swap the operands of a difference, a quotient, a power, or the branches of a choice."""
    for node in expressions(statement):
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Sub | ast.Div | ast.Pow):
            yield lambda node=node: exchange(node, "left", "right")
        if isinstance(node, ast.IfExp):
            yield lambda node=node: exchange(node, "body", "orelse")


def perturb(statement: ast.stmt) -> Iterator[Callable[[], None]]:
    """Change a number by a millionth of itself."""
    inside = {id(n) for e in expressions(statement) if isinstance(e, ast.Subscript) for n in ast.walk(e.slice)}
    inside |= {id(e.right) for e in expressions(statement) if isinstance(e, ast.BinOp) and isinstance(e.op, ast.Pow)}
    for node in expressions(statement):
        number = isinstance(node, ast.Constant) and type(node.value) in (int, float) and node.value != 0
        if number and id(node) not in inside:
            yield lambda node=node: setattr(node, "value", node.value * (1 + 1e-6))


def shorten(statement: ast.stmt) -> Iterator[Callable[[], None]]:
    """Skip the last row of a loop."""
    if isinstance(statement, ast.For) and isinstance(statement.iter, ast.Call):
        last = statement.iter.args[-1]
        yield lambda: statement.iter.args.__setitem__(-1, ast.BinOp(last, ast.Sub(), ast.Constant(1)))


MUTATIONS: dict[str, Mutation] = {
    "drop an accumulation": drop, "+= to =": overwrite, "flip a sign": flip, "swap operands": swap,
    "perturb a constant by 1e-6": perturb, "skip the last row": shorten,
}  # fmt: skip
STALE = "use the updated value"


def exchange(node: ast.AST, first: str, second: str) -> None:
    a, b = getattr(node, first), getattr(node, second)
    setattr(node, first, b)
    setattr(node, second, a)


def expressions(statement: ast.stmt) -> list[ast.AST]:
    """Return the nodes of a statement's right side."""
    value = getattr(statement, "value", None)
    return list(ast.walk(value)) if isinstance(statement, ast.Assign | ast.AugAssign) and value is not None else []


def stale(body: list[ast.stmt]) -> Iterator[Callable[[], None]]:
    """Move an assignment behind its successor, which it reads the target of from then on, or which reads too early."""
    for k, (first, second) in enumerate(itertools.pairwise(body)):
        if not all(isinstance(s, ast.Assign | ast.AugAssign) for s in (first, second)):
            continue
        if targets(first) & names(second) or targets(second) & names(first):
            yield lambda k=k: body.__setitem__(slice(k, k + 2), body[k : k + 2][::-1])


def targets(statement: ast.stmt) -> set[str]:
    """Return the names that a statement assigns to, as a whole or in part."""
    found: list[Any] = statement.targets if isinstance(statement, ast.Assign) else [getattr(statement, "target", None)]
    return {name for target in found if target is not None for name in base_names(target)}


def base_names(target: ast.expr) -> set[str]:
    """Return what is assigned to: ``dw`` of ``dw[i][j]``, each name of a tuple."""
    while isinstance(target, ast.Subscript):
        target = target.value
    return set().union(*map(base_names, target.elts)) if isinstance(target, ast.Tuple) else names(target)


def names(statement: ast.AST) -> set[str]:
    return {n.id for n in ast.walk(statement) if isinstance(n, ast.Name)}


# Modules and their mutants --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Subject:
    """An emitted module, the order of its arguments, and the exact answers at some points."""

    seed: int
    problem: Problem
    text: str
    order: tuple[str, ...]
    points: list[tuple[dict[str, Any], Answer]]
    further: list[dict[str, Any]]
    target: str

    def run(self, text: str, inputs: dict[str, Any]) -> tuple[Any, ...]:
        """Return the gradients that a module's text gives, in the order of the parameters."""
        space: dict[str, Any] = {"__name__": "mutant"}
        exec(compile(text, "<mutant>", "exec"), space)
        given = [np.asarray(inputs[name]) for name in self.order]
        given = [a.tolist() if self.target == "python" else a if a.ndim else a.item() for a in given]
        with np.errstate(all="ignore"):
            return tuple(np.asarray(g, dtype=float) for g in space["value_and_grad"](*given)[1])


def moved(problem: Problem, source: random.Random) -> dict[str, Any]:
    """Return other numbers of the same shapes; labels stay."""
    found = {}
    for name, value in problem.inputs.items():
        array = np.asarray(value)
        if array.dtype.kind == "f":
            fresh = np.array([round(source.uniform(-2, 2), 4) for _ in range(array.size)]).reshape(array.shape)
            found[name] = fresh if array.ndim else float(fresh)
        else:
            found[name] = value
    return found


def subject(seed: int) -> Subject | None:
    """Return random model number `seed` as an emitted module, with answers at a few points."""
    model, source = numbered(seed), random.Random(seed)
    if model is None:
        return None
    target = ("python", "numpy")[seed % 2]
    points = [(dict(model.problem.inputs), model.answer)]
    for _ in range(8 * POINTS):
        if len(points) == POINTS:
            break
        problem = replace(model.problem, inputs=moved(model.problem, source))
        try:
            points.append((dict(problem.inputs), tape.answer(problem)))
        except ArithmeticError:  # on a kink
            continue
    compiled = gc.compile(**arguments(model.problem))
    text = gc.emit(**arguments(model.problem), target=target)
    further = [moved(model.problem, source) for _ in range(FURTHER)]
    return Subject(seed, model.problem, text, tuple(compiled.arguments), points, further, target)


def mutants(found: Subject, source: random.Random) -> Iterator[tuple[str, int, str]]:
    """Yield (kind, line, text) for a few mutants of the backward half, all kinds in turn."""
    places: dict[str, list[tuple[int, int]]] = {}
    tree = ast.parse(found.text)
    for kind, line, place in all_places(tree):
        places.setdefault(kind, []).append((line, place))
    for each in places.values():
        source.shuffle(each)
    rounds = itertools.zip_longest(*([(kind, *p) for p in each] for kind, each in sorted(places.items())))
    chosen = [each for each in itertools.chain.from_iterable(rounds) if each is not None][:EACH]
    for kind, line, place in chosen:
        changed = copy.deepcopy(tree)
        change = next(itertools.islice(changes(changed, kind), place, None))
        change[1]()
        yield kind, line, ast.unparse(ast.fix_missing_locations(changed))


def all_places(tree: ast.Module) -> Iterator[tuple[str, int, int]]:
    for kind in (*MUTATIONS, STALE):
        for place, (line, _) in enumerate(changes(tree, kind)):
            yield kind, line, place


def changes(tree: ast.Module, kind: str) -> Iterator[tuple[int, Callable[[], None]]]:
    """Yield every change of one kind that can be made to the backward half, in a fixed order, with its line."""
    function = next(n for n in tree.body if isinstance(n, Function) and n.name == "value_and_grad")
    forward = needed_by_the_value(function)
    for body in bodies(function):
        if kind == STALE:
            inner = [s for s in body if not targets(s) & forward]
            yield from ((body[0].lineno, change) for change in stale(body) if len(inner) == len(body))
            continue
        for statement in body:
            backward = not (assigned(statement) & forward) and not isinstance(statement, ast.Return)
            if backward:
                yield from ((statement.lineno, change) for change in MUTATIONS[kind](statement))


def bodies(function: Function) -> Iterator[list[ast.stmt]]:
    yield function.body
    for node in ast.walk(function):
        if isinstance(node, ast.For | ast.If):
            yield node.body


def assigned(statement: ast.stmt) -> set[str]:
    """Return what a statement, or a loop with all that is in it, assigns to."""
    return set().union(*(targets(s) for s in ast.walk(statement) if isinstance(s, ast.Assign | ast.AugAssign)))


def needed_by_the_value(function: Function) -> set[str]:
    """Return the names that the value is computed from; what assigns to others is the backward half."""
    last = function.body[-1]
    assert isinstance(last, ast.Return)
    assert isinstance(last.value, ast.Tuple)
    needed = names(last.value.elts[0]) | {a.arg for a in function.args.args}
    lines = [s for s in ast.walk(function) if isinstance(s, ast.Assign | ast.AugAssign | ast.For)]
    while True:
        more = {n for s in lines if s_targets(s) & needed for n in names(s if not isinstance(s, ast.For) else s.iter)}
        if more <= needed:
            return needed
        needed |= more


def s_targets(statement: ast.stmt) -> set[str]:
    return names(statement.target) if isinstance(statement, ast.For) else targets(statement)


# The verdict ----------------------------------------------------------------------------------------------------------


def within(grads: tuple[Any, ...], answer: Answer) -> bool:
    """Return whether all gradients keep the bound."""
    for found, (name, expected) in zip(grads, answer.grads.items(), strict=True):
        if found.shape != expected.shape or not np.all(np.isfinite(found)):
            return False
        for g, right, scale in zip(found.flat, expected.flat, answer.scales[name].flat, strict=True):
            if abs(mp.mpf(float(g)) - right) > BOUND * scale:
                return False
    return True


def verdict(found: Subject, text: str) -> str:
    """Return "killed", "equivalent" or "survived"."""
    for inputs, answer in found.points:
        try:
            if not within(found.run(text, inputs), answer):
                return "killed"
        except Exception:  # a mutant that does not run is noticed
            return "killed"
    differs = not all(same(found, text, inputs) for inputs, _ in found.points)
    for inputs in found.further:  # a branch that no point has taken yet may be taken there
        if not same(found, text, inputs):
            differs = True
            if noticed(found, text, inputs):
                return "killed"
    return "survived" if differs else "equivalent"


def noticed(found: Subject, text: str, inputs: dict[str, Any]) -> bool:
    """Return whether the checks tell a mutant from the unbroken code at a point off all kinks."""
    try:
        answer = tape.answer(replace(found.problem, inputs=inputs))
        right = within(found.run(found.text, inputs), answer)
    except (ArithmeticError, ValueError):
        return False
    try:
        return right and not within(found.run(text, inputs), answer)
    except Exception:  # a mutant that does not run is noticed
        return True


def same(found: Subject, text: str, inputs: dict[str, Any]) -> bool:
    """Return whether a mutant gives the same bits; where the unbroken code raises, it must raise too."""
    ours, theirs = (outcome(found, each, inputs) for each in (found.text, text))
    if isinstance(ours, str) or isinstance(theirs, str):
        return isinstance(ours, str) and isinstance(theirs, str) and ours == theirs
    return all(np.array_equal(a, b, equal_nan=True) for a, b in zip(ours, theirs, strict=True))


def outcome(found: Subject, text: str, inputs: dict[str, Any]) -> tuple[Any, ...] | str:
    """Return gradients, or the name of the error."""
    try:
        return found.run(text, inputs)
    except Exception as error:
        return type(error).__name__


@dataclass
class Score:
    """How many mutants there were of each kind, and what became of them."""

    counts: Counter[tuple[str, str]]
    survivors: list[str]

    @property
    def share(self) -> float:
        """The share that was killed of all that are not equivalent."""
        killed = sum(n for (_, what), n in self.counts.items() if what == "killed")
        survived = sum(n for (_, what), n in self.counts.items() if what == "survived")
        return killed / max(1, killed + survived)

    def __str__(self) -> str:
        """Return a table."""
        heads = ("killed", "equivalent", "survived")
        lines = [f"{'mutation':28}" + "".join(f"{head:>12}" for head in heads)]
        for kind in (*MUTATIONS, STALE):
            lines.append(f"{kind:28}" + "".join(f"{self.counts[kind, head]:12}" for head in heads))
        sums = {head: sum(n for (_, what), n in self.counts.items() if what == head) for head in heads}
        lines.append(f"{'all':28}" + "".join(f"{sums[head]:12}" for head in heads))
        return "\n".join([*lines, f"killed of those that differ: {self.share:.2%}", *self.survivors])


def score(count: int, seeds: Iterator[int]) -> Score:
    """Make `count` mutants of the models with these numbers, and judge them."""
    result = Score(Counter(), [])
    while sum(result.counts.values()) < count:
        found = subject(next(seeds))
        if found is None or not all(within(found.run(found.text, at), answer) for at, answer in found.points):
            continue
        for kind, line, text in mutants(found, random.Random(found.seed)):
            what = verdict(found, text)
            result.counts[kind, what] += 1
            if what == "survived":
                result.survivors.append(f"survived: {kind}, line {line} of model {found.seed} for {found.target}")
    return result


if __name__ == "__main__":
    wanted = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    outcome = score(wanted, itertools.count(10_000))
    print(outcome)
    sys.exit(math.ceil(0.99 - outcome.share))
