"""The mixture density of one pen movement.

Source: Magenta ``model.py`` (``get_mixture_coef``, ``tf_2d_normal``); Graves 2013 (arXiv 1308.0850), equations 18-25.
"""

import dataclasses
import math
from functools import cached_property
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor

PARAMETERS = ("pi", "mu1", "mu2", "sigma1", "sigma2", "corr", "pen")
# A point this many standard deviations away has density 0 in either precision; the bound keeps squares finite.
_FAR = 1e6
# Beyond these bounds the official density is 0/0 or infinite; within them it is unchanged. Gradients are products of
# powers of both and of a distance in deviations; the bounds keep these finite in float32.
_MIN_LOG_SIGMA = -60.0
_MAX_CORR_LOGIT = 20.0


@dataclasses.dataclass(frozen=True)
class Mixture:
    """A mixture of M two-dimensional normals and three pen states at each step.

    The fields are the decoder's raw output, [..., M] or [..., 3]; Magenta's parameters are the properties ``pi``,
    ``mu1``, ``mu2``, ``sigma1``, ``sigma2``, ``corr`` [..., M] and ``pen``, ``pen_logits`` [..., 3].
    """

    pen_logits: Tensor
    pi_logits: Tensor
    mu1: Tensor
    mu2: Tensor
    log_sigma1: Tensor
    log_sigma2: Tensor
    corr_logits: Tensor

    @classmethod
    def from_output(cls, output: Tensor) -> Self:
        """Split the decoder's output [..., 3 + 6 M]: pen first, then one block of M for each parameter."""
        return cls(output[..., :3], *output[..., 3:].chunk(6, dim=-1))

    def detached(self) -> Self:
        """The same numbers without their graph."""
        return type(self)(*(getattr(self, field.name).detach() for field in dataclasses.fields(self)))

    def output(self) -> Tensor:
        """The decoder's output [..., 3 + 6 M]; the inverse of :meth:`from_output`."""
        return torch.cat([getattr(self, field.name) for field in dataclasses.fields(self)], dim=-1)

    @cached_property
    def pi(self) -> Tensor:
        """Weights of the components."""
        return F.softmax(self.pi_logits, dim=-1)

    @cached_property
    def sigma1(self) -> Tensor:
        """Standard deviations of dx."""
        return self.log_sigma1.exp()

    @cached_property
    def sigma2(self) -> Tensor:
        """Standard deviations of dy."""
        return self.log_sigma2.exp()

    @cached_property
    def corr(self) -> Tensor:
        """Correlations of dx and dy."""
        return self.corr_logits.tanh()

    @cached_property
    def pen(self) -> Tensor:
        """Probabilities of: pen down, pen up, end of sketch."""
        return F.softmax(self.pen_logits, dim=-1)

    def regularized(self, reg_covar: float) -> Self:
        """A copy with ``reg_covar`` added to both variances of each component and the covariance unchanged.

        This keeps a component from collapsing onto a point. 0 changes nothing, as in Magenta. The correlation is
        rescaled through its logit, with sums of positive terms only, so nothing cancels where corr is near +-1.
        """
        if reg_covar == 0:
            return self
        log_reg = math.log(reg_covar)
        log_sigma1, log_sigma2 = (
            torch.logaddexp(2 * s, torch.full_like(s, log_reg)) / 2 for s in (self.log_sigma1, self.log_sigma2)
        )
        # log of the correlation's factor sigma1 sigma2 / (sigma1' sigma2'), at most 0
        zero = torch.zeros_like(self.log_sigma1)
        log_factor = (
            -(
                torch.logaddexp(log_reg - 2 * self.log_sigma1, zero)
                + torch.logaddexp(log_reg - 2 * self.log_sigma2, zero)
            )
            / 2
        )
        r = self.corr_logits.clamp(-_MAX_CORR_LOGIT, _MAX_CORR_LOGIT)
        # 1 +- f tanh(r) = (1 - f) + f (1 +- tanh(r))
        lost, factor = -torch.expm1(log_factor), log_factor.exp()
        above = lost + factor * 2 * torch.sigmoid(2 * r)
        below = lost + factor * 2 * torch.sigmoid(-2 * r)
        return dataclasses.replace(
            self, log_sigma1=log_sigma1, log_sigma2=log_sigma2, corr_logits=(above.log() - below.log()) / 2
        )

    def parameters(self) -> dict[str, Tensor]:
        """Magenta's parameters by name."""
        return {name: getattr(self, name) for name in (*PARAMETERS, "pen_logits")}

    def log_density(self, x1: Tensor, x2: Tensor) -> Tensor:
        """Log of the mixture's density at the offsets x1, x2 [...] -> [...].

        Value and gradients stay finite even where the official density overflows: everything is computed in log
        space, and 1 - corr^2 from the logit.
        """
        r = self.corr_logits.clamp(-_MAX_CORR_LOGIT, _MAX_CORR_LOGIT)
        u1 = _standardised(x1.unsqueeze(-1) - self.mu1, self.log_sigma1)
        u2 = _standardised(x2.unsqueeze(-1) - self.mu2, self.log_sigma2)
        # equation 25 divided by 2 (1 - corr^2), along the axes of the ellipse: (u1 + u2)^2 / 4 (1 + corr) +
        # (u1 - u2)^2 / 4 (1 - corr). Neither it nor its gradients subtract large numbers where corr is near +-1.
        along = ((u1 + u2) * torch.sqrt((1 + torch.exp(-2 * r)) / 8)).clamp(-_FAR, _FAR)
        across = ((u1 - u2) * torch.sqrt((1 + torch.exp(2 * r)) / 8)).clamp(-_FAR, _FAR)
        log_normal = -(along.square() + across.square()) - 0.5 * _log_one_minus_tanh2(r)
        log_normal = log_normal - self.log_sigma1 - self.log_sigma2 - math.log(2 * math.pi)
        return torch.logsumexp(F.log_softmax(self.pi_logits, dim=-1) + log_normal, dim=-1)


def _standardised(distance: Tensor, log_sigma: Tensor) -> Tensor:
    return (distance * torch.exp(-log_sigma.clamp(min=_MIN_LOG_SIGMA))).clamp(-_FAR, _FAR)


def _log_one_minus_tanh2(logit: Tensor) -> Tensor:
    """log(1 - tanh(r)^2) = 2 log sech(r), exact even where tanh rounds to 1."""
    r = logit.abs()
    return 2 * (math.log(2) - r - torch.log1p(torch.exp(-2 * r)))
