"""``torch.nn.LSTM`` instead of Magenta's plain LSTM cell: an example of an adapter, and of a port that departs.

Without dropout the two are the same function, once the gates are reordered and the forget bias is added to the bias.
But Magenta applies dropout to the candidate inside the cell, where ``torch.nn.LSTM`` cannot apply a mask: the masks are
ignored here, and the harness must find that everything in training mode departs.

Sources: Magenta ``rnn.py`` (``LSTMCell``) and ``model.py``; the documentation of ``torch.nn.LSTM``.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pack_padded_sequence

from parity_tests import adapter
from parity_tests.adapter import Arrays
from parity_tests.examples.numpy_port import costs

Weights = Mapping[str, np.ndarray]

FORGET_BIAS = 1.0  # Magenta adds it at run time


def torch_weights(w: Weights, suffix: str = "") -> dict[str, Tensor]:
    """A cell's weights as those of one direction of ``torch.nn.LSTM``."""
    i, j, f, o = np.split(w["bias"], 4)
    bias = np.concatenate([i, f + FORGET_BIAS, j, o])
    parameters = {
        "weight_ih_l0": in_torch_order(w["W_xh"]),
        "weight_hh_l0": in_torch_order(w["W_hh"]),
        "bias_ih_l0": bias,
        "bias_hh_l0": np.zeros_like(bias),
    }
    return {name + suffix: torch.from_numpy(value) for name, value in parameters.items()}


def in_torch_order(weight: np.ndarray) -> np.ndarray:
    """From [in, gates i, j, f, o] to [gates i, f, g, o, out]; torch's g is Magenta's j."""
    i, j, f, o = np.split(weight, 4, axis=1)
    return np.concatenate([i, f, j, o], axis=1).T.copy()


def make_lstm(parameters: dict[str, Tensor]) -> torch.nn.LSTM:
    """A layer with these weights; bidirectional if there are weights for both directions."""
    gates, inputs = parameters["weight_ih_l0"].shape
    lstm = torch.nn.LSTM(
        inputs,
        gates // 4,
        batch_first=True,
        bidirectional="weight_ih_l0_reverse" in parameters,
        dtype=parameters["weight_ih_l0"].dtype,
    )
    lstm.load_state_dict(parameters)
    return lstm


class Adapter(adapter.Adapter):
    """Models with plain LSTM cells, without training and sampling."""

    name = "torch.nn.LSTM as the plain LSTM cell"

    @torch.no_grad()
    def step_cell(
        self, kind: str, weights: Weights, x: np.ndarray, state: np.ndarray, mask: np.ndarray | None
    ) -> Arrays:
        """Output and new state; the mask is ignored."""
        if kind != "lstm":
            raise NotImplementedError(kind)
        c, h = torch.from_numpy(state).chunk(2, dim=1)
        before = h.unsqueeze(0).contiguous(), c.unsqueeze(0).contiguous()
        output, (h, c) = make_lstm(torch_weights(weights))(torch.from_numpy(x).unsqueeze(1), before)
        return {"output": output[:, 0].numpy(), "state": torch.cat([c[0], h[0]], dim=1).numpy()}

    def load(self, hparams: Mapping[str, Any], variables: Weights) -> None:
        """Build the layers; raises NotImplementedError for other cells than plain LSTMs."""
        cells = [hparams["dec_model"]] + [hparams["enc_model"]] * bool(hparams["conditional"])
        if set(cells) != {"lstm"}:
            raise NotImplementedError(f"cells {cells}")

        def cell(scope: str) -> Arrays:
            return {name: variables[f"vector_rnn/{scope}/LSTMCell/{name}"] for name in ("W_xh", "W_hh", "bias")}

        self.hparams, self.variables = hparams, variables
        self.decoder = make_lstm(torch_weights(cell("RNN")))
        if hparams["conditional"]:
            self.encoder = make_lstm(
                torch_weights(cell("ENC_RNN/fw")) | torch_weights(cell("ENC_RNN/bw"), suffix="_reverse")
            )

    def _linear(self, scope: str, x: Tensor, name: str = "super_linear") -> Tensor:
        weight, bias = (torch.from_numpy(self.variables[f"vector_rnn/{scope}/{name}_{part}"]) for part in "wb")
        return x @ weight + bias

    @torch.no_grad()
    def encode(self, strokes: np.ndarray, lengths: np.ndarray, draws: Mapping[str, np.ndarray]) -> Arrays:
        """mu, presig and z; masks are ignored."""
        packed = pack_padded_sequence(
            torch.from_numpy(strokes),
            torch.as_tensor(lengths, dtype=torch.int64),
            batch_first=True,
            enforce_sorted=False,
        )
        _, (h, _) = self.encoder(packed)
        both = torch.cat([h[0], h[1]], dim=1)
        mu, presig = self._linear("ENC_RNN_mu", both), self._linear("ENC_RNN_sigma", both)
        z = mu + torch.exp(presig / 2) * torch.from_numpy(draws["latent"])
        return {"mu": mu.numpy(), "presig": presig.numpy(), "z": z.numpy()}

    @torch.no_grad()
    def decode(self, inputs: np.ndarray, z: np.ndarray | None, draws: Mapping[str, np.ndarray]) -> Arrays:
        """Mixture and pen of each step; masks are ignored."""
        strokes, before = torch.from_numpy(inputs), None
        if z is not None:
            latent = torch.from_numpy(z)
            c, h = torch.tanh(self._linear("linear", latent)).chunk(2, dim=1)
            before = h.unsqueeze(0).contiguous(), c.unsqueeze(0).contiguous()
            strokes = torch.cat([strokes, latent.unsqueeze(1).expand(-1, strokes.shape[1], -1)], dim=2)
        output, _ = self.decoder(strokes, before)
        pen_logits, rest = self._linear("RNN", output, "output").tensor_split([3], dim=2)
        pi, mu1, mu2, sigma1, sigma2, corr = rest.chunk(6, dim=2)
        answer = {"pi": pi.softmax(2), "mu1": mu1, "mu2": mu2, "sigma1": sigma1.exp(), "sigma2": sigma2.exp()}
        answer |= {"corr": corr.tanh(), "pen": pen_logits.softmax(2), "pen_logits": pen_logits}
        return {name: value.numpy() for name, value in answer.items()}

    def loss(self, mixture: Arrays, targets: np.ndarray, latent: Weights | None, *, is_training: bool) -> Arrays:
        """Both costs, by the equations of the NumPy port."""
        return costs(mixture, targets, latent, kl_tolerance=self.hparams["kl_tolerance"], is_training=is_training)
