"""Run the rows that are named, or all of them, and print a table: ``python -m benchmarks [ROW ...]``."""

from __future__ import annotations

import os
import sys

# OpenBLAS chooses its kernels and the size of its blocks when NumPy loads it. A machine on which somebody has set one
# of these to please another program measures neither OpenBLAS nor anything of ours; unset together, since a block size
# that was meant for another core type is worse than either.
TUNING = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")


def untuned() -> None:
    """Start this command again without `TUNING` in its environment, if there is any."""
    if any(name in os.environ for name in TUNING):
        kept = {name: value for name, value in os.environ.items() if name not in TUNING}
        os.execve(sys.executable, [sys.executable, "-m", "benchmarks", *sys.argv[1:]], kept)


if __name__ == "__main__":
    untuned()
    from benchmarks.command import main  # loads NumPy

    raise SystemExit(main())
