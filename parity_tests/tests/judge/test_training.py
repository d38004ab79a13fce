"""Our port equals the official trainer, step by step, in a free run and after a checkpoint."""

import dataclasses
import json

import numpy as np
import pytest
from training_runs import (
    DRIFT,
    DRIFTS,
    LAYER_NORM,
    MIX,
    OUTPUT_W,
    RUNS,
    SAVE_EVERY,
    SHORT,
    STEPS,
    VALIDATION,
    ForgetsItsSlots,
    LateSchedule,
    OtherOrder,
    fresh_of,
    one,
)

from parity_tests import ours
from parity_tests.judge.first_departure import first_departure
from parity_tests.judge.proof import prove
from parity_tests.judge.training import Curves, judge_resumed, judge_training
from parity_tests.record.draws import draws_of
from parity_tests.replay.training import recorded_draws, state_before, with_step
from parity_tests.report.parts import part_of
from weight_port.names import GLOBAL_STEP, slot_name


@pytest.fixture(scope="module")
def whole():
    """What our own port makes of each run."""
    return {name: judge_training(recording, ours.Adapter()) for name, recording in RUNS.items()}


@pytest.mark.parametrize("name", RUNS)
def test_our_port_equals_the_official_trainer_in_everything_that_was_recorded(name, whole):
    rows, _ = whole[name]
    assert {row.verdict for row in rows} == {"equal"}
    assert [row.quantity for row in rows].count(DRIFT) == 1
    recorded = (set(RUNS[name]["float64"]) - {"validation"}) | VALIDATION
    assert {row.quantity for row in rows} == recorded | fresh_of(RUNS[name]) | set(DRIFTS)
    assert {row.precision for row in rows} == {"float64"}
    exact = {row.quantity for row in rows if row.allowed == 0}
    assert exact == {"steps/sketches", "steps/lengths"}


def test_a_proof_of_a_training_gives_the_rows_and_the_curves():
    findings = prove(SHORT, ours.Adapter())
    rows, curves = judge_training(SHORT, ours.Adapter())
    assert (findings.rows, findings.training, findings.mixtures) == (rows, [curves], [])


@pytest.mark.parametrize("name", RUNS)
def test_every_variable_is_there_as_gradient_clipped_slot_and_weight(name, whole):
    quantities = {row.quantity for row in whole[name][0]}
    variables = [n for n in RUNS[name]["weights"] if not n.endswith(("/Adam", "/Adam_1", "_power", "global_step"))]
    variables = [n for n in variables if not n.startswith("vector_rnn/Variable")]
    assert variables
    for variable in variables:
        for place in ("gradient", "clipped", "after"):
            assert f"steps/{place}/{variable}" in quantities
        for slot in ("m", "v"):
            assert f"steps/after/{slot_name(variable, slot)}" in quantities


def test_rows_come_in_the_order_of_computation(whole):
    for rows, _ in whole.values():
        names = [row.quantity for row in rows]
        begins = (
            "lr",
            "kl_weight",
            "sketches",
            "lengths",
            "cost",
            "gradient/",
            "clipped/",
            "after/vector_rnn/vector_rnn/",
        )
        places = [min(i for i, n in enumerate(names) if n.startswith(f"steps/{begin}")) for begin in begins]
        assert places == sorted(places)
        assert names[-4:] == DRIFTS


@pytest.mark.parametrize("name", RUNS)
def test_curves_hold_one_number_a_step(name, whole):
    _, curves = whole[name]
    official = RUNS[name]["float64"]
    named = {"cost", "r_cost", "kl_cost", "lr", "kl_weight"}
    assert curves.recording == name
    assert set(curves.ours) == set(curves.theirs) == named
    lists = [*curves.ours.values(), *curves.theirs.values(), curves.drift, curves.official_drift, curves.fed_error]
    assert {len(values) for values in lists} == {STEPS} == {len(official["steps/cost"])}
    for quantity in named:
        np.testing.assert_array_equal(curves.theirs[quantity], official[f"steps/{quantity}"])
        np.testing.assert_allclose(curves.ours[quantity], curves.theirs[quantity], rtol=1e-10)
    assert max(curves.drift) < 1e-12
    assert 0 < max(curves.fed_error) < 1e-10
    assert json.loads(json.dumps(curves.to_dict())) == dataclasses.asdict(curves)


