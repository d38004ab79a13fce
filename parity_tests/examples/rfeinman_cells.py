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


def port_order(value: np.ndarray) -> np.ndarray:
    """From Magenta's gates i, j, f, o to the port's i, f, o, j; a matrix [in, 4 n] is transposed as well."""
    i, j, f, o = np.split(value, 4, axis=-1)
    return np.concatenate([i, f, o, j], axis=-1).T


# begin example
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
        parameters = {"weight_ih": port_order(weights["W_xh"]), "weight_hh": port_order(weights["W_hh"])}
        if kind == "lstm":
            parameters |= {"bias": port_order(weights["bias"])}
        elif kind == "layer_norm":
            for ours, theirs in {"gamma": "weight", "beta": "bias"}.items():
                parameters[f"layernorm_h.{theirs}"] = port_order(weights[f"ln_all/ln_{ours}"])
                parameters[f"layernorm_c.{theirs}"] = weights[f"ln_c/ln_{ours}"]
        else:
            raise NotImplementedError(kind)
        cell = {"lstm": self.port.LSTMCell, "layer_norm": self.port.LayerNormLSTMCell}[kind]
        cell = cell(x.shape[1], len(weights["W_hh"])).to(torch.from_numpy(x).dtype)
        cell.load_state_dict({name: torch.tensor(value) for name, value in parameters.items()})
        cell.r_dropout.forward = lambda g: g if mask is None else g * torch.from_numpy(mask)
        first, second = torch.from_numpy(state).chunk(2, dim=1)
        c, h = (first, second) if kind == "lstm" else (second, first)  # Magenta packs the two differently
        output, (h, c) = cell(torch.from_numpy(x), (h, c))
        return {"output": output.numpy(), "state": torch.cat([c, h] if kind == "lstm" else [h, c], dim=1).numpy()}


# end example
