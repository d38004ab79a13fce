"""Ports that err in a training: the first departure names the part of the model and the step."""

import copy
from unittest import mock

import numpy as np
import pytest
import torch
from training_runs import (
    DRIFT,
    DRIFTS,
    LAYER_NORM,
    OUTPUT_W,
    SAVE_EVERY,
    SHORT,
    ForgetsItsSlots,
    LateSchedule,
    OtherOrder,
    WrongStart,
    begin_of,
    changed,
    fresh_of,
    one,
)

from parity_tests import ours
from parity_tests.judge.first_departure import first_departure
from parity_tests.judge.row import failures
from parity_tests.judge.training import judge_training
from parity_tests.report.parts import part_of
from pytorch_sketch_rnn.training import optim
from weight_port.names import GLOBAL_STEP


class StuckRate(ours.Adapter):
    """The learning rate falls no more from the fourth step on."""

    def schedules(self, hparams, step):
        return super().schedules(hparams, min(step, 3))[0], super().schedules(hparams, step)[1]


class OtherEpsilon(ours.Adapter):
    """Another epsilon in Adam."""

    def train_step(self, sketches, lengths, draws, lr, kl_weight):
        with mock.patch.object(optim, "EPSILON", 1.1e-8):
            return super().train_step(sketches, lengths, draws, lr, kl_weight)


class OtherBeta(ours.Adapter):
    """Another decay of the second moment."""

    def train_step(self, sketches, lengths, draws, lr, kl_weight):
        with mock.patch.object(optim, "BETA2", 0.998):
            return super().train_step(sketches, lengths, draws, lr, kl_weight)


class NoClip(ours.Adapter):
    """The gradients are not clipped."""

    def load(self, hparams, variables):
        super().load({**hparams, "grad_clip": 1e9}, variables)


class NoInputDropout(ours.Adapter):
    """The decoder's input is not dropped out."""

    def train_step(self, sketches, lengths, draws, lr, kl_weight):
        draws = {name: np.ones_like(mask) if name == "decoder/input" else mask for name, mask in draws.items()}
        return super().train_step(sketches, lengths, draws, lr, kl_weight)


class NoAugmentation(ours.Adapter):
    """Strokes are not augmented, which draws other numbers as well."""

    def data(self, sets, hparams, rng, order):
        return super().data(sets, {**hparams, "augment_stroke_prob": 0.0}, rng, order)


class QuietValidation(ours.Adapter):
    """A validation batch draws nothing from the stream, so that the batches behind it are others."""

    def data(self, sets, hparams, rng, order):
        data = super().data(sets, hparams, rng, order)

        def valid_batch(index):
            state = rng.get_state()
            batch = data.valid_batch(index)
            rng.set_state(state)
            return batch

        return data._replace(valid_batch=valid_batch)


class ForgetsToMove(ours.Adapter):
    """A step answers rightly, but leaves the model where it was."""

    def train_step(self, sketches, lengths, draws, lr, kl_weight):
        before = copy.deepcopy(self.model.state_dict())
        answer = super().train_step(sketches, lengths, draws, lr, kl_weight)
        self.model.load_state_dict(before)
        return answer


class StandsStill(ours.Adapter):
    """A step that does not move the weights at all."""

    def train_step(self, sketches, lengths, draws, lr, kl_weight):
        return super().train_step(sketches, lengths, draws, 0.0, kl_weight)


class IgnoresLoad(ours.Adapter):
    """What was loaded first stays."""

    def load(self, hparams, variables):
        if not hasattr(self, "model"):
            super().load(hparams, variables)


class Restless(ours.Adapter):
    """Where it begins with an optimizer of its own, that is in the free run, the weights are a little off."""

    noise = 1e-9

    def load(self, hparams, variables):
        super().load(hparams, variables)
        if GLOBAL_STEP not in variables:
            with torch.no_grad():
                for parameter in self.model.parameters():
                    parameter += self.noise * parameter.abs().max()


ERRING = [
    (LateSchedule, "steps/lr", 0, "training: learning rate and KL weight"),
    (StuckRate, "steps/lr", 4, "training: learning rate and KL weight"),
    (OtherOrder, "steps/sketches", 0, "training: batches"),
    (NoAugmentation, "steps/sketches", 0, "training: batches"),
    (QuietValidation, "steps/sketches", 4, "training: batches"),
    (NoInputDropout, "steps/cost", 0, "training: costs"),
    (NoClip, None, 0, "training: gradients, clipped"),
    (OtherBeta, None, 0, "training: Adam's state"),
    (ForgetsItsSlots, None, 1, "training: Adam's state"),
    (OtherEpsilon, None, 0, "training: weights"),
    (StandsStill, None, 0, "training: weights"),
]


@pytest.mark.parametrize(("port", "quantity", "step", "part"), ERRING, ids=[case[0].__name__ for case in ERRING])
def test_the_first_departure_names_the_part_and_the_step(port, quantity, step, part):
    rows, curves = judge_training(SHORT if step < 2 else LAYER_NORM, port())
    first = first_departure(rows)
    assert quantity in (None, first.quantity)
    assert part_of(first) == part
    assert first.where["step"] == step
    assert first.verdict == "different"
    departed = [row for row in rows if row.verdict == "different" and row.quantity not in DRIFTS]
    assert min(row.where["step"] for row in departed) == step
    assert curves is not None


