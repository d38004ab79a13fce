"""What each step of a recorded layer is given, and what a layer hands on: by hand, and against the recordings."""

import numpy as np
import pytest
from shipped import shipped

from parity_tests.examples.numpy_port import CELLS as EQUATIONS
from parity_tests.record.layers import (
    LAYERS,
    as_recorded,
    cell_scope,
    cell_steps,
    cotangents,
    layers_of,
    steps_of,
)

RECORDINGS = shipped()
MODELS = {name: recording for name, recording in RECORDINGS.items() if recording.kind == "model"}
FW, BW, DECODER = LAYERS
LENGTHS = np.array([3, 1])
# two sketches of four points and the start token; of each element the row, step and column can be read
SKETCHES = np.fromfunction(lambda b, t, i: 100 * (b + 1) + 10 * t + i, (2, 5, 5))
INPUTS = {"sketches": SKETCHES, "lengths": LENGTHS}


def states(layer, size=2):
    return {f"train/{layer.name}/state": 1.0 + np.arange(2 * 4 * size).reshape(2, 4, size)}


def mask(last, seed=0):
    return np.random.RandomState(seed).rand(4, 2, last).astype(np.float32)


# By hand -------------------------------------------------------------------------------------------------------------


def test_a_step_starts_from_the_state_after_the_one_before():
    for layer in (FW, BW, DECODER):
        official = states(layer)
        found = steps_of(layer, official, INPUTS, {}, np.float64)
        np.testing.assert_array_equal(found.state[:, 0], np.zeros((2, 2)))
        np.testing.assert_array_equal(found.state[:, 1:], official[f"train/{layer.name}/state"][:, :-1])
        assert found.mask is None


def test_the_decoder_starts_from_its_initial_state_and_reads_z_at_every_step():
    start, z = np.array([[7.0, 8], [9, 10]]), np.array([[0.5], [0.25]])
    official = states(DECODER) | {"train/decoder/initial_state": start, "train/z": z}
    found = steps_of(DECODER, official, INPUTS, {}, np.float64)
    np.testing.assert_array_equal(found.state[:, 0], start)
    np.testing.assert_array_equal(found.x[..., :5], SKETCHES[:, :-1])  # the start token first
    np.testing.assert_array_equal(found.x[..., 5:], np.repeat(z[:, None], 4, axis=1))


def test_input_dropout_acts_on_the_stroke_and_z():
    official = states(DECODER) | {"train/z": np.array([[0.5], [0.25]])}
    plain = steps_of(DECODER, official, INPUTS, {}, np.float64)
    dropped = steps_of(DECODER, official, INPUTS, {"decoder/input": mask(6)}, np.float64)
    np.testing.assert_array_equal(dropped.x, plain.x * mask(6).transpose(1, 0, 2))


def test_the_backward_encoder_reads_each_sketch_from_its_own_end_and_leaves_the_padding_where_it_is():
    forward = steps_of(FW, states(FW), INPUTS, {}, np.float64).x
    backward = steps_of(BW, states(BW), INPUTS, {}, np.float64).x
    np.testing.assert_array_equal(forward, SKETCHES[:, 1:])  # without the start token
    np.testing.assert_array_equal(backward[0], forward[0][[2, 1, 0, 3]])
    np.testing.assert_array_equal(backward[1], forward[1][[0, 1, 2, 3]])


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_everything_comes_in_the_precision_that_is_asked_for_and_the_mask_with_the_batch_first(dtype):
    draws = {f"{layer.name}/recurrent": mask(2, index) for index, layer in enumerate(LAYERS)}
    for index, layer in enumerate(LAYERS):
        found = steps_of(layer, states(layer), INPUTS, draws, np.dtype(dtype))
        assert {value.dtype for value in found} == {np.dtype(dtype)}
        np.testing.assert_array_equal(found.mask, mask(2, index).transpose(1, 0, 2))
        flat = found.flat()
        for whole, rows in zip(found, flat, strict=True):
            np.testing.assert_array_equal(rows[1 * 4 + 2], whole[1, 2])  # row 1, step 2


