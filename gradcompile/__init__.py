"""Write a loss in SymPy, read its gradient as code, and run that same code at compiled speed."""

__version__ = "0.1.0"