@pytest.mark.parametrize(("port", "fresh"), [(ForgetsToMove, False), (IgnoresLoad, True), (Restless, True)])
def test_what_shows_in_the_free_run_alone_fails_its_rows_alone(port, fresh):
    short = begin_of(LAYER_NORM, 3)
    rows, curves = judge_training(short, port())
    failed = {row.quantity for row in failures(rows)}
    assert DRIFT in failed <= fresh_of(short) | set(DRIFTS)
    assert (f"fresh/after/{OUTPUT_W}" in failed) is fresh
    row = one(rows, DRIFT)
    assert row.verdict == "different"
    assert row.error > row.allowed
    assert curves.drift[row.where["step"]] == row.error
    assert part_of(row) == "training: drift of a free run"
    assert max(curves.fed_error) < 1e-10


def test_noise_of_1e_9_in_the_free_run_alone_fails_the_drift_and_rounding_does_not():
    port = Restless()
    row = one(judge_training(SHORT, port)[0], DRIFT)
    assert row.verdict == "different"
    assert 1e-10 < row.error < 1e-5
    port = Restless()
    port.noise = 1e-16
    assert failures(judge_training(SHORT, port)[0]) == []


def test_a_validation_is_the_cost_of_a_training_on_the_validation_set():
    def worse(answer):
        return answer | {"r_cost": answer["r_cost"] * (1 + 1e-8)}

    rows, _ = judge_training(LAYER_NORM, changed("loss", worse))
    assert [row.quantity for row in failures(rows)] == ["validation/cost", "validation/r_cost"]
    assert {part_of(row) for row in failures(rows)} == {"training: validation costs"}
    assert {row.where["step"] for row in failures(rows)} == {SAVE_EVERY}

    class CountsNoPadding(ours.Adapter):
        def loss(self, mixture, targets, latent, *, is_training):
            return super().loss(mixture, targets, latent, is_training=False)

    failed = failures(judge_training(LAYER_NORM, CountsNoPadding())[0])
    assert [row.quantity for row in failed] == ["validation/cost", "validation/r_cost"]


def test_a_validation_shows_an_error_in_the_small_kl_cost_alone():
    def worse(answer):
        return answer | {"kl_cost": answer["kl_cost"] * (1 + 3e-10)}

    failed = failures(judge_training(LAYER_NORM, changed("loss", worse))[0])
    assert [row.quantity for row in failed] == ["validation/kl_cost"]


def test_a_cost_that_drifts_in_the_free_run_alone_fails_its_row():
    class Drifting(ours.Adapter):
        def load(self, hparams, variables):
            super().load(hparams, variables)
            self.taken = 0

        def train_step(self, *arguments):
            self.taken += 1
            answer = super().train_step(*arguments)
            return answer | {"kl_cost": answer["kl_cost"] + 1e-9 * (self.taken > 1)}

    assert [row.quantity for row in failures(judge_training(SHORT, Drifting())[0])] == [DRIFTS[3]]


def test_a_variable_that_the_official_side_lacks_is_a_failure():
    for kind in ("gradient", "clipped", "after"):
        port = changed("train_step", lambda answer, k=kind: answer | {f"{k}/owl": np.zeros(2)})
        (row,) = failures(judge_training(SHORT, port)[0])
        assert (row.quantity, row.note) == (f"steps/{kind}/owl", "missing on the official side")


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lambda value: value[None], "shape [1, 9, 21], expected [9, 21]"),
        (lambda value: value * np.nan, "NaN or infinity"),
        (lambda value: value + 0j, "type complex128, expected float64"),
    ],
)
def test_an_array_that_cannot_be_compared_says_why_and_at_which_step(damage, told):
    name = f"gradient/{OUTPUT_W}"
    port = changed("train_step", lambda answer: answer | {name: damage(answer[name])})
    row = one(judge_training(SHORT, port)[0], f"steps/{name}")
    assert (row.verdict, row.note, row.where) == ("different", told, {"step": 0})


# A new optimizer ------------------------------------------------------------------------------------------------------


class FullSlots(ours.Adapter):
    """A fresh optimizer's slots are not empty."""

    def load(self, hparams, variables):
        super().load(hparams, variables)
        if GLOBAL_STEP not in variables:
            for slot in self.optimizer.slots():
                slot.fill_(1e-6)


def test_a_wrong_power_at_the_start_of_a_fresh_optimizer_is_found_in_its_first_step():
    rows, _ = judge_training(SHORT, WrongStart())
    first = first_departure(rows)
    assert first.quantity.startswith("fresh/after/")
    assert part_of(first) == "training: the first step of a fresh optimizer"
    failed = {row.quantity for row in failures(rows)}
    # the powers and every weight, but not the slots, which the powers do not enter
    left = {n for n in fresh_of(SHORT) if "/Adam" not in n and not n.endswith("beta1_power")}
    assert failed - set(DRIFTS) == left
    assert DRIFT in failed


def test_slots_that_are_not_empty_at_the_start_are_found_in_the_first_step():
    failed = {row.quantity for row in failures(judge_training(SHORT, FullSlots())[0])}
    assert {n for n in fresh_of(SHORT) if n.endswith(("/Adam", "/Adam_1"))} <= failed
    assert failed <= fresh_of(SHORT) | set(DRIFTS)
