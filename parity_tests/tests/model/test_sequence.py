"""A cell over a sequence: reversed prefixes, frozen states and zero outputs after the end, masks of each step."""

import pytest
import torch

from pytorch_sketch_rnn.hparams import CELL_TYPES, HParams
from pytorch_sketch_rnn.model.cells import Cell
from pytorch_sketch_rnn.model.draws import RecordedMask
from pytorch_sketch_rnn.model.sequence import Masks, reverse_prefix, run, run_both
from pytorch_sketch_rnn.model.sketch_rnn import make_cell
from pytorch_sketch_rnn.model.tape import Tape

B, T, INPUT, UNITS = 4, 5, 3, 6
LENGTHS = torch.tensor([5, 1, 3, 2])
every_cell = pytest.mark.parametrize("kind", CELL_TYPES)


def make(kind: str) -> Cell:
    cell = make_cell(kind, INPUT, UNITS, HParams(hyper_num_units=4, hyper_embedding_size=2)).double()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in cell.parameters():
            parameter.copy_(0.25 + 0.5 * torch.randn(parameter.shape, generator=generator))
    return cell


def inputs() -> torch.Tensor:
    return torch.randn(B, T, INPUT, generator=torch.Generator().manual_seed(2), dtype=torch.float64)


def start(cell: Cell) -> tuple:
    packed = torch.randn(B, sum(cell.state_sizes), generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    return cell.unpack(packed)


def test_reverse_prefix_on_a_known_example():
    values = torch.tensor([[1, 2, 3, 4], [5, 6, 7, 8], [9, 10, 11, 12], [13, 14, 15, 16]])
    expected = torch.tensor([[4, 3, 2, 1], [5, 6, 7, 8], [10, 9, 11, 12], [15, 14, 13, 16]])
    lengths = torch.tensor([4, 1, 2, 3])
    assert torch.equal(reverse_prefix(values, lengths), expected)
    features = torch.stack([values, -values], dim=2)
    assert torch.equal(reverse_prefix(features, lengths), torch.stack([expected, -expected], dim=2))


def test_reverse_prefix_is_its_own_inverse():
    values = inputs()
    assert not torch.equal(reverse_prefix(values, LENGTHS), values)
    assert torch.equal(reverse_prefix(reverse_prefix(values, LENGTHS), LENGTHS), values)


@every_cell
def test_after_a_sketch_ends_its_state_is_frozen_and_its_output_is_zero(kind):
    cell, tape = make(kind), Tape()
    outputs, final = run(cell, inputs(), start(cell), LENGTHS, tape=tape)
    states = tape.values()["state"]
    for row, length in enumerate(LENGTHS.tolist()):
        assert outputs[row, :length].all()
        assert not outputs[row, length:].any()
        assert torch.equal(states[row, length:], states[row, length - 1].expand(T - length, -1))
        assert torch.equal(cell.pack(final)[row], states[row, length - 1])
        for t in range(1, length):
            assert not torch.equal(states[row, t], states[row, t - 1])


@every_cell
def test_until_its_end_a_row_equals_a_run_without_lengths(kind):
    cell = make(kind)
    with_lengths, _ = run(cell, inputs(), start(cell), LENGTHS)
    without, final = run(cell, inputs(), start(cell))
    alive = torch.arange(T) < LENGTHS.unsqueeze(1)
    assert torch.equal(with_lengths[alive], without[alive])
    assert torch.equal(without[:, -1], final.h)


@every_cell
def test_each_step_uses_its_own_masks(kind):
    cell = make(kind)
    generator = torch.Generator().manual_seed(4)
    sizes = {"recurrent": UNITS, "input": INPUT, "output": UNITS}
    masks = {n: torch.rand(B, T, size, generator=generator).double() for n, size in sizes.items()}
    described = Masks(**{n: RecordedMask(values.numpy()) for n, values in masks.items()})
    outputs, final = run(cell, inputs(), start(cell), None, described)
    state = start(cell)
    for t in range(T):
        output, state = cell(inputs()[:, t] * masks["input"][:, t], state, masks["recurrent"][:, t])
        assert torch.equal(outputs[:, t], output * masks["output"][:, t])
    assert all(torch.equal(field, expected) for field, expected in zip(final, state, strict=True))


@every_cell
def test_states_are_packed_and_unpacked_in_magentas_order(kind):
    order = {"lstm": ("c", "h"), "layer_norm": ("h", "c"), "hyper": ("h", "hyper_h", "c", "hyper_c")}[kind]
    cell = make(kind)
    state = start(cell)
    assert state._fields == order
    assert [field.shape[1] for field in state] == [4 if name.startswith("hyper") else UNITS for name in order]
    assert torch.equal(cell.pack(state), torch.cat([getattr(state, name) for name in order], dim=1))
    zeros = cell.zero_state(B, inputs())
    assert [(field.shape, field.dtype, bool(field.any())) for field in zeros] == [
        (field.shape, torch.float64, False) for field in state
    ]


@every_cell
def test_an_input_that_is_constant_over_time_is_appended_at_every_step(kind):
    cell = make(kind)
    constant = inputs()[:, 0, 1:]
    whole = torch.cat([inputs()[:, :, :1], constant.unsqueeze(1).expand(B, T, INPUT - 1)], dim=2)
    expected, expected_state = run(cell, whole, start(cell), LENGTHS)
    ours, state = run(cell, inputs()[:, :, :1], start(cell), LENGTHS, constant=constant)
    assert torch.equal(ours, expected)
    assert all(torch.equal(field, other) for field, other in zip(state, expected_state, strict=True))


@every_cell
def test_outputs_can_be_left_out(kind):
    cell = make(kind)
    _, expected = run(cell, inputs(), start(cell), LENGTHS)
    outputs, state = run(cell, inputs(), start(cell), LENGTHS, outputs=False)
    assert outputs is None
    assert all(torch.equal(field, other) for field, other in zip(state, expected, strict=True))


@every_cell
def test_run_both_equals_two_separate_runs(kind):
    fw, bw, tape = make(kind), make(kind), Tape()
    with torch.no_grad():
        bw.W_hh.mul_(0.5)
    generator = torch.Generator().manual_seed(4)
    masks = [RecordedMask(torch.rand(B, T, UNITS, generator=generator).double().numpy()) for _ in range(2)]
    states = run_both(fw, bw, inputs(), LENGTHS, (masks[0], masks[1]), tape)
    for cell, mask, name, state, read in zip(
        (fw, bw), masks, ("fw", "bw"), states, (inputs(), reverse_prefix(inputs(), LENGTHS)), strict=True
    ):
        alone = Tape()
        _, expected = run(cell, read, cell.zero_state(B, read), LENGTHS, Masks(mask), alone)
        assert all(torch.equal(field, other) for field, other in zip(state, expected, strict=True))
        for key, values in alone.values().items():
            assert torch.equal(tape.values()[f"{name}/{key}"], values), key
