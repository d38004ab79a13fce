"""The plain and the layer-norm LSTM cell of rfeinman/Sketch-RNN: how little an adapter needs.

The port is imported from the folder that ``RFEINMAN_SKETCH_RNN`` names (a clone; commit 38e4d9b was used). The whole
port, its hyper cell included, is in :mod:`parity_tests.examples.rfeinman`.
"""

from collections.abc import Mapping

import numpy as np
import torch

from parity_tests import adapter
from parity_tests.adapter import Arrays
from parity_tests.examples.port_folder import import_port

NAMES = {  # Magenta's -> the port's
    "W_xh": "weight_ih",
    "W_hh": "weight_hh",
    "bias": "bias",
    "ln_all/ln_gamma": "layernorm_h.weight",
    "ln_all/ln_beta": "layernorm_h.bias",
    "ln_c/ln_gamma": "layernorm_c.weight",
    "ln_c/ln_beta": "layernorm_c.bias",
}


def parameter(name: str, value: np.ndarray) -> torch.Tensor:
    """One weight as the port holds it: the gates i, j, f, o in its order i, f, o, j, matrices [4 n, in]."""
    if not name.startswith("ln_c"):
        i, j, f, o = np.split(value, 4, axis=-1)
        value = np.concatenate([i, f, o, j], axis=-1).T
    return torch.tensor(value)


class Adapter(adapter.Adapter):
    """Cells alone."""

    name = "cells of rfeinman/Sketch-RNN"

    def __init__(self) -> None:
        self.port = import_port("RFEINMAN_SKETCH_RNN", "sketch_rnn", alias="rfeinman_sketch_rnn")

    @torch.no_grad()
    def step_cell(
        self, kind: str, weights: Mapping[str, np.ndarray], x: np.ndarray, state: np.ndarray, mask: np.ndarray | None
    ) -> Arrays:
        """Output and new state."""
        if kind == "hyper":
            raise NotImplementedError("hyper cell")
        cells = {"lstm": self.port.LSTMCell, "layer_norm": self.port.LayerNormLSTMCell}
        cell = cells[kind](x.shape[1], len(weights["W_hh"])).to(torch.tensor(x).dtype)
        cell.load_state_dict({NAMES[name]: parameter(name, value) for name, value in weights.items()})
        cell.r_dropout.forward = lambda g: g if mask is None else g * torch.tensor(mask)
        first, second = torch.tensor(state).chunk(2, dim=1)
        c, h = (first, second) if kind == "lstm" else (second, first)  # Magenta packs the two differently
        output, (h, c) = cell(torch.tensor(x), (h, c))
        return {"output": output.numpy(), "state": torch.cat([c, h] if kind == "lstm" else [h, c], dim=1).numpy()}
