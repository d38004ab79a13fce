"""Several processes that train one model, each on some rows of every batch.

Started by ``torchrun``, which sets RANK, WORLD_SIZE and the rest; without it there is one process. torch's own engine
does the work: gloo on CPU, NCCL on GPU.
"""

import dataclasses
import os
import re
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from pytorch_sketch_rnn.errors import BadInput

TIMEOUT = timedelta(hours=1)  # a process that is silent for so long is lost; a download must fit


@dataclasses.dataclass(frozen=True)
class Group:
    """The processes of a training; this one is number ``rank`` of ``size``."""

    rank: int = 0
    size: int = 1

    @property
    def leads(self) -> bool:
        """Whether this process logs and saves."""
        return self.rank == 0

    def rows(self, batch_size: int) -> range:
        """Which rows of a batch are this process's; where they cannot be equal, the first ones have one row more.

        Raises:
            BadInput: when there are more processes than rows.
        """
        if self.size > batch_size:
            raise BadInput(f"{self.size} processes for a batch of {batch_size}: expected at least a row for each")
        each, more = divmod(batch_size, self.size)
        first = self.rank * each + min(self.rank, more)
        return range(first, first + each + (self.rank < more))

    def sum(self, values: Tensor) -> Tensor:
        """The sum over all processes; a gradient goes back to this process's own values, as it is.

        Raises:
            LostProcess: when another process is gone.
        """
        if self.size == 1:
            return values
        try:
            total: Tensor = _Sum.apply(values)  # type: ignore[no-untyped-call]  # torch leaves it untyped
            return total
        except RuntimeError as error:  # what gloo and NCCL make of a closed connection, or of a time-out
            raise LostProcess(_reason(error)) from error

    def any(self, true: bool, device: torch.device) -> bool:
        """Whether it is true for one of the processes."""
        return true if self.size == 1 else bool(self.sum(torch.tensor(float(true), device=device)) > 0)

    def spread(self, tensors: Iterable[Tensor]) -> None:
        """Give all processes the numbers of the leading one: what each computes may differ by its CPU's rounding."""
        if self.size > 1:
            for tensor in tensors:
                dist.broadcast(tensor.detach(), src=0)

    def wait(self) -> None:
        """Return when all processes have come here.

        Raises:
            LostProcess: when another process is gone.
        """
        if self.size > 1:
            try:
                dist.barrier()
            except RuntimeError as error:
                raise LostProcess(_reason(error)) from error

    def told(self, value: Any) -> Any:
        """What the leading process says, to all."""
        if self.size == 1:
            return value
        box = [value]
        try:
            dist.broadcast_object_list(box, src=0)
        except RuntimeError as error:
            raise LostProcess(_reason(error)) from error
        return box[0]


class _Sum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        values = values.clone()
        dist.all_reduce(values)
        return values

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return gradient


class LostProcess(RuntimeError):
    """Another process of the training is gone."""


def _reason(error: RuntimeError) -> str:
    """The first sentence, without the place in the C++ source before it."""
    return re.sub(r"^\[[^]]*\] ", "", str(error).splitlines()[0]).split(". ")[0]


def join(device: torch.device) -> Group:
    """Join the processes that ``torchrun`` started; alone where it did not.

    Raises:
        BadInput: when its environment variables are broken or the others cannot be reached.
    """
    if not under_torchrun():
        return Group()
    try:
        # with size 1 too, so that one process under torchrun is no special case
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=TIMEOUT)
    except (ValueError, RuntimeError) as error:
        raise BadInput(f"torchrun's processes cannot be joined: {error}") from None
    return Group(dist.get_rank(), dist.get_world_size())


def local_device(device: str) -> str:
    """The device of this process: under ``torchrun``, ``cuda`` means the GPU of its local rank."""
    return f"cuda:{os.environ['LOCAL_RANK']}" if device == "cuda" and "LOCAL_RANK" in os.environ else device


def under_torchrun() -> bool:
    """Whether ``torchrun`` started this process."""
    return "WORLD_SIZE" in os.environ and "RANK" in os.environ
