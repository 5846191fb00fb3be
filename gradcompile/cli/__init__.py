"""The command line: one module a command, found by its name when it is needed.

`program` reads the words and guards what runs; `given` reads a model, `terminal` and `output` say where text goes.
"""

from gradcompile.cli.program import main

__all__ = ["main"]
