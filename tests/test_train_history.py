"""The records of epochs, and when patience ends."""

import copy
import math

import pytest

from gradcompile.train.history import Epoch, Patience


def test_a_record_is_its_objective():
    record = Epoch(1.5, 3, 1.75, 0.25, 0.1)
    assert record == 1.5
    assert f"{record:.2f}" == "1.50"
    assert (record.objective, record.epoch, record.validation, record.seconds, record.rate) == (1.5, 3, 1.75, 0.25, 0.1)
    assert copy.deepcopy(record).validation == 1.75
    assert "epoch" in repr(record).lower()


def test_validation_is_watched_where_there_is_some():
    assert Epoch(1.5, 1, 1.75, 0.0, 0.1).watched == 1.75
    assert Epoch(1.5, 1, None, 0.0, 0.1).watched == 1.5


def test_patience_counts_epochs_without_improvement():
    patience = Patience(2, 0.0)
    assert [patience.improved(x) for x in (3.0, 2.0, 2.0)] == [True, True, False]
    assert not patience.exhausted
    assert not patience.improved(2.5)
    assert patience.exhausted


def test_small_improvements_do_not_count():
    patience = Patience(1, 0.1)
    assert patience.improved(1.0)
    assert not patience.improved(0.95)
    assert patience.exhausted


@pytest.mark.parametrize("watched", [math.nan, math.inf])
def test_what_is_not_finite_is_no_improvement(watched):
    assert not Patience(1, 0.0).improved(watched)


def test_no_patience_never_ends():
    patience = Patience(None, 0.0)
    for _ in range(100):
        patience.improved(1.0)
    assert not patience.exhausted
