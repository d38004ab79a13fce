"""Running a cell over a sequence.

Source: TensorFlow's ``dynamic_rnn`` as Magenta ``model.py`` calls it: after a sketch ends, its state is frozen and its
output is zero. A faster path with the same results is in ``fused/``, beside :func:`run` and :func:`run_both`.
"""

from typing import Literal, NamedTuple, overload

import torch
from torch import Tensor

from pytorch_sketch_rnn.model.cells import Cell, State, apply_mask
from pytorch_sketch_rnn.model.draws import Mask
from pytorch_sketch_rnn.model.tape import NO_TAPE, Tape


class Masks(NamedTuple):
    """Dropout masks of a whole sequence, [B, T, n] each, or None where that dropout is off."""

    recurrent: Mask | None = None  # n: units
    input: Mask | None = None  # n: inputs
    output: Mask | None = None  # n: units


@overload
def run(
    cell: Cell,
    inputs: Tensor,
    state: State,
    lengths: Tensor | None = None,
    masks: Masks = ...,
    tape: Tape = ...,
    *,
    constant: Tensor | None = None,
    outputs: Literal[True] = True,
) -> tuple[Tensor, State]: ...
@overload
def run(
    cell: Cell,
    inputs: Tensor,
    state: State,
    lengths: Tensor | None = None,
    masks: Masks = ...,
    tape: Tape = ...,
    *,
    constant: Tensor | None = None,
    outputs: Literal[False],
) -> tuple[None, State]: ...
def run(
    cell: Cell,
    inputs: Tensor,
    state: State,
    lengths: Tensor | None = None,
    masks: Masks = Masks(),  # noqa: B008 (immutable)
    tape: Tape = NO_TAPE,
    *,
    constant: Tensor | None = None,
    outputs: bool = True,
) -> tuple[Tensor | None, State]:
    """Run a cell over ``inputs``, starting from ``state``.

    Args:
        cell: the cell; it reads [inputs, constant].
        inputs: the inputs that change over time, [B, T, i].
        state: the initial state.
        lengths: true lengths [B], or None where every sketch has T steps.
        masks: dropout masks.
        tape: records every intermediate of the cell, the ``output`` and the packed ``state`` of each step,
            [B, T, ...], and the packed ``final_state``.
        constant: the inputs that are the same at every step, [B, c], or None.
        outputs: whether to keep the output of each step.

    Returns:
        The outputs [B, T, n], or None if they were not kept, and the final state.
    """
    if constant is not None:
        inputs = torch.cat([inputs, constant.unsqueeze(1).expand(-1, inputs.shape[1], -1)], dim=2)  # [B, T, i + c]
    recurrent, before, after = (_by_step(mask, inputs) for mask in masks)
    steps = tape.steps()
    kept = []
    for t, x in enumerate(inputs.unbind(dim=1)):
        output, new_state = cell(apply_mask(x, before[t]), state, recurrent[t], steps)
        output = apply_mask(output, after[t])
        if lengths is not None:
            alive = (t < lengths).unsqueeze(1)  # [B, 1]
            output = torch.where(alive, output, 0)
            new_state = type(state)(*(torch.where(alive, new, old) for new, old in zip(new_state, state, strict=True)))
        state = new_state
        if tape.enabled:
            steps(output=output, state=cell.pack(state))
        if outputs:
            kept.append(output)
    if tape.enabled:
        tape(**steps.stacked(), final_state=cell.pack(state))
    return torch.stack(kept, dim=1) if outputs else None, state


def run_both(
    fw: Cell,
    bw: Cell,
    inputs: Tensor,
    lengths: Tensor,
    masks: tuple[Mask | None, Mask | None] = (None, None),
    tape: Tape = NO_TAPE,
) -> tuple[State, State]:
    """Run two cells over the same sketches, one from each end, starting from states of zeros.

    Args:
        fw: reads each sketch from its first point to its last.
        bw: reads each sketch from its last point to its first.
        inputs: [B, T, i].
        lengths: true lengths [B], each 1..T.
        masks: recurrent dropout masks [B, T, n] of ``fw`` and ``bw``, each in its cell's own order of steps.
        tape: records ``fw/...`` and ``bw/...`` as :func:`run` does, each in its cell's own order of steps.

    Returns:
        The final states of ``fw`` and ``bw``.
    """
    backwards = reverse_prefix(inputs, lengths)
    fw_start, bw_start = (cell.zero_state(len(inputs), inputs) for cell in (fw, bw))
    _, fw_state = run(fw, inputs, fw_start, lengths, Masks(masks[0]), tape.scope("fw"), outputs=False)
    _, bw_state = run(bw, backwards, bw_start, lengths, Masks(masks[1]), tape.scope("bw"), outputs=False)
    return fw_state, bw_state


def reverse_prefix(values: Tensor, lengths: Tensor) -> Tensor:
    """Reverse the first ``lengths[b]`` steps of each row of [B, T, ...] and leave the rest. It is its own inverse."""
    t = torch.arange(values.shape[1], device=values.device)
    ends = lengths.unsqueeze(1)  # [B, 1]
    index = torch.where(t < ends, ends - 1 - t, t)  # [B, T]
    return values[torch.arange(values.shape[0], device=values.device).unsqueeze(1), index]


def _by_step(mask: Mask | None, like: Tensor) -> tuple[Tensor | None, ...]:
    """The mask of each step, [B, n] each."""
    return (None,) * like.shape[1] if mask is None else mask.tensor(like).unbind(dim=1)
