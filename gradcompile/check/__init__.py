"""Checks of gradients: of models at 50 digits, of black boxes by differences."""

from gradcompile.check.differences import by_differences
from gradcompile.check.gradient import check_grad, examine, refusal
from gradcompile.check.points import sample
from gradcompile.check.report import Component, GradientReport

__all__ = ["Component", "GradientReport", "by_differences", "check_grad", "examine", "refusal", "sample"]
