"""Errors are measured at each step, in both ways, by the same function on both sides; each axis has its meaning."""

import numpy as np
import pytest
from parity_tests.official.errors import float32_errors, float64_noise

from parity_tests.compare import place
from parity_tests.measure import by_step, sizes, step_axis, together

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
}


@pytest.mark.parametrize(("name", "axes"), AXES.items())
def test_the_axis_of_the_steps_follows_from_the_name_and_the_number_of_axes(name, axes):
    assert [step_axis(name, ndim) for ndim in range(len(axes))] == axes


PLACES = {
    "train/decoder/i": ((4, 5, 6), (3, 1, 2), {"row": 3, "step": 1, "unit": 2}),
    "eval/encoder/bw/output": ((4, 5, 6), (0, 4, 5), {"row": 0, "step": 4, "unit": 5}),
    "hyper_cell/i": ((2, 3, 4), (1, 2, 3), {"row": 1, "step": 2, "unit": 3}),
    "train/decoder/total": ((2, 3, 8), (1, 2, 5), {"row": 1, "step": 2, "gate": "f", "unit": 1}),
    "hyper_cell/total": ((2, 3, 8), (1, 2, 0), {"row": 1, "step": 2, "gate": "i", "unit": 0}),
    "train/mu": ((4, 6), (3, 5), {"row": 3, "unit": 5}),
    "train/nll": ((4, 6), (3, 5), {"row": 3, "step": 5}),
    "train/decoder/initial_state": ((4, 6), (1, 2), {"row": 1, "unit": 2}),
    "train/0/lengths": ((7,), (5,), {"row": 5}),
    "train/r_cost": ((), (), {}),
    "sample/greedy/pi": ((9, 4), (7, 2), {"step": 7, "unit": 2}),
    "sample/sampled/strokes": ((9, 5), (8, 4), {"step": 8, "unit": 4}),
    "gradient/vector_rnn/RNN/output_w": ((4, 6), (3, 5), {"in": 3, "unit": 5}),
    "gradient/vector_rnn/RNN/LSTMCell/W_xh": ((3, 8), (2, 7), {"in": 2, "gate": "o", "unit": 1}),
    "clipped/vector_rnn/RNN/LSTMCell/bias": ((12,), (4,), {"gate": "j", "unit": 1}),
    "clipped/vector_rnn/RNN/output_b": ((6,), (4,), {"unit": 4}),
    "after/vector_rnn/vector_rnn/RNN/LSTMCell/W_hh/Adam": ((4, 8), (0, 5), {"in": 0, "gate": "f", "unit": 1}),
    "after/vector_rnn/vector_rnn/RNN/LSTMCell/W_hh/Adam_1": ((4, 8), (0, 2), {"in": 0, "gate": "j", "unit": 0}),
    "after/vector_rnn/RNN/LayerNormLSTMCell/ln_all/ln_beta": ((8,), (6,), {"gate": "o", "unit": 0}),
    "after/vector_rnn/RNN/LayerNormLSTMCell/ln_c/ln_beta": ((8,), (6,), {"unit": 6}),
    "after/vector_rnn/vector_rnn/RNN/output_w/Adam": ((4, 6), (0, 5), {"in": 0, "unit": 5}),
    "after/vector_rnn/global_step": ((), (), {}),
    "converted/vector_rnn/RNN/output_w": ((4, 6), (2, 1), {"in": 2, "unit": 1}),
    "initial/vector_rnn/RNN/output_w": ((4, 6), (2, 1), {"in": 2, "unit": 1}),
}


@pytest.mark.parametrize(("name", "shape", "index", "expected"), [(n, *v) for n, v in PLACES.items()])
def test_a_place_is_named_by_what_each_axis_counts_and_four_gates_side_by_side_by_their_letters(
    name, shape, index, expected
):
    assert place(name, index, shape) == expected


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


def test_the_official_error_is_the_largest_of_its_runs_each_against_its_own_truth():
    name, shape = "train/decoder/i", (1, 2, 2)
    truths = [np.zeros(shape), np.full(shape, 100.0), np.full(shape, -100.0)]
    errors = [[[3.0, -4.0], [0.0, 1.0]], [[0.0, 4.5], [0.0, 0.5]], [[-1.0, 1.0], [1.0, -1.0]]]
    pairs = [
        ({name: (truth + error).astype(np.float32)}, {name: truth, "after/w": truth})
        for truth, error in zip(truths, errors, strict=True)
    ]
    found = float32_errors(pairs)
    assert set(found) == {name}
    assert (found[name] == [[np.sqrt(12.5), 1.0], [4.5, 1.0]]).all()
    assert (float32_errors(pairs[::-1])[name] == found[name]).all()


def test_the_error_of_all_gradients_together_is_that_of_one_vector():
    truth = {"gradient/a": np.array([[0.0, 6.0]]), "gradient/b": np.array(8.0), "clipped/a": np.zeros(2)}
    moved = {"gradient/a": [[2.0, 3.0]], "gradient/b": 14.0, "clipped/a": [50.0, 0.0], "mu": [60.0, 0.0]}
    single = {name: np.asarray(value, np.float32) for name, value in moved.items()}
    assert together(single, truth, {"a", "b"}) == 7.0 / 10.0
    assert together(truth, truth, ["b", "a"]) == 0.0
    with pytest.raises(KeyError):
        together(single, truth, {"a", "b", "c"})


def test_the_noise_is_the_largest_change_of_any_element_in_any_run():
    truth = {"a": np.array([1.0, 2.0]), "b": np.array(5.0)}
    nudged = [{"a": np.array([1.5, 2.0]), "b": np.array(5.0)}, {"a": np.array([1.0, 1.25]), "b": np.array(4.0)}]
    assert float64_noise(nudged, truth) == {"a": 0.75, "b": 1.0}
    assert float64_noise([truth, truth], truth) == {"a": 0.0, "b": 0.0}
