"""The recurrent layers of a recorded model, and the inputs of each of their steps: NumPy alone, used by both sides.

A local comparison takes every step of a layer from the official state before it. So the steps are independent of each
other, and all of them can be taken at once, as one batch of B x T rows.
"""

import zlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from weight_port.names import CELLS, DECODER_CELL, ENCODER_CELLS

Arrays = Mapping[str, np.ndarray]


class Layer(NamedTuple):
    """A recurrent layer of a model."""

    name: str  # as in the names of recorded quantities
    scope: str  # official variable scope, without that of the cell
    model: str  # hyperparameter that names its cell
    size: str  # hyperparameter that holds its number of units


LAYERS = (
    Layer("encoder/fw", ENCODER_CELLS[0][0], "enc_model", "enc_rnn_size"),
    Layer("encoder/bw", ENCODER_CELLS[1][0], "enc_model", "enc_rnn_size"),
    Layer("decoder", DECODER_CELL[0], "dec_model", "dec_rnn_size"),
)


def layers_of(hparams: Mapping[str, Any]) -> tuple[Layer, ...]:
    """The layers that a model with these hyperparameters has; an unconditional one has no encoder."""
    return LAYERS if hparams["conditional"] else LAYERS[-1:]


def cell_scope(layer: Layer, hparams: Mapping[str, Any]) -> str:
    """Official scope of the variables of a layer's cell, with a slash at its end."""
    return f"{layer.scope}/{CELLS[hparams[layer.model]][0]}/"


class Steps(NamedTuple):
    """The inputs of a cell at each step of a layer."""

    x: np.ndarray  # input [B, T, i]
    state: np.ndarray  # Magenta's packed state before the step [B, T, s]
    mask: np.ndarray | None  # of the recurrent dropout [B, T, n], or None

    def flat(self) -> "Steps":
        """All steps as one batch, [B T, ...]."""
        x, state = (value.reshape(-1, value.shape[-1]) for value in (self.x, self.state))
        return Steps(x, state, None if self.mask is None else self.mask.reshape(-1, self.mask.shape[-1]))


def steps_of(layer: Layer, official: Arrays, inputs: Arrays, draws: Arrays, dtype: Any) -> Steps:
    """The inputs of a layer's cell at each step of the recorded training step.

    Args:
        layer: the layer.
        official: recorded quantities, in the precision of the states.
        inputs: ``sketches`` [B, T + 1, 5] and ``lengths`` [B].
        draws: the recorded masks [T, B, n].
        dtype: of the result.
    """
    states = official[f"train/{layer.name}/state"].astype(dtype)
    sketches, lengths = inputs["sketches"].astype(dtype), inputs["lengths"]
    start = np.zeros_like(states[:, 0])
    if layer.name == "decoder":
        start = official.get("train/decoder/initial_state", start).astype(dtype)
        x = sketches[:, :-1]
        if "train/z" in official:
            z = official["train/z"].astype(dtype)
            x = np.concatenate([x, np.repeat(z[:, None], x.shape[1], axis=1)], axis=2)
        if "decoder/input" in draws:
            x = x * _batch_first(draws["decoder/input"], dtype)
    else:
        x = sketches[:, 1:]
        if layer.name == "encoder/bw":
            x = np.stack([np.concatenate([s[:n][::-1], s[n:]]) for s, n in zip(x, lengths, strict=True)])
    mask = draws.get(f"{layer.name}/recurrent")
    before = np.concatenate([start[:, None], states[:, :-1]], axis=1)
    return Steps(x, before, None if mask is None else _batch_first(mask, dtype))


def cell_steps(groups: Any, states: np.ndarray) -> Steps:
    """The inputs at each step of a cell that was recorded on its own.

    Args:
        groups: of the recording.
        states: packed states after each step [B, T, s]; their precision is that of the result.
    """
    given, dtype = groups["inputs"], states.dtype
    before = np.concatenate([given["state"][:, None].astype(dtype), states[:, :-1]], axis=1)
    return Steps(given["x"].astype(dtype), before, _batch_first(groups["draws"]["recurrent"], dtype))


def as_recorded(layer: Layer, name: str, value: np.ndarray, inputs: Arrays, draws: Arrays) -> np.ndarray:
    """A cell's values at all steps [B, T, n], as the layer returns them.

    Output dropout is applied to ``output``; an encoder's values are zero after the end of a sketch.
    """
    if name == "output" and f"{layer.name}/output" in draws:
        value = value * _batch_first(draws[f"{layer.name}/output"], value.dtype)
    if layer.name != "decoder":
        alive = np.arange(value.shape[1]) < inputs["lengths"][:, None]
        value = np.where(alive[..., None], value, np.zeros((), value.dtype))
    return value


def cotangents(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Fixed standard normal cotangents of a vector-Jacobian product, exact in float32."""
    return np.random.RandomState(zlib.crc32(name.encode())).normal(size=shape).astype(np.float32)


def _batch_first(mask: np.ndarray, dtype: Any) -> np.ndarray:
    return mask.astype(dtype).transpose(1, 0, 2)
