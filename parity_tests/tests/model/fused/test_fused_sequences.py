"""The fused paths give what the loop over steps gives, in every shape, with every gradient."""

import numpy as np
import pytest
import torch
from fused_cases import CPU, KINDS, SHAPES, Case, backend, cases, error, every_backend, worst

from pytorch_sketch_rnn.model.backend import LOOP
from pytorch_sketch_rnn.model.cells import LayerNormLSTMCell, LSTMCell
from pytorch_sketch_rnn.model.draws import KeyedDraws, KeyedMask, RecordedMask, Stream, TorchDraws
from pytorch_sketch_rnn.model.fused import choice, gated, native
from pytorch_sketch_rnn.model.fused.layout import Layout
from pytorch_sketch_rnn.model.fused.packed import address
from pytorch_sketch_rnn.model.sequence import Masks
from pytorch_sketch_rnn.model.tape import Tape

# relative to the largest number of a tensor; measured over these shapes: 9e-15 and 6e-6, both in the gradient of a bias
# that is close to the sum of numbers of both signs
FLOAT64, FLOAT32 = 1e-12, 1e-4


@every_backend
def test_values_and_gradients_against_the_loop(name):
    off, where = worst(backend(name), cases())
    assert off < FLOAT64, where


@every_backend
def test_float32_against_the_loop(name):
    off, where = worst(backend(name), cases(dtype=torch.float32))
    assert off < FLOAT32, where


@every_backend
@pytest.mark.parametrize("rows", [1, 7])
def test_weights_gradients_in_several_windows(name, rows, monkeypatch):
    by = backend(name)
    monkeypatch.setattr(by._kernels, "together", rows)
    off, where = worst(by, cases(shapes=SHAPES[2:4]))
    assert off < FLOAT64, where


@every_backend
def test_states_alone_and_outputs_alone_have_their_gradients(name):
    by = backend(name)
    ends = {
        "outputs": lambda values: values["outputs"].square().sum(),  # a gradient that is not dense in memory
        "states": lambda values: sum(value.sum() for key, value in values.items() if key != "outputs"),
        "last h": lambda values: values["last h"].t().square().sum(),
    }
    for kind in KINDS:
        case = Case(kind, SHAPES[2], masked=True)
        for end, weigh in ends.items():
            off, what = error(case.decode(by, weigh), case.decode(LOOP, weigh))
            assert off < FLOAT64, (end, str(case), what)
        weigh = lambda values: values["bw h"].sum()  # noqa: E731  # the other direction has none
        off, what = error(case.encode(by, weigh), case.encode(LOOP, weigh))
        assert off < FLOAT64, (str(case), what)


@every_backend
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_gates_far_from_zero_are_0_and_1(name, dtype):
    by = backend(name)
    for kind in KINDS:
        case = Case(kind, SHAPES[2], masked=False, dtype=dtype)
        case.x *= 10.0 ** torch.arange(1, 5)[:, None]  # at step t, beyond the range of exp in either precision
        for direction in (Case.decode, Case.encode):
            ours, theirs = direction(case, by), direction(case, LOOP)
            assert all(value.isfinite().all() for value in theirs.values())
            off, what = error(ours, theirs)
            assert off < (FLOAT32 if dtype == torch.float32 else FLOAT64), (str(case), what)


@every_backend
@pytest.mark.parametrize(("dtype", "far"), [(torch.float32, 100.0), (torch.float64, 720.0)])
def test_gates_of_every_size_against_the_loop(name, dtype, far):
    """Up to where exp is infinite, and beyond."""
    by, units = backend(name), 100
    cell = LSTMCell(1, units).to(dtype)
    for parameter in cell.parameters():
        parameter.data.zero_()
    zero = torch.zeros(1, 1, units, dtype=dtype)
    for sizes in torch.linspace(-far, far, 5000, dtype=dtype).split(units):
        cell.bias.data = sizes.repeat(4)
        found = []
        for each in (by, LOOP):
            outputs, _ = each.run(cell, zero[:, :, :1], cell.state_type(zero[0] + 1, zero[0]))
            found.append({"outputs": outputs.detach(), "bias": torch.autograd.grad(outputs.sum(), cell.bias)[0]})
        off, what = error(*found)
        assert off < (FLOAT32 if dtype == torch.float32 else FLOAT64), (what, sizes[0].item())


@every_backend
def test_the_kernels_give_the_same_bits_in_any_number_of_threads(name, monkeypatch):
    """Only theirs: torch's matrix products, which the loop has too, add in another order in two threads."""
    by = backend(name)
    monkeypatch.setattr(native, "_WORTH_THREADS", 1)
    for case in cases(shapes=SHAPES[5:6]):
        found = []
        for threads in (1, 2, 40):  # more than Native.groups
            monkeypatch.setattr(torch, "get_num_threads", lambda threads=threads: threads)
            found.append(case.decode(by) | case.encode(by))
        assert all(torch.equal(found[0][key], each[key]) for each in found for key in each), str(case)


