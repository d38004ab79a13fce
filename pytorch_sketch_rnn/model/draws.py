"""Sources of the model's random numbers. The model requests each tensor by name; the caller chooses the source.

Names are ``latent``, ``encoder/fw/recurrent``, ``encoder/bw/recurrent``, ``decoder/recurrent``, ``decoder/input`` and
``decoder/output``. A dropout mask covers a whole sequence, [B, T, n], in the order of its cell's steps: the backward
encoder starts at the last point of each sketch.

A request for a mask returns a description, :class:`Mask`. Its numbers are computed only where they are needed, so a
kernel can compute them itself.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from pytorch_sketch_rnn.errors import BadInput
from pytorch_sketch_rnn.philox import Words, name_id, philox

DRAWS = 2  # version of the numbers of KeyedDraws; a run resumes only with the version it started with
_WORTH_THREADS = 2**17  # elements; a smaller mask takes less time than starting a thread
_IN_CACHE = 2**16  # counters processed at a time; their words take about 2 MB


class Mask(Protocol):
    """A dropout mask: 1 / keep_prob with probability keep_prob, else 0."""

    @property
    def shape(self) -> tuple[int, ...]:
        """[B, T, n]."""
        ...

    def tensor(self, like: Tensor) -> Tensor:
        """Its numbers, with the dtype and device of ``like``."""
        ...


class Draws(Protocol):
    """A source of random numbers; the result has the dtype and device of ``like``."""

    def mask(self, name: str, shape: tuple[int, ...], keep_prob: float) -> Mask:
        """A dropout mask."""
        ...

    def normal(self, name: str, shape: tuple[int, ...], like: Tensor) -> Tensor:
        """Standard normal numbers."""
        ...

    def uniform(self, name: str, shape: tuple[int, ...], like: Tensor) -> Tensor:
        """Uniform numbers in [0, 1)."""
        ...


@dataclasses.dataclass(frozen=True)
class GeneratorMask:
    """A mask drawn from a torch generator; each call of :meth:`tensor` draws new numbers."""

    shape: tuple[int, ...]
    keep_prob: float
    generator: torch.Generator | None

    def tensor(self, like: Tensor) -> Tensor:
        """See :class:`Mask`."""
        return like.new_empty(self.shape).bernoulli_(self.keep_prob, generator=self.generator).div_(self.keep_prob)


class TorchDraws:
    """Draws from a torch generator, by default the global one of the device."""

    def __init__(self, generator: torch.Generator | None = None) -> None:
        self.generator = generator

    def mask(self, name: str, shape: tuple[int, ...], keep_prob: float) -> GeneratorMask:
        """See :class:`Draws`."""
        return GeneratorMask(tuple(shape), keep_prob, self.generator)

    def normal(self, name: str, shape: tuple[int, ...], like: Tensor) -> Tensor:
        """See :class:`Draws`."""
        return like.new_empty(shape).normal_(generator=self.generator)

    def uniform(self, name: str, shape: tuple[int, ...], like: Tensor) -> Tensor:
        """See :class:`Draws`."""
        return like.new_empty(shape).uniform_(generator=self.generator)


@dataclasses.dataclass(frozen=True)
class RecordedMask:
    """A mask with recorded numbers."""

    values: np.ndarray

    @property
    def shape(self) -> tuple[int, ...]:
        """[B, T, n]."""
        return self.values.shape

    def tensor(self, like: Tensor) -> Tensor:
        """See :class:`Mask`."""
        return torch.tensor(self.values, dtype=like.dtype, device=like.device)


class RecordedDraws:
    """Replays recorded numbers; each name can be requested once."""

    def __init__(self, recorded: Mapping[str, np.ndarray]) -> None:
        self.left = dict(recorded)

    def mask(self, name: str, shape: tuple[int, ...], keep_prob: float) -> RecordedMask:
        """The recorded mask of that name.

        Raises:
            BadInput: when the name is unknown or already used, or the recorded shape differs.
        """
        return RecordedMask(self._take(name, shape))

    def normal(self, name: str, shape: tuple[int, ...], like: Tensor) -> Tensor:
        """The recorded normal numbers of that name; raises like :meth:`mask`."""
        return torch.tensor(self._take(name, shape), dtype=like.dtype, device=like.device)

    def uniform(self, name: str, shape: tuple[int, ...], like: Tensor) -> Tensor:
        """The recorded uniform numbers of that name; raises like :meth:`mask`."""
        return torch.tensor(self._take(name, shape), dtype=like.dtype, device=like.device)

    def check_all_used(self) -> None:
        """Raises BadInput when a recorded draw was never requested."""
        if self.left:
            raise BadInput(f"recorded draws that the model never requested: {', '.join(sorted(self.left))}")

    def _take(self, name: str, shape: tuple[int, ...]) -> np.ndarray:
        if name not in self.left:
            raise BadInput(f"no recorded draw {name!r} is left; remaining: {', '.join(sorted(self.left)) or 'none'}")
        value = self.left.pop(name)
        if value.shape != tuple(shape):
            raise BadInput(f"recorded draw {name!r} has shape {list(value.shape)}, the model requests {list(shape)}")
        return value


@dataclasses.dataclass(frozen=True)
class Stream:
    """The random words of one name in one step of a training.

    Its words are those of Philox under the key (``seed``, ``step``) at the counters (unit, block of time steps, row,
    ``name_id``). These fill key and counter exactly, so no two streams of a training share a word.

    The step may be an int64 scalar on the device, which a CUDA graph reads anew each time it is replayed.
    """

    seed: int
    step: int | Tensor
    name_id: int

    def blocks(self, unit: Words, block: Words, row: Words) -> tuple[Words, Words, Words, Words]:
        """Four words for each unit, block and row, in arrays that broadcast against each other."""
        return philox((unit, block, row, row * 0 + self.name_id), (self.seed, self.step))

    def words(self, batch: int, units: int, rows: Sequence[int], device: torch.device) -> list[Tensor]:
        """The four words of block 0 for each row and unit, [B, n] each, int64 in 0..2^32 - 1."""
        unit, block = torch.arange(units, device=device), torch.zeros(1, dtype=torch.int64, device=device)
        words = self.blocks(unit, block, rows_on(rows, device).view(batch, 1))
        return [word.expand(batch, units) for word in words]


@dataclasses.dataclass(frozen=True)
class KeyedMask:
    """A mask whose numbers are a function of a stream, the row, the time step t and the unit.

    A block of four words serves eight time steps: step t uses 16 bits of word (t % 8) // 2 of block t // 8, the upper
    half when t is odd. A unit is kept where they are below :attr:`threshold`. This rounds keep_prob to a multiple of
    2^-16, a change of less than 8e-6.
    """

    shape: tuple[int, int, int]  # [B, T, n]
    keep_prob: float
    stream: Stream
    rows: Sequence[int]

    @property
    def threshold(self) -> int:
        """A unit is kept where its 16 bits are below this number, 0..65536."""
        return round(self.keep_prob * 2**16)

    def tensor(self, like: Tensor) -> Tensor:
        """See :class:`Mask`."""
        in_numpy = like.device.type == "cpu" and isinstance(self.stream.step, int)
        return self._on_cpu(like) if in_numpy else self._on_device(like)

    def _on_device(self, like: Tensor) -> Tensor:
        _, steps, units = self.shape
        unit = torch.arange(units, device=like.device).view(1, 1, -1)
        block = torch.arange((steps + 7) // 8, device=like.device).view(1, -1, 1)
        words = self.stream.blocks(unit, block, rows_on(self.rows, like.device).view(-1, 1, 1))
        upper = self.threshold << 16
        halves = [half for word in words for half in ((word & 0xFFFF) < self.threshold, word < upper)]
        kept = torch.stack(halves, dim=2)  # [B, T / 8, 8, n]
        return kept.flatten(1, 2)[:, :steps].to(like.dtype) * (like.new_ones(()) / self.keep_prob)

    def _on_cpu(self, like: Tensor) -> Tensor:
        """Compute a few rows at a time, which fit into a core's cache, in as many threads as torch uses."""
        batch, steps, units = self.shape
        result = torch.empty(self.shape, dtype=like.dtype, device="cpu")
        out, scale = result.numpy(), (like.new_ones(()) / self.keep_prob).numpy()
        unit = np.arange(units, dtype=np.uint32).reshape(1, 1, -1)
        block = np.arange((steps + 7) // 8, dtype=np.uint32).reshape(1, -1, 1)
        rows = np.array(self.rows, dtype=np.uint32).reshape(-1, 1, 1)
        together = max(1, _IN_CACHE // (block.size * units))

        def fill(first: int) -> None:
            part = slice(first, first + together)
            for number, word in enumerate(self.stream.blocks(unit, block, rows[part])):
                for odd, half in enumerate((word & np.uint32(0xFFFF), word >> np.uint32(16))):
                    at_these_steps = out[part, 2 * number + odd :: 8]
                    np.multiply(half[:, : at_these_steps.shape[1]] < self.threshold, scale, out=at_these_steps)

        parts = range(0, batch, together)
        workers = min(torch.get_num_threads(), len(parts))
        if workers > 1 and result.numel() >= _WORTH_THREADS:
            with ThreadPoolExecutor(workers) as pool:
                list(pool.map(fill, parts))
        else:
            for first in parts:
                fill(first)
        return result


def rows_on(rows: Sequence[int], device: torch.device) -> Tensor:
    """Row numbers as a tensor. A range is created on the device, since a copy from the host would stall a GPU."""
    if isinstance(rows, range):
        return torch.arange(rows.start, rows.stop, rows.step, device=device)
    return torch.tensor(list(rows), device=device)


class KeyedDraws:
    """Random numbers that depend only on seed, step, name, row of the whole batch, time step and unit.

    - Any step can be drawn again.
    - A process that holds some rows of a batch draws the same numbers for them as a single process would.
    - The length of the longest sketch in a batch does not change the masks of the others.
    - All devices draw the same masks and uniform numbers, bit for bit; normal numbers differ only in the rounding of
      log and cos.

    Args:
        seed: seed of the training, 0..2^32 - 1.
        step: number of the step, 0..2^32 - 1; see also :class:`Stream`.
        rows: row numbers in the whole batch, in order; every request must be for this number of rows.
    """

    def __init__(self, seed: int, step: int | Tensor, rows: Sequence[int]) -> None:
        self.seed, self.step, self.rows = seed, step, rows

    def mask(self, name: str, shape: tuple[int, ...], keep_prob: float) -> KeyedMask:
        """See :class:`Draws`; the shape is [B, T, n].

        Raises:
            BadInput: when B is not the number of rows.
        """
        batch, steps, units = shape
        return KeyedMask((batch, steps, units), keep_prob, self._stream(name, batch), self.rows)

    def normal(self, name: str, shape: tuple[int, ...], like: Tensor) -> Tensor:
        """See :class:`Draws`; the shape is [B, n]. By Box and Muller (1958), in float64; raises like :meth:`mask`."""
        first, second, *_ = (word.double() for word in self._words(name, shape, like))
        radius = torch.sqrt(-2 * torch.log((first + 1) * 2**-32))  # the log of a number in (0, 1] is finite
        return (radius * torch.cos(2 * math.pi * 2**-32 * second)).to(dtype=like.dtype, device=like.device)

    def uniform(self, name: str, shape: tuple[int, ...], like: Tensor) -> Tensor:
        """See :class:`Draws`; the shape is [B, n]; raises like :meth:`mask`."""
        word = self._words(name, shape, like)[0].to(like.device)
        if like.dtype == torch.float64:
            return word.double() * 2**-32
        return (word >> 8).to(like.dtype) * 2**-24  # 24 bits fit into a float32; rounding 32 could give 1

    def _words(self, name: str, shape: tuple[int, ...], like: Tensor) -> list[Tensor]:
        batch, units = shape
        device = torch.device("cpu") if like.device.type == "mps" else like.device  # mps has no float64
        return self._stream(name, batch).words(batch, units, self.rows, device)

    def _stream(self, name: str, batch: int) -> Stream:
        if batch != len(self.rows):
            raise BadInput(f"{name}: requested for {batch} rows, but these draws are keyed for {len(self.rows)}")
        return Stream(self.seed, self.step, name_id(name))
