"""Lowering: from a model in SymPy to a graph. SymPy ends here.

The rules are split by idea: `arithmetic` (numbers, sums, powers, choices), `functions` (what has no row in the table),
`arrays` (inputs, elements, definitions), `indices` (ranges, axes, checks), `sums` (reductions), `matrices`
(matrix algebra by elements), `samples` (the axis over which an objective is a sum).
"""

from .model import lower
from .samples import detect_samples, opened, sample_sums, why_not_samples, with_samples

__all__ = ["detect_samples", "lower", "opened", "sample_sums", "why_not_samples", "with_samples"]
