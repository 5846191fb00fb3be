"""How many rows of matrices each sample has: where these are several, few samples have enough of them for BLAS."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from math import inf, prod

from gradcompile.ir import Axis
from gradcompile.schedule.nodes import Loop, Placed, Plan, Product, placed

LIGHT = 32  # times the work of products of fewer rows: they may take so much longer for each operation
APART = 128  # operations of a product in the time of one in a loop over samples that makes no vectors, of a few samples


def rows_of_samples(plan: Plan) -> int:
    """Return how many rows of matrices each sample has where nearly all work is in products of so many; else 1.

    As in a convolution, of which each place of a sample has a row. A product of each sample alone has any number of
    them. All sizes must be known.
    """
    work: Counter[float] = Counter()  # by the rows; 0 where there is no product
    for path, node in placed(plan.body):
        if not path or path[0].axis != plan.blocks:
            continue
        for rows, operations in _work(plan, (path, node)):
            if rows is None or operations is None:
                return 1
            work[rows] += operations
    total = sum(operations for rows, operations in work.items() if rows)
    fewer = {rows: work[0] + LIGHT * sum(work[each] for each in work if 0 < each < rows) for rows in work if rows}
    return max((int(rows) for rows, other in fewer.items() if other <= total and rows < inf), default=1)


def _work(plan: Plan, statement: Placed) -> Iterator[tuple[float | None, int | None]]:
    """Yield the rows and operations of a statement for each sample, if the length of a block changes its time."""
    path, node = statement
    if isinstance(node, Product):
        factors = node.factors
        groups = (factors.rows, factors.inner, factors.columns)
        rows = [_elements(plan, axes) for axes in groups if plan.sample in axes]
        yield (rows[0] if rows else inf), _elements(plan, dict.fromkeys((*factors.axes, *factors.loops)))
    elif _is_over_samples(plan, path):
        elements = _elements(plan, [loop.axis for loop in path[1:]])
        yield 0, None if elements is None else APART * elements


def _is_over_samples(plan: Plan, path: tuple[Loop, ...]) -> bool:
    """Return whether the innermost of some loops is one over the samples of a block."""
    return len(path) > 1 and path[-1].axis == plan.sample


def _elements(plan: Plan, axes: Iterable[Axis]) -> int | None:
    """Return how many elements there are along axes for each sample; None if that is not known."""
    lengths = [plan.graph.length(axis.size) for axis in axes if axis != plan.sample]
    return None if None in lengths else prod(length for length in lengths if length is not None)
