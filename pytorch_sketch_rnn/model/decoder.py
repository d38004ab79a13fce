"""The decoder: latent vector -> initial state; inputs -> hidden -> mixture.

Source: Magenta ``model.py`` (``build_model``).
"""

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from pytorch_sketch_rnn.model.backend import LOOP, Backend
from pytorch_sketch_rnn.model.cells import Cell, State
from pytorch_sketch_rnn.model.linear import Linear
from pytorch_sketch_rnn.model.mixture import Mixture
from pytorch_sketch_rnn.model.sequence import Masks
from pytorch_sketch_rnn.model.tape import NO_TAPE, Tape


class Decoder(nn.Module):
    """A cell over [stroke-5, z], and a linear map to the parameters of the mixture.

    output_w [n, 3 + 6 M] and output_b [3 + 6 M] are both glorot uniform. Without a latent vector (``z_size`` None) the
    cell reads only the strokes and starts from a state of zeros.
    """

    def __init__(self, cell: Cell, z_size: int | None, num_mixture: int) -> None:
        super().__init__()
        self.cell = cell
        self.initial = None if z_size is None else Linear(z_size, sum(cell.state_sizes))
        self.output_w = nn.Parameter(torch.empty(cell.num_units, 3 + 6 * num_mixture))
        self.output_b = nn.Parameter(torch.empty(3 + 6 * num_mixture))

    def initial_state(self, z: Tensor | None, batch: int, tape: Tape = NO_TAPE) -> State:
        """tanh(linear(z)), split in the packed order of the cell; zeros without a latent vector."""
        if self.initial is None:
            return self.cell.zero_state(batch, self.output_w)
        packed = torch.tanh(self.initial(z))
        tape(initial_state=packed)
        return self.cell.unpack(packed)

    def forward(
        self,
        inputs: Tensor,
        z: Tensor | None,
        state: State | None = None,
        masks: Masks = Masks(),  # noqa: B008 (immutable)
        tape: Tape = NO_TAPE,
        backend: Backend = LOOP,
    ) -> tuple[Mixture, State]:
        """Decode a batch.

        Args:
            inputs: stroke-5, the start token first, [B, T, 5].
            z: latent vectors [B, z], or None for an unconditional model.
            state: the state to continue from; None means the initial state.
            masks: dropout masks of the cell.
            tape: records ``initial_state`` and what :func:`~pytorch_sketch_rnn.model.sequence.run` records.
            backend: how the sequence is computed.

        Returns:
            The mixture with fields [B, T, ...], and the final state.
        """
        if state is None:
            state = self.initial_state(z, len(inputs), tape)
        hidden, state = backend.run(self.cell, inputs, state, masks, tape, constant=z)
        if hidden.stride(0) < hidden.stride(1):  # a fused path keeps the rows of a step together: no copy
            return Mixture.from_output(self.output_layer(hidden.transpose(0, 1)).transpose(0, 1)), state
        return Mixture.from_output(self.output_layer(hidden)), state

    if TYPE_CHECKING:  # nn.Module's own returns Any
        __call__ = forward

    def output_layer(self, hidden: Tensor) -> Tensor:
        """The mixture's raw parameters [..., 3 + 6 M] from the cell's outputs [..., n]."""
        return hidden @ self.output_w + self.output_b
