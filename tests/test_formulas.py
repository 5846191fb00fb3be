"""Many formulas against mpmath, at ordinary and at extreme points."""

import pytest

from tests.formulas import FORMULAS, KINDS, mistakes


@pytest.mark.slow
@pytest.mark.parametrize("name", FORMULAS)
def test_values_and_slopes(name: str) -> None:
    assert [wrong for kind in KINDS for wrong in mistakes(name, kind)] == []


def test_one_of_them() -> None:
    assert not list(mistakes("weibull cdf", "scalars"))
