"""The bidirectional encoder: strokes -> mu, presig.

Source: Magenta ``model.py`` (``encoder``).
"""

import torch
from torch import Tensor, nn

from pytorch_sketch_rnn.model.cells import Cell, State
from pytorch_sketch_rnn.model.linear import Linear
from pytorch_sketch_rnn.model.sequence import Masks, reverse_prefix, run
from pytorch_sketch_rnn.model.tape import NO_TAPE, Tape


class Encoder(nn.Module):
    """Two cells read a sketch, one from either end; their last outputs give the latent distribution."""

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
        fw_mask: Tensor | None = None,
        bw_mask: Tensor | None = None,
        tape: Tape = NO_TAPE,
    ) -> tuple[Tensor, Tensor]:
        """Encode a batch.

        Args:
            strokes: stroke-5 without the start token, [B, T, 5].
            lengths: true lengths [B], each 1..T.
            fw_mask: recurrent dropout mask [T, B, n] of the forward cell, or None.
            bw_mask: that of the backward cell; its step 0 is the last point of each sketch.
            tape: takes down ``fw/...``, ``bw/...``, each in its cell's own order of steps.

        Returns:
            mu and presig (log of the variance), [B, z] each.
        """
        backwards = reverse_prefix(strokes, lengths)
        fw_start = self.fw.zero_state(len(strokes), strokes)
        bw_start = self.bw.zero_state(len(strokes), strokes)
        _, fw_state = run(self.fw, strokes, fw_start, lengths, Masks(fw_mask), tape.scope("fw"))
        _, bw_state = run(self.bw, backwards, bw_start, lengths, Masks(bw_mask), tape.scope("bw"))
        return self.posterior(fw_state, bw_state)

    def posterior(self, fw_state: State, bw_state: State) -> tuple[Tensor, Tensor]:
        """mu and presig [B, z] from the last states of both cells."""
        last_h = torch.cat([fw_state.h, bw_state.h], dim=1)  # [B, 2 n]
        return self.mu(last_h), self.presig(last_h)
