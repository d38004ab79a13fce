"""The compiled sampling draws what the loop draws: one sketch or many, ended or not, by any number of threads."""

import itertools

import pytest
import torch
from fused_cases import KINDS, backend, every_backend, made

from parity_tests.mutation.kernel_source import Source
from pytorch_sketch_rnn.model.backend import LOOP
from pytorch_sketch_rnn.model.cells import HyperLSTMCell, LSTMCell
from pytorch_sketch_rnn.model.decoder import Decoder
from pytorch_sketch_rnn.model.fused import choice
from pytorch_sketch_rnn.model.fused.native_sampler import NativeSampler
from pytorch_sketch_rnn.model.sampler import END, LoopSampler, Numbers

Z, INNER, EMBEDDING = 3, 7, 3
BLOCKS = (1, 5, 4)  # steps
UNITS = (1, 8, 33, 170)  # 170 is longer than what products.cpp takes at a time
ROWS = (1, 3, 101, 230)  # those of one team of threads, and more than sampling.cpp takes together
TOLERANCE = {torch.float64: 1e-13, torch.float32: 2e-5}  # measured: 2e-15 and 3e-6, relative to the largest number
threads = pytest.mark.parametrize("threads", [1, 2, 3])


class Sketches:
    """Sketches that begin anywhere, and the numbers that their points are drawn with."""

    def __init__(self, kind, units, rows, *, conditional=True, dtype=torch.float64, components=3, ends=1.0):
        self._generator = torch.Generator().manual_seed(units * rows)
        self.dtype, self.rows = dtype, rows
        inputs = 5 + (Z if conditional else 0)
        cell = made(kind, inputs, units, INNER, EMBEDDING)
        self.decoder = Decoder(cell, Z if conditional else None, components)
        for parameter in self.decoder.parameters():
            parameter.data = min(0.4, units**-0.5) * self.normal(*parameter.shape)  # larger ones make it chaotic
        self.decoder.output_b.data[2] -= ends  # makes the end of a sketch less likely
        self.z = self.normal(rows, Z) if conditional else None
        self.point = self.normal(rows, 5)
        self.state = cell.state_type(*(self.normal(rows, size) for size in cell.state_sizes))
        self.blocks = [self._numbers(steps) for steps in BLOCKS]

    def normal(self, *shape):
        return torch.randn(shape, generator=self._generator, dtype=torch.float64).to(self.dtype)

    def _numbers(self, steps):
        component, pen = (torch.rand(self.rows, steps, generator=self._generator, dtype=torch.float64) for _ in "ab")
        return Numbers(component.to(self.dtype), pen.to(self.dtype), self.normal(self.rows, steps, 2))

    @torch.no_grad()
    def drawn(self, by, temperature=0.9):
        """Offsets and pen states of each block; offsets are zero from the end of a sketch on."""
        sampler = by.sampler(self.decoder, self.z, self.state, self.point)
        rows, result = torch.arange(self.rows), []
        for numbers in self.blocks:
            offsets, pens = sampler.draw(Numbers(*(each[rows] for each in numbers)), temperature)
            going = pens != END
            result += [offsets * going.unsqueeze(2), pens]
            rows = rows[going[:, -1]]
            if not len(rows):
                break
        return result


def assert_same(ours, theirs, dtype):
    assert len(ours) == len(theirs)
    for one, other in zip(ours, theirs, strict=True):
        assert one.shape == other.shape
        if one.dtype == torch.int64:
            assert torch.equal(one, other)
        else:
            assert float((one - other).abs().max()) <= TOLERANCE[dtype] * max(1.0, float(other.abs().max()))


def compiled(name):
    """The backend of that name; the test is skipped where it draws by the loop, whose products are the library's."""
    if backend(name)._proven_sampling is None:
        pytest.skip("it draws by the loop")
    return backend(name)


