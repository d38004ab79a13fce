"""Drawing new sketches: one at a time with exactly Magenta's random numbers, or in batches.

Source: Magenta ``model.py`` (``sample``).
"""

import random
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from pytorch_sketch_rnn.data.strokes import START_TOKEN
from pytorch_sketch_rnn.errors import BadInput
from pytorch_sketch_rnn.model.draws import Draws, TorchDraws
from pytorch_sketch_rnn.model.mixture import PARAMETERS, Mixture
from pytorch_sketch_rnn.model.sampler import END, Numbers, Sampler
from pytorch_sketch_rnn.model.sketch_rnn import SketchRNN

# In float32 a smaller temperature makes the logarithm of every probability overflow, and the points of a larger one
# overflow in a layer norm, which squares them.
LEAST_TEMPERATURE, LARGEST_TEMPERATURE = 1e-30, 1e9
BLOCK = 32  # steps of a batch for which random numbers are drawn at once


class Sample(NamedTuple):
    """One sketch and the mixtures it was drawn from."""

    strokes: np.ndarray  # stroke-5, float32 [seq_len, 5]; continues past the end of the sketch
    mixture: dict[str, np.ndarray]  # Magenta's parameters, [seq_len, M] or [seq_len, 3]


@torch.no_grad()
def sample(
    model: SketchRNN,
    seq_len: int = 250,
    temperature: float = 1.0,
    *,
    greedy_mode: bool = False,
    z: ArrayLike | Tensor | None = None,
    uniform: random.Random | None = None,
    normal: np.random.RandomState | None = None,
) -> Sample:
    """Draw one sketch with Magenta's streams of random numbers.

    With ``uniform = random.Random(a)`` and ``normal = np.random.RandomState(b)`` it draws the same numbers as Magenta
    after ``random.seed(a); np.random.seed(b)``. Each step draws a uniform number for the component and one for the pen,
    even in greedy mode, and unless in greedy mode a two-dimensional normal for the offset.

    Args:
        model: in eval mode.
        seq_len: number of steps; the end of the sketch does not stop them.
        temperature: divides the logs of pi and pen; sigma is multiplied by it. From 1e-30 to 1e9.
        greedy_mode: take the most likely component and pen state, and the component's mean.
        z: latent vector [1, z], anything that ``torch.as_tensor`` accepts; None draws it (even for an unconditional
            model, which does not use it).
        uniform: the stream in place of ``random``; None creates one.
        normal: the stream in place of ``np.random``; None creates one.

    Raises:
        BadInput: when the temperature, ``seq_len`` or z is invalid.
    """
    uniform = random.Random() if uniform is None else uniform
    normal = np.random.RandomState() if normal is None else normal
    check_temperature(temperature)
    check_at_least_1(seq_len=seq_len)
    if z is None:
        z = normal.randn(1, model.hparams.z_size)
    latent = _latent(z, 1, model) if model.hparams.conditional else None
    sampler = _sampler(model, latent, 1)
    point = np.array(START_TOKEN, dtype=np.float32)
    strokes = np.zeros((seq_len, 5), dtype=np.float32)
    parameters: dict[str, list[np.ndarray]] = {name: [] for name in PARAMETERS}
    for step in range(seq_len):
        mixture = Mixture.from_output(sampler.outputs(model.as_input(point).view(1, 5)))
        here = {name: getattr(mixture, name)[0].cpu().numpy() for name in PARAMETERS}
        component = _pick(uniform.random(), here["pi"], temperature, greedy_mode)
        pen = _pick(uniform.random(), here["pen"], temperature, greedy_mode)
        mean, scale, corr = _component(here, component, temperature)
        if not greedy_mode:
            off_diagonal = corr * scale[0] * scale[1]
            covariance = [[scale[0] * scale[0], off_diagonal], [off_diagonal, scale[1] * scale[1]]]
            mean = normal.multivariate_normal(mean, covariance)
        point = np.array([*mean, *np.eye(3)[pen]], dtype=np.float32)
        strokes[step] = point
        for name, values in here.items():
            parameters[name].append(values)
    return Sample(strokes, {name: np.stack(values) for name, values in parameters.items()})


def _component(
    mixture: dict[str, np.ndarray], index: int, temperature: float
) -> tuple[list[np.floating] | np.ndarray, list[np.floating], np.floating]:
    """Mean, standard deviations and correlation of one component; Magenta's factor is sqrt(T) * sqrt(T)."""
    factor = np.sqrt(temperature) * np.sqrt(temperature)
    mean = [mixture["mu1"][index], mixture["mu2"][index]]
    scale = [mixture["sigma1"][index] * factor, mixture["sigma2"][index] * factor]
    return mean, scale, mixture["corr"][index]


