"""Comparing a fused path with the reference on this machine, in small cases, before it is used."""

import itertools
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from pytorch_sketch_rnn.model import sequence
from pytorch_sketch_rnn.model.backend import Backend
from pytorch_sketch_rnn.model.cells import Cell, HyperLSTMCell, LayerNormLSTMCell, LSTMCell, State
from pytorch_sketch_rnn.model.decoder import Decoder
from pytorch_sketch_rnn.model.draws import RecordedMask
from pytorch_sketch_rnn.model.sampler import END, LoopSampler, Numbers, Sampler
from pytorch_sketch_rnn.model.sequence import Masks

# Relative to the largest number of a tensor. Measured: 4e-15 and 1e-6; a wrong kernel is off by 1e-3 or more.
_TOLERANCE = {torch.float64: 1e-12, torch.float32: 1e-4}
_INPUTS, _CONSTANT = 5, 3


class _Size(NamedTuple):
    units: int
    lengths: tuple[int, ...]  # of the sketches of a batch


_SMALL = _Size(19, (6, 1, 3, 6, 4))
# several threads share a step, and a product of 4 * 170 numbers is cut in depth (``kDepth`` of products.cpp)
_LARGE = _Size(170, (2, 1) * 25)


@torch.inference_mode(False)
@torch.enable_grad()
def disagreement(backend: Backend, device: torch.device) -> str | None:
    """What a backend computes otherwise than the reference, or None if it agrees.

    Outputs, final states and all gradients are compared, for the three cells, in both precisions and both directions,
    with dropout, ragged lengths and inputs that are the same at every step; one cell also in a larger case.
    """
    generator = torch.Generator().manual_seed(0)
    cases = [(dtype, kind, _SMALL) for dtype in _TOLERANCE for kind in (LSTMCell, LayerNormLSTMCell, HyperLSTMCell)]
    for dtype, kind, size in (*cases, (torch.float32, LayerNormLSTMCell, _LARGE)):
        random = _normal(generator, device, dtype)
        for direction, case in (("decoder", _decoder), ("encoder", _encoder)):
            ours, theirs = case(kind, size, random, backend)
            for name, value in theirs.items():
                error = ((ours[name] - value).abs().max() / value.abs().max().clamp(min=1e-30)).detach()
                if not float(error) <= _TOLERANCE[dtype]:  # true for NaN as well
                    where = f"{direction}, {kind.__name__} of {size.units} units, {name}"
                    return f"{where}: off by {float(error):.1e} in {dtype}"
    return None


@torch.no_grad()
def sampling_disagreement(make_sampler: Callable[[Decoder, Tensor, State, Tensor], Sampler]) -> str | None:
    """What a sampler computes otherwise than the reference, or None if it agrees.

    The mixtures of a step and the points of a block of steps are compared, for the three cells, in both precisions,
    with sketches that end; for enough that each thread has its own, and for one, which all threads share.
    """
    generator, steps = torch.Generator().manual_seed(0), 6
    for (dtype, tolerance), batch in itertools.product(_TOLERANCE.items(), (2 * torch.get_num_threads() + 7, 1)):
        random = _normal(generator, torch.device("cpu"), dtype)
        for kind in (LSTMCell, LayerNormLSTMCell, HyperLSTMCell):
            cell = _cell(kind, _SMALL.units, _INPUTS + _CONSTANT, random)
            decoder = Decoder(cell, _CONSTANT, num_mixture=2).to(dtype)
            for parameter in decoder.parameters():
                parameter.data = 0.3 * random(*parameter.shape)
            z, point = random(batch, _CONSTANT), random(batch, _INPUTS)
            state = decoder.initial_state(z, batch)
            component, pen = (torch.rand(batch, steps, generator=generator, dtype=torch.float64) for _ in range(2))
            numbers = Numbers(component.to(dtype), pen.to(dtype), random(batch, steps, 2))
            results = []
            for make in (make_sampler, LoopSampler):
                outputs = make(decoder, z, state, point).outputs(point)
                offsets, pens = make(decoder, z, state, point).draw(numbers, 0.9)
                going = (pens != END).to(dtype)
                results.append({"mixtures": outputs, "pen states": pens, "offsets": offsets * going.unsqueeze(2)})
            for name, value in results[1].items():
                # of a tensor of small numbers, such as the offsets of a sketch that ends at once, relative to 1
                error = float((results[0][name] - value).abs().max() / value.abs().max().clamp(min=1))
                if not error <= tolerance:  # true for NaN as well
                    return f"sampling, {kind.__name__}, {name}: off by {error:.1e} in {dtype}"
    return None


