"""One step of each of the three cells, as equations.

Source: Magenta ``rnn.py``. Gate order is i, j, f, o everywhere (j is the candidate). The forget bias 1 is added here
and is in no stored weight. Weights keep the official layout [in, out]. Recurrent dropout (Semeniuta et al. 2016) acts
on the candidate tanh(j) alone; ``mask`` holds 0 or 1 / keep probability.
"""

from typing import ClassVar, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from pytorch_sketch_rnn.model.initializers import gaussian_, glorot_uniform_, lstm_ortho_
from pytorch_sketch_rnn.model.tape import NO_TAPE, Tape

FORGET_BIAS = 1.0
LAYER_NORM_EPSILON = 1e-3


# Each state lists its fields in the order in which Magenta packs them into one tensor [B, sum of sizes].
class LSTMState(NamedTuple):
    """State of an LSTM, each [B, n]."""

    c: Tensor
    h: Tensor


class LayerNormLSTMState(NamedTuple):
    """State of a layer-norm LSTM, each [B, n]. Magenta packs it in the opposite order from an LSTM's."""

    h: Tensor
    c: Tensor


class HyperLSTMState(NamedTuple):
    """State of a HyperLSTM: outer [B, n], inner [B, hyper_num_units]."""

    h: Tensor
    hyper_h: Tensor
    c: Tensor
    hyper_c: Tensor


State = LSTMState | LayerNormLSTMState | HyperLSTMState


class Cell(nn.Module):
    """Base class of the three cells: sizes, and packing and unpacking of states.

    Each cell has W_xh [input_size, gates n] and W_hh [n, gates n].
    """

    state_type: ClassVar[type[LSTMState] | type[LayerNormLSTMState] | type[HyperLSTMState]]
    W_xh: nn.Parameter
    W_hh: nn.Parameter

    def __init__(self, input_size: int, num_units: int) -> None:
        super().__init__()
        self.input_size = input_size
        self.num_units = num_units

    @property
    def state_sizes(self) -> tuple[int, ...]:
        """Width of each field of the state, in packed order."""
        return (self.num_units,) * 2

    def unpack(self, packed: Tensor) -> State:
        """The state from Magenta's packed tensor [B, sum of sizes]."""
        return self.state_type(*packed.split(self.state_sizes, dim=1))

    def pack(self, state: State) -> Tensor:
        """Magenta's packed tensor [B, sum of sizes] from the state."""
        return torch.cat(state, dim=1)

    def zero_state(self, batch: int, like: Tensor) -> State:
        """A state of zeros, with the dtype and device of ``like``."""
        return self.state_type(*(like.new_zeros(batch, size) for size in self.state_sizes))

    def reset_parameters(self, rng: np.random.RandomState, generator: torch.Generator | None = None) -> None:
        """Redraw W_xh (glorot uniform) and W_hh (orthogonal, one block per gate)."""
        glorot_uniform_(self.W_xh, generator)
        lstm_ortho_(self.W_hh, rng)


class LSTMCell(Cell):
    """Plain LSTM with ``input_size`` inputs and n = ``num_units`` units.

    W_xh [input_size, 4 n] glorot uniform; W_hh [n, 4 n] orthogonal; bias [4 n] zeros.
    """

    state_type = LSTMState

    def __init__(self, input_size: int, num_units: int) -> None:
        super().__init__(input_size, num_units)
        self.W_xh = nn.Parameter(torch.empty(input_size, 4 * num_units))
        self.W_hh = nn.Parameter(torch.empty(num_units, 4 * num_units))
        self.bias = nn.Parameter(torch.zeros(4 * num_units))

    def forward(
        self, x: Tensor, state: LSTMState, mask: Tensor | None = None, tape: Tape = NO_TAPE
    ) -> tuple[Tensor, LSTMState]:
        """One step: x [B, input_size] and the state give the output [B, n] and the new state; mask [B, n] or None."""
        c, h = state
        i, j, f, o = (x @ self.W_xh + h @ self.W_hh + self.bias).chunk(4, dim=1)
        g = apply_mask(torch.tanh(j), mask)
        new_c = c * torch.sigmoid(f + FORGET_BIAS) + torch.sigmoid(i) * g
        new_h = torch.tanh(new_c) * torch.sigmoid(o)
        tape(i=i, j=j, f=f, o=o, g=g, c=new_c, h=new_h)
        return new_h, LSTMState(new_c, new_h)


