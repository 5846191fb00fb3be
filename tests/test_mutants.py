"""The checks notice broken backward code: a sample in every run, 2,000 mutants with `-m slow`."""

from __future__ import annotations

import itertools

import pytest

from tests.accuracy import main
from tests.mutants import score


@pytest.mark.one_in(3)
@pytest.mark.parametrize("start", [10_000, 10_200, 10_400])
def test_a_sample_of_mutants_is_killed(start: int) -> None:
    result = score(40, itertools.count(start))
    assert result.share >= 0.99, result


@pytest.mark.slow
def test_two_thousand_mutants_are_killed() -> None:
    result = score(2000, itertools.count(10_000))
    assert result.share >= 0.99, result


@pytest.mark.slow
def test_value_and_gradient_have_their_digits() -> None:
    assert main(40) == 0


@pytest.mark.slow
def test_value_and_gradient_of_five_hundred_models_have_their_digits() -> None:
    assert main(500) == 0