Values = dict[str, Tensor]
Random = Callable[..., Tensor]  # of a shape, on the device and in the type that are checked


def _normal(generator: torch.Generator, device: torch.device, dtype: torch.dtype) -> Random:
    def random(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64, device="cpu").to(device, dtype)

    return random


def _decoder(kind: type[Cell], size: _Size, random: Random, backend: Backend) -> tuple[Values, Values]:
    batch, steps = len(size.lengths), max(size.lengths)
    cell = _cell(kind, size.units, _INPUTS + _CONSTANT, random)
    inputs, constant = random(batch, steps, _INPUTS), random(batch, _CONSTANT).requires_grad_()
    state = cell.state_type(*(random(batch, size).requires_grad_() for size in cell.state_sizes))
    masks = Masks(_mask(random, batch, steps, size.units))
    given = {"constant": constant} | {f"initial {name}": value for name, value in state._asdict().items()}
    results = []
    for run in (backend.run, _reference_run):
        outputs, final = run(cell, inputs, state, masks, constant=constant)
        results.append(_with_gradients({"outputs": outputs, **final._asdict()}, cell, given))
    return results[0], results[1]


def _encoder(kind: type[Cell], size: _Size, random: Random, backend: Backend) -> tuple[Values, Values]:
    batch, steps = len(size.lengths), max(size.lengths)
    fw, bw = _cell(kind, size.units, _INPUTS, random), _cell(kind, size.units, _INPUTS, random)
    cells = torch.nn.ModuleList([fw, bw])
    inputs = random(batch, steps, _INPUTS)
    lengths = torch.tensor(size.lengths, device=inputs.device)
    masks = _mask(random, batch, steps, size.units), _mask(random, batch, steps, size.units)
    results = []
    for run_both in (backend.run_both, sequence.run_both):
        states = run_both(fw, bw, inputs, lengths, masks)
        values = {
            f"{side} {name}": value
            for side, state in zip(("forward", "backward"), states, strict=True)
            for name, value in state._asdict().items()
        }
        results.append(_with_gradients(values, cells, {}))
    return results[0], results[1]


def _reference_run(cell: Cell, inputs: Tensor, state: State, masks: Masks, *, constant: Tensor) -> tuple[Tensor, State]:
    return sequence.run(cell, inputs, state, None, masks, constant=constant)


def _cell(kind: type[Cell], units: int, inputs: int, random: Random) -> Cell:
    cell = HyperLSTMCell(inputs, units, 7, 3) if kind is HyperLSTMCell else kind(inputs, units)
    for parameter in cell.parameters():
        parameter.data = 0.3 * random(*parameter.shape)
    return cell


def _mask(random: Random, batch: int, steps: int, units: int) -> RecordedMask:
    kept = random(batch, steps, units) > -1
    return RecordedMask((kept / 0.8).double().cpu().numpy())


def _with_gradients(values: Values, module: torch.nn.Module, given: Values) -> Values:
    """The values, and the gradients of a sum that weighs each of their numbers differently."""
    total = torch.stack([(value * torch.linspace(1, 2, value.numel(), dtype=value.dtype, device=value.device)
                          .view_as(value)).sum() for value in values.values()]).sum()  # fmt: skip
    ends = {**dict(module.named_parameters()), **given}
    gradients = torch.autograd.grad(total, list(ends.values()))
    return {**values, **{f"gradient of {name}": value for name, value in zip(ends, gradients, strict=True)}}
