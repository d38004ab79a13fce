"""The Triton kernels against the loop over steps, in Triton's interpreter or on a GPU.

Triton decides at its import whether it interprets, so ``test_triton_interpreted.py`` runs this file in a process of its
own. On a machine with a GPU, ``python -m pytest`` of this file runs the compiled kernels.
"""

import bisect
import itertools
import os

import numpy as np
import pytest
import torch
from fused_cases import made
from small_models import LENGTHS as SKETCH_LENGTHS
from small_models import batch, make
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from pytorch_sketch_rnn.model.backend import LOOP, Backend
from pytorch_sketch_rnn.model.cells import Cell, HyperLSTMCell, LayerNormLSTMCell, LSTMCell
from pytorch_sketch_rnn.model.draws import KeyedDraws, KeyedMask, RecordedMask
from pytorch_sketch_rnn.model.fused import choice
from pytorch_sketch_rnn.model.fused.kernels import Buffers, Gradients, Parts
from pytorch_sketch_rnn.model.fused.layout import Layout
from pytorch_sketch_rnn.model.fused.sequence import Fused
from pytorch_sketch_rnn.model.fused.triton_pointwise import Triton
from pytorch_sketch_rnn.model.sequence import Masks

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
DEVICE = torch.device("cpu" if INTERPRETED else "cuda")
KINDS = (LSTMCell, LayerNormLSTMCell, HyperLSTMCell)
# Relative to the largest number of a tensor. Measured: 4e-15 and 2e-6.
TOLERANCE = {torch.float64: 1e-12, torch.float32: 2e-5}
PARTS = (Parts(1, 1), Parts(1, 4), Parts(2, 4), Parts(4, 2))
# Neither batch nor units are a multiple of anything; some sketches have length 1, and none lasts to the end.
LENGTHS, STEPS, UNITS, INPUTS, CONSTANT = (3, 1, 2), 4, 5, 2, 3
every_kind = pytest.mark.parametrize("kind", KINDS)
every_dtype = pytest.mark.parametrize("dtype", list(TOLERANCE))
pytestmark = pytest.mark.filterwarnings(
    "ignore:overflow encountered:RuntimeWarning", "ignore:invalid value:RuntimeWarning"
)


def triton(*parts: Parts) -> Fused:
    return Fused("fused:triton", Triton(*parts))


class Case:
    """Cells, inputs, states and masks, drawn from a seed."""

    def __init__(self, kind, dtype=torch.float64, *, lengths=LENGTHS, steps=STEPS, units=UNITS, masked=True):
        self.generator, self.dtype = torch.Generator().manual_seed(0), dtype
        self.lengths, self.steps, self.units = torch.tensor(lengths, device=DEVICE), steps, units
        self.masked, rows = masked, len(lengths)
        self.cells = torch.nn.ModuleList([self.cell(kind, INPUTS + CONSTANT), self.cell(kind, INPUTS + CONSTANT)])
        self.x, self.constant = self.random(rows, steps, INPUTS), self.random(rows, CONSTANT)
        self.state = [self.random(rows, size) for size in self.cells[0].state_sizes]
        self.masks = [RecordedMask((self.random(rows, steps, units) > -1).double().cpu().numpy() / 0.8) for _ in "ab"]

    def random(self, *shape: int) -> Tensor:
        return torch.randn(shape, generator=self.generator, dtype=torch.float64).to(DEVICE, self.dtype)

    def cell(self, kind: type[Cell], inputs: int) -> Cell:
        cell = made(kind, inputs, self.units, 3, 2)
        for parameter in cell.parameters():
            parameter.data = 0.5 * self.random(*parameter.shape)
        return cell

    def decode(self, by: Backend) -> dict[str, Tensor]:
        cell = self.cells[0]
        x, constant, *state = (value.clone().requires_grad_() for value in (self.x, self.constant, *self.state))
        masks = Masks(self.masks[0]) if self.masked else Masks()
        outputs, last = by.run(cell, x, cell.state_type(*state), masks, constant=constant)
        given = {"x": x, "constant": constant, **{f"initial {n}": s for n, s in zip(cell.state_type._fields, state)}}  # noqa: B905
        return with_gradients({"outputs": outputs, **last._asdict()}, cell, given)

    def encode(self, by: Backend) -> dict[str, Tensor]:
        x = torch.cat([self.x, self.constant.unsqueeze(1).expand(-1, self.steps, -1)], dim=2).requires_grad_()
        masks = tuple(self.masks) if self.masked else (None, None)
        states = by.run_both(*self.cells, x, self.lengths, masks)
        values = {
            f"{side} {n}": v for side, state in zip("fb", states, strict=True) for n, v in state._asdict().items()
        }
        return with_gradients(values, self.cells, {"x": x})


