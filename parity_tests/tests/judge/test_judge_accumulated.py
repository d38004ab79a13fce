"""Free runs: held against how far official runs drift from each other; what is chaotic is not judged, never equal."""

import numpy as np
import pytest
from judging import INF, NAN, free, with_item

from parity_tests.judge.limits import (
    CHAOTIC32,
    CHAOTIC64,
    EPSILON32,
    FLOAT32_FLOOR,
    FLOAT64_ALLOWED,
    SPREAD_FACTOR32,
    SPREAD_FACTOR64,
)
from parity_tests.judge.row import failures
from parity_tests.judge.tensor.accumulated import allowance
from parity_tests.report.report import Report

SHAPE = (2, 4, 3)  # rows, steps, units
TRUTH = with_item(np.random.default_rng(3).uniform(-1, 1, SHAPE), (0, 0, 0), 8.0)
FLOORS = {"float64": FLOAT64_ALLOWED, "float32": FLOAT32_FLOOR * EPSILON32}
FACTORS = {"float64": SPREAD_FACTOR64, "float32": SPREAD_FACTOR32}
CHAOTIC = {"float64": CHAOTIC64, "float32": CHAOTIC32}
BOTH = pytest.mark.parametrize("precision", FLOORS)


def off(step: int, by: float) -> np.ndarray:
    """The truth with one element of a step that is off."""
    return with_item(TRUTH, (1, step, 2), TRUTH[1, step, 2] + by)


def drifting(*largest: float, rms: float = 1.0) -> np.ndarray:
    """What one of the official runs does at each step, relative to the largest magnitude; the others do nothing."""
    drift = np.zeros((10, 2, len(largest)))
    drift[3, 0], drift[3, 1] = rms * 8 * np.array(largest), 8 * np.array(largest)
    return drift


# What is allowed -----------------------------------------------------------------------------------------------------


@BOTH
def test_without_any_drift_the_floor_is_allowed_and_no_more(precision):
    floor = FLOORS[precision]
    limit = allowance(precision, np.zeros((10, 2, 4)), 8.0)
    assert (limit.allowed == 8 * floor).all()
    assert limit.judged.all()
    assert free(off(2, 8 * floor * 0.9), TRUTH, precision).verdict == "equal"
    found = free(off(2, 8 * floor * 1.2), TRUTH, precision)
    assert (found.verdict, found.where, found.measure) == ("different", {"row": 1, "step": 2, "unit": 2}, "largest")
    assert found.allowed == pytest.approx(floor)


def test_the_floors_are_what_the_documentation_says():
    assert FLOORS == {"float64": 1e-10, "float32": 8 * 2.0**-23}


@BOTH
def test_ten_times_the_largest_drift_of_any_official_run_is_allowed(precision):
    ensemble = np.zeros((12, 2, 1))
    ensemble[:, :, 0] = np.geomspace(1e-9, 1e-8, 12)[:, None] * [1, 4]
    limit = allowance(precision, ensemble, 1e-3)
    assert limit.allowed[:, 0] == pytest.approx([1e-7, 4e-7])
    assert limit.spread[:, 0] == pytest.approx([1e-8, 4e-8])


@BOTH
@pytest.mark.parametrize("step", range(4))
def test_each_step_is_held_against_the_drift_up_to_it(precision, step):
    sizes = np.array([1.0, 3.0, 2.0, 5.0]) * FLOORS[precision]
    allowed = FACTORS[precision] * 8 * np.maximum.accumulate(sizes)
    drift = drifting(*sizes)
    assert free(off(step, 0.9 * allowed[step]), TRUTH, precision, drift=drift).verdict == "equal"
    found = free(off(step, 1.1 * allowed[step]), TRUTH, precision, drift=drift)
    assert (found.verdict, found.where["step"]) == ("different", step)
    assert found.official_error == pytest.approx(np.maximum.accumulate(sizes)[step])
    assert found.ratio == pytest.approx(1.1 * FACTORS[precision], rel=1e-3)


@BOTH
def test_where_the_mean_square_alone_is_too_large_the_step_is_found(precision):
    size = 10 * FLOORS[precision]
    ours = TRUTH.copy()
    ours[:, 2] += 8 * size * np.where(np.indices((2, 3)).sum(axis=0) % 2, -1, 1)
    found = free(ours, TRUTH, precision, drift=drifting(0, 0, size / 2, 0, rms=0.01))
    assert (found.verdict, found.measure, found.where["step"]) == ("different", "rms", 2)
    assert free(ours, TRUTH, precision, drift=drifting(0, 0, size / 2, 0)).verdict == "equal"


def test_float64_says_how_far_official_runs_drift_and_float32_does_not():
    assert free(TRUTH, TRUTH, drift=drifting(0, 0, 1e-12, 0)).noise == pytest.approx(1e-12)
    assert free(TRUTH, TRUTH, "float32", drift=drifting(0, 0, 1e-12, 0)).noise is None


@BOTH
def test_float32_is_held_against_the_float64_run_whatever_the_official_float32_run_is(precision):
    theirs = TRUTH if precision == "float64" else TRUTH + 1e-3
    assert free(TRUTH, TRUTH, precision, theirs=theirs).verdict == "equal"
    assert free(TRUTH + 1e-3, TRUTH, precision, theirs=theirs).verdict == "different"


