"""What a piece of code does to the machine, as Python's audit hooks tell it."""

import gc
import sys
import threading

WATCHED = (
    "exec",
    "compile",
    "open",
    "import",
    "pickle.",
    "marshal.",
    "os.",
    "subprocess.",
    "socket.",
    "shutil.",
    "ctypes.",
    "tempfile.",
    "code.",
)
_recorders = threading.local()


def _hook(event, args):
    recorder = getattr(_recorders, "current", None)
    if recorder is not None and event.startswith(WATCHED):
        recorder.events.add(event)


sys.addaudithook(_hook)  # it stays for good, and does nothing while nobody records


class Audit:
    """Records events of this thread in a block; there is one block at a time.

    Garbage is left alone meanwhile: what other tests left is finalised by calls of LLVM's library, which are events.

    Attributes
    ----------
    events : set of str
        The names of the events: what was run, compiled, opened, imported, started.
    """

    def __init__(self):
        self.events = set()

    def __enter__(self):
        self.collected = gc.isenabled()
        gc.disable()
        _recorders.current = self
        return self

    def __exit__(self, *error):
        _recorders.current = None
        if self.collected:
            gc.enable()
