"""Drawing the points of many sketches, a block of steps at a time: the form that reads as the equations.

Source: Magenta ``model.py`` (``sample``); the choice of a point in many sketches at once is ours.
"""

from typing import TYPE_CHECKING, NamedTuple, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from pytorch_sketch_rnn.model.cells import State
from pytorch_sketch_rnn.model.draws import Draws

if TYPE_CHECKING:
    from pytorch_sketch_rnn.model.decoder import Decoder

END = 2  # the pen state after which a sketch has no more points


class Numbers(NamedTuple):
    """The random numbers of a block of S steps, for the sketches [rows] that have not ended when it begins."""

    component: Tensor  # uniform [rows, S]
    pen: Tensor  # uniform [rows, S]
    offset: Tensor  # standard normal [rows, S, 2]

    @classmethod
    def draw(cls, draws: Draws, first: int, rows: int, steps: int, like: Tensor) -> "Numbers":
        """Request ``sample/component/F``, ``sample/pen/F`` [rows, S] and ``sample/offset/F`` [rows, 2 S]; F = first."""
        component, pen = (draws.uniform(f"sample/{name}/{first}", (rows, steps), like) for name in ("component", "pen"))
        offset = draws.normal(f"sample/offset/{first}", (rows, 2 * steps), like)
        return cls(component, pen, offset.view(rows, steps, 2))


class Sampler(Protocol):
    """Sketches that are being drawn."""

    def outputs(self, point: Tensor) -> Tensor:
        """One step for given points, stroke-5 [rows, 5]: the raw parameters of the next ones [rows, 3 + 6 M]."""
        ...

    def draw(self, numbers: Numbers, temperature: float) -> tuple[Tensor, Tensor]:
        """The points of the next S steps; then the sketches that have ended are left out.

        Returns:
            Offsets [rows, S, 2] and pen states [rows, S], which are ``END`` from the end of a sketch on. There the
            offsets are undefined.
        """
        ...


class LoopSampler:
    """See :class:`Sampler`: a loop over the steps of a decoder.

    Args:
        decoder: of the model.
        z: latent vectors [rows, z], or None for an unconditional model.
        state: of the cell [rows, ...].
        point: the last point of each sketch, stroke-5 [rows, 5].
    """

    def __init__(self, decoder: "Decoder", z: Tensor | None, state: State, point: Tensor) -> None:
        self._decoder, self._z, self._state, self._point = decoder, z, state, point

    def outputs(self, point: Tensor) -> Tensor:
        """See :class:`Sampler`."""
        mixture, self._state = self._decoder(point.unsqueeze(1), self._z, self._state)
        return mixture.output()[:, 0]

    def draw(self, numbers: Numbers, temperature: float) -> tuple[Tensor, Tensor]:
        """See :class:`Sampler`."""
        rows, steps = numbers.component.shape
        numbers = Numbers(*(each.to(self._point.dtype) for each in numbers))
        offsets = numbers.offset.new_zeros(rows, steps, 2)
        pens = torch.full((rows, steps), END, device=offsets.device)
        here = torch.arange(rows, device=offsets.device)  # the sketches that have not ended
        for step in range(steps):
            mixture, self._state = self._decoder(self._point.unsqueeze(1), self._z, self._state)
            of_step = Numbers(*(each[here, step] for each in numbers))
            offset, pen = _point({k: v[:, 0] for k, v in mixture.parameters().items()}, of_step, temperature)
            offsets[here, step], pens[here, step] = offset, pen
            going = pen != END
            here = here[going]
            if not len(here):
                break
            self._point = torch.cat([offset, F.one_hot(pen, 3)], dim=1)[going].to(offset.dtype)
            self._state = type(self._state)(*(field[going] for field in self._state))
            self._z = None if self._z is None else self._z[going]
        return offsets, pens


def _point(mixture: dict[str, Tensor], numbers: Numbers, temperature: float) -> tuple[Tensor, Tensor]:
    """Offsets [rows, 2] and pen states [rows] from mixtures [rows, ...] and the numbers of one step [rows, ...]."""
    component = _pick(numbers.component, mixture["pi"], temperature)
    pen = _pick(numbers.pen, mixture["pen"], temperature)
    names = ("mu1", "mu2", "sigma1", "sigma2", "corr")
    mu1, mu2, sigma1, sigma2, corr = (mixture[name].gather(1, component.unsqueeze(1)).squeeze(1) for name in names)
    e1, e2 = numbers.offset.unbind(dim=1)
    dx = mu1 + temperature * sigma1 * e1
    dy = mu2 + temperature * sigma2 * (corr * e1 + torch.sqrt((1 - corr.square()).clamp(min=0)) * e2)
    return torch.stack([dx, dy], dim=1), pen


def _pick(x: Tensor, pdf: Tensor, temperature: float) -> Tensor:
    """For each row, the first index at which the sum of ``pdf`` so far, at a temperature, reaches x, else the last."""
    below = pdf.log() - pdf.log().amax(dim=1, keepdim=True)
    cumulated = F.softmax(below / temperature, dim=1).cumsum(dim=1)
    return (cumulated < x.unsqueeze(1)).sum(dim=1).clamp(max=pdf.shape[1] - 1)
