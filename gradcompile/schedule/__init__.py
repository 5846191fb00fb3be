"""Scheduling: a graph becomes a plan, a tree of loops with statements.

The sample axis is streamed: what does not have it is computed before the loop over samples (prologue) or, if it needs a
sum over them, after it (epilogue); what has it is computed inside, sample by sample, and never stored for all of them.
An objective that needs a sum over samples *inside* another function takes a second loop, which computes again what it
needs; only a sum that is one number for each sample is kept for it, what is compared with its own maximum, and of few
samples what a product of matrices or a function such as exp makes for pairs of them. Loops over the same axes are
fused, a value lives in the innermost loop that all its uses share, and a value that is used once is written where it is
used.

A sum is a statement that updates: its target starts at the terms that are added to it (a bias, a regulariser's
gradient), so that no temporary is made for it.
"""

from gradcompile.schedule.block_rows import rows_of_samples
from gradcompile.schedule.conditions import guards
from gradcompile.schedule.nodes import (
    Course,
    Define,
    Guard,
    Loop,
    Node,
    Plan,
    Product,
    Result,
    Start,
    Update,
    loop_axes,
)
from gradcompile.schedule.parts import COMBINED, Part, Parts, in_parts
from gradcompile.schedule.passing import used_at_once
from gradcompile.schedule.planner import plan
from gradcompile.schedule.rounding import computed_again, must_round_alike
from gradcompile.schedule.samples import picked_axis, row_axis, stream_axis
from gradcompile.schedule.sizes import are_few, has_long_rows, keeps_pairs, pick_little, small_sizes

__all__ = [
    "COMBINED",
    "Course",
    "Define",
    "Guard",
    "Loop",
    "Node",
    "Part",
    "Parts",
    "Plan",
    "Product",
    "Result",
    "Start",
    "Update",
    "are_few",
    "computed_again",
    "guards",
    "has_long_rows",
    "in_parts",
    "keeps_pairs",
    "loop_axes",
    "must_round_alike",
    "pick_little",
    "picked_axis",
    "plan",
    "row_axis",
    "rows_of_samples",
    "small_sizes",
    "stream_axis",
    "used_at_once",
]
