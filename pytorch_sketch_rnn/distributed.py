"""Data-parallel training: several processes train one model, each on some rows of every batch.

``torchrun`` starts the processes and sets RANK, WORLD_SIZE and the like; without it there is one process. The backend
is gloo on a CPU and NCCL on a GPU.
"""

import dataclasses
import os
import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from pytorch_sketch_rnn.errors import BadInput

TIMEOUT = timedelta(hours=1)  # of one operation: the other ranks wait while rank 0 downloads the data


@dataclasses.dataclass(frozen=True)
class Group:
    """The processes of a training, as rank ``rank`` of ``size`` sees them. A group of one sends nothing."""

    rank: int = 0
    size: int = 1

    @property
    def leads(self) -> bool:
        """Whether this is rank 0, which logs and saves."""
        return self.rank == 0

    def rows(self, batch_size: int) -> range:
        """This rank's rows of a batch. If they do not divide evenly, lower ranks get one extra.

        Raises:
            BadInput: when there are more processes than rows.
        """
        if self.size > batch_size:
            raise BadInput(f"{self.size} processes for a batch of {batch_size}: expected at least a row for each")
        each, more = divmod(batch_size, self.size)
        first = self.rank * each + min(self.rank, more)
        return range(first, first + each + (self.rank < more))

    def sum(self, values: Tensor) -> Tensor:
        """The sum over all ranks. Its gradient passes unchanged to this rank's ``values``.

        Raises:
            LostProcess: when another process has ended.
        """
        if self.size == 1:
            return values
        with _lost_process():
            total: Tensor = _Sum.apply(values)  # type: ignore[no-untyped-call]  # torch leaves it untyped
            return total

    def any(self, condition: bool, device: torch.device) -> bool:
        """Whether a condition is true on at least one rank.

        Raises:
            LostProcess: when another process has ended.
        """
        return condition if self.size == 1 else bool(self.sum(torch.tensor(float(condition), device=device)) > 0)

    def broadcast(self, value: Any) -> Any:
        """Send rank 0's object, which must be picklable, to every rank.

        Raises:
            LostProcess: when another process has ended.
        """
        if self.size == 1:
            return value
        box = [value]
        with _lost_process():
            dist.broadcast_object_list(box, src=0)
        return box[0]

    def broadcast_tensors(self, tensors: Iterable[Tensor]) -> None:
        """Overwrite tensors with rank 0's; the same computation may round differently on another machine.

        Raises:
            LostProcess: when another process has ended.
        """
        if self.size > 1:
            with _lost_process():
                for tensor in tensors:
                    dist.broadcast(tensor.detach(), src=0)

    def wait(self) -> None:
        """Return when every rank has called this.

        Raises:
            LostProcess: when another process has ended.
        """
        if self.size > 1:
            with _lost_process():
                dist.barrier()


class _Sum(torch.autograd.Function):
    """All-reduce whose backward pass returns the gradient unchanged, where torch's own would sum it again."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        values = values.clone()
        dist.all_reduce(values)
        return values

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return gradient


class LostProcess(RuntimeError):
    """Another process of the training has ended."""


@contextmanager
def _lost_process() -> Iterator[None]:
    """Turn what gloo and NCCL raise for a closed connection or a time-out into :class:`LostProcess`."""
    try:
        yield
    except RuntimeError as error:
        raise LostProcess(_reason(error)) from error


def _reason(error: RuntimeError) -> str:
    """The first sentence of a message, without the C++ source location in front of it."""
    return re.sub(r"^\[[^]]*\] ", "", str(error).splitlines()[0]).split(". ")[0]


def join(device: torch.device) -> Group:
    """Join the processes that ``torchrun`` started; without ``torchrun``, a group of one.

    Raises:
        BadInput: when torchrun's environment variables are invalid, the other processes cannot be reached, or several
            processes are to use mps.
    """
    if not under_torchrun():
        return Group()
    if device.type == "mps" and os.environ["WORLD_SIZE"] != "1":
        raise BadInput("several processes cannot train on mps: expected --device=cpu, or one process")
    try:
        # with size 1 too, so that one process under torchrun is no special case
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=TIMEOUT)
    except (ValueError, RuntimeError) as error:
        raise BadInput(f"cannot join torchrun's processes: {error}") from None
    return Group(dist.get_rank(), dist.get_world_size())


def under_torchrun() -> bool:
    """Whether ``torchrun`` started this process."""
    return "WORLD_SIZE" in os.environ and "RANK" in os.environ


def exit_code(code: int) -> int:
    """The exit code for ``sys.exit``; a process that ``torchrun`` started ends here instead, without its destructors.

    In one run of twenty, gloo's threads abort in them when all is done and saved.
    """
    if under_torchrun():
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    return code
