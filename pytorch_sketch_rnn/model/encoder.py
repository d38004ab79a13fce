"""The bidirectional encoder: strokes -> mu, presig.

Source: Magenta ``model.py`` (``encoder``).
"""

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from pytorch_sketch_rnn.model.backend import LOOP, Backend
from pytorch_sketch_rnn.model.cells import Cell, State
from pytorch_sketch_rnn.model.draws import Mask
from pytorch_sketch_rnn.model.linear import Linear
from pytorch_sketch_rnn.model.tape import NO_TAPE, Tape


class Encoder(nn.Module):
    """Two cells read a sketch, one from each end; their final h determine the latent distribution."""

    def __init__(self, fw: Cell, bw: Cell, z_size: int) -> None:
        super().__init__()
        self.fw = fw
        self.bw = bw
        self.mu = Linear(fw.num_units + bw.num_units, z_size)
        self.presig = Linear(fw.num_units + bw.num_units, z_size)

    def forward(
        self,
        strokes: Tensor,
        lengths: Tensor,
        masks: tuple[Mask | None, Mask | None] = (None, None),
        tape: Tape = NO_TAPE,
        backend: Backend = LOOP,
    ) -> tuple[Tensor, Tensor]:
        """Encode a batch.

        Args:
            strokes: stroke-5 without the start token, [B, T, 5].
            lengths: true lengths [B], each 1..T.
            masks: recurrent dropout masks [B, T, n] of the forward and the backward cell, or None; step 0 of the
                backward cell is the last point of each sketch.
            tape: records ``fw/...`` and ``bw/...``, each in its cell's own order of steps.
            backend: how the sequences are computed.

        Returns:
            mu and presig (log of the variance), [B, z] each.
        """
        return self.posterior(*backend.run_both(self.fw, self.bw, strokes, lengths, masks, tape))

    if TYPE_CHECKING:  # nn.Module's own returns Any
        __call__ = forward

    def posterior(self, fw_state: State, bw_state: State) -> tuple[Tensor, Tensor]:
        """mu and presig [B, z] from the final states of both cells."""
        last_h = torch.cat([fw_state.h, bw_state.h], dim=1)  # [B, 2 n]
        return self.mu(last_h), self.presig(last_h)