def with_gradients(values: dict[str, Tensor], module: torch.nn.Module, given: dict[str, Tensor]) -> dict[str, Tensor]:
    """The values, and the gradients of a sum that weighs each of their numbers differently."""
    weights = [torch.linspace(1, 2, v.numel(), dtype=v.dtype, device=v.device).view_as(v) for v in values.values()]
    total = torch.stack([(v * w).sum() for v, w in zip(values.values(), weights, strict=True)]).sum()
    ends = {**dict(module.named_parameters()), **given}
    gradients = torch.autograd.grad(total, list(ends.values()))
    found = values | {f"gradient of {name}": g for name, g in zip(ends, gradients, strict=True)}
    return {name: value.detach() for name, value in found.items()}


def assert_same(ours: dict[str, Tensor], theirs: dict[str, Tensor], dtype: torch.dtype) -> None:
    for name, value in theirs.items():
        off = float((ours[name] - value).abs().max() / value.abs().max().clamp(min=0.1))
        assert off <= TOLERANCE[dtype], f"{name}: off by {off:.1e}"  # fails for NaN as well


@every_kind
@every_dtype
@pytest.mark.parametrize("direction", [Case.decode, Case.encode])
def test_values_and_every_gradient_are_those_of_the_loop(kind, dtype, direction):
    case = Case(kind, dtype)
    assert_same(direction(case, triton()), direction(case, LOOP), dtype)


@pytest.mark.parametrize("parts", PARTS)
def test_into_how_many_parts_products_are_split_does_not_matter(parts):
    case = Case(LayerNormLSTMCell, units=4)
    assert_same(case.decode(triton(parts)), case.decode(LOOP), torch.float64)


@every_kind
def test_without_masks(kind):
    case = Case(kind, masked=False)
    assert_same(case.encode(triton()), case.encode(LOOP), torch.float64)


@pytest.mark.parametrize(("lengths", "units"), [((1,), 1), ((2, 2), 8), ((1, 1, 1), 3), ((2, 1, 2, 1, 1), 17)])
def test_one_row_one_unit_and_units_of_every_remainder(lengths, units):
    case = Case(LayerNormLSTMCell, lengths=lengths, units=units, steps=2)
    assert_same(case.encode(triton()), case.encode(LOOP), torch.float64)


def test_the_window_of_weight_gradients_does_not_matter():
    case, narrow = Case(HyperLSTMCell), Triton()
    narrow.together = 1
    assert_same(case.encode(Fused("narrow", narrow)), case.encode(LOOP), torch.float64)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
@pytest.mark.parametrize("kind", [LSTMCell, LayerNormLSTMCell])
def test_what_is_not_finite_stays_so_and_reaches_no_other_row(kind, bad):
    case = Case(kind)
    case.x[1, 0, 0] = bad
    ours, theirs = case.decode(triton()), case.decode(LOOP)
    for name in ("outputs", "h", "c", "gradient of x"):
        assert torch.equal(torch.isfinite(ours[name]), torch.isfinite(theirs[name])), name
    assert not torch.isfinite(ours["gradient of W_xh"]).all()
    assert torch.isfinite(ours["outputs"][[0, 2]]).all()


@every_kind
def test_tiny_pre_activations_keep_their_digits(kind):
    """tanh by exponentials alone would lose half of them."""
    case = Case(kind, masked=False)
    for parameter in case.cells.parameters():
        parameter.data *= 1e-9
    for value in case.state:
        value *= 1e-9
    ours, theirs = case.decode(triton()), case.decode(LOOP)
    for name in ("outputs", "c"):
        torch.testing.assert_close(ours[name], theirs[name], rtol=1e-13, atol=0)


def test_two_forwards_may_precede_their_backwards():
    case, by = Case(LayerNormLSTMCell), triton()
    cell, state = case.cells[0], case.cells[0].state_type(*case.state)
    (first, _), (second, _) = (by.run(cell, x, state, constant=case.constant) for x in (case.x, -case.x))
    found = [torch.autograd.grad(value.sum(), cell.W_hh)[0] for value in (first, second)]
    expected = [
        torch.autograd.grad(LOOP.run(cell, x, state, constant=case.constant)[0].sum(), cell.W_hh)[0]
        for x in (case.x, -case.x)
    ]
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-11, atol=1e-13)


