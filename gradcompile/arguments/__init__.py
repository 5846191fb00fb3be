"""The arguments of a call: their names and axes, their sizes, their labels, and the cast to what a kernel takes."""

from gradcompile.arguments.binding import Argument, Arguments, Waiting
from gradcompile.arguments.copies import is_laid_out, laid_out
from gradcompile.arguments.numeric import no_numbers, numeric

__all__ = ["Argument", "Arguments", "Waiting", "is_laid_out", "laid_out", "no_numbers", "numeric"]
