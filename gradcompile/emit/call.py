"""The call of a scalar model by name, as a function of its own: numbers that fit go straight to the kernel.

A general wrapper packs the arguments into a dictionary, and looks each up and checks it: ten times the arithmetic of a
small model. This one is written for the model's own names, so that Python itself sorts the arguments; a call that is
in any way unusual is left to the general wrapper, with its checks and messages.
"""

from __future__ import annotations

from collections.abc import Sequence

from gradcompile.emit.layout import INDENT, wrapped
from gradcompile.emit.names import RESERVED, is_safe

OWN = ("calls", "kernel", "found", "positional", "others", "missing", "type", "float", "given")
TAKEN = frozenset((*OWN, *RESERVED))
MOST = 100  # arguments; beyond, the arithmetic takes longer than the checks
RESULTS = {
    ("value", False): "found",
    ("value", True): "found",
    ("value_and_grad", False): "found",
    ("value_and_grad", True): "(found[0], found[1][0])",
    ("grad", False): "found[1]",
    ("grad", True): "found[1][0]",
}
NUMBER = {"value": "found", "grad": "found[0]", "value_and_grad": "found[0]"}  # a float, unless the model is odd
HEAD = '''"""Calls of a model with arguments {names}, written by gradcompile."""
'''


def fits(names: Sequence[str]) -> bool:
    """Return whether calls can be written for arguments of these names: for identifiers that mean nothing else."""
    return len(names) <= MOST and all(is_safe(name) and name not in TAKEN for name in names)


def render(names: Sequence[str], *, single: bool) -> str:
    """Return a module with `value`, `grad` and `value_and_grad`: ``calls -> function of named numbers``.

    Parameters
    ----------
    names : sequence of str
        The arguments, all of them numbers; `fits` holds for them.
    single : bool
        Whether the one gradient is returned as it is, and not in a tuple.

    Returns
    -------
    str
        Each function takes an object with two attributes: ``kernel``, the function of positional arguments, and
        ``checked``, which takes the positional and the named arguments of any call.

    Examples
    --------
    >>> text = render(["x", "w"], single=False)
    >>> "def value(*positional, x=missing, w=missing, **others):" in text
    True
    """
    functions = [_function(call, names, single) for call in ("value", "grad", "value_and_grad")]
    return "\n\n".join([HEAD.format(names=", ".join(names) or "of no name"), *functions])


def _function(call: str, names: Sequence[str], single: bool) -> str:
    parameters = "".join(f", {name}=missing" for name in names)
    plain = " and ".join([*(f"type({name}) is float" for name in names), "not positional", "not others"])
    given = ", ".join(f'"{name}": {name}' for name in names)
    lines = [
        f"def {call}(calls):",
        f'{INDENT}"""Return the function for one model."""',
        f"{INDENT}missing = object()",
        "",
        f"{INDENT}def {call}(*positional{parameters}, **others):",
        f"{INDENT * 2}if {plain}:",
        f"{INDENT * 3}try:",
        f"{INDENT * 4}found = calls.kernel({', '.join(names)})",
        f"{INDENT * 4}if type({NUMBER[call]}) is float:",
        f"{INDENT * 5}return {RESULTS[call, single]}",
        f"{INDENT * 3}except (ArithmeticError, ValueError, TypeError):",
        f"{INDENT * 4}pass  # where Python raises and IEEE 754 has an infinity or nan",
        f"{INDENT * 2}given = {{{given}}}",
        f"{INDENT * 2}given = {{name: value for name, value in given.items() if value is not missing}}",
        f"{INDENT * 2}return calls.checked(positional, {{**given, **others}})",
        "",
        f"{INDENT}return {call}",
    ]
    return "\n".join(part for line in lines for part in wrapped(line)) + "\n"
