"""What people do with a trained model: finish a drawing that somebody began, redraw one, morph one into another.

Sketches come and go as stroke-3 [n, 3] in normalised units. Source: Magenta's notebook ``Sketch_RNN.ipynb`` (encode,
decode, slerp); its demos of sketch-rnn-js, which finish what somebody began.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from pytorch_sketch_rnn.data.magenta_loader import padded
from pytorch_sketch_rnn.errors import BadInput, Refused
from pytorch_sketch_rnn.model.draws import Draws, TorchDraws
from pytorch_sketch_rnn.model.sampling import check_at_least_1, check_temperature, draw_points, sample_batch
from pytorch_sketch_rnn.model.sketch_rnn import SketchRNN

LEAST_NEW = 32  # points that a continuation may have at least, however long the beginning is


def as_sketch(strokes: ArrayLike | Tensor) -> np.ndarray:
    """A sketch as float32 [n, 3].

    Raises:
        BadInput: when it is no stroke-3 of finite numbers.
    """
    if isinstance(strokes, Tensor):
        strokes = strokes.detach().cpu()
    try:
        sketch = np.asarray(strokes, np.float32)
    except (TypeError, ValueError, OverflowError):
        raise Refused("expected a sketch as numbers [n, 3]") from None
    if not sketch.size:
        return np.zeros((0, 3), np.float32)
    if sketch.ndim != 2 or sketch.shape[1] != 3:
        raise Refused(f"expected a sketch [n, 3], got {list(sketch.shape)}")
    if not np.isfinite(sketch).all() or not np.isin(sketch[:, 2], (0, 1)).all():
        raise Refused("expected a sketch of finite offsets, with a pen that is 0 (down) or 1 (lifted)")
    return sketch


@torch.no_grad()
def encode_sketches(model: SketchRNN, sketches: Sequence[ArrayLike]) -> Tensor:
    """The means of the latent vectors of sketches [count, z].

    Raises:
        BadInput: when the model has no encoder, or a sketch is invalid or empty.
    """
    batch = [as_sketch(sketch) for sketch in sketches]
    if not batch or min(map(len, batch)) < 1:
        raise BadInput("expected sketches with at least one point, got none")
    made = padded(batch, max(map(len, batch)))
    return model.encode(made.sketches[:, 1:], made.lengths)[0]


@torch.no_grad()
def complete(
    model: SketchRNN,
    strokes: ArrayLike,
    count: int = 1,
    temperature: float = 0.5,
    *,
    max_new: int | None = None,
    z: ArrayLike | Tensor | None = None,
    draws: Draws | None = None,
) -> list[np.ndarray]:
    """Finish a drawing, several times.

    Args:
        model: in eval mode.
        strokes: the beginning [n, 3]; n may be 0.
        count: number of different endings.
        temperature: see :func:`sample`.
        max_new: largest number of new points; None: what the beginning leaves of ``max_seq_len``, at least
            :data:`LEAST_NEW`.
        z: a latent vector [1, z]; None: the mean that the encoder gives for the beginning.
        draws: as for :func:`sample_batch`.

    Returns:
        Whole drawings, float32 [n + m, 3] each, whose first n points are the beginning; m may be 0.

    Raises:
        BadInput: when an argument is invalid.
    """
    begun = as_sketch(strokes)
    if max_new is None:
        max_new = max(model.hparams.max_seq_len - len(begun), LEAST_NEW)
    check_temperature(temperature)
    check_at_least_1(count=count, max_new=max_new)
    latent = None if z is None else _checked_latent(model, z)
    draws = TorchDraws() if draws is None else draws
    if not len(begun):
        given = None if latent is None else latent.expand(count, -1)
        return sample_batch(model, count, max_new, temperature, z=given, draws=draws)
    if latent is None and model.encoder is not None:
        latent = encode_sketches(model, [begun])
    decoder, backend = model.decoder, model.usable_backend()
    inputs = model.as_input(padded([begun], len(begun)).sketches)  # the start token, then the beginning
    _, state = decoder(inputs[:, :-1], latent, backend=backend)
    state = type(state)(*(_repeated(field, count) for field in state))
    latent = None if latent is None else _repeated(latent, count)
    sampler = backend.sampler(decoder, latent, state, _repeated(inputs[:, -1], count))
    ends = draw_points(sampler, count, max_new, temperature, draws, inputs)
    return [np.concatenate([begun, end]) for end in ends]


def _repeated(row: Tensor, count: int) -> Tensor:
    """[1, n] -> [count, n]."""
    return row.expand(count, -1).contiguous()


def _checked_latent(model: SketchRNN, z: ArrayLike | Tensor) -> Tensor:
    if model.encoder is None:
        raise BadInput("this model is unconditional: z must be None")
    latent = model.as_input(z)
    if latent.shape != (1, model.hparams.z_size):
        raise BadInput(f"expected z [1, {model.hparams.z_size}], got {list(latent.shape)}")
    return latent


def reconstruct(
    model: SketchRNN,
    strokes: ArrayLike,
    count: int = 1,
    temperature: float = 0.5,
    *,
    max_len: int | None = None,
    draws: Draws | None = None,
) -> list[np.ndarray]:
    """Encode a sketch and draw it again, several times.

    Args:
        model: conditional, in eval mode.
        strokes: [n, 3], n at least 1.
        count: number of drawings.
        temperature, max_len, draws: as for :func:`sample_batch`.

    Raises:
        BadInput: when the model has no encoder, or an argument is invalid.
    """
    check_at_least_1(count=count)
    z = encode_sketches(model, [strokes]).expand(count, -1)
    return sample_batch(model, count, max_len, temperature, z=z, draws=draws)


def interpolate(
    model: SketchRNN,
    first: ArrayLike,
    second: ArrayLike,
    count: int = 10,
    temperature: float = 0.5,
    *,
    max_len: int | None = None,
    draws: Draws | None = None,
) -> list[np.ndarray]:
    """Drawings between two sketches, both ends included, along the great circle through their latent vectors.

    Args:
        model: conditional, in eval mode.
        first, second: [n, 3] each, n at least 1.
        count: number of drawings, at least 2.
        temperature, max_len, draws: as for :func:`sample_batch`.

    Raises:
        BadInput: when the model has no encoder, or an argument is invalid.
    """
    if count < 2:
        raise BadInput(f"count is {count}, expected at least 2, the two ends")
    start, end = (encode_sketches(model, [strokes])[0] for strokes in (first, second))
    between = torch.stack([slerp(start, end, step / (count - 1)) for step in range(count)])
    return sample_batch(model, count, max_len, temperature, z=between, draws=draws)


def slerp(start: Tensor, end: Tensor, fraction: float) -> Tensor:
    """The vector [z] at a fraction (0 to 1) of the way along the great circle from one vector to another.

    Vectors of one direction, or of opposite ones, which have no great circle, are interpolated along a line.
    """
    cosine = torch.dot(start, end) / (start.norm() * end.norm())
    angle = torch.arccos(cosine.clamp(-1, 1))
    if not torch.isfinite(angle) or torch.sin(angle) < 1e-6:
        return start + fraction * (end - start)
    return (torch.sin((1 - fraction) * angle) * start + torch.sin(fraction * angle) * end) / torch.sin(angle)
