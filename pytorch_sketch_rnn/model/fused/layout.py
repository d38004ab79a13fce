"""Which rows of a batch take part in each step of a sequence, and where their numbers are kept.

On a CPU, sketches are sorted by length, longest first, so that those that still run are always the first rows of the
batch. On a GPU, whose host does not wait to learn the lengths, all rows take part in every step. The rows of all steps
are packed into one axis, which the weights' gradients read as one matrix product.
"""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor


@dataclass(frozen=True)
class Layout:
    """The packed rows of T steps of a batch of B sketches.

    There are T + 1 blocks of rows. Block t begins at row ``offsets[t]``; its first ``rows[t]`` rows are those that run
    at step t. It has room for all rows that ran at step t - 1, since it holds the states that they left; block T holds
    only these.

    Attributes:
        batch: number of sketches B.
        rows: number of running rows at each of T steps, never growing; the first is B.
        lengths: the length of each sketch [B], longest first; None where all rows run at every step.
        ends: the length of each sketch [B] on the device of its numbers, in any order; None where all have T steps.
            Rows that have ended still take part in every step, but their states are frozen.
    """

    batch: int
    rows: tuple[int, ...]
    lengths: Tensor | None = None
    ends: Tensor | None = None

    @classmethod
    def full(cls, batch: int, steps: int) -> "Layout":
        """Every sketch has all steps."""
        return cls(batch, (batch,) * steps)

    @classmethod
    def frozen(cls, steps: int, ends: Tensor) -> "Layout":
        """Sketches of these lengths [B], each 1..steps, of which nothing is read back to the host."""
        return cls(len(ends), (len(ends),) * steps, ends=ends.long().contiguous())

    @classmethod
    def ragged(cls, lengths: Tensor) -> "Layout":
        """Sketches of these lengths [B] on the host, longest first, each at least 1."""
        running = torch.arange(int(lengths[0]), device=lengths.device).unsqueeze(1) < lengths  # [T, B]
        return cls(len(lengths), tuple(running.sum(dim=1).tolist()), lengths.long())

    @cached_property
    def capacities(self) -> tuple[int, ...]:
        """Number of rows of each of the T + 1 blocks."""
        return (self.batch, *self.rows)

    @cached_property
    def offsets(self) -> tuple[int, ...]:
        """First packed row of each of the T + 1 blocks."""
        offsets = [0]
        for capacity in self.capacities[:-1]:
            offsets.append(offsets[-1] + capacity)
        return tuple(offsets)

    @property
    def total(self) -> int:
        """Number of packed rows of all blocks."""
        return self.offsets[-1] + self.rows[-1]

    def running(self, t: int) -> slice:
        """The packed rows that run at step t."""
        return slice(self.offsets[t], self.offsets[t] + self.rows[t])

    def after(self, t: int) -> slice:
        """The packed rows that hold what the running rows of step t leave."""
        return slice(self.offsets[t + 1], self.offsets[t + 1] + self.rows[t])

    def output(self, t: int) -> slice:
        """The rows of step t where the first block is left out, since it holds no results."""
        return slice(self.offsets[t + 1] - self.batch, self.offsets[t + 1] - self.batch + self.rows[t])

    def pack(self, x: Tensor) -> Tensor:
        """[..., T, B, i] -> [..., S, i] without block T; rows that do not run are filled with what x holds there."""
        if self.lengths is None:
            return x.flatten(-3, -2)
        return torch.cat([x[..., t, :capacity, :] for t, capacity in enumerate(self.capacities[:-1])], dim=-2)

    def last_of(self, packed: Tensor) -> Tensor:
        """The state that each sketch leaves at its end: [D, S, n] -> [D, B, n]."""
        if self.lengths is None:
            return packed[:, self.offsets[-1] :].clone()
        return packed[:, self._last]

    @cached_property
    def _last(self) -> Tensor:
        assert self.lengths is not None
        return torch.tensor(self.offsets)[self.lengths] + torch.arange(self.batch)