class LayerNorm(nn.Module):
    """Layer norm of ``groups`` adjacent blocks of n units: biased variance, ``epsilon`` inside the root.

    gamma [groups n] ones; beta [groups n] zeros.
    """

    def __init__(self, num_units: int, groups: int = 1, epsilon: float = LAYER_NORM_EPSILON) -> None:
        super().__init__()
        self.num_units = num_units
        self.epsilon = epsilon
        self.gamma = nn.Parameter(torch.ones(groups * num_units))
        self.beta = nn.Parameter(torch.zeros(groups * num_units))

    def forward(self, x: Tensor) -> Tensor:
        """Normalise [B, groups n]."""
        blocks: Tensor = x.unflatten(1, (-1, self.num_units))  # [B, groups, n]
        # written out, since the float32 error of F.layer_norm was measured at up to three times this one
        centred = blocks - blocks.mean(dim=2, keepdim=True)
        normal = centred * torch.rsqrt(centred.square().mean(dim=2, keepdim=True) + self.epsilon)
        return normal.flatten(1) * self.gamma + self.beta


class LayerNormLSTMCell(Cell):
    """LSTM with layer norm (Ba et al. 2016), ``input_size`` inputs and n = ``num_units`` units; no bias.

    W_xh [input_size, 4 n] glorot uniform; W_hh [n, 4 n] orthogonal; ln_all over the four gates [4 n]; ln_c [n]. The
    state keeps c unnormalised; ln_c is applied only where h is computed from c. Both norms have the same ``epsilon``.
    """

    state_type = LayerNormLSTMState

    def __init__(self, input_size: int, num_units: int, epsilon: float = LAYER_NORM_EPSILON) -> None:
        super().__init__(input_size, num_units)
        self.epsilon = epsilon
        self.W_xh = nn.Parameter(torch.empty(input_size, 4 * num_units))
        self.W_hh = nn.Parameter(torch.empty(num_units, 4 * num_units))
        self.ln_all = LayerNorm(num_units, 4, epsilon)
        self.ln_c = LayerNorm(num_units, 1, epsilon)

    def forward(
        self, x: Tensor, state: LayerNormLSTMState, mask: Tensor | None = None, tape: Tape = NO_TAPE
    ) -> tuple[Tensor, LayerNormLSTMState]:
        """One step: x [B, input_size] and the state give the output [B, n] and the new state; mask [B, n] or None."""
        h, c = state
        total = x @ self.W_xh + h @ self.W_hh
        i, j, f, o = self.ln_all(total).chunk(4, dim=1)
        g = apply_mask(torch.tanh(j), mask)
        new_c = c * torch.sigmoid(f + FORGET_BIAS) + torch.sigmoid(i) * g
        normal_c = self.ln_c(new_c)
        new_h = torch.tanh(normal_c) * torch.sigmoid(o)
        tape(total=total, i=i, j=j, f=f, o=o, g=g, c=new_c, normal_c=normal_c, h=new_h)
        return new_h, LayerNormLSTMState(new_h, new_c)


class HyperNorm(nn.Module):
    """Scales a gate's pre-activation [B, n] by signals from the inner cell, and on the h side also shifts it.

    zw_w [hyper, e] zeros; zw_b [e] ones; alpha_w [e, n] constant 0.1 / e; with ``shift`` also zb_w [hyper, e]
    gaussian 0.01 and beta_w [e, n] zeros.
    """

    def __init__(self, hyper_num_units: int, embedding_size: int, num_units: int, *, shift: bool) -> None:
        super().__init__()
        self.shift = shift
        self.zw_w = nn.Parameter(torch.zeros(hyper_num_units, embedding_size))
        self.zw_b = nn.Parameter(torch.ones(embedding_size))
        self.alpha_w = nn.Parameter(torch.full((embedding_size, num_units), 0.10 / embedding_size))
        if shift:
            self.zb_w = nn.Parameter(torch.zeros(hyper_num_units, embedding_size))
            self.beta_w = nn.Parameter(torch.zeros(embedding_size, num_units))

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        """Redraw zb_w, the only weight here with a random initial value."""
        if self.shift:
            gaussian_(self.zb_w, 0.01, generator)

    def forward(self, gate: Tensor, hyper_output: Tensor) -> Tensor:
        """gate [B, n], hyper_output [B, hyper_num_units] -> [B, n]."""
        alpha = (hyper_output @ self.zw_w + self.zw_b) @ self.alpha_w
        if not self.shift:
            return alpha * gate
        beta = (hyper_output @ self.zb_w) @ self.beta_w
        return alpha * gate + beta


