"""What the spread of official runs allows at a step of a training, and where it is too wide to judge."""

import copy

import numpy as np
import pytest
from training_runs import GRADIENT, LAYER_NORM, OUTPUT_W, SHORT, begin_of, changed, one

from parity_tests import ours
from parity_tests.judge.limits import CHAOTIC64, FLOAT64_ALLOWED, SPREAD_FACTOR64, WINDOW
from parity_tests.judge.row import failures
from parity_tests.judge.training import judge_training
from parity_tests.judge.training_steps import StepComparison, _largest_nearby
from weight_port.names import GLOBAL_STEP


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
    rows, _ = judge_training(with_spread(SHORT, spread, 0.0), off_by(relative))
    row = one(rows, GRADIENT)
    assert (row.verdict, row.where["step"]) == (verdict, 0)
    assert row.error == pytest.approx(relative, rel=1e-3)
    assert row.allowed == pytest.approx(max(FLOAT64_ALLOWED, SPREAD_FACTOR64 * spread), rel=1e-9)
    assert row.noise == pytest.approx(spread, rel=1e-9)
    assert [row for row in failures(rows) if row.quantity != GRADIENT] == []


def test_the_spread_of_a_step_is_the_largest_of_the_steps_around_it():
    spread = np.zeros(40)
    spread[[10, 30]] = 3.0, 2.0
    windowed = _largest_nearby(spread)
    expected = np.zeros(40)
    expected[10 - WINDOW : 10 + WINDOW + 1], expected[30 - WINDOW : 30 + WINDOW + 1] = 3.0, 2.0
    np.testing.assert_array_equal(windowed, expected)
    np.testing.assert_array_equal(_largest_nearby(np.array([1.0])), [1.0])
    # and the judgement reads it: the spread of the second step is that of the first as well
    both = with_spread(SHORT, 0.0, 1e-9)
    assert one(judge_training(both, off_by(5e-9))[0], GRADIENT).verdict == "equal"
    assert one(judge_training(SHORT, off_by(5e-9))[0], GRADIENT).verdict == "different"


def far_apart(spread):
    """A run of more steps than a window is wide, whose spread is large at its end alone; nothing is computed twice."""
    steps = 3 * WINDOW
    long = copy.deepcopy(begin_of(LAYER_NORM, 1))
    for group in ("float64", "float64_ensemble", "official_drift"):
        long.groups[group] = {name: np.repeat(values, steps, axis=0) for name, values in long.groups[group].items()}
    return with_spread(long, *[0.0] * (steps - 1), spread)


def judged_by(recording, change=lambda step, value: value):
    """The row of a gradient of which the port answers the official value, changed at some steps."""
    steps = StepComparison(recording)
    for step, theirs in enumerate(recording["float64"][GRADIENT]):
        steps._compare(GRADIENT, step, change(step, theirs), theirs, float(np.abs(theirs).max()))
    return steps.row(GRADIENT)


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
    row = one(judge_training(with_spread(SHORT, 1e-5, 1e-5), ours.Adapter())[0], GRADIENT)
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
    row = one(judge_training(with_spread(SHORT, 1e-5, 1e-5), port)[0], GRADIENT)
    assert (row.verdict, row.note, row.where) == ("different", told, {"step": 0})
