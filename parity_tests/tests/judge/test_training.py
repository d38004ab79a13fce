"""Whole training runs: our port equals the official trainer, and a port that errs is told at the first step it does."""

import copy
import dataclasses
import json
from unittest import mock

import numpy as np
import pytest
import torch
from shipped import shipped

from parity_tests import adapter, ours
from parity_tests.examples import numpy_port
from parity_tests.judge import training
from parity_tests.judge.compare import first_departure
from parity_tests.judge.limits import CHAOTIC64, FLOAT64_ALLOWED, SPREAD_FACTOR64, WINDOW
from parity_tests.judge.proof import prove
from parity_tests.judge.row import failures
from parity_tests.judge.training import COSTS, Curves, replay_training, resumed, state_before, with_step
from parity_tests.record.draws import VALIDATION_DRAWS, Wanted, draws_of, dropout_mask
from parity_tests.report.report import Report, part_of
from pytorch_sketch_rnn.training import optim
from pytorch_sketch_rnn.training.optim import POWERS
from weight_port.names import GLOBAL_STEP, slot_name

RUNS = {name: recording for name, recording in shipped().items() if recording.kind == "training"}
LAYER_NORM, MIX = RUNS["training/layer_norm"], RUNS["training/mix"]
STEPS, SAVE_EVERY = 6, 3
DRIFT = "free run: drift of the weights"
DRIFTS = [DRIFT, *(f"free run: drift of {name}" for name in COSTS)]
VALIDATION = {f"validation/{name}" for name in COSTS}
OUTPUT_W = "vector_rnn/RNN/output_w"


def begin_of(recording, steps):
    """The first steps of a run, without its validations: enough for what shows at once."""
    short = copy.deepcopy(recording)
    del short.groups["float64"]["validation"]
    for group in ("float64", "float64_ensemble", "official_drift"):
        short.groups[group] = {name: values[:steps] for name, values in short.groups[group].items()}
    return short


SHORT = begin_of(LAYER_NORM, 2)


def fresh_of(recording):
    """The rows of the first step of a run that begins with an optimizer of its own."""
    return {n.replace("steps/", "fresh/", 1) for n in recording["float64"] if n.startswith("steps/after/")}


def one(rows, quantity):
    [row] = [row for row in rows if row.quantity == quantity]
    return row


def changed(method, change):
    """Our port, but for what one method answers."""

    def new(self, *args, **kwargs):
        return change(getattr(ours.Adapter, method)(self, *args, **kwargs))

    return type("Port", (ours.Adapter,), {method: new})()


def raising(error):
    def change(_):
        raise error

    return change


# Our own port -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def whole():
    """What our own port makes of each run."""
    return {name: replay_training(recording, ours.Adapter()) for name, recording in RUNS.items()}


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
    rows, curves = replay_training(SHORT, ours.Adapter())
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
        draws = training.wanted_draws(recording, "draws")
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


# Ports that err: what departs first, and at which step --------------------------------------------------------------


class LateSchedule(ours.Adapter):
    """The schedules are one step ahead."""

    def schedules(self, hparams, step):
        return super().schedules(hparams, step + 1)


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


class ForgetsItsSlots(ours.Adapter):
    """Adam begins anew at each step."""

    def load(self, hparams, variables):
        zeros = {n: np.zeros_like(v) if n.endswith(("/Adam", "/Adam_1")) else v for n, v in variables.items()}
        super().load(hparams, zeros)


class NoInputDropout(ours.Adapter):
    """The decoder's input is not dropped out."""

    def train_step(self, sketches, lengths, draws, lr, kl_weight):
        draws = {name: np.ones_like(mask) if name == "decoder/input" else mask for name, mask in draws.items()}
        return super().train_step(sketches, lengths, draws, lr, kl_weight)


class OtherOrder(ours.Adapter):
    """The rows of a batch come in another order."""

    def data(self, sets, hparams, rng, order):
        data = super().data(sets, hparams, rng, order)

        def random_batch():
            strokes, sketches, lengths = data.random_batch()
            return strokes[::-1], sketches[::-1].copy(), lengths[::-1].copy()

        return data._replace(random_batch=random_batch)


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
    rows, curves = replay_training(SHORT if step < 2 else LAYER_NORM, port())
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
    rows, curves = replay_training(short, port())
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
    row = one(replay_training(SHORT, port)[0], DRIFT)
    assert row.verdict == "different"
    assert 1e-10 < row.error < 1e-5
    port = Restless()
    port.noise = 1e-16
    assert failures(replay_training(SHORT, port)[0]) == []


