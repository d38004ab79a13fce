"""Errors are measured at each step, in both ways, by the same function on both sides."""

import numpy as np
import pytest

from parity_tests.record.error_norms import by_step, sizes, step_axis

AXES = {
    "train/decoder/i": [None, None, None, 1],
    "train/encoder/fw/state": [None, None, None, 1],
    "eval/pi": [None, None, None, 1],
    "total": [None, None, None, 1],  # of a cell alone
    "train/mu": [None, None, None],
    "train/decoder/final_state": [None, None, None],
    "train/cost": [None],
    "sample/greedy/pi": [None, None, 0],
    "sample/sampled/next_normal": [None],
    "train/nll": [None, None, 1],
    "eval/nll": [None, None, 1],
    "gradient/w": [None, None, None, None],
    "clipped/w": [None, None, None, None],
    "after/w": [None, None, None, None],
    "converted/w": [None, None, None, None],
    "initial/w": [None, None, None, None],
    "variables/w": [None, None, None, None],
    "optimizer/after/w": [None, None, None, None],
    "loss/gradient/head": [None, None, None, 1],
    "vjp/decoder/x": [None, None, None, 1],
    "vjp/decoder/state": [None, None, None, 1],
    "vjp/state": [None, None, None, 1],
    "vjp/decoder/W_hh": [None, None, None, None],
    "vjp/decoder/hyper_ix/zw/super_linear_w": [None, None, None, None],
    "prefix/pi": [None, None, None, 1],
}


@pytest.mark.parametrize(("name", "axes"), AXES.items())
def test_the_axis_of_the_steps_follows_from_the_name_and_the_number_of_axes(name, axes):
    assert [step_axis(name, ndim) for ndim in range(len(axes))] == axes


@pytest.mark.parametrize(
    ("name", "shape", "axis"),
    [("train/decoder/i", (2, 3, 4), 1), ("sample/greedy/pi", (3, 4), 0), ("train/nll", (2, 3), 1)],
)
def test_values_are_gathered_by_step(name, shape, axis):
    values = np.random.default_rng(1).standard_normal(shape)
    found = by_step(name, values)
    assert len(found) == shape[axis]
    for step, row in enumerate(found):
        assert (row == values.take(step, axis).ravel()).all()


@pytest.mark.parametrize("shape", [(), (3,), (2, 3)])
def test_values_without_steps_are_one_step(shape):
    values = np.random.default_rng(2).standard_normal(shape)
    assert (by_step("train/mu", values) == values.reshape(1, -1)).all()


def test_both_sizes_of_each_step_are_the_true_ones():
    difference = np.zeros((2, 3, 4))  # two rows, three steps
    difference[0, 0] = [3.0, -4.0, 0.0, 0.0]
    difference[1, 0] = [0.0, 0.0, 12.0, 0.0]
    difference[:, 1] = -2.0
    expected = [[np.sqrt(169 / 8), 2.0, 0.0], [12.0, 2.0, 0.0]]
    assert (sizes("train/decoder/i", difference) == expected).all()
    assert (sizes("gradient/w", difference[0]) == [[np.sqrt((25 + 16) / 12)], [4.0]]).all()
    assert (sizes("train/cost", np.array(-3.0)) == [[3.0], [3.0]]).all()


def test_sizes_are_computed_in_float64():
    tiny = np.full(4, 1e-30, np.float32)  # its square is 0 in float32
    assert sizes("train/mu", tiny) == pytest.approx(np.full((2, 1), 1e-30), rel=1e-6, abs=0)
    assert sizes("train/mu", np.full(4, 1e30, np.float32)) == pytest.approx(np.full((2, 1), 1e30), rel=1e-6)


@pytest.mark.parametrize("odd", [np.nan, np.inf])
def test_what_is_not_finite_has_no_finite_size(odd):
    assert not np.isfinite(sizes("train/mu", np.array([[0.0, odd]]))).any()
