"""The order of an epoch depends on the seed and the epoch, and on nothing else."""

import numpy as np

from gradcompile import shuffle


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


def test_split_parts_the_samples():
    train, held = shuffle.split(0, 103, 0.2)
    assert len(held) == 21
    assert sorted([*train, *held]) == list(range(103))
    again, other = shuffle.split(0, 103, 0.2)[1], shuffle.split(1, 103, 0.2)[1]
    assert again.tolist() == held.tolist() != other.tolist()


def test_split_leaves_both_parts_something():
    assert [len(part) for part in shuffle.split(0, 2, 0.001)] == [1, 1]
    assert [len(part) for part in shuffle.split(0, 2, 0.999)] == [1, 1]