def test_a_validation_is_the_cost_of_a_training_on_the_validation_set():
    def worse(answer):
        return answer | {"r_cost": answer["r_cost"] * (1 + 1e-8)}

    rows, _ = replay_training(LAYER_NORM, changed("loss", worse))
    assert [row.quantity for row in failures(rows)] == ["validation/cost", "validation/r_cost"]
    assert {part_of(row) for row in failures(rows)} == {"training: validation costs"}
    assert {row.where["step"] for row in failures(rows)} == {SAVE_EVERY}

    class CountsNoPadding(ours.Adapter):
        def loss(self, mixture, targets, latent, *, is_training):
            return super().loss(mixture, targets, latent, is_training=False)

    failed = failures(replay_training(LAYER_NORM, CountsNoPadding())[0])
    assert [row.quantity for row in failed] == ["validation/cost", "validation/r_cost"]


def test_a_validation_shows_an_error_in_the_small_kl_cost_alone():
    def worse(answer):
        return answer | {"kl_cost": answer["kl_cost"] * (1 + 3e-10)}

    failed = failures(replay_training(LAYER_NORM, changed("loss", worse))[0])
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

    assert [row.quantity for row in failures(replay_training(SHORT, Drifting())[0])] == [DRIFTS[3]]


def test_a_variable_that_the_official_side_lacks_is_a_failure():
    for kind in ("gradient", "clipped", "after"):
        port = changed("train_step", lambda answer, k=kind: answer | {f"{k}/owl": np.zeros(2)})
        (row,) = failures(replay_training(SHORT, port)[0])
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
    row = one(replay_training(SHORT, port)[0], f"steps/{name}")
    assert (row.verdict, row.note, row.where) == ("different", told, {"step": 0})


# What the official code's own spread allows -------------------------------------------------------------------------

GRADIENT = f"steps/gradient/{OUTPUT_W}"


def with_spread(recording, *spread, name=GRADIENT):
    """The run, with another spread of a quantity at each step, relative to the quantity's largest value there."""
    scales = np.abs(recording["float64"][name]).max(axis=(1, 2))
    changed = copy.copy(recording)
    ensemble = recording["float64_ensemble"] | {name: np.array(spread) * scales}
    changed.groups = recording.groups | {"float64_ensemble": ensemble}
    return changed


def off_by(relative, where=0):
    """Our port, but for a gradient that is off by so much of its largest value at one step from the official state."""

    class Port(ours.Adapter):
        def load(self, hparams, variables):
            super().load(hparams, variables)
            self.step = int(variables.get(GLOBAL_STEP, -1))

        def train_step(self, *given):
            answer = super().train_step(*given)
            name = f"gradient/{OUTPUT_W}"
            if self.step == where:
                scale = np.abs(answer[name]).max()
                answer[name] = answer[name] + relative * scale * np.eye(*answer[name].shape)
            return answer

    return Port()


@pytest.mark.parametrize(
    ("relative", "spread", "verdict"),
    [
        (0.9 * FLOAT64_ALLOWED, 0.0, "equal"),  # the floor
        (1.1 * FLOAT64_ALLOWED, 0.0, "different"),
        (1.1 * FLOAT64_ALLOWED, 1e-12, "different"),  # a spread below the floor's tenth changes nothing
        (0.9 * SPREAD_FACTOR64 * 1e-9, 1e-9, "equal"),
        (1.1 * SPREAD_FACTOR64 * 1e-9, 1e-9, "different"),
    ],
)
def test_a_step_may_be_off_by_ten_times_the_official_spread_and_no_more(relative, spread, verdict):
    rows, _ = replay_training(with_spread(SHORT, spread, 0.0), off_by(relative))
    row = one(rows, GRADIENT)
    assert (row.verdict, row.where["step"]) == (verdict, 0)
    assert row.error == pytest.approx(relative, rel=1e-3)
    assert row.allowed == pytest.approx(max(FLOAT64_ALLOWED, SPREAD_FACTOR64 * spread), rel=1e-9)
    assert row.noise == pytest.approx(spread, rel=1e-9)
    assert [row for row in failures(rows) if row.quantity != GRADIENT] == []