@every_dtype
@pytest.mark.parametrize(("seed", "step", "rows", "shape", "keep_prob"), [
    (0, 0, range(3), (3, 9, 5), 0.9),
    (2**31 - 1, 2**32 - 1, range(7, 10), (3, 8, 4), 0.5),
    (5, 3, [4, 1], (2, 1, 1), 1.0),
    (1, 16, range(1), (1, 17, 33), 0.123),
])  # fmt: skip
def test_keyed_masks_have_the_same_bits_as_everywhere(dtype, seed, step, rows, shape, keep_prob):
    mask = KeyedDraws(seed, step, rows).mask("encoder/bw/recurrent", shape, keep_prob)
    expected = mask.tensor(torch.empty(0, dtype=dtype))
    ours = torch.full(shape, 7.0, dtype=dtype, device=DEVICE)
    Triton().fill(ours, mask, None)
    assert torch.equal(ours.cpu(), expected)
    in_memory = torch.tensor(step, device=DEVICE)
    same = KeyedDraws(seed, in_memory, rows).mask("encoder/bw/recurrent", shape, keep_prob)
    ours.fill_(7)
    Triton().fill(ours, same, None)
    assert torch.equal(ours.cpu(), expected)
    in_memory += 1 if step == 0 else -1
    Triton().fill(ours, same, None)
    other = KeyedDraws(seed, int(in_memory), rows).mask("encoder/bw/recurrent", shape, keep_prob)
    assert torch.equal(ours.cpu(), other.tensor(expected))


def test_a_unit_is_kept_below_the_threshold_and_not_at_it():
    def mask(threshold):
        return KeyedDraws(0, 0, range(2)).mask("decoder/recurrent", (2, 3, 4), threshold / 2**16)

    def expected(threshold):
        return mask(threshold).tensor(torch.empty(0, dtype=torch.float64))

    # the lowest threshold at which one of the units is kept
    lowest = bisect.bisect_left(range(2**16 + 1), True, lo=1, key=lambda threshold: bool(expected(threshold)[1, 2, 3]))
    assert 1 < lowest < 2**16
    for threshold in (lowest - 1, lowest):
        ours = torch.empty(2, 3, 4, dtype=torch.float64, device=DEVICE)
        Triton().fill(ours, mask(threshold), None)
        assert torch.equal(ours.cpu(), expected(threshold))


def test_other_masks_are_copied():
    numbers = np.array([[[0.0, 1.25]]])
    ours = torch.empty(1, 1, 2, dtype=torch.float64, device=DEVICE)
    Triton().fill(ours, RecordedMask(numbers), None)
    assert torch.equal(ours.cpu(), torch.tensor(numbers))


def test_what_the_kernels_cannot_read_is_refused():
    layout = Layout.ragged(torch.tensor([2, 1]))
    c = torch.zeros(1, layout.total, 3)
    total = torch.zeros(1, layout.total, 12)
    with pytest.raises(ValueError, match="their own order"):
        Triton().forward(Buffers(layout, total, None, c, c, None, None, 0.001, None))
    full = Layout.full(1, 1)
    c = torch.zeros(1, 2, 6)[..., ::2]
    with pytest.raises(ValueError, match="contiguous"):
        Triton().forward(Buffers(full, torch.zeros(1, 2, 12), None, c, c, None, None, 0.001, None))
    c = torch.zeros(1, 2, 3)
    buffers, d = Buffers(full, torch.zeros(1, 2, 12), None, c, c, None, None, 0.001, None), torch.zeros(1, 1, 3)
    with pytest.raises(ValueError, match="parts"):
        Triton().backward(buffers, Gradients(None, d, d, torch.zeros(1, 1, 12), 0, None))


class NoReadBack(TorchDispatchMode):
    """Refuses whatever gives a number to the host."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        assert "_local_scalar_dense" not in str(func), "a number is read back"
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize(("enc_model", "dec_model"), [("layer_norm", "lstm"), ("hyper", "hyper")])
def test_a_model_reads_nothing_back(enc_model, dec_model, monkeypatch):
    model = make(enc_model, dec_model).to(DEVICE).train()
    monkeypatch.setattr(type(model), "usable_backend", lambda _: triton())
    step = torch.tensor(3, device=DEVICE)
    sketches, lengths = batch()[:, :4].to(DEVICE), SKETCH_LENGTHS.clamp(max=3).to(DEVICE)
    found = []
    for draws in (KeyedDraws(1, step, range(len(lengths))), KeyedDraws(1, 3, range(len(lengths)))):
        with NoReadBack() if draws.step is step else torch.enable_grad():
            passed = model(sketches, lengths, draws=draws, longest=3)
            costs = model.costs_of(passed, sketches, torch.tensor(0.5, dtype=torch.float64, device=DEVICE))
            gradients = torch.autograd.grad(costs.cost, list(model.parameters()))
        found.append([costs.cost.detach(), *gradients])
    assert all(itertools.starmap(torch.equal, zip(*found, strict=True)))


@pytest.mark.skipif(not INTERPRETED, reason="on a GPU it is the first choice")
def test_a_processor_uses_it_only_when_asked_to():
    names = choice.names(DEVICE)
    assert names[-1] == choice.TRITON
    assert choice.names(torch.device("cuda")) == (choice.TRITON,)
    assert isinstance(choice.kernels(choice.TRITON), Triton)


def test_masks_are_described_not_drawn():
    assert isinstance(KeyedDraws(1, torch.tensor(2), range(1)).mask("a", (1, 1, 1), 0.5), KeyedMask)
