"""The functions of a program shared out among modules of LLVM, which are compiled beside one another.

LLVM compiles a module in one thread, in about a millisecond for ten lines. A long function of arrays has a module of
its own, with those that it calls of numbers, which LLVM has to see to make vectors of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from gradcompile.jit.direct.writer import CALLED

LONG = 200  # lines of a function from which a thread of its own is worth it
Functions = dict[str, "Definition"]  # by name


class Definition(NamedTuple):
    """A function of LLVM.

    Attributes
    ----------
    symbol : str
        Its name.
    head : str
        What it returns, its name, its arguments and its traits.
    lines : list of str
        Its instructions.
    apart : bool
        Whether it can be compiled without those that call it.
    common : str
        The module that it is in if other programs have the same one: the machine code is kept for them.
    beside : str
        The definitions of what it alone needs: what it keeps from one call to the next, others of its kind.
    """

    symbol: str
    head: str
    lines: list[str]
    apart: bool
    common: str = ""
    beside: str = ""

    @property
    def text(self) -> str:
        """Return the definition; other modules call the function if it is apart."""
        return "\n".join([self.beside, f"define {'' if self.apart else 'internal '}{self.head} {{", *self.lines, "}"])

    @property
    def called(self) -> list[str]:
        """Return the names of the functions that it calls."""
        return list(dict.fromkeys(CALLED.findall("\n".join(self.lines))))


class Share(NamedTuple):
    """What is in one module.

    Attributes
    ----------
    texts : list of str
        Its functions.
    common : bool
        Whether other programs have the same module.
    """

    texts: list[str]
    common: bool


def is_long(lines: Sequence[str]) -> bool:
    """Return whether LLVM takes its time for a function."""
    return len(lines) >= LONG


def shared_out(definitions: Sequence[Definition]) -> list[Share]:
    """Return what is in each of the modules; the longest of those that no other program has is the first.

    Parameters
    ----------
    definitions : sequence of Definition
        The last calls all others.
    """
    functions = {each.symbol: each for each in definitions}
    own = [_needed([each], functions) for each in definitions if each.apart and not each.common]
    longest, *rest = sorted(own, key=_length, reverse=True)
    modules = [longest]
    for part in rest:
        if len(modules) > 1 and _length(joined := modules[-1] | part) <= _length(longest):
            modules[-1] = joined
        else:
            modules.append(part)
    shares = [Share(_texts(module, functions), common=False) for module in modules]
    for name in sorted({each.common for each in definitions} - {""}):  # one for all that call the same functions
        together = [each for each in definitions if each.common == name]
        shares.insert(1, Share(_texts(_needed(together, functions), functions), common=True))
    return shares


def _needed(roots: Sequence[Definition], functions: Functions) -> Functions:
    """Return what has to be in the module of some functions: what they call, and these call, unless that is apart."""
    found = {each.symbol: each for each in roots}
    waiting = [name for each in roots for name in each.called]
    while waiting:
        each = functions.get(waiting.pop())
        if each and not each.apart and each.symbol not in found:
            found[each.symbol] = each
            waiting += each.called
    return found


def _length(part: Functions) -> int:
    return sum(len(each.lines) for each in part.values())


def _texts(module: Functions, functions: Functions) -> list[str]:
    """Return the functions of a module, after those of others that they call."""
    called = dict.fromkeys(name for each in module.values() for name in each.called)
    outside = [f"declare {functions[name].head}" for name in called if name in functions and name not in module]
    return [*outside, *(each.text for each in module.values())]
