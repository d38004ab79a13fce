"""Where every random number of the model comes from: it is asked for by name, and the caller chooses who answers.

Names are ``latent``, ``encoder/fw/recurrent``, ``encoder/bw/recurrent``, ``decoder/recurrent``, ``decoder/input`` and
``decoder/output``. A mask covers a whole sequence, [T, B, n], in the order in which its cell takes the steps: the
backward encoder begins at the last point of each sketch.
"""

import zlib
from collections.abc import Iterator, Mapping
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from pytorch_sketch_rnn.errors import BadInput


class Draws(Protocol):
    """A source of random numbers; ``like`` gives the dtype and device of the answer."""

    def mask(self, name: str, shape: tuple[int, ...], keep_prob: float, like: Tensor) -> Tensor:
        """A dropout mask: 1 / keep_prob with probability keep_prob, else 0."""
        ...

    def normal(self, name: str, shape: tuple[int, ...], like: Tensor) -> Tensor:
        """Standard normal numbers."""
        ...

    def uniform(self, name: str, shape: tuple[int, ...], like: Tensor) -> Tensor:
        """Uniform numbers in [0, 1)."""
        ...


class TorchDraws:
    """Draws from a torch generator, by default the global one of the device."""

    def __init__(self, generator: torch.Generator | None = None) -> None:
        self.generator = generator

    def mask(self, name: str, shape: tuple[int, ...], keep_prob: float, like: Tensor) -> Tensor:
        """See :class:`Draws`."""
        return like.new_empty(shape).bernoulli_(keep_prob, generator=self.generator).div_(keep_prob)

    def normal(self, name: str, shape: tuple[int, ...], like: Tensor) -> Tensor:
        """See :class:`Draws`."""
        return like.new_empty(shape).normal_(generator=self.generator)

    def uniform(self, name: str, shape: tuple[int, ...], like: Tensor) -> Tensor:
        """See :class:`Draws`."""
        return like.new_empty(shape).uniform_(generator=self.generator)


class RecordedDraws:
    """Answers with recorded numbers, each name once."""

    def __init__(self, recorded: Mapping[str, np.ndarray]) -> None:
        self.left = dict(recorded)

    def mask(self, name: str, shape: tuple[int, ...], keep_prob: float, like: Tensor) -> Tensor:
        """The recorded mask of that name.

        Raises:
            BadInput: when there is none left, or it has another shape.
        """
        return self._take(name, shape, like)

    def normal(self, name: str, shape: tuple[int, ...], like: Tensor) -> Tensor:
        """The recorded normal numbers of that name; raises like :meth:`mask`."""
        return self._take(name, shape, like)

    def uniform(self, name: str, shape: tuple[int, ...], like: Tensor) -> Tensor:
        """The recorded uniform numbers of that name; raises like :meth:`mask`."""
        return self._take(name, shape, like)

    def check_all_used(self) -> None:
        """Raises BadInput when a recorded draw was never asked for."""
        if self.left:
            raise BadInput(f"recorded draws that the model never asked for: {', '.join(sorted(self.left))}")

    def _take(self, name: str, shape: tuple[int, ...], like: Tensor) -> Tensor:
        if name not in self.left:
            raise BadInput(f"no recorded draw {name!r} is left; left are: {', '.join(sorted(self.left)) or 'none'}")
        value = self.left.pop(name)
        if value.shape != tuple(shape):
            raise BadInput(f"recorded draw {name!r} has shape {list(value.shape)}, the model asks for {list(shape)}")
        return torch.tensor(value, dtype=like.dtype, device=like.device)


class KeyedDraws:
    """Numbers that are a function of seed, step, name and row of the whole batch, and of nothing else.

    So a step can be drawn again, and a process that holds some rows of the batch draws for them what a single process
    would. Sequences are drawn to the longest length there can be, then cut: how long the longest sketch beside a row is
    must not matter.

    Args:
        seed: of the training.
        step: which step.
        rows: which rows of the whole batch are asked for.
        max_seq_len: no mask has more steps.
    """

    def __init__(self, seed: int, step: int, rows: range, max_seq_len: int) -> None:
        self.seed, self.step, self.rows, self.max_seq_len = seed, step, rows, max_seq_len

    def mask(self, name: str, shape: tuple[int, ...], keep_prob: float, like: Tensor) -> Tensor:
        """See :class:`Draws`; the shape is [T, B, n]."""
        steps, _, units = shape
        masks = [row.mask(name, (self.max_seq_len, units), keep_prob, like) for row in self._of_rows(name, like)]
        return torch.stack(masks, dim=1)[:steps]

    def normal(self, name: str, shape: tuple[int, ...], like: Tensor) -> Tensor:
        """See :class:`Draws`; the shape is [B, n]."""
        return torch.stack([row.normal(name, shape[1:], like) for row in self._of_rows(name, like)])

    def uniform(self, name: str, shape: tuple[int, ...], like: Tensor) -> Tensor:
        """See :class:`Draws`; the shape is [B, n]."""
        return torch.stack([row.uniform(name, shape[1:], like) for row in self._of_rows(name, like)])

    def _of_rows(self, name: str, like: Tensor) -> Iterator[TorchDraws]:
        generator = torch.Generator(like.device)
        for row in self.rows:
            key = np.random.SeedSequence([self.seed, self.step, zlib.crc32(name.encode()), row])
            yield TorchDraws(generator.manual_seed(int(key.generate_state(1, np.uint64)[0])))