def test_the_spread_of_a_step_is_the_largest_of_the_steps_around_it():
    spread = np.zeros(40)
    spread[[10, 30]] = 3.0, 2.0
    windowed = training._windowed(spread)
    expected = np.zeros(40)
    expected[10 - WINDOW : 10 + WINDOW + 1], expected[30 - WINDOW : 30 + WINDOW + 1] = 3.0, 2.0
    np.testing.assert_array_equal(windowed, expected)
    np.testing.assert_array_equal(training._windowed(np.array([1.0])), [1.0])
    # and the judgement reads it: the spread of the second step is that of the first as well
    both = with_spread(SHORT, 0.0, 1e-9)
    assert one(replay_training(both, off_by(5e-9))[0], GRADIENT).verdict == "equal"
    assert one(replay_training(SHORT, off_by(5e-9))[0], GRADIENT).verdict == "different"


def far_apart(spread):
    """A run of more steps than a window is wide, whose spread is large at its end alone; nothing is computed twice."""
    steps = 3 * WINDOW
    long = copy.deepcopy(begin_of(LAYER_NORM, 1))
    for group in ("float64", "float64_ensemble", "official_drift"):
        long.groups[group] = {name: np.repeat(values, steps, axis=0) for name, values in long.groups[group].items()}
    return with_spread(long, *[0.0] * (steps - 1), spread)


def judged_by(recording, change=lambda step, value: value):
    """The row of a gradient of which the port answers the official value, changed at some steps."""
    fed = training._Fed(recording)
    for step, theirs in enumerate(recording["float64"][GRADIENT]):
        fed.take(GRADIENT, step, change(step, theirs), theirs, float(np.abs(theirs).max()), exact=False)
    return fed.row(GRADIENT)


def test_steps_where_official_runs_drift_apart_are_not_judged_and_are_counted():
    just, chaotic = far_apart(0.99 * CHAOTIC64), far_apart(1.01 * CHAOTIC64)
    steps = len(chaotic["float64"][GRADIENT])
    assert judged_by(just).verdict == "equal"
    row = judged_by(chaotic)
    # the last step, and the window before it
    assert (row.verdict, row.note) == ("not judged", f"chaotic at {WINDOW + 1} of {steps} steps")
    assert failures([row]) == []
    # what departs there proves nothing, what departs before it does
    late, early = steps - 1, steps - WINDOW - 2
    assert judged_by(chaotic, lambda step, value: value * (1 + 1e-3 * (step == late))).verdict == "not judged"
    row = judged_by(chaotic, lambda step, value: value * (1 + 1e-3 * (step == early)))
    assert (row.verdict, row.where["step"]) == ("different", early)
    assert judged_by(just, lambda step, value: value * (1 + 1e-3 * (step == late))).verdict == "different"


def test_a_quantity_that_is_chaotic_throughout_is_not_judged_and_has_no_number():
    row = one(replay_training(with_spread(SHORT, 1e-5, 1e-5), ours.Adapter())[0], GRADIENT)
    assert (row.verdict, row.note, row.ours) == ("not judged", "chaotic at 2 of 2 steps", None)


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lambda value: value[None], "shape [1, 9, 21], expected [9, 21]"),
        (lambda value: value * np.nan, "NaN or infinity"),
        (lambda value: value + 0j, "type complex128, expected float64"),
    ],
)
def test_what_is_no_such_array_is_different_at_a_chaotic_step_too(damage, told):
    name = f"gradient/{OUTPUT_W}"
    port = changed("train_step", lambda answer: answer | {name: damage(answer[name])})
    row = one(replay_training(with_spread(SHORT, 1e-5, 1e-5), port)[0], GRADIENT)
    assert (row.verdict, row.note, row.where) == ("different", told, {"step": 0})


# An optimizer that starts afresh ------------------------------------------------------------------------------------


class WrongStart(ours.Adapter):
    """A fresh optimizer's power of beta2 is that of beta1; one that is loaded has the powers that it is given."""

    def load(self, hparams, variables):
        super().load(hparams, variables)
        if GLOBAL_STEP not in variables:
            self.optimizer.set_powers(dict.fromkeys(POWERS, self.optimizer.powers()["beta1_power"]))


