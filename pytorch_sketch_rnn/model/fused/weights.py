"""The weights of D cells of one kind, side by side, in the form that a fused sequence reads.

These are ordinary operations, so autograd carries the gradients of this form back to the cells' own parameters.
"""

from collections.abc import Sequence
from typing import NamedTuple, cast

import torch
from torch import Tensor

from pytorch_sketch_rnn.model.cells import HyperLSTMCell, HyperNorm, LayerNormLSTMCell, LSTMCell
from pytorch_sketch_rnn.model.fused.kernels import Norm

_ALIGNED = 16  # the columns of Z are a multiple of this, so that its rows are aligned


class GatedWeights(NamedTuple):
    """Weights of D LSTMs or layer-norm LSTMs, of i inputs that change over time and c that do not."""

    W_constant: Tensor  # of the inputs that do not change [D, c, 4 n]
    W: Tensor  # of Z = [h, x, 0] [D, width, 4 n]
    bias: Tensor | None  # of LSTMs [D, 1, 4 n]
    norm: Norm | None  # of layer-norm LSTMs
    epsilon: float = 0.0  # of their norms


class HyperWeights(NamedTuple):
    """Weights of D HyperLSTMs of n units, with inner cells of m units and embeddings of e numbers.

    The twelve signals are: for the gates i, j, f, o a factor of x W_xh, then a factor of h W_hh, then a shift.
    """

    W_constant: Tensor  # of the inputs that do not change [D, c, 4 n]
    W_xh: Tensor  # [D, i, 4 n]
    W_hh: Tensor  # [D, n, 4 n]
    bias: Tensor  # [D, 4 n]
    inner: GatedWeights  # of the inner cells, with Z = [inner h, h, x, 0]
    W_embedding: Tensor  # inner h -> embeddings [D, m, 12 e]
    b_embedding: Tensor  # [D, 12 e]
    W_signal: Tensor  # each signal from its embedding [D, 12, e, n]
    norm: Norm
    epsilon: float


def gated_weights(cells: Sequence[LSTMCell] | Sequence[LayerNormLSTMCell], inputs: int) -> GatedWeights:
    """The weights of cells that read [x, constant], where x has ``inputs`` columns."""
    W_xh, W_hh = (_stacked(cells, name) for name in ("W_xh", "W_hh"))
    W = _aligned(W_hh, W_xh[:, :inputs])
    if isinstance(cells[0], LSTMCell):
        return GatedWeights(W_xh[:, inputs:], W, _stacked(cells, "bias").unsqueeze(1), None)
    normed = cast(Sequence[LayerNormLSTMCell], cells)
    return GatedWeights(W_xh[:, inputs:], W, None, _norm(normed), cells[0].epsilon)


def hyper_weights(cells: Sequence[HyperLSTMCell], inputs: int) -> HyperWeights:
    """The weights of cells that read [x, constant], where x has ``inputs`` columns."""
    W_xh, W_hh, bias = (_stacked(cells, name) for name in ("W_xh", "W_hh", "bias"))
    inner = [cell.hyper_cell for cell in cells]
    inner_xh, inner_hh = (_stacked(inner, name) for name in ("W_xh", "W_hh"))  # the inner cell reads [x, constant, h]
    of_x, of_constant, of_h = inner_xh.split([inputs, W_xh.shape[1] - inputs, cells[0].num_units], dim=1)
    of_inner = GatedWeights(of_constant, _aligned(inner_hh, of_h, of_x), None, _norm(inner), inner[0].epsilon)
    factors = [_hyper_norms(cell, "xh") for cell in cells]
    shifts = [_hyper_norms(cell, "h") for cell in cells]
    to_factor, b_factor = _stacked_norms(factors, "zw_w"), _stacked_norms(factors, "zw_b")
    to_shift = _stacked_norms(shifts, "zb_w")
    b_shift = b_factor.new_zeros(len(cells), 4, b_factor.shape[2])
    return HyperWeights(
        *(W_xh[:, inputs:], W_xh[:, :inputs], W_hh, bias, of_inner),
        torch.cat([to_factor, to_shift], dim=1).transpose(1, 2).flatten(2),  # [D, 12, m, e] -> [D, m, 12 e]
        torch.cat([b_factor, b_shift], dim=1).flatten(1),
        torch.cat([_stacked_norms(factors, "alpha_w"), _stacked_norms(shifts, "beta_w")], dim=1),
        _norm(cells),
        cells[0].epsilon,
    )


def _stacked(modules: Sequence[torch.nn.Module], name: str) -> Tensor:
    return torch.stack([module.get_parameter(name) for module in modules])


def _aligned(*blocks: Tensor) -> Tensor:
    """Blocks of rows [D, rows, columns] one below the other, and rows of zeros up to a multiple of ``_ALIGNED``."""
    rows = sum(block.shape[1] for block in blocks)
    first = blocks[0]
    return torch.cat([*blocks, first.new_zeros(first.shape[0], -rows % _ALIGNED, first.shape[2])], dim=1)


def _norm(cells: Sequence[LayerNormLSTMCell] | Sequence[HyperLSTMCell]) -> Norm:
    names = ("ln_all.gamma", "ln_all.beta", "ln_c.gamma", "ln_c.beta")
    return Norm(*(_stacked(cells, name).unsqueeze(1) for name in names))


def _hyper_norms(cell: HyperLSTMCell, sides: str) -> list[HyperNorm]:
    return [getattr(cell, f"hyper_{gate}{side}") for side in sides for gate in "ijfo"]


def _stacked_norms(norms: Sequence[Sequence[HyperNorm]], name: str) -> Tensor:
    return torch.stack([_stacked(each, name) for each in norms])
