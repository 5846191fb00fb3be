"""A training that diverges goes back to finite parameters, however seldom they were looked at."""

import numpy as np

from gradcompile.train.checkpoint import Checkpoint
from gradcompile.train.steps import Steps


class Two:
    """Steps with two parameters, without a model."""

    is_finite, copy, copy_to, restore = Steps.is_finite, Steps.copy, Steps.copy_to, Steps.restore

    size = 0

    def __init__(self):
        self.parameters = {"w": np.ones(3, np.float32), "b": np.zeros(1, np.float32)}

    def begin(self):
        self.parameters["w"][:], self.parameters["b"][:] = 1, 0


def test_it_goes_back_to_the_last_finite_parameters():
    steps = Two()
    checkpoint = Checkpoint(steps)
    steps.parameters["w"][:] = 2
    assert checkpoint.look()
    checkpoint.due = 0.0
    steps.parameters["w"][1], steps.parameters["b"][0] = np.inf, 5
    assert not checkpoint.look()
    checkpoint.restore()
    assert steps.parameters["w"].tolist() == [2, 2, 2]
    assert steps.parameters["b"].tolist() == [0]


def test_before_the_first_look_it_goes_back_to_the_start():
    steps = Two()
    checkpoint = Checkpoint(steps)
    steps.parameters["w"][:] = np.nan
    checkpoint.restore()
    assert steps.parameters["w"].tolist() == [1, 1, 1]


def test_it_looks_again_only_after_a_while():
    steps = Two()
    checkpoint = Checkpoint(steps)
    assert checkpoint.look()
    checkpoint.due += 3600
    steps.parameters["w"][0] = np.nan
    assert checkpoint.look()
    assert not steps.is_finite()


def test_finite_parameters_whose_sum_is_not_are_finite():
    steps = Two()
    steps.parameters["w"][:] = np.finfo(np.float32).max
    assert steps.is_finite()
    steps.parameters["w"][:2] = np.inf, -np.inf
    assert not steps.is_finite()
