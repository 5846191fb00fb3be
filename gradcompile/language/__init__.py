"""The text language: mathematics, typed; read by a tokenizer and a parser of its own and never run.

limits -> source -> tokens -> grammar -> statements -> ranges, names -> terms, functions -> expressions -> meaning
"""

from .functions import FUNCTIONS
from .limits import Limits
from .meaning import load, parse, parse_expression

__all__ = ["FUNCTIONS", "Limits", "load", "parse", "parse_expression"]
