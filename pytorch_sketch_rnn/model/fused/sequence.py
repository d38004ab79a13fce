"""Sequences of cells by the fused path; the same functions as in ``model/sequence.py``."""

import functools
import warnings
from collections.abc import Callable, Sequence
from ctypes import CDLL
from functools import partial
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor

from pytorch_sketch_rnn.model.backend import LOOP, BackendNotice, eager
from pytorch_sketch_rnn.model.cells import Cell, HyperLSTMCell, LayerNormLSTMCell, LSTMCell, State
from pytorch_sketch_rnn.model.draws import Mask
from pytorch_sketch_rnn.model.fused.build import CannotBuild
from pytorch_sketch_rnn.model.fused.gated import GatedSequence
from pytorch_sketch_rnn.model.fused.hyper import HyperSequence
from pytorch_sketch_rnn.model.fused.kernels import Dropout, Kernels
from pytorch_sketch_rnn.model.fused.layout import Layout
from pytorch_sketch_rnn.model.fused.memory import room
from pytorch_sketch_rnn.model.fused.native_sampler import NativeSampler
from pytorch_sketch_rnn.model.fused.self_check import sampling_disagreement
from pytorch_sketch_rnn.model.fused.weights import gated_weights, hyper_weights
from pytorch_sketch_rnn.model.sampler import Sampler
from pytorch_sketch_rnn.model.sequence import Masks, reverse_prefix
from pytorch_sketch_rnn.model.tape import NO_TAPE, Tape

if TYPE_CHECKING:
    from pytorch_sketch_rnn.model.decoder import Decoder

PREFIX = "fused:"