@every_backend
def test_two_threads_give_the_same_bits_each_time(name):
    by, before = backend(name), torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        for kind in KINDS:
            case = Case(kind, SHAPES[5], masked=True)
            found = [case.decode(by) | case.encode(by) for _ in range(2)]
            assert all(torch.equal(found[0][key], found[1][key]) for key in found[0]), str(case)
    finally:
        torch.set_num_threads(before)


@every_backend
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_what_is_not_finite_reaches_the_same_numbers(name, bad):
    by = backend(name)
    for kind in KINDS:
        case = Case(kind, SHAPES[2], masked=False)
        case.x[1, 2, 0] = bad  # sketch 1 has one point in the encoder, so it is seen by the decoder only
        case.x[3, 1, 1] = bad
        for direction in (Case.decode, Case.encode):
            ours, theirs = (
                {key: value for key, value in direction(case, each).items() if "gradient" not in key}
                for each in (by, LOOP)
            )
            # an LSTM's gates turn infinity into 0 or 1; layer norm turns it into NaN
            assert any(value.isnan().any() for value in theirs.values()) or (bad == bad and kind is LSTMCell)
            for key, value in theirs.items():
                assert torch.equal(ours[key].isnan(), value.isnan()), (str(case), key)
                finite = value.isfinite()
                assert torch.allclose(ours[key][finite], value[finite], rtol=FLOAT64, atol=FLOAT64), (str(case), key)


@every_backend
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_keyed_masks_have_the_same_bits_as_the_loops(name, dtype):
    """The masks are drawn in the kernel; those of points that a sketch does not have are not looked at."""
    lengths = torch.tensor([19, 1, 8, 9])
    shape = (4, 19, 5)
    mask = KeyedMask(shape, 0.9, Stream(7, 3, 11), [3, 0, 200, 41])
    expected = mask.tensor(torch.empty(0, dtype=dtype))
    whole, some = (torch.full(shape, -1.0, dtype=dtype) for _ in range(2))
    pointwise = backend(name)._kernels
    pointwise.fill(whole, mask, None)
    pointwise.fill(some, mask, lengths)
    assert torch.equal(whole, expected)
    for row, length in enumerate(lengths.tolist()):
        assert torch.equal(some[row, :length], expected[row, :length])


@every_backend
def test_masks_are_drawn_once_and_in_the_order_of_the_loop(name):
    by = backend(name)
    for kind in KINDS:
        case = Case(kind, SHAPES[2], masked=False)
        found = []
        for each in (by, LOOP):
            draws = TorchDraws(torch.Generator().manual_seed(5))
            sizes = (case.shape.units, case.shape.inputs + case.shape.constant, case.shape.units)
            masks = Masks(*(draws.mask("", (case.batch, case.shape.T, size), 0.8) for size in sizes))
            state = case.cells[0].state_type(*case.state)
            found.append(each.run(case.cells[0], case.x, state, masks, constant=case.constant)[0].detach())
        assert torch.allclose(*found, rtol=0, atol=FLOAT64), str(case)


def test_a_dense_copy_is_another_tensor_whatever_the_strides():
    """The way back changes it in place, and a kernel reads it as dense numbers."""
    for given in (torch.ones(2, 3), torch.ones(1).expand(2, 3), torch.ones(3, 2).t()):
        copy = gated.dense_copy(given)
        assert torch.equal(copy, given)
        assert copy.is_contiguous()
        assert copy.data_ptr() != given.data_ptr()


def test_a_tape_makes_the_loop_compute():
    case, tapes = Case(LSTMCell, SHAPES[2], masked=True), (Tape(), Tape())
    for by, tape in zip((backend(choice.ATEN), LOOP), tapes, strict=True):
        by.run(case.cells[0], case.x, case.cells[0].state_type(*case.state), Masks(), tape, constant=case.constant)
    ours, theirs = (tape.values() for tape in tapes)
    assert ours.keys() == theirs.keys()
    assert {"i", "f", "output", "state", "final_state"} <= ours.keys()
    assert all(torch.equal(ours[key], theirs[key]) for key in theirs)


def test_a_cell_of_a_users_own_is_computed_by_the_loop():
    class Own(LayerNormLSTMCell):
        def forward(self, *arguments, **more):
            output, state = super().forward(*arguments, **more)
            return 2 * output, state

    case = Case(LayerNormLSTMCell, SHAPES[2], masked=False)
    case.cells[0].__class__ = Own
    off, where = error(case.decode(backend(choice.ATEN)), case.decode(LOOP))
    assert off == 0, where


def test_the_comparison_sees_a_difference_of_one_number():
    case = Case(LSTMCell, SHAPES[3], masked=False)
    theirs = case.decode(LOOP)
    for change in (3 * FLOAT64, float("nan")):
        ours = {key: value.clone() for key, value in theirs.items()}
        ours["gradient of constant" if case.constant is not None else "gradient of x"][-1, -1, -1] += change
        assert error(ours, theirs)[0] > (FLOAT64 / 10 if change == change else 1e300)


