"""Between the arrays of an adapter and the tensors of our own port."""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from parity_tests.adapter import Arrays
from pytorch_sketch_rnn.model.draws import RecordedDraws, RecordedMask
from pytorch_sketch_rnn.model.mixture import Mixture


class Replayed(RecordedDraws):
    """Recorded draws that record the keep probability with which each mask was requested.

    Args:
        draws: masks [T, B, n], in the layout of TensorFlow's loop, and latent noise [B, z].
        longest: the length of the longest sketch, for which alone the encoder requests masks; None without an encoder.
    """

    def __init__(self, draws: Mapping[str, np.ndarray], longest: int | None) -> None:
        masks = {name: v.swapaxes(0, 1) for name, v in draws.items() if v.ndim == 3}
        masks = {name: v[:, :longest] if name.startswith("encoder/") else v for name, v in masks.items()}
        super().__init__({**draws, **masks})
        self.keep_prob: Arrays = {}

    def mask(self, name: str, shape: tuple[int, ...], keep_prob: float) -> RecordedMask:
        """The recorded mask of that name."""
        self.keep_prob[f"keep_prob/{name}"] = np.asarray(keep_prob, np.float32)  # as TensorFlow holds it
        return super().mask(name, shape, keep_prob)


def mixture_of(parameters: Mapping[str, Tensor]) -> Mixture:
    """A mixture with these values of Magenta's parameters."""
    pi, mu1, mu2, sigma1, sigma2, corr, logits = (
        parameters[name] for name in ("pi", "mu1", "mu2", "sigma1", "sigma2", "corr", "pen_logits")
    )
    return Mixture(logits, pi.log(), mu1, mu2, sigma1.log(), sigma2.log(), corr.atanh())


def padded(values: Mapping[str, Tensor], lengths: np.ndarray, steps: int) -> dict[str, Tensor]:
    """The encoder's values as in TensorFlow: zero after the end of a sketch, and padded to all steps."""
    result = {}
    for name, value in values.items():
        if name.startswith("encoder/") and value.ndim == 3:
            ends = torch.as_tensor(lengths, device=value.device).unsqueeze(1)
            alive = torch.arange(value.shape[1], device=value.device) < ends
            value = torch.where(alive.unsqueeze(2), value, 0)
            value = torch.nn.functional.pad(value, (0, 0, 0, steps - value.shape[1]))
        result[name] = value
    return result


def arrays(values: Mapping[str, Tensor]) -> Arrays:
    """Copies of tensors as arrays."""
    return {name: value.detach().cpu().numpy().copy() for name, value in values.items()}