@every_backend
@pytest.mark.parametrize("dtype", TOLERANCE)
def test_sketches_against_the_loop(name, dtype):
    by, endings = compiled(name), set()
    for kind, units, rows, conditional in itertools.product(KINDS, UNITS, ROWS, (True, False)):
        sketches = Sketches(kind, units, rows, conditional=conditional, dtype=dtype)
        theirs = sketches.drawn(LOOP)
        endings |= {int((pens == END).any(dim=1).sum()) * 4 // len(pens) for pens in theirs[1::2]}
        assert_same(sketches.drawn(by), theirs, dtype)
    assert {0, 1, 2} <= endings  # blocks in which none end, some, and most


@every_backend
def test_mixtures_of_given_points_against_the_loop(name):
    by = compiled(name)
    for kind, units, rows, conditional in itertools.product(KINDS, UNITS, ROWS, (True, False)):
        sketches = Sketches(kind, units, rows, conditional=conditional)
        with torch.no_grad():
            ours, theirs = (
                of.sampler(sketches.decoder, sketches.z, sketches.state, sketches.point) for of in (by, LOOP)
            )
            for _ in range(3):
                given = sketches.normal(rows, 5)
                expected = theirs.outputs(given)
                error = (ours.outputs(given) - expected).abs().max()
                assert float(error) <= 1e-13 * float(expected.abs().max())
            numbers = sketches.blocks[1]  # and then by drawing from where both are
            (offsets, pens), (expected, expected_pens) = (by.draw(numbers, 0.9) for by in (ours, theirs))
            going = (expected_pens != END).unsqueeze(2)
            assert_same([offsets * going, pens], [expected * going, expected_pens], sketches.dtype)


@every_backend
@threads
def test_the_number_of_threads_changes_nothing(name, threads):
    by, before = compiled(name), torch.get_num_threads()
    for kind, rows in itertools.product(KINDS, ROWS):
        sketches = Sketches(kind, 33, rows, dtype=torch.float32)
        expected = sketches.drawn(by)
        torch.set_num_threads(threads)
        try:
            for one, other in zip(sketches.drawn(by), expected, strict=True):
                assert torch.equal(one, other)
        finally:
            torch.set_num_threads(before)


@every_backend
def test_a_sketch_is_the_same_bits_whatever_other_sketches_are_drawn_with_it(name):
    by = compiled(name)
    for kind in KINDS:
        sketches = Sketches(kind, 33, 9, conditional=False, dtype=torch.float32, ends=9.0)
        together = sketches.drawn(by)
        for row in range(9):
            alone = Sketches(kind, 33, 9, conditional=False, dtype=torch.float32, ends=9.0)
            alone.rows, alone.point = 1, alone.point[row : row + 1]
            alone.state = type(alone.state)(*(each[row : row + 1] for each in alone.state))
            alone.blocks = [Numbers(*(each[row : row + 1] for each in block)) for block in alone.blocks]
            for one, all_of_them in zip(alone.drawn(by), together, strict=True):
                assert torch.equal(one[0], all_of_them[row])


@every_backend
@pytest.mark.parametrize("temperature", [1e-30, 1e-3, 3.0, 1e9])
def test_every_temperature_against_the_loop(name, temperature):
    for dtype in TOLERANCE:
        sketches = Sketches(LSTMCell, 8, 30, dtype=dtype, ends=3.0)
        sketches.blocks = sketches.blocks[:1]  # large offsets make the next step's gates chaotic
        assert_same(sketches.drawn(backend(name), temperature), sketches.drawn(LOOP, temperature), dtype)


@every_backend
def test_probabilities_that_round_to_zero_stay_zero_at_every_temperature(name):
    sketches = Sketches(LSTMCell, 4, 40, dtype=torch.float32)
    sketches.decoder.output_w.data.zero_()
    sketches.decoder.output_b.data[:6] = torch.tensor([-200.0, 0.0, -300.0, -150.0, 0.0, -150.0])
    for by in (backend(name), LOOP):
        _, pens = sketches.drawn(by, 1e9)[:2]
        assert (pens == 1).all()


@every_backend
def test_nan_reaches_the_sketch_it_comes_from_and_no_other(name):
    sketches = Sketches(KINDS[1], 8, 120, ends=40.0)
    sound = sketches.drawn(LOOP)
    sketches.point[7, 0] = float("nan")
    found = sketches.drawn(backend(name))
    for one, other in zip(found[::2], sound[::2], strict=True):
        assert one[7].isnan().all()
        assert not torch.cat([one[:7], one[8:]]).isnan().any()
        assert float((one - other)[torch.arange(120) != 7].abs().max()) < 1e-12


@every_backend
def test_what_is_given_is_not_changed(name):
    sketches = Sketches(HyperLSTMCell, 8, 5)
    given = [sketches.z, sketches.point, *sketches.state, *sketches.blocks[0], *sketches.decoder.parameters()]
    before = [each.detach().clone() for each in given]
    sketches.drawn(backend(name))
    assert all(torch.equal(one, other) for one, other in zip(given, before, strict=True))


@every_backend
def test_numbers_of_another_dtype_are_converted(name):
    sketches = Sketches(LSTMCell, 8, 5, dtype=torch.float32)
    expected = sketches.drawn(backend(name))
    sketches.blocks = [Numbers(*(each.double() for each in block)) for block in sketches.blocks]
    assert_same(sketches.drawn(backend(name)), expected, torch.float32)


@every_backend
def test_another_default_device_changes_nothing(name):
    sketches = Sketches(LSTMCell, 8, 5)
    expected = sketches.drawn(backend(name))
    by = backend(name)
    rows = torch.arange(5, device="cpu")
    with torch.device("meta"), torch.no_grad():
        sampler = by.sampler(sketches.decoder, sketches.z, sketches.state, sketches.point)
        found = sampler.draw(Numbers(*(each[rows] for each in sketches.blocks[0])), 0.9)
    assert_same([found[0] * (found[1] != END).unsqueeze(2), found[1]], expected[:2], torch.float64)


@every_backend
def test_under_autocast_the_loop_draws(name):
    sketches = Sketches(KINDS[1], 17, 5, dtype=torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16), torch.no_grad():
        ours, theirs = (
            by.sampler(sketches.decoder, sketches.z, sketches.state, sketches.point).outputs(sketches.point)
            for by in (backend(name), LOOP)
        )
    assert torch.equal(ours, theirs)


def test_numbers_and_points_of_another_shape_are_refused_before_compiled_code_reads_them():
    sketches = Sketches(LSTMCell, 8, 5)
    by = compiled(choice.names(torch.device("cpu"))[0])
    sampler = by.sampler(sketches.decoder, sketches.z, sketches.state, sketches.point)
    component, pen, offset = sketches.blocks[1]
    for wrong, message in (
        (Numbers(component[:1], pen, offset), r"expected component \[5, 5\], got \[1, 5\]"),
        (Numbers(component, pen[:, :2], offset), r"expected pen \[5, 5\], got \[5, 2\]"),
        (Numbers(component, pen, offset[:, :, :1]), r"expected offset \[5, 5, 2\], got \[5, 5, 1\]"),
    ):
        with pytest.raises(ValueError, match=message):
            sampler.draw(wrong, 1.0)
    with pytest.raises(ValueError, match=r"expected point \[5, 5\], got \[6, 5\]"):
        sampler.outputs(torch.cat([sketches.point, sketches.point[:1]]))


def test_a_cell_of_a_users_own_is_drawn_by_the_loop():
    class OwnCell(LSTMCell):
        pass

    sketches = Sketches(OwnCell, 4, 2)
    sampler = backend(choice.names(torch.device("cpu"))[0]).sampler(
        sketches.decoder, sketches.z, sketches.state, sketches.point
    )
    assert type(sampler) is LoopSampler


def test_sampling_that_is_wrong_is_not_used_and_that_is_said(recwarn):
    name = choice.names(torch.device("cpu"))[0]
    backend(name)
    sketches = Sketches(LSTMCell, 4, 2)
    choice.forget()
    try:
        with Source("sampling.cpp", ("offset[1] = of(2)", "offset[1] = of(1)")).planted():
            by = choice.proven(name, torch.device("cpu"))
            samplers = [by.sampler(sketches.decoder, sketches.z, sketches.state, sketches.point) for _ in range(2)]
        assert [type(each) for each in samplers] == [LoopSampler] * 2
        (warning,) = recwarn.list
        assert str(warning.message).startswith(
            f"{name} cannot draw sketches, so the reference does: sampling, LSTMCell, offsets: off by "
        )
    finally:
        choice.forget()


def test_sampling_that_cannot_be_compiled_is_left_to_the_loop(recwarn):
    name = choice.names(torch.device("cpu"))[0]
    backend(name)
    choice.forget()
    try:
        with Source("sampling.cpp", ("class Chunk {", "klass Chunk {")).planted():
            by = choice.proven(name, torch.device("cpu"))
            sketches = Sketches(LSTMCell, 4, 2)
            sampler = by.sampler(sketches.decoder, sketches.z, sketches.state, sketches.point)
        assert type(sampler) is LoopSampler
        (warning,) = recwarn.list
        assert "cannot draw sketches, so the reference does: " in str(warning.message)
        assert "cannot compile the kernels" in str(warning.message)
    finally:
        choice.forget()


def test_the_compiled_sampling_is_what_is_tested_here():
    name = choice.names(torch.device("cpu"))[0]
    sketches = Sketches(LSTMCell, 4, 2)
    sampler = backend(name).sampler(sketches.decoder, sketches.z, sketches.state, sketches.point)
    assert type(sampler) is NativeSampler
