"""Small models with a batch for them, and draws that record what a model asks for."""

import itertools

import numpy as np
import pytest
import torch
from torch import Tensor

from pytorch_sketch_rnn.hparams import CELL_TYPES, HParams
from pytorch_sketch_rnn.model.draws import RecordedMask, TorchDraws
from pytorch_sketch_rnn.model.sketch_rnn import SketchRNN

ENC, DEC, Z, M, HYPER, EMBEDDING = 6, 7, 4, 3, 5, 2
B, T = 4, 6
LENGTHS = torch.tensor([6, 1, 3, 4])
ENCODER_CELLS = CELL_TYPES
COMBINATIONS = [*itertools.product(ENCODER_CELLS, CELL_TYPES), *((None, kind) for kind in CELL_TYPES)]
every_combination = pytest.mark.parametrize(("enc_model", "dec_model"), COMBINATIONS)
MIXTURE = {"pi": M, "mu1": M, "mu2": M, "sigma1": M, "sigma2": M, "corr": M, "pen": 3, "pen_logits": 3}
STATE_SIZES = {"lstm": 2 * DEC, "layer_norm": 2 * DEC, "hyper": 2 * (DEC + HYPER)}


def make(
    enc_model: str | None = "lstm", dec_model: str = "lstm", dtype: torch.dtype = torch.float64, **changes
) -> SketchRNN:
    """A small model in eval mode, its weights nudged so that each has an effect; ``enc_model`` None: no encoder."""
    hparams = HParams(
        enc_model=enc_model or "lstm", dec_model=dec_model, conditional=enc_model is not None, enc_rnn_size=ENC,
        dec_rnn_size=DEC, z_size=Z, num_mixture=M, hyper_num_units=HYPER, hyper_embedding_size=EMBEDDING,
        max_seq_len=T, batch_size=B,
    ).replace(**changes)  # fmt: skip
    model = SketchRNN(hparams, seed=1, backend="reference").eval()  # bit for bit the same with a tape
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator))
    return model.to(dtype)


def batch(dtype: torch.dtype = torch.float64, steps: int = T) -> Tensor:
    """Sketches of the lengths LENGTHS with the start token first, [B, steps + 1, 5]."""
    generator = torch.Generator().manual_seed(3)
    sketches = torch.zeros(B, steps + 1, 5, dtype=dtype)
    sketches[:, 0, 2] = 1
    for row, length in enumerate(LENGTHS.tolist()):
        sketches[row, 1 : length + 1, :2] = torch.randn(length, 2, generator=generator, dtype=torch.float64)
        pen = torch.randint(2, (length,), generator=generator)
        sketches[row, torch.arange(1, length + 1), 2 + pen] = 1
        sketches[row, length + 1 :, 4] = 1
    return sketches


def latent(model: SketchRNN, rows: int = B) -> Tensor | None:
    """Latent vectors, or None for an unconditional model."""
    if not model.hparams.conditional:
        return None
    weight = model.decoder.output_w
    return torch.randn(B, Z, generator=torch.Generator().manual_seed(4), dtype=torch.float64)[:rows].to(weight)


def assert_close(ours: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(ours, expected, rtol=1e-11, atol=1e-13)


class SpyDraws(TorchDraws):
    """TorchDraws that records each request and its answer."""

    def __init__(self, seed: int = 5) -> None:
        super().__init__(torch.Generator().manual_seed(seed))
        self.requests: list[tuple] = []
        self.answers: dict[str, np.ndarray] = {}

    def mask(self, name, shape, keep_prob):
        answer = super().mask(name, shape, keep_prob).tensor(torch.empty(0, dtype=torch.float64))
        self._record((name, shape, keep_prob), answer)
        return RecordedMask(answer.numpy())

    def normal(self, name, shape, like):
        answer = super().normal(name, shape, like)
        self._record((name, shape), answer)
        return answer

    def _record(self, request: tuple, answer: Tensor) -> None:
        self.requests.append(request)
        assert request[0] not in self.answers, "requested twice"
        self.answers[request[0]] = answer.numpy()
