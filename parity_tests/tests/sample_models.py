"""Small models for tests: variables of official checkpoints, no two sizes and values alike; a sketch-rnn-js model."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from pytorch_sketch_rnn.hparams import CELL_TYPES, HParams
from weight_port.convert import expected_shapes
from weight_port.names import ADAM_POWERS, GLOBAL_STEP, SLOTS, slot_name, weight_names
from weight_port.sketch_rnn_js import DECODER_ORDER

CONDITIONAL_CELLS = [(enc, dec) for enc in CELL_TYPES for dec in CELL_TYPES]
ALL_CELLS = [*CONDITIONAL_CELLS, *((None, dec) for dec in CELL_TYPES)]  # no encoder: unconditional
STRAYS = ("global_step", "Variable", "Variable_1", "beta1_power", "beta2_power")


def tiny(enc: str | None = "lstm", dec: str = "lstm") -> HParams:
    """Hyperparameters of a model with these cells; without an encoder it is unconditional."""
    return HParams(
        enc_model=enc or "lstm",
        dec_model=dec,
        conditional=enc is not None,
        enc_rnn_size=3,
        dec_rnn_size=4,
        z_size=2,
        num_mixture=7,
        hyper_num_units=5,
        hyper_embedding_size=6,
    )


def weight_shapes(hparams: HParams) -> dict[str, tuple[int, ...]]:
    """Shape of each weight by its official name."""
    shapes = expected_shapes(hparams)
    return {official: shapes[ours] for official, ours in weight_names(hparams).items()}


def weights(hparams: HParams) -> dict[str, np.ndarray]:
    """Values of all weights, no two the same, some of them easily changed by a conversion."""
    ramp = _ramp()
    variables = {name: next_values(ramp, shape) for name, shape in weight_shapes(hparams).items()}
    first = variables["vector_rnn/RNN/output_w"]
    first.flat[:3] = [-0.0, 1e-45, np.finfo(np.float32).max]
    return variables


def checkpoint(hparams: HParams, strays: tuple[int, ...] = (1,)) -> dict[str, np.ndarray]:
    """Everything in an official checkpoint: weights, Adam's slots and powers, the step, and scalars without a use."""
    variables = weights(hparams)
    ramp = _ramp(100_000)
    slots = {slot_name(n, slot): next_values(ramp, v.shape) for n, v in variables.items() for slot in SLOTS}
    variables |= slots | {name: np.array(0.5 + index, np.float32) for index, name in enumerate(ADAM_POWERS)}
    variables |= {GLOBAL_STEP: np.array(1001, np.int32)}
    variables |= {"vector_rnn/Variable": np.array(0.001, np.float32), "vector_rnn/Variable_1": np.array(0.01, "f4")}
    for number in strays:
        variables |= {f"vector_rnn_{number}/{name}": np.array(number, np.float32) for name in STRAYS}
    return variables


def _ramp(start: int = 0) -> Iterator[float]:
    number = start
    while True:
        number += 1
        yield number * (-1) ** number / 7


def next_values(ramp: Iterator[float], shape: tuple[int, ...]) -> np.ndarray:
    """An array of the ramp's next numbers, float32."""
    return np.fromiter(ramp, np.float32, int(np.prod(shape))).reshape(shape)


def write_js_model(path: Path) -> None:
    """A small model in the sketch-rnn-js format."""
    units, rng = 16, np.random.RandomState(0)
    shapes = {"W_xh": [5, 4 * units], "W_hh": [units, 4 * units], "bias": [4 * units]}
    shapes |= {"output_w": [units, 123], "output_b": [123]}
    shapes = [shapes[name.split(".")[-1]] for name in DECODER_ORDER]
    blobs = [base64.b64encode(rng.randint(-900, 900, shape).astype("<i2").tobytes()).decode() for shape in shapes]
    info = {"mode": 2, "version": 6, "max_seq_len": 20, "name": "bird", "scale_factor": 70.0}
    path.write_text(json.dumps([info, shapes, blobs]))
