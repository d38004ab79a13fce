"""How a model computes its sequences: by the loop that reads as the equations, or by a fused path.

All backends use the same parameters and give the same results up to rounding. A backend gives the same bits each time,
for a number of threads.
"""

import functools
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast

import torch
from torch import Tensor

from pytorch_sketch_rnn.errors import BadInput, excerpt
from pytorch_sketch_rnn.model import sequence
from pytorch_sketch_rnn.model.cells import Cell, State
from pytorch_sketch_rnn.model.draws import Mask
from pytorch_sketch_rnn.model.sampler import LoopSampler, Sampler
from pytorch_sketch_rnn.model.sequence import Masks
from pytorch_sketch_rnn.model.tape import NO_TAPE, Tape

if TYPE_CHECKING:
    from pytorch_sketch_rnn.model.decoder import Decoder

AUTO, REFERENCE, FUSED = "auto", "reference", "fused"
REQUESTS = (AUTO, REFERENCE, FUSED)
_Function = TypeVar("_Function", bound=Callable[..., object])


class BackendNotice(UserWarning):
    """Something slower than what was asked for is used, and why."""


class Backend(Protocol):
    """A way to compute sequences; see :func:`sequence.run` and :func:`sequence.run_both`."""

    @property
    def name(self) -> str:
        """Such as ``reference`` or ``fused:avx2``; :func:`backend_for` takes it as a request."""
        ...

    def run(
        self,
        cell: Cell,
        inputs: Tensor,
        state: State,
        masks: Masks = ...,
        tape: Tape = ...,
        *,
        constant: Tensor | None = None,
    ) -> tuple[Tensor, State]:
        """Run a cell over inputs [B, T, i] of full length: its outputs [B, T, n] and the final state."""
        ...

    def run_both(
        self,
        fw: Cell,
        bw: Cell,
        inputs: Tensor,
        lengths: Tensor,
        masks: tuple[Mask | None, Mask | None] = ...,
        tape: Tape = ...,
    ) -> tuple[State, State]:
        """Run two cells over the same sketches, one from each end: their final states."""
        ...

    def sampler(self, decoder: "Decoder", z: Tensor | None, state: State, point: Tensor) -> Sampler:
        """Draw the points that follow; see :class:`LoopSampler`. The decoder's weights must not change meanwhile."""
        ...


class Loop:
    """The reference: a loop over the steps of a cell."""

    name = REFERENCE

    def run(
        self,
        cell: Cell,
        inputs: Tensor,
        state: State,
        masks: Masks = Masks(),  # noqa: B008 (immutable)
        tape: Tape = NO_TAPE,
        *,
        constant: Tensor | None = None,
    ) -> tuple[Tensor, State]:
        """See :func:`sequence.run`."""
        return sequence.run(cell, inputs, state, None, masks, tape, constant=constant)

    def run_both(
        self,
        fw: Cell,
        bw: Cell,
        inputs: Tensor,
        lengths: Tensor,
        masks: tuple[Mask | None, Mask | None] = (None, None),
        tape: Tape = NO_TAPE,
    ) -> tuple[State, State]:
        """See :func:`sequence.run_both`."""
        return sequence.run_both(fw, bw, inputs, lengths, masks, tape)

    def sampler(self, decoder: "Decoder", z: Tensor | None, state: State, point: Tensor) -> Sampler:
        """See :class:`LoopSampler`."""
        return LoopSampler(decoder, z, state, point)


LOOP = Loop()


def eager(function: _Function) -> _Function:
    """Keep ``torch.compile`` of a caller's code out of a function: it cannot trace what they call."""

    @functools.wraps(function)
    def called(*args: Any, **kwargs: Any) -> object:
        if torch.compiler.is_compiling():  # not before: it imports torch's compiler, which takes seconds
            return torch.compiler.disable(function)(*args, **kwargs)
        return function(*args, **kwargs)

    return cast(_Function, called)


@eager
def backend_for(request: str, device: torch.device) -> Backend:
    """The backend that a request means on a device of this machine. The first call may compile kernels, once.

    Args:
        request: ``reference``; ``fused``, the fastest fused path that agrees with the reference here; ``auto``, the
            same, or the reference where there is none; or the name of a backend, such as ``fused:avx2``.
        device: of the model's weights.

    Raises:
        BadInput: when there is no such backend on this machine, or it does not agree with the reference here.
    """
    if request == REFERENCE:
        return LOOP
    from pytorch_sketch_rnn.model.fused import choice

    if request in (AUTO, FUSED):
        fastest, reasons = choice.fastest(device)
        _notice_once(*reasons)
        if fastest is None and request == FUSED:
            why = "; ".join(reasons) or "it has none"
            raise BadInput(f"backend is fused, but {device} can use no fused path: {why}", name="backend")
        return fastest or LOOP
    try:
        return choice.proven(request, device)
    except choice.Unusable as error:
        raise BadInput(
            f"backend is {excerpt(request)}, which cannot be used on {device}: {error}; "
            f"expected {', '.join(REQUESTS)}, or the name of a fused path that is there",
            name="backend",
        ) from None


@functools.cache
def _notice_once(*reasons: str) -> None:
    if reasons:
        warnings.warn(f"a faster backend cannot be used: {'; '.join(reasons)}", BackendNotice, stacklevel=4)
