"""A model before it is compiled: mathematics in SymPy, and as text.

reductions, functions -> formula -> text -> model; reductions -> carried -> model
affine -> extents -> lengths -> told: how long axes are
"""

from .model import Model
from .reductions import MaxOver, MinOver, Symbolic, max_over, min_over, reduction

__all__ = ["MaxOver", "MinOver", "Model", "Symbolic", "max_over", "min_over", "reduction"]
