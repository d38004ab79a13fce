"""A cell over time.

Source: TensorFlow's ``dynamic_rnn`` as Magenta ``model.py`` calls it: past a sketch's length the state stands still and
the output is zero. This is the place for a faster path that gives the same numbers.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from pytorch_sketch_rnn.model.cells import Cell, State, dropped
from pytorch_sketch_rnn.model.tape import NO_TAPE, Tape


class Masks(NamedTuple):
    """Dropout masks of a whole sequence, [T, B, n] each, or None where that dropout is off."""

    recurrent: Tensor | None = None  # n: units
    input: Tensor | None = None  # n: inputs
    output: Tensor | None = None  # n: units


def run(
    cell: Cell,
    inputs: Tensor,
    state: State,
    lengths: Tensor | None = None,
    masks: Masks = Masks(),  # noqa: B008 (immutable)
    tape: Tape = NO_TAPE,
) -> tuple[Tensor, State]:
    """Take the cell through ``inputs`` [B, T, input_size] from ``state``.

    Args:
        cell: the cell.
        inputs: what it reads.
        state: what it starts from.
        lengths: true lengths [B], or None where every sketch has T steps.
        masks: dropout masks.
        tape: takes down at each step, [B, T, ...], every intermediate of the cell, the ``output`` and the packed
            ``state``, and ``final_state``.

    Returns:
        Outputs [B, T, n] and the final state.
    """
    steps = tape.steps()
    outputs = []
    for t, x in enumerate(inputs.unbind(dim=1)):
        recurrent, before, after = (None if mask is None else mask[t] for mask in masks)
        output, new_state = cell(dropped(x, before), state, recurrent, steps)
        output = dropped(output, after)
        if lengths is not None:
            alive = (t < lengths).unsqueeze(1)  # [B, 1]
            output = torch.where(alive, output, 0)
            new_state = type(state)(*(torch.where(alive, new, old) for new, old in zip(new_state, state, strict=True)))
        state = new_state
        if tape.enabled:
            steps(output=output, state=cell.pack(state))
        outputs.append(output)
    if tape.enabled:
        tape(**steps.stacked(), final_state=cell.pack(state))
    return torch.stack(outputs, dim=1), state


def reverse_prefix(values: Tensor, lengths: Tensor) -> Tensor:
    """Reverse the first ``lengths[b]`` steps of each row of [B, T, ...]; the rest stays. Its own inverse."""
    t = torch.arange(values.shape[1], device=values.device)
    ends = lengths.unsqueeze(1)  # [B, 1]
    index = torch.where(t < ends, ends - 1 - t, t)  # [B, T]
    return values[torch.arange(values.shape[0], device=values.device).unsqueeze(1), index]