class FullSlots(ours.Adapter):
    """A fresh optimizer's slots are not empty."""

    def load(self, hparams, variables):
        super().load(hparams, variables)
        if GLOBAL_STEP not in variables:
            for slot in self.optimizer.slots():
                slot.fill_(1e-6)


def test_a_wrong_power_at_the_start_of_a_fresh_optimizer_is_found_in_its_first_step():
    rows, _ = replay_training(SHORT, WrongStart())
    first = first_departure(rows)
    assert first.quantity.startswith("fresh/after/")
    assert part_of(first) == "training: the first step of a fresh optimizer"
    failed = {row.quantity for row in failures(rows)}
    # the powers and every weight, but not the slots, which the powers do not enter
    left = {n for n in fresh_of(SHORT) if "/Adam" not in n and not n.endswith("beta1_power")}
    assert failed - set(DRIFTS) == left
    assert DRIFT in failed


def test_slots_that_are_not_empty_at_the_start_are_found_in_the_first_step():
    failed = {row.quantity for row in failures(replay_training(SHORT, FullSlots())[0])}
    assert {n for n in fresh_of(SHORT) if n.endswith(("/Adam", "/Adam_1"))} <= failed
    assert failed <= fresh_of(SHORT) | set(DRIFTS)


# Ports that fail, and ports that offer less -------------------------------------------------------------------------


@pytest.mark.parametrize("error", [RuntimeError("owl"), SystemExit("owl")])
@pytest.mark.parametrize("method", ["load", "schedules", "data", "train_step"])
def test_what_a_method_raises_is_a_failing_row_that_names_it(method, error):
    rows, curves = replay_training(SHORT, changed(method, raising(error)))
    assert curves is None
    assert [(row.verdict, row.note) for row in rows] == [("different", f"{method} failed: {type(error).__name__}: owl")]


@pytest.mark.parametrize("method", ["encode", "decode", "loss"])
def test_what_a_validation_raises_is_a_failing_row_that_names_it(method):
    rows, curves = replay_training(LAYER_NORM, changed(method, raising(RuntimeError("owl"))))
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
    rows, _ = replay_training(SHORT, changed("train_step", change))
    assert [(row.verdict, row.note) for row in rows] == [("different", f"train_step failed: {told}")]


@pytest.mark.parametrize("answer", [None, 3, (1,), (1, 2, 3), ("owl", "owl")])
def test_schedules_that_are_no_two_numbers_are_a_failing_row(answer):
    rows, _ = replay_training(SHORT, changed("schedules", lambda _: answer))
    assert len(rows) == 1
    assert rows[0].note.startswith("schedules failed: ")


def test_ctrl_c_goes_through():
    for method in ("load", "schedules", "data", "train_step"):
        with pytest.raises(KeyboardInterrupt):
            replay_training(SHORT, changed(method, raising(KeyboardInterrupt())))


class FailsLate(ours.Adapter):
    """The step after so many fails."""

    steps, error = 0, RuntimeError("owl")

    def train_step(self, sketches, lengths, draws, lr, kl_weight):
        self.steps -= 1
        if self.steps < 0:
            raise self.error
        return super().train_step(sketches, lengths, draws, lr, kl_weight)


def test_a_free_run_that_fails_leaves_what_was_compared_before():
    port = FailsLate()
    port.steps = 3  # two from the official state, one more
    rows, curves = replay_training(SHORT, port)
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
    rows, _ = replay_training(SHORT, port)
    first = first_departure(rows)
    assert (first.quantity, first.verdict, first.where["step"]) == ("steps/lr", "different", 0)
    assert not Report("", rows, {}, {}, partial=True).passed


class TrainsAlone(adapter.Adapter):
    """A port that offers a step of training and nothing else."""

    def __init__(self):
        port = ours.Adapter()
        self.load, self.train_step = port.load, port.train_step


def test_a_port_without_data_schedules_and_encoder_is_given_the_official_ones():
    rows, curves = replay_training(LAYER_NORM, TrainsAlone())
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

    rows, _ = replay_training(LAYER_NORM, Port())
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
    assert failures(replay_training(recording, Port())[0]) == []
    assert recording.digest() == SHORT.digest()


