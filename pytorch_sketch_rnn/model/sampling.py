"""Drawing new sketches: one at a time with exactly Magenta's random numbers, or in batches.

Source: Magenta ``model.py`` (``sample``).
"""

import random
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import ArrayLike
from torch import Tensor

from pytorch_sketch_rnn.data.strokes import START_TOKEN
from pytorch_sketch_rnn.errors import BadInput
from pytorch_sketch_rnn.model.draws import Draws, TorchDraws
from pytorch_sketch_rnn.model.sketch_rnn import SketchRNN

# In float32 a smaller temperature makes the logarithm of every probability overflow, and the points of a larger one
# overflow in a layer norm, which squares them.
LEAST_TEMPERATURE, LARGEST_TEMPERATURE = 1e-30, 1e9
PARAMETERS = ("pi", "mu1", "mu2", "sigma1", "sigma2", "corr", "pen")


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
    _check_at_least_1(seq_len=seq_len)
    if z is None:
        z = normal.randn(1, model.hparams.z_size)
    latent = _latent(z, 1, model) if model.hparams.conditional else None
    state = model.decoder.initial_state(latent, 1)
    point = np.array(START_TOKEN, dtype=np.float32)
    strokes = np.zeros((seq_len, 5), dtype=np.float32)
    parameters: dict[str, list[np.ndarray]] = {name: [] for name in PARAMETERS}
    for step in range(seq_len):
        inputs = model.as_input(point).view(1, 1, 5)
        mixture, state = model.decoder(inputs, latent, state)
        here = {name: getattr(mixture, name)[0, 0].cpu().numpy() for name in PARAMETERS}
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
        draws: the source of random numbers; None means torch's global generator. Step t requests the uniform
            numbers ``sample/component/t`` and ``sample/pen/t`` [rows] and the normal numbers ``sample/offset/t``
            [rows, 2], where rows are the sketches that have not ended.

    Returns:
        Stroke-3 [n, 3] each, float32, in normalised units; n may be 0.

    Raises:
        BadInput: when the temperature, ``count``, ``max_len`` or z is invalid.
    """
    check_temperature(temperature)
    draws = TorchDraws() if draws is None else draws
    max_len = model.hparams.max_seq_len if max_len is None else max_len
    _check_at_least_1(count=count, max_len=max_len)
    weight = model.decoder.output_w
    if z is not None:
        z = _latent(z, count, model)
    elif model.hparams.conditional:
        z = draws.normal("latent", (count, model.hparams.z_size), weight)
    state = model.decoder.initial_state(z, count)
    point = weight.new_tensor(START_TOKEN).expand(count, 5)
    rows = torch.arange(count, device=weight.device)  # the sketch in each row of the batch
    points = weight.new_zeros(count, max_len, 3)
    lengths = torch.full((count,), max_len)
    for step in range(max_len):
        mixture, state = model.decoder(point.unsqueeze(1), z, state)
        offset, pen = _draw_points(mixture.parameters(), temperature, draws, step)
        ended = pen == 2
        points[rows, step, :2] = offset
        points[rows, step, 2] = (pen == 1).to(points.dtype)
        lengths[rows[ended].cpu()] = step
        going = ~ended
        if not bool(going.any()):
            break
        rows = rows[going]
        point = torch.cat([offset, F.one_hot(pen, 3)], dim=1)[going].to(weight.dtype)
        state = type(state)(*(field[going] for field in state))
        z = None if z is None else z[going]
    result = points.cpu().to(torch.float32).numpy()
    return [result[i, :length].copy() for i, length in enumerate(lengths.tolist())]


def _draw_points(parameters: dict[str, Tensor], temperature: float, draws: Draws, step: int) -> tuple[Tensor, Tensor]:
    """Offsets [rows, 2] and pen states [rows] from mixtures [rows, 1, ...]."""
    here = {name: values[:, 0] for name, values in parameters.items()}
    rows = len(here["pi"])
    component = _pick_rows(draws.uniform(f"sample/component/{step}", (rows,), here["pi"]), here["pi"], temperature)
    pen = _pick_rows(draws.uniform(f"sample/pen/{step}", (rows,), here["pi"]), here["pen"], temperature)
    mu1, mu2, sigma1, sigma2, corr = (
        here[name].gather(1, component.unsqueeze(1)).squeeze(1) for name in ("mu1", "mu2", "sigma1", "sigma2", "corr")
    )
    normal = draws.normal(f"sample/offset/{step}", (rows, 2), mu1)
    e1, e2 = normal[:, 0], normal[:, 1]
    dx = mu1 + temperature * sigma1 * e1
    dy = mu2 + temperature * sigma2 * (corr * e1 + torch.sqrt((1 - corr.square()).clamp(min=0)) * e2)
    return torch.stack([dx, dy], dim=1), pen


def _pick_rows(x: Tensor, pdf: Tensor, temperature: float) -> Tensor:
    below = pdf.log() - pdf.log().amax(dim=1, keepdim=True)
    cumulated = F.softmax(below / temperature, dim=1).cumsum(dim=1)
    return (cumulated < x.unsqueeze(1)).sum(dim=1).clamp(max=pdf.shape[1] - 1)


def check_temperature(temperature: float) -> None:
    """Raises BadInput unless the temperature is a number from ``LEAST_TEMPERATURE`` to ``LARGEST_TEMPERATURE``."""
    if not LEAST_TEMPERATURE <= temperature <= LARGEST_TEMPERATURE:  # false for NaN
        raise BadInput(
            f"temperature is {temperature}, expected {LEAST_TEMPERATURE:g} to {LARGEST_TEMPERATURE:g}; "
            "use 0.01 for little randomness, or greedy_mode of sample() for none"
        )


def _check_at_least_1(**numbers: int) -> None:
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
