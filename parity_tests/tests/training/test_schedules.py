"""Schedules follow Magenta's formulas."""

import math

import pytest

from pytorch_sketch_rnn.hparams import HParams
from pytorch_sketch_rnn.training.schedules import kl_weight, learning_rate

HPARAMS = HParams(
    learning_rate=0.1, min_learning_rate=0.02, decay_rate=0.5, kl_weight=2.0, kl_weight_start=0.5, kl_decay_rate=0.25
)


def test_step_0_has_the_start_values():
    assert learning_rate(HPARAMS, 0) == pytest.approx(0.1, rel=1e-15)
    assert kl_weight(HPARAMS, 0) == 0.5


def test_each_step_halves_or_quarters_the_distance_to_the_limit():
    assert [learning_rate(HPARAMS, step) for step in (1, 2, 3)] == pytest.approx([0.06, 0.04, 0.03], rel=1e-14)
    assert [kl_weight(HPARAMS, step) for step in (1, 2)] == [1.625, 1.90625]


def test_late_steps_reach_the_limits():
    assert learning_rate(HPARAMS, 100_000) == 0.02
    assert kl_weight(HPARAMS, 100_000) == 2.0


def test_the_defaults_after_ten_thousand_steps():
    defaults = HParams()
    assert learning_rate(defaults, 10_000) == pytest.approx(0.00099 * math.exp(-1.000050003) + 0.00001, rel=1e-8)
    assert kl_weight(defaults, 10_000) == pytest.approx(0.5 - 0.49 * math.exp(-0.5000125), rel=1e-8)


def test_the_kl_weight_may_also_fall():
    falling = HPARAMS.replace(kl_weight=0.5, kl_weight_start=2.0)
    assert [kl_weight(falling, step) for step in (0, 1)] == [2.0, 0.875]