def _pick(x: float, pdf: np.ndarray, temperature: float, greedy: bool) -> int:
    """The first index at which the cumulative sum of ``pdf`` at a temperature reaches x, else the last (rounding)."""
    if greedy:
        return int(np.argmax(pdf))
    with np.errstate(divide="ignore"):  # a probability of 0 stays 0
        log_pdf = np.log(pdf) / temperature
    weights = np.exp(log_pdf - log_pdf.max())
    reached = np.flatnonzero(np.cumsum(weights / weights.sum()) >= x)
    return int(reached[0]) if len(reached) else len(pdf) - 1


@torch.no_grad()
def sample_batch(
    model: SketchRNN,
    count: int,
    max_len: int | None = None,
    temperature: float = 1.0,
    *,
    z: ArrayLike | Tensor | None = None,
    draws: Draws | None = None,
) -> list[np.ndarray]:
    """Draw many sketches at once; a sketch that ends leaves the batch.

    Args:
        model: in eval mode.
        count: number of sketches.
        max_len: largest number of points; longer sketches are cut off. None means the model's ``max_seq_len``.
        temperature: as for :func:`sample`.
        z: latent vectors [count, z], anything that ``torch.as_tensor`` accepts; None draws them as ``latent``.
        draws: the source of random numbers; None means torch's global generator. For every ``BLOCK`` steps, the first
            of which is F, the sketches that have not ended by then request S numbers for each of the S <= ``BLOCK``
            steps left: uniform ``sample/component/F`` and ``sample/pen/F`` [rows, S], and normal ``sample/offset/F``
            [rows, 2 S].

    Returns:
        Stroke-3 [n, 3] each, float32, in normalised units; n may be 0.

    Raises:
        BadInput: when the temperature, ``count``, ``max_len`` or z is invalid.
    """
    check_temperature(temperature)
    draws = TorchDraws() if draws is None else draws
    max_len = model.hparams.max_seq_len if max_len is None else max_len
    check_at_least_1(count=count, max_len=max_len)
    weight = model.decoder.output_w
    if z is not None:
        z = _latent(z, count, model)
    elif model.hparams.conditional:
        z = draws.normal("latent", (count, model.hparams.z_size), weight)
    return draw_points(_sampler(model, z, count), count, max_len, temperature, draws, weight)


def draw_points(
    sampler: Sampler, count: int, max_len: int, temperature: float, draws: Draws, like: Tensor
) -> list[np.ndarray]:
    """The points of ``count`` sketches from where a sampler is, up to their ends or ``max_len`` points.

    Args:
        sampler: of ``count`` sketches.
        count, max_len: see :func:`sample_batch`.
        temperature: a valid one.
        draws: see :func:`sample_batch`.
        like: a tensor of the model's type and device.

    Returns:
        Stroke-3 [n, 3] each, float32; n may be 0.
    """
    check_at_least_1(count=count, max_len=max_len)
    rows = torch.arange(count, device=like.device)  # the sketches that have not ended
    points = like.new_zeros(count, max_len, 3)
    lengths = torch.full((count,), max_len, device=like.device)
    for first in range(0, max_len, BLOCK):
        steps = min(BLOCK, max_len - first)
        offsets, pens = sampler.draw(Numbers.draw(draws, first, len(rows), steps, like), temperature)
        points[rows, first : first + steps, :2] = offsets
        points[rows, first : first + steps, 2] = (pens == 1).to(points.dtype)
        ends = pens == END
        ended = ends.any(dim=1)
        lengths[rows[ended]] = first + ends[ended].int().argmax(dim=1)
        rows = rows[~ended]
        if not len(rows):
            break
    result = points.cpu().to(torch.float32).numpy()
    return [result[i, :length].copy() for i, length in enumerate(lengths.tolist())]


def _sampler(model: SketchRNN, z: Tensor | None, count: int) -> Sampler:
    """At the start token of each sketch."""
    decoder = model.decoder
    start = decoder.output_w.new_tensor(START_TOKEN).expand(count, 5)
    return model.usable_backend().sampler(decoder, z, decoder.initial_state(z, count), start)


def check_temperature(temperature: float) -> None:
    """Raises BadInput unless the temperature is a number from ``LEAST_TEMPERATURE`` to ``LARGEST_TEMPERATURE``."""
    if not LEAST_TEMPERATURE <= temperature <= LARGEST_TEMPERATURE:  # false for NaN
        raise BadInput(
            f"temperature is {temperature}, expected {LEAST_TEMPERATURE:g} to {LARGEST_TEMPERATURE:g}; "
            "use 0.01 for little randomness, or greedy_mode of sample() for none"
        )


def check_at_least_1(**numbers: int) -> None:
    """Raises BadInput, with its name, for a number that is less than 1."""
    for name, number in numbers.items():
        if number < 1:
            raise BadInput(f"{name} is {number}, expected at least 1")


def _latent(z: ArrayLike | Tensor, count: int, model: SketchRNN) -> Tensor:
    if not model.hparams.conditional:
        raise BadInput("this model is unconditional: z must be None")
    latent = model.as_input(z)
    if latent.shape != (count, model.hparams.z_size):
        raise BadInput(f"expected z [{count}, {model.hparams.z_size}], got {list(latent.shape)}")
    return latent
