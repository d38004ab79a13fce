"""Ports that fail during a training, or offer only part of it."""

import copy

import pytest
import torch
from training_runs import (
    DRIFT,
    DRIFTS,
    LAYER_NORM,
    MIX,
    OUTPUT_W,
    SHORT,
    STEPS,
    VALIDATION,
    LateSchedule,
    WrongStart,
    changed,
    one,
    raising,
)

from parity_tests import adapter, ours
from parity_tests.examples import numpy_port
from parity_tests.judge.first_departure import first_departure
from parity_tests.judge.proof import prove
from parity_tests.judge.row import failures
from parity_tests.judge.training import judge_training
from parity_tests.report.report import Report
from weight_port.names import GLOBAL_STEP


@pytest.mark.parametrize("error", [RuntimeError("owl"), SystemExit("owl")])
@pytest.mark.parametrize("method", ["load", "schedules", "data", "train_step"])
def test_what_a_method_raises_is_a_failing_row_that_names_it(method, error):
    rows, curves = judge_training(SHORT, changed(method, raising(error)))
    assert curves is None
    assert [(row.verdict, row.note) for row in rows] == [("different", f"{method} failed: {type(error).__name__}: owl")]


@pytest.mark.parametrize("method", ["encode", "decode", "loss"])
def test_what_a_validation_raises_is_a_failing_row_that_names_it(method):
    rows, curves = judge_training(LAYER_NORM, changed(method, raising(RuntimeError("owl"))))
    assert curves is None
    assert [(row.verdict, row.note) for row in failures(rows)] == [("different", f"{method} failed: RuntimeError: owl")]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda answer: None, "expected a mapping of names to NumPy arrays"),
        (lambda answer: {n: torch.tensor(v) for n, v in answer.items()}, "expected a mapping of names to NumPy arrays"),
        (lambda answer: {n: v.tolist() for n, v in answer.items()}, "expected a mapping of names to NumPy arrays"),
        (lambda answer: {n: v for n, v in answer.items() if n != "kl_cost"}, "the answer lacks kl_cost"),
    ],
)
def test_an_answer_that_is_none_is_a_failing_row_that_says_so(change, told):
    rows, _ = judge_training(SHORT, changed("train_step", change))
    assert [(row.verdict, row.note) for row in rows] == [("different", f"train_step failed: {told}")]


@pytest.mark.parametrize("answer", [None, 3, (1,), (1, 2, 3), ("owl", "owl")])
def test_schedules_that_are_no_two_numbers_are_a_failing_row(answer):
    rows, _ = judge_training(SHORT, changed("schedules", lambda _: answer))
    assert len(rows) == 1
    assert rows[0].note.startswith("schedules failed: ")


def test_ctrl_c_goes_through():
    for method in ("load", "schedules", "data", "train_step"):
        with pytest.raises(KeyboardInterrupt):
            judge_training(SHORT, changed(method, raising(KeyboardInterrupt())))


class FailsLate(ours.Adapter):
    """The step after a given number fails."""

    steps, error = 0, RuntimeError("owl")

    def train_step(self, sketches, lengths, draws, lr, kl_weight):
        self.steps -= 1
        if self.steps < 0:
            raise self.error
        return super().train_step(sketches, lengths, draws, lr, kl_weight)


def test_a_free_run_that_fails_leaves_what_was_compared_before():
    port = FailsLate()
    port.steps = 3  # two from the official state, one more
    rows, curves = judge_training(SHORT, port)
    assert curves is None
    assert {row.verdict for row in rows[:-1]} == {"equal"}
    assert {row.quantity for row in rows[:-1]} == set(SHORT["float64"])
    assert (rows[-1].verdict, rows[-1].note) == ("different", "train_step failed: RuntimeError: owl")


@pytest.mark.parametrize("error", [RuntimeError("owl"), NotImplementedError("owl")])
def test_what_departed_before_a_run_came_to_its_end_is_not_forgotten(error):
    class Port(FailsLate, LateSchedule):
        pass

    port = Port()
    port.steps, port.error = 1, error
    rows, _ = judge_training(SHORT, port)
    first = first_departure(rows)
    assert (first.quantity, first.verdict, first.where["step"]) == ("steps/lr", "different", 0)
    assert not Report("", rows, {}, {}, partial=True).passed


def leaves_out(names):
    """A port whose step leaves these names out where the optimizer is its own, that is in the free run."""

    class Port(WrongStart):
        def load(self, hparams, variables):
            super().load(hparams, variables)
            self.free = GLOBAL_STEP not in variables

        def train_step(self, *arguments):
            answer = super().train_step(*arguments)
            return {name: value for name, value in answer.items() if not (self.free and name in names)}

    return Port()


