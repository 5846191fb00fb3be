"""Emission: one file a target, naming and layout shared."""