class Fused:
    """A backend that computes whole sequences with their gradients by hand.

    An enabled tape records what the layers compute, so it makes the reference compute them.

    Args:
        name: of the backend.
        kernels: the element-wise part of each step.
        sampling: compiles ``sampling.cpp``; None: sketches are drawn by the reference.
    """

    def __init__(self, name: str, kernels: Kernels, sampling: Callable[[], CDLL] | None = None) -> None:
        self.name = name
        self._kernels = kernels
        self._sampling = sampling

    @eager
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
        """See :meth:`Backend.run`."""
        if tape.enabled or not _fits(cell, inputs, constant, *state):
            return LOOP.run(cell, inputs, state, masks, tape, constant=constant)
        batch, steps, _ = inputs.shape
        dropout = self._dropout([masks.recurrent], inputs, None, None)  # drawn first, as the reference does
        if masks.input is not None:  # then nothing is the same at every step
            inputs = _with_constant(inputs, constant)
            inputs, constant = inputs * masks.input.tensor(inputs), None
        x = inputs.transpose(0, 1).reshape(1, steps * batch, inputs.shape[2])
        hidden, (last,) = self._run([cell], Layout.full(batch, steps), x, constant, [state], dropout, outputs=True)
        outputs = hidden.view(steps, batch, cell.num_units).transpose(0, 1)
        return outputs if masks.output is None else outputs * masks.output.tensor(outputs), last

    @eager
    def run_both(
        self,
        fw: Cell,
        bw: Cell,
        inputs: Tensor,
        lengths: Tensor,
        masks: tuple[Mask | None, Mask | None] = (None, None),
        tape: Tape = NO_TAPE,
    ) -> tuple[State, State]:
        """See :meth:`Backend.run_both`."""
        fit = all(_fits(cell, inputs) for cell in (fw, bw)) and type(fw) is type(bw) and _epsilon(fw) == _epsilon(bw)
        if tape.enabled or not fit or (masks[0] is None) != (masks[1] is None):
            return LOOP.run_both(fw, bw, inputs, lengths, masks, tape)
        if self._kernels.freezes:
            dropout = self._dropout(masks, inputs, None, lengths)
            x = torch.stack([inputs, reverse_prefix(inputs, lengths)]).transpose(1, 2)  # [2, T, B, i]
            layout = Layout.frozen(inputs.shape[1], lengths)
            start = [cell.zero_state(len(inputs), inputs) for cell in (fw, bw)]
            _, (fw_state, bw_state) = self._run([fw, bw], layout, layout.pack(x), None, start, dropout, outputs=False)
            return fw_state, bw_state
        dropout_lengths = lengths
        lengths, order = torch.sort(lengths, descending=True, stable=True)
        layout = Layout.ragged(lengths)
        dropout = self._dropout(masks, inputs, order, dropout_lengths.long().contiguous())
        inputs = inputs[order, : len(layout.rows)]
        x = layout.pack(torch.stack([inputs, reverse_prefix(inputs, lengths)]).transpose(1, 2))
        start = [cell.zero_state(len(inputs), inputs) for cell in (fw, bw)]
        _, states = self._run([fw, bw], layout, x, None, start, dropout, outputs=False)
        back = torch.argsort(order)
        fw_state, bw_state = (type(state)(*(each[back] for each in state)) for state in states)
        return fw_state, bw_state

    @eager
    def sampler(self, decoder: "Decoder", z: Tensor | None, state: State, point: Tensor) -> Sampler:
        """See :meth:`Backend.sampler`."""
        library = self._proven_sampling if _fits(decoder.cell, point, z, decoder.output_w, *state) else None
        if library is None:
            return LOOP.sampler(decoder, z, state, point)
        return NativeSampler(library, decoder, z, state, point)

    @functools.cached_property
    def _proven_sampling(self) -> CDLL | None:
        """The compiled sampling, if it agrees with the reference on this machine; if not, that is said once."""
        if self._sampling is None:
            return None
        try:
            library = self._sampling()
            with torch.device("cpu"):  # whatever the default device is
                wrong = sampling_disagreement(partial(NativeSampler, library))
        except CannotBuild as error:
            wrong = str(error)
        if wrong is None:
            return library
        message = f"{self.name} cannot draw sketches, so the reference does: {wrong}"
        warnings.warn(message, BackendNotice, stacklevel=4)
        return None

    def _dropout(
        self, masks: Sequence[Mask | None], like: Tensor, order: Tensor | None, lengths: Tensor | None
    ) -> Dropout | None:
        """The numbers of all masks; those beyond a row's length are undefined."""
        drawn = [mask for mask in masks if mask is not None]
        if not drawn:
            return None
        numbers = room(like, len(drawn), *drawn[0].shape)
        with torch.cuda.device_of(numbers):  # a kernel runs on the current device
            for out, mask in zip(numbers, drawn, strict=True):
                self._kernels.fill(out, mask, lengths)
        return Dropout(numbers, order)

    def _run(
        self,
        cells: Sequence[Cell],
        layout: Layout,
        x: Tensor,
        constant: Tensor | None,
        states: Sequence[State],
        dropout: Dropout | None,
        *,
        outputs: bool,
    ) -> tuple[Tensor, list[State]]:
        """The outputs in packed rows and the final states; x [D, packed rows, i], constant [B, c]."""
        kernels, kind = self._kernels, type(states[0])
        start = {name: torch.stack([getattr(state, name) for state in states]) for name in kind._fields}
        with torch.cuda.device_of(x):  # a kernel runs on the current device
            if isinstance(cells[0], HyperLSTMCell):
                hyper = hyper_weights(cast(Sequence[HyperLSTMCell], cells), x.shape[2])
                projected, projected_inner = (
                    None if constant is None else constant @ W for W in (hyper.W_constant, hyper.inner.W_constant)
                )
                hidden, *last = HyperSequence.apply(  # type: ignore[no-untyped-call]
                    *(kernels, layout, x, projected, projected_inner, *start.values()),
                    *(hyper.W_xh, hyper.W_hh, hyper.bias, hyper.inner.W, hyper.W_embedding, hyper.b_embedding),
                    *(hyper.W_signal, dropout, outputs, hyper.epsilon, *hyper.norm, *(hyper.inner.norm or ())),
                )
            else:
                gated = gated_weights(cast(Sequence[LSTMCell] | Sequence[LayerNormLSTMCell], cells), x.shape[2])
                projected = None if constant is None else constant @ gated.W_constant
                if gated.bias is not None:
                    bias = gated.bias.expand(-1, layout.batch, -1)
                    projected = bias.contiguous() if projected is None else projected + bias
                hidden, h, c = GatedSequence.apply(  # type: ignore[no-untyped-call]
                    *(kernels, layout, x, projected, start["h"], start["c"], gated.W, dropout, outputs),
                    gated.epsilon,
                    *(gated.norm or ()),
                )
                found = {"h": h, "c": c}
                last = [found[name] for name in kind._fields]
        return hidden, [kind(*(each[cell] for each in last)) for cell in range(len(cells))]


def _fits(cell: Cell, inputs: Tensor, *others: Tensor | None) -> bool:
    """Whether the fused path knows the cell, and all tensors share its device and a dtype that is computed as it is."""
    tensors = [inputs, *(other for other in others if other is not None)]
    device, dtype = cell.W_hh.device, cell.W_hh.dtype
    return (
        type(cell) in (LSTMCell, LayerNormLSTMCell, HyperLSTMCell)
        and dtype in (torch.float32, torch.float64)
        and all((each.device, each.dtype) == (device, dtype) for each in tensors)
        and len(inputs) > 0
        and not torch.is_autocast_enabled(device.type)
    )


def _epsilon(cell: Cell) -> float | None:
    return None if isinstance(cell, LSTMCell) else cast(LayerNormLSTMCell | HyperLSTMCell, cell).epsilon


def _with_constant(inputs: Tensor, constant: Tensor | None) -> Tensor:
    if constant is None:
        return inputs
    return torch.cat([inputs, constant.unsqueeze(1).expand(-1, inputs.shape[1], -1)], dim=2)
