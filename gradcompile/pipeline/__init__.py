"""The spine: from a model in SymPy to functions that run.

    model --lower--> graph --prepare, adjoint, optimise--> graph with its backward half
          --plan--> plan --render--> text --load--> functions

Every stage is a value that prints; the verifier runs between them. What a user can do wrong is found out in
`differentiate`; what comes after it happens when it is needed. `graphs.py` makes graphs of graphs, `functions.py` what
runs of a graph, and `program.py` has what a call runs chosen by its sizes.
"""

from gradcompile.pipeline.fallback import Trusting
from gradcompile.pipeline.functions import EMISSION, Decision
from gradcompile.pipeline.graphs import Suiting, differentiate, simplify, stable, suiting, trusting, with_gradient
from gradcompile.pipeline.program import Program

__all__ = [
    "EMISSION",
    "Decision",
    "Program",
    "Suiting",
    "Trusting",
    "differentiate",
    "simplify",
    "stable",
    "suiting",
    "trusting",
    "with_gradient",
]