def test_the_official_drift_is_the_largest_of_its_perturbed_runs(whole):
    for name, (rows, curves) in whole.items():
        runs = [values for quantity, values in RUNS[name]["official_drift"].items() if quantity.endswith("/weights")]
        assert len(runs) > 1
        assert curves.official_drift == [max(run[step] for run in runs) for step in range(STEPS)]
        row = one(rows, DRIFT)
        so_far = max(curves.official_drift[: row.where["step"] + 1])
        assert row.official_error == so_far
        assert row.allowed == max(10 * so_far, 1e-13)


def test_the_runs_hold_what_a_training_can_show():
    for recording in RUNS.values():
        official = recording["float64"]
        assert recording.hparams["save_every"] == SAVE_EVERY < STEPS == len(official["steps/cost"])
        assert len(official["validation"]) > 0
        gradients = {
            n.removeprefix("steps/gradient/"): v for n, v in official.items() if n.startswith("steps/gradient/")
        }
        cut = [not np.array_equal(official[f"steps/clipped/{n}"][0], v[0]) for n, v in gradients.items()]
        assert any(cut)
        assert len(set(official["steps/lr"])) == len(set(official["steps/kl_weight"])) == STEPS
        draws = recorded_draws(recording, "draws")
        assert {n for n, wanted in draws.items() if wanted.keep_prob is not None} == {
            "encoder/fw/recurrent", "encoder/bw/recurrent", "decoder/recurrent", "decoder/input", "decoder/output"
        }  # fmt: skip


def test_the_state_before_a_step_is_the_one_behind_the_step_before():
    official = MIX["float64"]
    before = state_before(MIX, 0)
    assert before.keys() == MIX["weights"].keys() - {GLOBAL_STEP}
    np.testing.assert_array_equal(before[OUTPUT_W], MIX["weights"][OUTPUT_W])
    for step in (1, STEPS - 1):
        state = state_before(MIX, step)
        assert state.keys() == before.keys()
        for name in (OUTPUT_W, slot_name(OUTPUT_W, "v"), "vector_rnn/beta1_power"):
            np.testing.assert_array_equal(state[name], official[f"steps/after/{name}"][step - 1])
    assert with_step(before, 4).keys() == MIX["weights"].keys() | {GLOBAL_STEP}
    assert with_step(before, 4)[GLOBAL_STEP] == 4


def test_what_a_run_was_fed_is_what_a_port_is_given():
    seen = []

    class Port(ours.Adapter):
        def train_step(self, sketches, lengths, draws, lr, kl_weight):
            seen.append(draws)
            return super().train_step(sketches, lengths, draws, lr, kl_weight)

    judge_training(SHORT, Port())
    assert len(seen) == 4  # two steps, from the official state and freely
    wanted = recorded_draws(SHORT, "draws")
    for step, draws in enumerate(seen):
        expected = draws_of(wanted, SHORT.provenance["seed"], step % 2)
        assert draws.keys() == expected.keys()
        for name, value in draws.items():
            assert value.dtype == np.float64
            np.testing.assert_array_equal(value, expected[name])


def test_curves_are_what_the_report_draws():
    assert {field.name for field in dataclasses.fields(Curves)} == {
        "recording", "theirs", "ours", "drift", "official_drift", "fed_error"
    }  # fmt: skip


# A checkpoint resumed -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", [1, SAVE_EVERY + 1, STEPS - 1])
def test_the_step_behind_a_state_is_the_official_one(step):
    rows = judge_resumed(LAYER_NORM, ours.Adapter(), with_step(state_before(LAYER_NORM, step), step), step)
    assert {row.verdict for row in rows} == {"equal"}
    official = {name.replace("steps/", "resumed/") for name in LAYER_NORM["float64"]} - {"validation"}
    assert {row.quantity for row in rows} == official
    assert {row.where["step"] for row in rows} == {step}


@pytest.mark.parametrize(
    ("port", "state", "part"),
    [
        (ours.Adapter, 1, "training: costs"),  # the state is another step's
        (LateSchedule, 2, "training: learning rate and KL weight"),
        (OtherOrder, 2, "training: batches"),
        (ForgetsItsSlots, 2, "training: the step after a checkpoint"),
    ],
)
def test_a_checkpoint_continued_wrongly_departs(port, state, part):
    rows = judge_resumed(LAYER_NORM, port(), with_step(state_before(LAYER_NORM, state), 2), 2)
    first = first_departure(rows)
    assert part_of(first) == part
    assert first.quantity.startswith("resumed/")
    assert first.where["step"] == 2
