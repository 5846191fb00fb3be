"""Emission: one file a target, naming and layout shared."""

TARGETS = ("listing", "python", "numpy", "numba")  # `module.BODIES` writes all but the first
