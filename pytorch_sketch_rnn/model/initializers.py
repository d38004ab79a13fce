"""The official initialisers.

Source: Magenta ``rnn.py`` (``orthogonal``, ``lstm_ortho_initializer``, ``super_linear``), and TensorFlow's default for
``get_variable`` without an initialiser, which is glorot uniform.
"""

import math

import numpy as np
import torch
from torch import Tensor


def orthogonal(rng: np.random.RandomState, rows: int, columns: int) -> np.ndarray:
    """A matrix [rows, columns] with orthonormal rows or columns, float64, drawn by NumPy as in Magenta."""
    u, _, v = np.linalg.svd(rng.normal(0.0, 1.0, (rows, columns)), full_matrices=False)
    return u if u.shape == (rows, columns) else v


@torch.no_grad()
def lstm_ortho_(weight: Tensor, rng: np.random.RandomState) -> Tensor:
    """Fill [n, 4 n] with one orthogonal block for each gate, drawn in the order i, j, f, o."""
    rows, columns = weight.shape
    blocks = [orthogonal(rng, rows, columns // 4) for _ in "ijfo"]
    return weight.copy_(torch.from_numpy(np.concatenate(blocks, axis=1)))


@torch.no_grad()
def glorot_uniform_(weight: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Fill uniformly within +-sqrt(6 / (fan_in + fan_out)); for a vector [n], both fans are n, as in TensorFlow."""
    fan_in, fan_out = weight.shape[0], weight.shape[-1]
    limit = math.sqrt(6.0 / (fan_in + fan_out))
    return weight.uniform_(-limit, limit, generator=generator)


@torch.no_grad()
def gaussian_(weight: Tensor, std: float, generator: torch.Generator | None = None) -> Tensor:
    """Fill from a normal distribution with mean 0."""
    return weight.normal_(0.0, std, generator=generator)
