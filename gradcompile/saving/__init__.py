"""Models and arrays in files that need not be trusted: no pickle, sizes before content, a digest over all of it.

arrays, bounds -> description, replacing -> archive, comparison -> parameters
"""

from gradcompile.saving.archive import Saved, is_saved, read, to_bytes
from gradcompile.saving.comparison import check_same, facts
from gradcompile.saving.replacing import replace

__all__ = ["Saved", "check_same", "facts", "is_saved", "read", "replace", "to_bytes"]
