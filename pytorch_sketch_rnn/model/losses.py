"""Reconstruction and KL cost.

Source: Magenta ``model.py`` (``get_lossfunc``, ``kl_cost``); Ha & Eck 2017 (arXiv 1704.03477), equations 9-11.
"""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from pytorch_sketch_rnn.distributed import Group
from pytorch_sketch_rnn.model.mixture import Mixture

DENSITY_EPSILON = 1e-6


class CostValues(NamedTuple):
    """Costs as Python floats; the fields are those of :class:`Costs`."""

    cost: float
    r_cost: float
    kl_cost: float


class Costs(NamedTuple):
    """Scalars on the device under Magenta's names: cost = r_cost + kl_weight * kl_cost."""

    cost: Tensor
    r_cost: Tensor
    kl_cost: Tensor

    def on_host(self) -> CostValues:
        """The costs as Python floats, without gradients; on a GPU this waits for them."""
        return CostValues(*(float(cost.detach()) for cost in self))


def reconstruction_cost(mixture: Mixture, targets: Tensor, *, is_training: bool) -> Tensor:
    """Mean over all B x T steps, padding included, of the offset and the pen loss.

    Args:
        mixture: with fields [B, T, ...].
        targets: stroke-5 [B, T, 5].
        is_training: True counts the pen loss of the padding, False masks it; the offset loss is always masked.
    """
    x1, x2, pen = targets[..., 0], targets[..., 1], targets[..., 2:]
    drawn = 1 - pen[..., 2]  # 0 from the end of the sketch on
    log_density = mixture.log_density(x1, x2)
    floor = torch.full_like(log_density, math.log(DENSITY_EPSILON))
    offset_loss = -torch.logaddexp(log_density, floor) * drawn  # -log(density + epsilon)
    pen_loss = -(pen * F.log_softmax(mixture.pen_logits, dim=-1)).sum(dim=-1)
    if not is_training:
        pen_loss = pen_loss * drawn
    return (offset_loss + pen_loss).mean()


def kl_cost(
    mu: Tensor,
    presig: Tensor,
    tolerance: float,
    *,
    share: float = 1.0,
    group: Group = Group(),  # noqa: B008 (immutable)
) -> Tensor:
    """Mean over [B, z] of the KL divergence from N(0, 1), at least ``tolerance``; below it the gradient is zero.

    Args:
        mu: [B, z].
        presig: [B, z], log of the variance.
        tolerance: floor of the mean over the whole batch.
        share: the fraction of the batch's rows that this process holds.
        group: the processes that share the batch; see :meth:`SketchRNN.costs_of` for the gradients.

    Raises:
        LostProcess: when another process has ended.
    """
    kl = group.sum(share * kl_divergence(mu, presig))
    return kl.clamp(min=tolerance)


def kl_divergence(mu: Tensor, presig: Tensor) -> Tensor:
    """Mean over [B, z] of the KL divergence from N(0, 1)."""
    return -0.5 * (1 + presig - mu.square() - presig.exp()).mean()
