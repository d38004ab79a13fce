"""What a training step's time is spent on, as `make bench` measures it."""

import pytest
import torch

from benchmarks import around_a_step, parts
from benchmarks.around_a_step import SAVES, measure_save
from benchmarks.page import parts_section
from benchmarks.parts import TimedKernels, measure_parts
from pytorch_sketch_rnn.hparams import HParams
from pytorch_sketch_rnn.model.draws import KeyedDraws
from pytorch_sketch_rnn.model.sketch_rnn import SketchRNN
from pytorch_sketch_rnn.training import run
from pytorch_sketch_rnn.training.trainer import Trainer

SIZES = {"enc_rnn_size": 4, "dec_rnn_size": 5, "z_size": 3, "num_mixture": 2, "max_seq_len": 6}


class Clock:
    """A clock that only the kernels below move."""

    now = 0.0

    def perf_counter(self):
        return self.now

    monotonic = perf_counter

    def take(self, seconds):
        self.now += seconds


class Slow:
    """Kernels that take a known time."""

    groups = 7

    def __init__(self, clock):
        self._clock = clock

    def fill(self, *_):
        self._clock.take(0.5)

    def forward(self, buffers):
        return lambda t: self._clock.take(2.0)

    def product(self, weights):
        return lambda a, out: self._clock.take(4.0)


def test_time_in_the_kernels_is_added_up_and_that_of_the_products_is_not(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(parts, "time", clock)
    timed = TimedKernels(Slow(clock))
    timed.fill(None, None, None)
    step, multiply = timed.forward(None), timed.product(None)
    for t in range(2):
        step(t)
        multiply(None, None)
    assert timed.seconds == {"masks": 0.5, "kernels": 4.0}
    assert timed.groups == 7


@pytest.mark.parametrize("cell", ["layer_norm", "hyper"])
def test_the_kernels_of_a_step_are_timed_and_its_numbers_stay_the_same(cell):
    model = SketchRNN(HParams(**SIZES, dec_model=cell), 1, backend="fused:aten").train()
    sketches = torch.zeros(4, 7, 5)
    sketches[:, :, 2] = 1
    lengths = torch.tensor([6, 3, 6, 2])
    costs = []

    def step():
        draws = KeyedDraws(1, 1, range(4))
        cost = model.costs_of(model(sketches, lengths, draws=draws), sketches, 1.0).cost
        cost.backward()
        costs.append(cost.item())

    step()
    found = measure_parts(step, model.usable_backend(), 3)
    assert set(found) == {"kernels", "masks"}
    assert all(seconds > 0 for seconds in found.values())
    step()
    assert len(costs) == 5
    assert len(set(costs)) == 1


def test_the_parts_add_up_to_the_step():
    turn = {"step": [2.0, 1.0, 1.5], "products": 0.9, "kernels": 0.3, "masks": 0.06}
    (row,) = [line for line in parts_section({"lstm": {"fast": [turn]}}) if line.startswith("| lstm")]
    assert row == "| lstm | 1.50 | 0.900 (60%) | 0.300 (20%) | 0.0600 (4%) | 0.240 (16%) |"


def test_a_backend_without_kernels_has_no_parts():
    assert parts_section({"lstm": {"fast": [{"step": [1.0], "products": 0.9}]}}) == []


def test_a_save_is_timed_without_its_step(monkeypatch):
    """By a clock that only steps and saves move."""
    clock = Clock()
    monkeypatch.setattr(around_a_step, "time", clock)
    monkeypatch.setattr(run, "time", clock)
    monkeypatch.setattr(run.Run, "_save", lambda *_, **__: clock.take(0.25))
    step = Trainer.step
    monkeypatch.setattr(Trainer, "step", lambda self: (clock.take(8.0), step(self))[1])
    assert measure_save(HParams(**SIZES, batch_size=4), evaluated=8) == 0.25
    assert clock.now == (1 + SAVES) * 8.25
