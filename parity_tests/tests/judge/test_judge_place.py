"""Where a departure is: each axis by what it counts, the first step that departs, and all that stands there."""

import numpy as np
import pytest

from parity_tests.judge.tensor.place import first_of, place, unstepped, within
from parity_tests.record.error_norms import by_step
from parity_tests.record.quantities import GATES

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
    "variables/vector_rnn/RNN/LSTMCell/W_hh": ((4, 8), (0, 5), {"in": 0, "gate": "f", "unit": 1}),
    "optimizer/clipped/vector_rnn/RNN/LSTMCell/bias": ((12,), (4,), {"gate": "j", "unit": 1}),
    "optimizer/after/vector_rnn/vector_rnn/RNN/LSTMCell/W_hh/Adam_1": (
        (4, 8),
        (0, 2),
        {"in": 0, "gate": "j", "unit": 0},
    ),
    "vjp/decoder/W_hh": ((4, 8), (3, 7), {"in": 3, "gate": "o", "unit": 1}),
    "vjp/decoder/x": ((2, 3, 4), (1, 2, 3), {"row": 1, "step": 2, "unit": 3}),
    "vjp/state": ((2, 3, 8), (1, 2, 5), {"row": 1, "step": 2, "unit": 5}),
    "loss/gradient/head": ((2, 3, 9), (1, 2, 8), {"row": 1, "step": 2, "unit": 8}),
    "loss/gradient/mu": ((2, 5), (1, 4), {"row": 1, "unit": 4}),
}


@pytest.mark.parametrize(("name", "shape", "index", "expected"), [(n, *v) for n, v in PLACES.items()])
def test_a_place_is_named_by_what_each_axis_counts_and_four_gates_side_by_side_by_their_letters(
    name, shape, index, expected
):
    assert place(name, index, shape) == expected


@pytest.mark.parametrize(("name", "shape"), [(name, value[0]) for name, value in PLACES.items() if value[0]])
def test_within_an_index_of_an_axis_are_the_elements_whose_place_says_so(name, shape):
    places = {index: place(name, index, shape) for index in np.ndindex(shape)}
    kinds = {kind for found in places.values() for kind in found}
    for kind in kinds:
        mask = within(name, shape, {kind: 1})
        for index, found in places.items():
            assert mask[index] == (found[kind] == (GATES[1] if kind == "gate" else 1))
    assert within(name, shape, {}).all()


NAMES = {"train/decoder/i": ((3, 5, 4), 1), "sample/greedy/pi": ((5, 4), 0), "train/nll": ((3, 5), 1)}


@pytest.mark.parametrize(("name", "shape", "axis"), [(name, *value) for name, value in NAMES.items()])
def test_the_first_of_all_that_is_bad_is_that_of_the_earliest_step_and_there_the_largest(name, shape, axis):
    difference = np.random.default_rng(3).uniform(size=shape)
    bad = np.zeros(shape, bool)
    assert first_of(name, difference, bad) is None
    steps = np.moveaxis(bad, axis, 0)  # a view
    steps[4] = True
    steps[2] = True
    np.moveaxis(difference, axis, 0)[4] += 5.0  # the largest, but late
    found = first_of(name, difference, bad)
    assert found[axis] == 2
    assert difference[found] == np.moveaxis(difference, axis, 0)[2].max()
    steps[2] = False
    alone = (2, *[0] * (difference.ndim - 1))
    steps[alone] = True  # not the largest of its step
    found = first_of(name, difference, bad)
    assert (found[axis], bad[found]) == (2, True)


def test_without_steps_the_largest_bad_element_is_the_first():
    difference = np.array([[3.0, 9.0], [5.0, 1.0]])
    assert first_of("gradient/w", difference, difference > 2) == (0, 1)
    assert first_of("gradient/w", difference, difference == 5) == (1, 0)


@pytest.mark.parametrize("name", [*NAMES, "train/mu"])
def test_what_was_gathered_by_step_takes_its_shape_again(name):
    values = np.random.default_rng(4).standard_normal(NAMES.get(name, ((3, 5), None))[0])
    assert (unstepped(name, by_step(name, values), values.shape) == values).all()