def test_what_a_layer_hands_on_is_zero_after_the_end_of_each_sketch():
    value = np.ones((2, 4, 3), np.float32)
    for layer in (FW, BW):
        found = as_recorded(layer, "h", value, INPUTS, {})
        assert found.dtype == np.float32
        np.testing.assert_array_equal(found[..., 0], [[1, 1, 1, 0], [1, 0, 0, 0]])
        np.testing.assert_array_equal(found, np.repeat(found[..., :1], 3, axis=2))
    np.testing.assert_array_equal(as_recorded(DECODER, "h", value, INPUTS, {}), value)
    # even where the cell's value there is no number
    value[0, 3], value[1, 1:] = np.nan, np.inf
    assert np.isfinite(as_recorded(FW, "state", value, INPUTS, {})).all()


def test_output_dropout_acts_on_the_output_of_its_layer_alone():
    value, draws = np.full((2, 4, 3), 2.0), {"decoder/output": mask(3)}
    np.testing.assert_array_equal(
        as_recorded(DECODER, "output", value, INPUTS, draws), value * mask(3).transpose(1, 0, 2)
    )
    for name in ("h", "state", "g"):
        np.testing.assert_array_equal(as_recorded(DECODER, name, value, INPUTS, draws), value)


def test_an_unconditional_model_has_a_decoder_alone():
    assert layers_of({"conditional": True}) == LAYERS
    assert layers_of({"conditional": False}) == (DECODER,)


def test_cotangents_are_numbers_of_their_name_that_float32_holds():
    one = cotangents("decoder/output", (50, 40))
    np.testing.assert_array_equal(one, cotangents("decoder/output", (50, 40)))
    assert not np.array_equal(one, cotangents("decoder/state", (50, 40)))
    assert one.dtype == np.float32
    assert (abs(one.mean()) < 0.1, abs(one.std() - 1) < 0.1) == (True, True)  # 2000 numbers: 0.1 is over 4 sigma


# Against the official code: its equations in NumPy, step by step, give back what was recorded -----------------------

# The largest departure seen in any of them is 1.4e-15 of the largest magnitude.
CLOSE = 1e-13


@pytest.mark.parametrize("name", MODELS)
def test_the_steps_of_a_layer_give_what_was_recorded_of_it(name):
    recording = MODELS[name]
    official, inputs, draws = recording["float64"], recording["inputs"], recording["draws"]
    assert len(set(inputs["lengths"])) > 1 or not recording.hparams["conditional"]  # else nothing would be ragged
    for layer in layers_of(recording.hparams):
        steps = steps_of(layer, official, inputs, draws, np.float64)
        scope, kind = cell_scope(layer, recording.hparams), recording.hparams[layer.model]
        weights = recording["weights"].items()
        weights = {n.removeprefix(scope): v.astype(np.float64) for n, v in weights if n.startswith(scope)}
        answer = EQUATIONS[kind][1](weights, *steps.flat())
        assert {"output", "state", "g"} <= answer.keys()
        for quantity, value in answer.items():
            truth = official[f"train/{layer.name}/{quantity}"]
            found = as_recorded(layer, quantity, value.reshape(*steps.x.shape[:2], -1), inputs, draws)
            assert np.abs(found - truth).max() <= CLOSE * np.abs(truth).max(), (layer.name, quantity)


@pytest.mark.parametrize("kind", ["lstm", "layer_norm", "hyper"])
def test_the_steps_of_a_cell_give_what_was_recorded_of_it(kind):
    recording = RECORDINGS[f"cell/{kind}"]
    steps = cell_steps(recording.groups, recording["float64"]["state"])
    np.testing.assert_array_equal(steps.state[:, 0], recording["inputs"]["state"])
    weights = {n.partition("/")[2]: v.astype(np.float64) for n, v in recording["weights"].items()}
    for quantity, value in EQUATIONS[kind][1](weights, *steps.flat()).items():
        truth = recording["float64"][quantity]
        assert np.abs(value.reshape(truth.shape) - truth).max() <= CLOSE * np.abs(truth).max(), quantity