@every_backend
@pytest.mark.parametrize("kind", KINDS)
def test_a_mask_for_one_direction_alone_is_that_of_the_loop(name, kind):
    case = Case(kind, SHAPES[2], masked=True)
    case.constant = None
    x = torch.cat([case.x, case.random(case.batch, case.shape.T, case.shape.constant)], dim=2)
    for masks in ((RecordedMask(case.both[0]), None), (None, RecordedMask(case.both[1]))):
        with torch.no_grad():
            ours, theirs = (by.run_both(*case.cells, x, case.lengths, masks) for by in (backend(name), LOOP))
        for one, other in zip(ours, theirs, strict=True):
            assert error(one._asdict(), other._asdict())[0] < FLOAT64


@every_backend
def test_strided_lengths_with_masks_of_a_kernel(name):
    case = Case(KINDS[1], SHAPES[2], masked=True)
    x = torch.cat([case.x, case.random(case.batch, case.shape.T, case.shape.constant)], dim=2)
    draws = KeyedDraws(1, 2, range(case.batch))
    masks = tuple(draws.mask(side, case.both[0].shape, 0.8) for side in ("fw", "bw"))
    lengths = case.lengths.repeat_interleave(2)[::2]
    assert not lengths.is_contiguous()
    with torch.no_grad():
        ours, theirs = (by.run_both(*case.cells, x, lengths, masks) for by in (backend(name), LOOP))
    for one, other in zip(ours, theirs, strict=True):
        assert error(one._asdict(), other._asdict())[0] < FLOAT64


def test_a_gpus_kernels_are_given_lengths_that_lie_together():
    lengths = torch.tensor([[3, 0], [1, 0], [2, 0]])[:, 0]
    assert not lengths.is_contiguous()
    ends = Layout.frozen(3, lengths).ends
    assert ends.is_contiguous()
    assert torch.equal(ends, lengths)


@every_backend
@pytest.mark.parametrize("kind", KINDS)
def test_no_sketches_give_no_outputs(name, kind):
    case = Case(kind, SHAPES[2], masked=False)
    state = case.cells[0].zero_state(0, case.x)
    outputs, last = backend(name).run(case.cells[0], case.x[:0], state, constant=case.constant[:0])
    assert outputs.shape == (0, case.shape.T, case.shape.units)
    assert all(len(each) == 0 for each in last)


@every_backend
def test_autocast_is_left_to_the_loop(name):
    case = Case(KINDS[1], SHAPES[2], masked=False, dtype=torch.float32)
    state = case.cells[0].state_type(*case.state)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        ours, theirs = (by.run(case.cells[0], case.x, state, constant=case.constant)[0] for by in (backend(name), LOOP))
    assert torch.equal(ours, theirs)


@every_backend
def test_tensors_of_two_dtypes_are_an_error_as_with_the_loop(name):
    case = Case(KINDS[0], SHAPES[2], masked=False)
    state = case.cells[0].state_type(*case.state)
    for by in (backend(name), LOOP):
        with pytest.raises(RuntimeError, match="same dtype"):
            by.run(case.cells[0], case.x.float(), state, constant=case.constant.float())


def test_an_address_is_not_given_for_other_numbers_than_a_kernel_reads():
    numbers = torch.zeros(3, 4)
    assert address(None, torch.float32) is None
    assert address(numbers, torch.float32) == numbers.data_ptr()
    assert address(numbers[:, :2], torch.float32, dense=False) == numbers.data_ptr()
    for wrong in (numbers.double(), numbers[:, :2], numbers.to("meta")):
        with pytest.raises(ValueError, match=r"a kernel expected torch\.float32 on the CPU, contiguous, got"):
            address(wrong, torch.float32)


def test_shapes_cover_what_kernels_get_wrong():
    groups = 16
    batches = [len(shape.lengths) for shape in SHAPES]
    assert 1 in batches
    assert any(batch < groups for batch in batches)
    assert any(batch > groups and batch % groups for batch in batches)
    assert groups in batches
    assert any(shape.units % 8 for shape in SHAPES)
    assert any(shape.units % 8 == 0 for shape in SHAPES)
    assert any(max(shape.lengths) < shape.T for shape in SHAPES)
    assert any(set(shape.lengths) == {shape.T} and shape.T == 1 for shape in SHAPES)
    assert any(not shape.constant for shape in SHAPES)
    assert choice.ATEN in choice.names(CPU)
    assert np.ptp([len(set(shape.lengths)) for shape in SHAPES]) > 0


@every_backend
def test_two_cells_with_two_epsilons_each_have_their_own(name):
    case = Case(LayerNormLSTMCell, SHAPES[2], masked=False)
    other = LayerNormLSTMCell(case.cells[1].input_size, case.cells[1].num_units, epsilon=0.5).double()
    other.load_state_dict(case.cells[1].state_dict())
    case.cells[1] = other
    off, what = error(case.encode(backend(name)), case.encode(LOOP))
    assert off <= FLOAT64, what