class HyperLSTMCell(Cell):
    """LSTM whose gates are scaled by a smaller LSTM (Ha et al. 2016); ``input_size`` inputs, n = ``num_units`` units.

    W_xh [input_size, 4 n] glorot uniform; W_hh [n, 4 n] orthogonal; bias [4 n] zeros; the inner layer-norm cell reads
    [x, h] and has recurrent dropout off; eight hyper norms, one for each gate on the x side (scale) and on the h side
    (scale and shift); ln_all [4 n]; ln_c [n]. Always with layer norm, as Magenta's ``model.py`` builds it; all norms
    have the same ``epsilon``.
    """

    state_type = HyperLSTMState
    hyper_ix: HyperNorm
    hyper_ih: HyperNorm
    hyper_jx: HyperNorm
    hyper_jh: HyperNorm
    hyper_fx: HyperNorm
    hyper_fh: HyperNorm
    hyper_ox: HyperNorm
    hyper_oh: HyperNorm

    def __init__(
        self,
        input_size: int,
        num_units: int,
        hyper_num_units: int = 256,
        hyper_embedding_size: int = 32,
        epsilon: float = LAYER_NORM_EPSILON,
    ) -> None:
        super().__init__(input_size, num_units)
        self.epsilon = epsilon
        self.hyper_num_units = hyper_num_units
        self.W_xh = nn.Parameter(torch.empty(input_size, 4 * num_units))
        self.W_hh = nn.Parameter(torch.empty(num_units, 4 * num_units))
        self.bias = nn.Parameter(torch.zeros(4 * num_units))
        self.hyper_cell = LayerNormLSTMCell(input_size + num_units, hyper_num_units, epsilon)
        for gate in "ijfo":
            for side in "xh":
                norm = HyperNorm(hyper_num_units, hyper_embedding_size, num_units, shift=side == "h")
                self.add_module(f"hyper_{gate}{side}", norm)
        self.ln_all = LayerNorm(num_units, 4, epsilon)
        self.ln_c = LayerNorm(num_units, 1, epsilon)

    @property
    def state_sizes(self) -> tuple[int, ...]:
        """Width of each field of the state, in packed order."""
        return (self.num_units, self.hyper_num_units) * 2

    def reset_parameters(self, rng: np.random.RandomState, generator: torch.Generator | None = None) -> None:
        """Redraw W_xh, W_hh, the random weights of the inner cell, and every zb_w."""
        super().reset_parameters(rng, generator)
        self.hyper_cell.reset_parameters(rng, generator)
        for gate in "ijfo":
            norm: HyperNorm = getattr(self, f"hyper_{gate}h")
            norm.reset_parameters(generator)

    def forward(
        self, x: Tensor, state: HyperLSTMState, mask: Tensor | None = None, tape: Tape = NO_TAPE
    ) -> tuple[Tensor, HyperLSTMState]:
        """One step: x [B, input_size] and the state give the output [B, n] and the new state; mask [B, n] or None."""
        h, hyper_h, c, hyper_c = state
        inner_state = LayerNormLSTMState(hyper_h, hyper_c)
        z, inner_state = self.hyper_cell(torch.cat([x, h], dim=1), inner_state, tape=tape.scope("hyper_cell"))

        ix, jx, fx, ox = (x @ self.W_xh).chunk(4, dim=1)
        ih, jh, fh, oh = (h @ self.W_hh).chunk(4, dim=1)
        ib, jb, fb, ob = self.bias.chunk(4)
        ix, ih = self.hyper_ix(ix, z), self.hyper_ih(ih, z)
        jx, jh = self.hyper_jx(jx, z), self.hyper_jh(jh, z)
        fx, fh = self.hyper_fx(fx, z), self.hyper_fh(fh, z)
        ox, oh = self.hyper_ox(ox, z), self.hyper_oh(oh, z)
        total = torch.cat([ix + ih + ib, jx + jh + jb, fx + fh + fb, ox + oh + ob], dim=1)

        i, j, f, o = self.ln_all(total).chunk(4, dim=1)
        g = apply_mask(torch.tanh(j), mask)
        new_c = c * torch.sigmoid(f + FORGET_BIAS) + torch.sigmoid(i) * g
        normal_c = self.ln_c(new_c)
        new_h = torch.tanh(normal_c) * torch.sigmoid(o)
        tape(hyper_ix=ix, hyper_jx=jx, hyper_fx=fx, hyper_ox=ox, hyper_ih=ih, hyper_jh=jh, hyper_fh=fh, hyper_oh=oh)
        tape(total=total, i=i, j=j, f=f, o=o, g=g, c=new_c, normal_c=normal_c, h=new_h)
        return new_h, HyperLSTMState(new_h, inner_state.h, new_c, inner_state.c)


def apply_mask(x: Tensor, mask: Tensor | None) -> Tensor:
    """x times a dropout mask; None means that dropout is off."""
    return x if mask is None else x * mask