@BOTH
@pytest.mark.parametrize("drift", [None, np.zeros(2), np.zeros((0, 2, 4)), np.zeros((10, 2, 3)), np.zeros((10, 1, 4))])
def test_without_a_measured_ensemble_nothing_can_be_judged(drift, precision):
    groups = {f"{precision}_ensemble": {} if drift is None else {"train/q": drift}}
    found = free(TRUTH, TRUTH, precision, **groups)
    shape = None if drift is None else list(drift.shape)
    assert (found.verdict, found.note) == (
        "not compared",
        f"its ensemble has the shape {shape}, expected [members, 2, 4]",
    )


@BOTH
def test_a_truth_of_zeros_allows_nothing_but_zeros(precision):
    zeros = np.zeros(SHAPE)
    assert free(zeros, zeros, precision).verdict == "equal"
    assert free(with_item(zeros, (0, 1, 1), 1e-40), zeros, precision).verdict == "different"


def test_a_truth_of_another_shape_is_no_truth():
    for truth in ([[1.0, 1.0]], [[1.0], [1.0]], 1.0):
        found = free([1.0, 1.0], truth, "float32", theirs=np.array([1.0, 1.0]))
        assert (found.verdict, found.note) == ("different", f"shape [2], expected {list(np.shape(truth))}")


def test_what_the_float64_run_lacks_cannot_be_judged_in_float32():
    found = free(np.ones(2), np.ones(2), "float32", float64={})
    assert (found.verdict, found.note) == ("not compared", "missing in the official float64 run")


# What is chaotic -----------------------------------------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize("first", range(1, 4))
def test_where_official_runs_drift_too_far_apart_steps_are_not_judged_and_the_first_is_named(precision, first):
    limit = CHAOTIC[precision]
    for size, verdict in ((limit * 0.99, "equal"), (limit * 1.01, "not judged")):
        sizes = [size if step == first else FLOORS[precision] / 100 for step in range(4)]
        found = free(TRUTH, TRUTH, precision, drift=drifting(*sizes))
        assert found.verdict == verdict
    assert f"chaotic from step {first} on: " in found.note
    assert not failures([found])
    assert not Report("", [found], {}, {}).passed  # a report of nothing else proves nothing


@BOTH
def test_once_chaotic_always_chaotic(precision):
    limit = allowance(precision, drifting(0, 2 * CHAOTIC[precision], 0, 0), 8.0)
    assert list(limit.judged) == [True, False, False, False]


@BOTH
@pytest.mark.parametrize("late", [0.0, 1e-3, 1e3])
def test_the_judged_steps_before_decide_and_the_others_do_not(precision, late):
    drift = drifting(0, 0, 2 * CHAOTIC[precision], 0)
    ours = off(3, late)
    assert free(ours, TRUTH, precision, drift=drift).verdict == "not judged"
    ours[0, 1, 1] += 8 * FLOORS[precision] * 2
    found = free(ours, TRUTH, precision, drift=drift)
    assert (found.verdict, found.where) == ("different", {"row": 0, "step": 1, "unit": 1})
    assert found.error == pytest.approx(2 * FLOORS[precision], rel=0.1)


@BOTH
@pytest.mark.parametrize("by", [0.0, 1e-4, 1e3])
def test_a_quantity_without_steps_that_is_chaotic_is_not_judged_however_far_it_is_off(precision, by):
    drift = np.full((10, 2, 1), 20 * CHAOTIC[precision])
    found = free([1.0, 2.0 + by], [1.0, 2.0], precision, name="gradient/w", drift=drift)
    assert found.verdict == "not judged"
    assert found.note == f"chaotic official runs drift by {10 * CHAOTIC[precision]:.0e}"


@BOTH
@pytest.mark.parametrize("odd", [NAN, INF])
def test_an_official_run_of_the_ensemble_that_is_not_finite_makes_it_unjudged(precision, odd):
    drift = drifting(0, 0, 0, 0)
    drift[5, :, 2] = odd
    found = free(off(3, 1.0), TRUTH, precision, drift=drift)
    assert found.verdict == "not judged"
    assert "from step 2 on" in found.note
    assert free(off(1, 1.0), TRUTH, precision, drift=drift).verdict == "different"


# What overflows ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("odd", [NAN, INF, -INF])
def test_where_the_official_float32_run_is_not_finite_ours_is_held_against_float64(odd):
    theirs = with_item(TRUTH, (0, 1, 1), odd)
    groups = {"float64_ensemble": {"train/q": np.zeros((10, 2, 4))}}
    found = free(off(2, 1e-3), TRUTH, "float32", theirs=theirs, **groups)
    assert (found.verdict, found.allowed) == ("official overflow", CHAOTIC32)
    assert found.error == pytest.approx(1e-3 / 8, rel=1e-3)
    assert "ours is, and is compared with float64" in found.note
    assert not failures([found])
    assert free(off(2, 1.0), TRUTH, "float32", theirs=theirs, **groups).verdict == "different"
    for bad in (NAN, INF, odd):
        for index in ((0, 1, 1), (1, 2, 2)):
            found = free(with_item(TRUTH, index, bad), TRUTH, "float32", theirs=theirs, **groups)
            assert (found.verdict, found.note) == ("different", "NaN or infinity in the port")


def test_where_float64_itself_is_chaotic_an_overflow_asks_for_finite_numbers_alone():
    theirs = with_item(TRUTH, (0, 1, 1), NAN)
    groups = {"float64_ensemble": {"train/q": np.full((10, 2, 4), 1e-9)}}  # 2^29 times as much is more than the scale
    assert free(off(2, 1.0), TRUTH, "float32", theirs=theirs, **groups).verdict == "official overflow"
    assert free(off(2, NAN), TRUTH, "float32", theirs=theirs, **groups).verdict == "different"
