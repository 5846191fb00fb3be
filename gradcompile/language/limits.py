"""How much text the language reads: every limit is named in its message and can be set."""

from __future__ import annotations

from dataclasses import dataclass, fields

from gradcompile.errors import ArgumentError


@dataclass(frozen=True)
class Limits:
    """What a text may cost, so that no text can exhaust the machine.

    Parameters
    ----------
    characters : int
        Length of the text.
    tokens : int
        Numbers, names and signs in it.
    names : int
        Different names in it.
    name_characters, number_characters : int
        Length of one name and of one number.
    nesting : int
        Brackets, signs and operators that are open at the same time.
    arguments : int
        Arguments of one call.
    exponent : int
        Absolute value of a whole exponent.
    constant_bits : int
        Size of numerator and denominator of an exact constant, in bits.
    ranges : int
        Steps in which ranges of indices are inferred from places such as ``x[i + a]``.

    Examples
    --------
    >>> Limits(nesting=20).nesting
    20
    """

    characters: int = 64 * 1024
    tokens: int = 20_000
    names: int = 1_000
    name_characters: int = 64
    number_characters: int = 40
    nesting: int = 200
    arguments: int = 64
    exponent: int = 1_024
    constant_bits: int = 4_096
    ranges: int = 20_000

    def __post_init__(self) -> None:
        for row in fields(self):
            value = getattr(self, row.name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                what, found = f"the limit {row.name} is no number of things", f"{row.name}={value!r}"[:80]
                hint = "write limits=gradcompile.Limits(nesting=400), and leave out what is not to change"
                raise ArgumentError(what, expected="a whole number from 1", found=found, hint=hint)

    def exceeded(self, limit: str) -> str:
        """Return the hint for a text that exceeds the limit of that name.

        Parameters
        ----------
        limit : str
            Its name.

        Returns
        -------
        str
            What it is, and how it is changed.
        """
        change = f"limits=Limits({limit}=...) or, on the command line, --limits {limit}=... changes it"
        return f"the limit is {getattr(self, limit):,} (Limits.{limit}); {change}"


LIMITS = Limits()
