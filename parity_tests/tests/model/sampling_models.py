"""Small models for the tests of sampling."""

import numpy as np
import pytest
import torch
from torch import Tensor

from pytorch_sketch_rnn.hparams import HParams
from pytorch_sketch_rnn.model.sketch_rnn import SketchRNN

Z, M, MAX_LEN, BLOCK = 4, 3, 24, 7
backend = "reference"  # what the fixture `every_sampler` sets
both_modes = pytest.mark.parametrize("conditional", [True, False])


def make(kind: str = "lstm", *, conditional: bool = True, dtype: torch.dtype = torch.float64) -> SketchRNN:
    """A small model whose sketches are 0 to MAX_LEN points long."""
    hparams = HParams(
        enc_model=kind, dec_model=kind, conditional=conditional, enc_rnn_size=5, dec_rnn_size=7, z_size=Z,
        num_mixture=M, max_seq_len=MAX_LEN, hyper_num_units=5, hyper_embedding_size=2,
    )  # fmt: skip
    model = SketchRNN(hparams, seed=1, backend=backend).to(dtype).eval()
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator))
        model.decoder.output_b[2] -= 2  # makes the end of a sketch unlikely
    return model


def constant(pi: list[float], pen: list[float], mu: list, sigma: list, corr: list[float]) -> SketchRNN:
    """An unconditional model with this mixture at every step."""
    model = make(conditional=False)
    raw = [np.log(pen), np.log(pi), *np.transpose(mu), *np.log(np.transpose(sigma)), np.arctanh(corr)]
    with torch.no_grad():
        model.decoder.output_w.zero_()
        model.decoder.output_b.copy_(torch.from_numpy(np.concatenate(raw)))
    return model


def latents(count: int) -> Tensor:
    return torch.randn(count, Z, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
