"""The linear layers around the latent vector: hidden -> mu, presig; z -> initial state.

Source: Magenta ``rnn.py`` (``super_linear``).
"""

import torch
from torch import Tensor, nn


class Linear(nn.Module):
    """x w + b with Magenta's layout: w [in, out] gaussian 0.001, b [out] zeros."""

    def __init__(self, input_size: int, output_size: int) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.empty(input_size, output_size))
        self.b = nn.Parameter(torch.zeros(output_size))

    def forward(self, x: Tensor) -> Tensor:
        """[B, in] -> [B, out]."""
        return x @ self.w + self.b
