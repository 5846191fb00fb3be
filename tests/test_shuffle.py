"""The order of an epoch depends on the seed and the epoch, and on nothing else."""

import numpy as np
import pytest

from gradcompile import shuffle
from gradcompile.jit import scatter


def test_order_is_a_pure_function_of_seed_and_epoch():
    rows = np.arange(1000)
    first = shuffle.order(3, 7, rows)
    shuffle.order(3, 8, rows)
    np.random.random(10)
    np.testing.assert_array_equal(shuffle.order(3, 7, rows), first)
    np.testing.assert_array_equal(rows, np.arange(1000))


def test_orders_of_other_seeds_and_epochs_differ():
    rows = np.arange(1000)
    orders = [tuple(shuffle.order(seed, epoch, rows)) for seed in range(5) for epoch in range(1, 6)]
    assert len(set(orders)) == 25


def test_every_row_is_taken_once():
    rows = np.array([4, 8, 15, 16, 23, 42])
    assert sorted(shuffle.order(0, 1, rows)) == rows.tolist()


def test_positions_are_uniform():
    """Each row stands in each place equally often: chi-square, far beyond its quantile of 1e-6."""
    counts = np.zeros((5, 5))
    for epoch in range(1, 2001):
        counts[np.arange(5), shuffle.order(1, epoch, np.arange(5))] += 1
    assert ((counts - 400) ** 2 / 400).sum() < 75


def test_many_rows_are_taken_once_in_an_order_of_the_seed():
    rows = np.arange(7, 7 + shuffle.MANY)
    first = shuffle.order(3, 1, rows)
    np.testing.assert_array_equal(np.sort(first), rows)
    np.testing.assert_array_equal(shuffle.order(3, 1, rows), first)
    assert (shuffle.order(3, 2, rows) == first).mean() < 1e-4


def test_what_the_nearest_cache_does_not_hold_is_shuffled_part_by_part(monkeypatch):
    monkeypatch.setattr(shuffle, "_scatter", lambda: lambda count, seed: np.full(count, 7))
    assert set(shuffle.order(0, 1, 40_000).tolist()) == {7}
    assert set(shuffle.order(0, 1, 30_000).tolist()) == set(range(30_000))


@pytest.mark.parametrize("count", [0, 1, 1000, shuffle.MANY, 3 * shuffle.MANY + 1])
def test_a_count_stands_for_the_numbers_below_it(count):
    np.testing.assert_array_equal(shuffle.order(3, 1, count), shuffle.order(3, 1, np.arange(count)))
    assert shuffle.order(3, 1, count).dtype == np.int64


@pytest.mark.parametrize("part", [1, 3, 8192])
def test_positions_of_many_rows_are_uniform(part, monkeypatch):
    """The same chi-square, where a number's part and its place in the part are drawn apart."""
    monkeypatch.setattr(scatter, "PART", part)
    counts, drawn = np.zeros((5, 5)), np.random.default_rng(0).integers(2**63, size=2000)
    with np.errstate(over="ignore"):  # SplitMix64 counts modulo 2**64
        for seed in drawn:
            counts[np.arange(5), scatter.scatter.py_func(5, seed)] += 1
    assert ((counts - 400) ** 2 / 400).sum() < 75


def test_split_parts_the_samples():
    train, held = shuffle.split(0, 103, 0.2)
    assert len(held) == 21
    assert sorted([*train, *held]) == list(range(103))
    again, other = shuffle.split(0, 103, 0.2)[1], shuffle.split(1, 103, 0.2)[1]
    assert again.tolist() == held.tolist() != other.tolist()


def test_split_leaves_both_parts_something():
    assert [len(part) for part in shuffle.split(0, 2, 0.001)] == [1, 1]
    assert [len(part) for part in shuffle.split(0, 2, 0.999)] == [1, 1]
