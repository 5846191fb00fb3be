"""Optimizers as text: ``adam(0.001)``, ``sgd(0.5/(1 + t/100), momentum=0.9)``."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

from gradcompile import optimizers
from gradcompile.cli import given
from gradcompile.errors import ArgumentError, UnknownNameError
from gradcompile.language import parse_expression

OPTIMIZERS: Mapping[str, Callable[..., optimizers.Optimizer]] = MappingProxyType(
    {
        "sgd": optimizers.SGD,
        "adam": optimizers.Adam,
        "adamw": optimizers.AdamW,
        "rmsprop": optimizers.RMSProp,
        "adagrad": optimizers.AdaGrad,
    }
)
WORDS = MappingProxyType({"true": True, "false": False})
CALL = re.compile(r"\s*([A-Za-z]+)\s*\((.*)\)\s*", re.ASCII | re.DOTALL)
NAMED = re.compile(r"\s*([A-Za-z][A-Za-z0-9_]*)\s*=(?!=)(.*)", re.ASCII | re.DOTALL)


def optimizer(text: str) -> optimizers.Optimizer:
    """Return the optimizer of a text; its numbers are numbers or formulas in the step number t.

    Raises
    ------
    GradcompileError
        There is no such optimizer, or it takes no such settings; formulas are read by the language and never run.

    Examples
    --------
    >>> optimizer("sgd(0.5/(1 + t/100), momentum=0.9)")
    SGD(rate=0.5/(t/100 + 1), momentum=0.9)
    """
    match = CALL.fullmatch(text)
    if match is None:
        raise ArgumentError("this is no optimizer", text=text, hint="write adam(0.001) or sgd(0.1, momentum=0.9)")
    name, inside = match.groups()
    if name.lower() not in OPTIMIZERS:
        expected, hint = ", ".join(OPTIMIZERS), given.nearest(name, OPTIMIZERS)
        raise UnknownNameError(f"there is no optimizer {name!r}", text=text, place=name, expected=expected, hint=hint)
    values, named = [], {}
    for part in _parts(inside):
        if found := NAMED.fullmatch(part):
            named[found[1]] = _setting(found[2])
        else:
            values.append(_setting(part))
    return OPTIMIZERS[name.lower()](*values, **named)


def _parts(text: str) -> Iterator[str]:
    """Yield what commas outside of brackets separate."""
    depth, start = 0, 0
    for place, character in enumerate(text):
        depth += (character == "(") - (character == ")")
        if character == "," and not depth:
            yield text[start:place]
            start = place + 1
    if text[start:].strip():
        yield text[start:]


def _setting(text: str) -> Any:
    word = text.strip()
    return WORDS[word.lower()] if word.lower() in WORDS else parse_expression(word, name="optimizer").objective