# A checkpoint continued ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", [1, SAVE_EVERY + 1, STEPS - 1])
def test_the_step_behind_a_state_is_the_official_one(step):
    rows = resumed(LAYER_NORM, ours.Adapter(), with_step(state_before(LAYER_NORM, step), step), step)
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
    rows = resumed(LAYER_NORM, port(), with_step(state_before(LAYER_NORM, state), 2), 2)
    first = first_departure(rows)
    assert part_of(first) == part
    assert first.quantity.startswith("resumed/")
    assert first.where["step"] == 2


# Streams ------------------------------------------------------------------------------------------------------------

WANTED = {
    "latent": Wanted((40, 5), None),
    "decoder/recurrent": Wanted((30, 4, 9), 0.9),
    "decoder/input": Wanted((30, 4, 9), 0.8),
}


def test_the_same_seed_step_and_name_give_the_same_numbers_whatever_else_is_asked_for():
    first = draws_of(WANTED, 7, 3)
    assert first.keys() == WANTED.keys()
    for name, wanted in WANTED.items():
        for again in (
            draws_of(WANTED, 7, 3),
            draws_of({name: wanted}, 7, 3),
            draws_of(dict(reversed(WANTED.items())), 7, 3),
        ):
            np.testing.assert_array_equal(again[name], first[name])


def test_another_seed_step_or_name_gives_other_numbers():
    latent = {name: Wanted((40, 5), None) for name in ("latent", "owl", "Latent")}
    seen = [
        draws_of(latent, seed, step)[name].tobytes()
        for name in latent
        for seed in (0, 1, 2)
        for step in (0, 1, 2, VALIDATION_DRAWS, VALIDATION_DRAWS + 1)
    ]
    assert len(set(seen)) == len(seen) == 45
    np.random.seed(0)
    before = draws_of(WANTED, 1, 0)
    np.random.seed(1)
    assert all(np.array_equal(value, before[name]) for name, value in draws_of(WANTED, 1, 0).items())


def test_the_numbers_are_those_of_every_recording_ever_made():
    draws = draws_of({"latent": Wanted((3,), None), "decoder/input": Wanted((8,), 0.5)}, 1, 0)
    latent, mask = (-1.7323863506317139, 0.5733579993247986, 0.8124371767044067), (0, 0, 2, 2, 0, 2, 2, 2)
    np.testing.assert_array_equal(draws["latent"], np.float32(latent))
    np.testing.assert_array_equal(draws["decoder/input"], np.float32(mask))


@pytest.mark.parametrize("keep_prob", [0.9, 0.8, 0.5, float(np.float32(0.9)), 1.0])
def test_masks_hold_nothing_but_0_and_the_inverse_of_the_keep_probability(keep_prob):
    mask = dropout_mask(np.random.RandomState(0), (50, 20, 10), keep_prob)
    assert (mask.dtype, mask.shape) == (np.float32, (50, 20, 10))
    kept = np.float32(1 / keep_prob)
    assert set(np.unique(mask)) == ({kept} if keep_prob == 1 else {np.float32(0), kept})
    assert np.mean(mask > 0) == pytest.approx(keep_prob, abs=0.015)
    drawn = draws_of({"owl": Wanted((50, 20, 10), keep_prob)}, 1, 1)["owl"]
    assert set(np.unique(drawn)) == set(np.unique(mask))


def test_what_has_no_keep_probability_is_standard_normal():
    values = draws_of({"latent": Wanted((200, 50), None)}, 1, 0)["latent"]
    assert (values.dtype, values.shape) == (np.float32, (200, 50))
    assert abs(values.mean()) < 0.04
    assert values.std() == pytest.approx(1, abs=0.03)


def test_what_a_run_was_fed_is_what_a_port_is_given():
    seen = []

    class Port(ours.Adapter):
        def train_step(self, sketches, lengths, draws, lr, kl_weight):
            seen.append(draws)
            return super().train_step(sketches, lengths, draws, lr, kl_weight)

    replay_training(SHORT, Port())
    assert len(seen) == 4  # two steps, from the official state and freely
    wanted = training.wanted_draws(SHORT, "draws")
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
