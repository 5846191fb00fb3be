"""The text of training: as a lecture writes an optimizer, and nothing else than arithmetic."""

import pytest
import sympy

from gradcompile.emit import allowlist
from gradcompile.emit.epoch import FUNCTIONS, rate, update
from gradcompile.optimizers import RULES, SGD, Adam, formulas

ADAM = """\
    rate = 0.001
    beta1 = 0.9
    beta2 = 0.999
    epsilon = 1e-08
    a = 1 - beta1
    b = 1 - beta2
    c = 1 - beta2**t
    e = 1 - beta1**t
    for k in range(p.size):
        m[k] = beta1*m[k] + g[k]*a
        v[k] = beta2*v[k] + g[k]**2*b
        p[k] = p[k] - m[k]*rate/(e*(math.sqrt(v[k]/c) + epsilon))"""


def test_adam_reads_as_in_the_paper():
    lines = update(formulas(Adam(0.001)), "float64")
    assert "def update(p, g, m, v, t):" in lines
    assert "\n".join(lines).endswith(ADAM)


def test_what_is_the_same_for_all_elements_is_computed_before_the_loop_in_double_precision():
    text = "\n".join(update(formulas(SGD(0.1 / (1 + sympy.Symbol("t")), momentum=0.9)), "float32"))
    before, loop = text.split("    for k in range(p.size):")
    assert "rate = 0.1/(1 + t)" in before
    assert "rate = np.float32(rate)" in before
    assert "momentum = np.float32(momentum)" in before
    assert not any(number in loop for number in ("0.1", "0.9", "float"))


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("rule", RULES, ids=lambda rule: f"{rule.name}-{len(rule.state)}-{len(rule.defaults)}")
def test_every_rule_passes_the_gate(rule, dtype):
    steps = formulas(rule(0.1))
    names = {*"pgtkabcehij", *steps.settings, *steps.state}
    for lines in (update(steps, dtype), rate(steps)):
        allowlist.check("\n".join(lines), "numba", names, FUNCTIONS)


def test_rate_is_a_function_of_the_step():
    assert rate(formulas(SGD(0.5 / (1 + sympy.Symbol("t") / 100))))[-1] == "    return 0.5/(1 + t/100)"
