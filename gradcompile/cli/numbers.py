"""Numbers by name in an option: ``w=0.5,x=2``."""

from __future__ import annotations

import math

from gradcompile.errors import ArgumentError


def numbers(text: str, option: str) -> dict[str, float]:
    """Return the numbers of a list such as ``w=0.5,x=2``.

    Examples
    --------
    >>> numbers("w=0.5, x=2", "--at")
    {'w': 0.5, 'x': 2.0}
    """
    found: dict[str, float] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, equals, number = (word.strip() for word in part.partition("="))
        if name in found:
            what, expected = f"{option} has {name!r} twice", "one number for a name"
            raise ArgumentError(what, text=text, place=text.rfind(part), expected=expected, hint="take one away")
        try:
            found[name] = float(number)
        except ValueError:
            hint = f"write {name}=0.5" if equals else "write NAME=NUMBER,NAME=NUMBER"
            what, expected = f"{option} holds no number here", "a number by name"
            raise ArgumentError(what, text=text, place=part, expected=expected, found=part, hint=hint) from None
    return found


def sizes(text: str, option: str = "--size") -> dict[str, int]:
    """Return the sizes of a list such as ``H=32,K=10``.

    Examples
    --------
    >>> sizes("H=32")
    {'H': 32}
    """
    found = {}
    for name, number in numbers(text, option).items():
        if not (1 <= number < math.inf and number.is_integer()):
            raise ArgumentError(
                f"{option}: {name} is not a whole number from 1",
                text=text,
                place=name,
                expected="a whole number from 1",
                hint="write NAME=NUMBER, as in N=10",
            )
        found[name] = int(number)
    return found
