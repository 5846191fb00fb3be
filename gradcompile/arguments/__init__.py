"""The arguments of a call: their names and axes, their sizes, their labels, and the cast to what a kernel takes."""

from gradcompile.arguments.binding import Argument, Arguments

__all__ = ["Argument", "Arguments"]
