"""Values: what they quote of the formula that they came from."""

import pytest

import gradcompile as gc
from tests.zoo import BY_NAME, arguments

NAMES = ("lecture", "softmax", "gaussian", "negative-binomial", "network-2-gelu", "kernel-ridge")


@pytest.mark.parametrize("name", NAMES)
def test_a_quote_is_what_sympy_prints_where_that_is_short(name):
    """It is not printed where it has more names and numbers than there may be characters."""
    for form in BY_NAME[name].forms.values():
        for value in gc.compile(**arguments(form)).lowered.order():
            text = "" if value.origin is None or value.axes else str(value.origin)
            for longest in (0, 3, 20, 60):
                assert value.quoted(longest) == (text if len(text) <= longest else "")
