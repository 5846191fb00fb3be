"""Emission: one file a target, naming and layout shared."""

TARGETS = (
    "listing",
    "python",
    "numpy",
    "numba",
)  # by the names that users give; `module.BODIES` writes all but the first
