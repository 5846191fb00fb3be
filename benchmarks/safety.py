"""What stable forms cost, in time: ``python -m benchmarks.safety [ROW ...]``.

Each row of the benchmark runs twice on one thread, as it is and with its model differentiated as it is written, without
the rewrites of `gradcompile.passes.stabilise`. Both run in turn on the same data, at which the plain form has an answer
too, and the median of the ratios counts.
"""

from __future__ import annotations

import argparse
import statistics

from benchmarks.contestants import on_one_thread
from benchmarks.row import OURS, Arrays, Row, Work
from benchmarks.rows import ROWS
from benchmarks.worker import seconds
from gradcompile import passes
from gradcompile.passes.stabilise import stabilise

ROUNDS = 21
MOST = 1.03  # of the time without
KERNELS = ("fused", "logistic", "softmax-epoch", "sgd1", "network-epoch", "gmm-2", "gmm-10", "gmm-32", "gmm-64")


def prepared(row: Row, arrays: Arrays, *, stable: bool) -> Work:
    """Return the compiled work of a row, with or without stable forms."""
    before = passes.BEFORE
    if not stable:
        passes.BEFORE = tuple(each for each in before if each is not stabilise)
    try:
        work = row.contestants[OURS](arrays)
        work.run()
        work.settle()
    finally:
        passes.BEFORE = before
    return work


def measured(row: Row, scale: float) -> tuple[float, float, float]:
    """Return the median seconds with and without stable forms, and the median of their ratios."""
    arrays = row.data(scale)
    works = [prepared(row, arrays, stable=stable) for stable in (True, False)]
    pairs = [[seconds(work.run) for work in works] for _ in range(ROUNDS)]
    safe, plain = (statistics.median(each) for each in zip(*pairs, strict=True))
    return safe, plain, statistics.median(safe / plain for safe, plain in pairs)


def main() -> int:
    """Print a table, and return 1 if stable forms cost more than they may."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.safety", description=__doc__)
    parser.add_argument("rows", nargs="*", default=KERNELS, metavar="ROW", help="names of rows; without, the kernels'")
    parser.add_argument("--scale", type=float, default=0.2, help="of the data; 1 is a row's full size")
    given = parser.parse_args()
    on_one_thread()
    rows = {row.name: row for row in ROWS}
    ratios = []
    print(f"{'row':<16}{'stable':>13}{'as written':>13}{'ratio':>8}")
    for name in given.rows:
        safe, plain, ratio = measured(rows[name], given.scale)
        ratios.append(ratio)
        print(f"{name:<16}{safe * 1e3:>10.3f} ms{plain * 1e3:>10.3f} ms{ratio:>8.3f}", flush=True)
    print(f"stable forms cost {max(ratios):.3f} of the time at most; they may cost {MOST}")
    return int(max(ratios) > MOST)


if __name__ == "__main__":
    raise SystemExit(main())
