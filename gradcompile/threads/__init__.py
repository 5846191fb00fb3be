"""Threads: samples are divided into chunks, whose sums several threads compute and one adds up.

How samples are divided depends on the sizes of a call and never on the number of threads, and the sums of the chunks
are added in the order of the chunks: the result has the same bits whatever that number is.
"""

from gradcompile.threads.blas import likes_tiles, on_one_thread
from gradcompile.threads.calls import InParts
from gradcompile.threads.divided import Divided
from gradcompile.threads.number import get_threads, set_threads
from gradcompile.threads.products import Products
from gradcompile.threads.teams import over, team

__all__ = [
    "Divided",
    "InParts",
    "Products",
    "get_threads",
    "likes_tiles",
    "on_one_thread",
    "over",
    "set_threads",
    "team",
]