def fails_after(steps, error):
    port = type("Port", (FailsLate, WrongStart), {})()
    port.steps, port.error = steps, error
    return port


@pytest.mark.parametrize(
    ("port", "last"),
    [
        (fails_after(3, RuntimeError("owl")), ("different", "train_step failed: RuntimeError: owl")),
        (fails_after(3, NotImplementedError("owl")), ("untested", "owl")),
        (leaves_out({f"after/{OUTPUT_W}"}), ("untested", f"the answer of train_step lacks after/{OUTPUT_W}")),
    ],
    ids=["a step fails", "a step is declined", "a weight is left out"],
)
def test_departures_of_a_new_optimizer_are_kept_when_the_free_run_ends_early(port, last):
    whole = failures(judge_training(SHORT, WrongStart())[0])
    departed = {row.quantity for row in whole} - set(DRIFTS)
    if "lacks" in last[1]:
        departed.remove(f"fresh/after/{OUTPUT_W}")
    assert departed
    rows, curves = judge_training(SHORT, port)
    assert curves is None
    assert (rows[-1].verdict, rows[-1].note) == last
    assert {row.quantity for row in failures(rows[:-1])} == departed
    assert first_departure(rows).quantity.startswith("fresh/after/")
    assert not Report("", rows, {}, {}, partial=True).passed


class TrainsAlone(adapter.Adapter):
    """A port that offers a step of training and nothing else."""

    def __init__(self):
        port = ours.Adapter()
        self.load, self.train_step = port.load, port.train_step


def test_a_port_without_data_schedules_and_encoder_is_given_the_official_ones():
    rows, curves = judge_training(LAYER_NORM, TrainsAlone())
    assert failures(rows) == []
    untested = {row.quantity for row in rows if row.verdict == "untested"}
    assert untested == {"steps/lr", "steps/kl_weight", "steps/sketches", "steps/lengths", *VALIDATION}
    assert one(rows, DRIFT).verdict == "equal"
    assert len(curves.drift) == STEPS


def test_a_port_without_an_encoder_is_judged_by_its_steps():
    class Port(TrainsAlone):
        data = ours.Adapter.data

        def schedules(self, hparams, step):
            return ours.Adapter.schedules(self, hparams, step + 1)

    rows, _ = judge_training(LAYER_NORM, Port())
    assert {one(rows, name).verdict for name in VALIDATION} == {"untested"}
    assert one(rows, "steps/lr").verdict == "different"
    assert one(rows, "steps/sketches").verdict == "equal"


def test_what_a_step_leaves_out_is_untested_where_a_port_may_offer_less_and_a_failure_where_it_may_not():
    names = ("cost", "r_cost", "kl_cost", *(n.removeprefix("steps/") for n in SHORT["float64"] if "/after/" in n))
    port = changed("train_step", lambda answer: {name: answer[name] for name in names})
    left_out = {n for n in SHORT["float64"] if n.startswith(("steps/gradient/", "steps/clipped/"))}
    rows = prove(SHORT, port).rows
    assert {row.quantity for row in failures(rows)} == left_out
    assert {row.verdict for row in failures(rows)} == {"not compared"}
    type(port).offers = adapter.EVERYTHING - {"sample"}
    rows = prove(SHORT, port).rows
    assert {row.quantity for row in rows if row.verdict == "untested"} == left_out
    assert Report("", rows, {}, {}, partial=True).passed
    assert not Report("", rows, {}, {}).passed


def test_a_port_that_cannot_train_is_untested_unless_it_says_that_it_can():
    for port in (numpy_port.Adapter(), adapter.Adapter()):
        findings = prove(MIX, port)
        assert {row.verdict for row in findings.rows} == {"untested"}
        assert findings.training == []
    port = changed("train_step", raising(NotImplementedError("owl")))
    assert [(row.verdict, row.note) for row in prove(MIX, port).rows] == [("not compared", "owl")]


def test_a_port_may_take_what_it_is_given_to_pieces():
    class Port(ours.Adapter):
        def load(self, hparams, variables):
            super().load(dict(hparams), dict(variables))
            hparams.clear()
            for value in variables.values():
                if value.ndim:
                    value[...] = 0

        def schedules(self, hparams, step):
            answer = super().schedules(dict(hparams), step)
            hparams.clear()
            return answer

        def train_step(self, sketches, lengths, draws, lr, kl_weight):
            answer = super().train_step(sketches.copy(), lengths.copy(), draws, lr, kl_weight)
            sketches[...] = lengths[...] = 0
            return answer

    recording = copy.deepcopy(SHORT)
    assert failures(judge_training(recording, Port())[0]) == []
    assert recording.digest() == SHORT.digest()
