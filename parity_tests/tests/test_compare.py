"""The harness's comparisons can fail: whatever two sides differ in shows, in its place, and nothing hides it."""

import numpy as np
import pytest

from parity_tests.compare import (
    EPSILON32,
    FED,
    FLOAT64_ALLOWED,
    Row,
    compare,
    failures,
    first_departure,
    place,
)
from parity_tests.recording import Recording
from parity_tests.report import Report

INF, NAN = float("inf"), float("nan")
NUMBERS = {"float64": np.float64, "float32": np.float32, "exact": None}


def recording_of(name: str = "lstm/as_is", **groups) -> Recording:
    return Recording("model", name, {}, {}, groups)


def row(ours: object, theirs: object, precision: str = "float64", name: str = "train/q") -> Row:
    """The one row of a comparison of one quantity; in float32 the official run makes no error at all."""
    ours, theirs = (np.asarray(side, NUMBERS[precision]) for side in (ours, theirs))
    groups = {precision: {name: theirs}}
    if precision == "float32":
        steps = theirs.shape[1] if theirs.ndim == 3 else 1
        groups |= {"float64": {name: theirs.astype(np.float64)}, "official_error": {name: np.zeros((2, steps))}}
    (only,) = compare({name: ours}, recording_of(**groups), precision)
    return only


def around(limit: float, number: type = np.float32) -> tuple[float, float]:
    """The largest number that is within a limit, and the smallest that is beyond it."""
    near = number(limit)
    below = near if float(near) <= limit else np.nextafter(near, number(-INF))
    return float(below), float(np.nextafter(below, number(INF)))


def with_item(values: np.ndarray, index: tuple, item: float) -> np.ndarray:
    changed = values.copy()
    changed[index] = item
    return changed


BIG = np.random.default_rng(1).standard_normal((30, 40, 50))
SQUARE = np.random.default_rng(2).standard_normal((4, 4))

# Values --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("precision", NUMBERS)
@pytest.mark.parametrize("values", [BIG, SQUARE, [0.0], [1e-30, -1e30], 3.5, [-0.0, 0.0]])
def test_the_same_is_equal(values, precision):
    found = row(values, np.array(values), precision)
    assert (found.verdict, found.error, found.used, found.cause, found.note) == ("equal", 0.0, 0.0, None, "")


DIFFERENT = {
    "the same mean, other elements": ([1.0, 2.0, 3.0], [2.0, 2.0, 2.0]),
    "the same elements in another order": (BIG[::-1], BIG),
    "the other sign": (-BIG, BIG),
    "a transposed square": (SQUARE.T, SQUARE),
    "a transposed oblong": (SQUARE[:3].T, SQUARE[:3]),
    "one wrong element among many": (with_item(BIG, (29, 39, 49), BIG[29, 39, 49] + 1e-4), BIG),
    "one element left at zero": (with_item(BIG, (3, 4, 5), 0.0), BIG),
    "zeros against tiny numbers": (np.zeros(3), np.full(3, 1e-30)),
    "tiny numbers against zeros": (np.full(3, 1e-40), np.zeros(3)),
    "one tiny number against zeros": ([0.0, 1e-45], [0.0, 0.0]),
    "twice the tiny numbers": (np.full(3, 2e-30), np.full(3, 1e-30)),
    "NaN on our side": (with_item(SQUARE, (1, 2), NAN), SQUARE),
    "NaN on their side": (SQUARE, with_item(SQUARE, (1, 2), NAN)),
    "NaN on both sides": (with_item(SQUARE, (1, 2), NAN), with_item(SQUARE, (1, 2), NAN)),
    "nothing but NaN": (NAN, NAN),
    "infinity on our side": (with_item(SQUARE, (1, 2), INF), SQUARE),
    "infinity on their side": (SQUARE, with_item(SQUARE, (1, 2), INF)),
    "infinity on both sides": (with_item(SQUARE, (1, 2), INF), with_item(SQUARE, (1, 2), INF)),
    "a row for a vector": ([[1.0, 1.0, 1.0]], [1.0, 1.0, 1.0]),
    "a vector for a row": ([1.0, 1.0, 1.0], [[1.0, 1.0, 1.0]]),
    "a column for a vector": ([[1.0], [1.0], [1.0]], [1.0, 1.0, 1.0]),
    "a scalar for a vector": (1.0, [1.0, 1.0]),
    "one item for a scalar": ([1.0], 1.0),
    "one step more": (np.ones((2, 4, 3)), np.ones((2, 3, 3))),
    "one step for all": (np.ones((2, 1, 3)), np.ones((2, 3, 3))),
    "nothing for something": (np.zeros((0, 3)), np.zeros((1, 3))),
}


@pytest.mark.parametrize("precision", NUMBERS)
@pytest.mark.parametrize(("ours", "theirs"), DIFFERENT.values(), ids=DIFFERENT)
def test_what_differs_is_different_in_every_precision(ours, theirs, precision):
    found = row(ours, theirs, precision)
    assert found.verdict == "different"
    assert found.error > found.allowed
    assert found.used > 1
    assert not Report("", [found], {}, {}).passed


@pytest.mark.parametrize("precision", NUMBERS)
@pytest.mark.parametrize("odd", [NAN, INF, -INF])
def test_the_side_that_is_not_finite_is_named(odd, precision):
    assert row([odd, 1.0], [1.0, 1.0], precision).note == "NaN or infinity in the port"
    assert row([1.0, 1.0], [1.0, odd], precision).note == "NaN or infinity in the official run"
    assert row([odd, 1.0], [odd, 1.0], precision).note == "NaN or infinity in the port"


@pytest.mark.parametrize("precision", NUMBERS)
def test_both_shapes_are_named_and_an_empty_tensor_proves_nothing(precision):
    assert row(np.ones((2, 4, 3)), np.ones((2, 3, 3)), precision).note == "shape [2, 4, 3], expected [2, 3, 3]"
    found = row(np.zeros((0, 3)), np.zeros((0, 3)), precision)
    assert (found.verdict, found.note) == ("not compared", "empty, shape [0, 3]")


@pytest.mark.parametrize("sign", [1, -1])
def test_float64_may_be_off_by_what_is_allowed_of_the_largest_magnitude_and_no_more(sign):
    theirs = with_item(np.zeros((2, 3, 4)), (1, 2, 3), -1024.0)
    within, beyond = around(1e-10 * 1024, np.float64)
    for index in list(np.ndindex(theirs.shape))[:-1]:
        found = row(with_item(theirs, index, sign * within), theirs)
        assert (found.verdict, found.error, found.allowed) == ("equal", within / 1024, FLOAT64_ALLOWED)
        found = row(with_item(theirs, index, sign * beyond), theirs)
        assert (found.verdict, found.error, found.allowed) == ("different", beyond / 1024, FLOAT64_ALLOWED)
        assert found.where == dict(zip(("row", "step", "unit"), index, strict=True))
        assert (found.ours, found.theirs, found.truth) == (sign * beyond, 0.0, 0.0)
    assert row(np.where(theirs, theirs, within), theirs).verdict == "equal"


def test_float64_takes_its_noise_from_the_recording_and_allows_nothing_for_it():
    theirs = {"q": np.array([8.0, 0.0])}
    recording = recording_of(float64=theirs, noise={"q": np.float64(1e-3), "p": np.float64(1.0)})
    found = compare({"q": np.array([8.0, 1e-9])}, recording, "float64")[0]
    assert (found.verdict, found.noise) == ("different", 1e-3 / 8)
    assert compare(theirs, recording_of(float64=theirs), "float64")[0].noise is None


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (np.array([1, 2]), np.array([1.0, 2.0])),
        (np.array([1.0, 2.0]), np.array([1, 2])),
        (np.array([1, 2], np.int32), np.array([1, 2], np.int64)),
        (np.array([1, 2], np.float32), np.array([1, 2], np.float64)),
        (np.array([1, 2], ">f4"), np.array([1, 2], "<f4")),
        (np.array([0, 1], bool), np.array([0, 1], np.uint8)),
        (np.zeros(2, np.int64), np.zeros(2)),
        (np.array([2**60 + 1]), np.array([2**60])),
        (np.array([0.0, 1.0]), np.array([-0.0, 1.0])),
        (np.array([1e300, 5e-324]), np.array([1e300, 0.0])),
        (np.array([np.nextafter(1.0, 2)]), np.array([1.0])),
        (np.array([True, False]), np.array([True, True])),
    ],
    ids=str,
)
def test_exact_means_the_same_type_and_the_same_bits(ours, theirs):
    found = row(ours, theirs, "exact")
    assert found.verdict == "different"
    assert found.error > found.allowed == 0.0


def test_exact_is_held_against_the_exact_group_and_no_other():
    recording = recording_of(exact={"x": np.array([1.0])}, float64={"x": np.array([2.0]), "y": np.array([1.0])})
    assert compare({"x": np.array([1.0])}, recording, "exact")[0].verdict == "equal"
    assert compare({"x": np.array([2.0])}, recording, "exact")[0].verdict == "different"


def test_each_precision_must_be_computed_in_its_own_type():
    """But for float64, where more digits than ours has would show, and a count may be an integer."""
    ones = np.ones(2, np.float32)
    groups = {"float32": {"x": ones}, "float64": {"x": np.ones(2)}, "official_error": {"x": np.zeros((2, 1))}}
    found = compare({"x": np.ones(2)}, recording_of(**groups), "float32")[0]
    assert (found.verdict, found.note) == ("different", "type float64, expected float32")
    for number, verdict in ((np.int64, "equal"), (np.float32, "equal"), (bool, "different"), (complex, "different")):
        assert compare({"x": np.ones(2, number)}, recording_of(**groups), "float64")[0].verdict == verdict


# float32: measured at each step, twice -------------------------------------------------------------------------------

SHAPE = (2, 3, 4)  # rows, steps, units
SMALL = np.array([2.0**-9, 2.0**-11, 2.0**-10])  # an official error for each step, above the floor of 2^-18
MUCH = np.full(3, 2.0**-4)  # multiplied it is beyond the ceiling of 0.08
NOTHING = np.zeros((2, 3))
CHECKERS = np.where(np.indices((2, 4)).sum(axis=0) % 2, -1.0, 1.0)  # their mean is 0


def truth_of(step: int) -> np.ndarray:
    """A truth whose largest magnitude is 8, all of it outside a step."""
    return with_item(np.zeros(SHAPE), (1, (step + 1) % 3, 3), -8.0)


def single(ours, truth, official, name="train/decoder/i", theirs=None, noise=0.0) -> Row:
    """A comparison in float32; official errors are [2, steps]."""
    groups = {"float64": truth, "float32": truth if theirs is None else theirs, "official_error": official}
    groups |= {"noise": np.float64(noise)}
    groups = {group: {name: np.asarray(value)} for group, value in groups.items()}
    groups["float32"][name] = groups["float32"][name].astype(np.float32)
    return compare({name: np.asarray(ours, np.float32)}, recording_of(**groups), "float32")[0]


@pytest.mark.parametrize("step", range(3))
@pytest.mark.parametrize("signs", [1.0, -1.0, CHECKERS], ids=["above", "below", "around"])
def test_the_root_of_the_mean_square_may_be_twice_the_official_one_at_each_step(step, signs):
    truth, official = truth_of(step), np.stack([SMALL, MUCH])
    for size, verdict in zip(around(2 * SMALL[step]), ("equal", "different"), strict=True):
        ours = truth.copy()
        ours[:, step] += signs * size
        found = single(ours, truth, official)
        assert (found.verdict, found.measure, found.where) == (verdict, "rms", {"row": 0, "step": step, "unit": 0})
        assert (found.error, found.allowed) == (size / 8, 2 * SMALL[step] / 8)
        assert (found.official_error, found.ratio) == (SMALL[step] / 8, size / SMALL[step])


@pytest.mark.parametrize("sign", [1, -1])
def test_the_largest_element_may_be_four_times_the_official_one_at_each_step(sign):
    official = np.stack([MUCH, SMALL])
    for index in np.ndindex(SHAPE):
        step = index[1]
        for size, verdict in zip(around(4 * SMALL[step]), ("equal", "different"), strict=True):
            found = single(with_item(truth_of(step), index, sign * size), truth_of(step), official)
            assert (found.verdict, found.measure) == (verdict, "largest")
            assert found.where == dict(zip(("row", "step", "unit"), index, strict=True))
            assert (found.error, found.allowed) == (size / 8, 4 * SMALL[step] / 8)
            assert found.official_error == SMALL[step] / 8
            assert (found.ours, found.truth) == (sign * size, 0.0)


@pytest.mark.parametrize("small", [0.0, 2.0**-23])  # also half of the floor, lest both be added
def test_four_units_of_the_largest_magnitude_are_always_allowed_and_no_more(small):
    truth, few = truth_of(0), np.full(3, small)
    for size, verdict in zip(around(4 * EPSILON32 * 8), ("equal", "different"), strict=True):
        found = single(with_item(truth, (1, 0, 2), size), truth, np.stack([few, few / 2]))
        assert (found.verdict, found.measure, found.allowed) == (verdict, "largest", 4 * 2.0**-23)
        ours = truth.copy()
        ours[:, 0] += size * CHECKERS
        found = single(ours, truth, np.stack([few, MUCH]))
        assert (found.verdict, found.measure, found.allowed) == (verdict, "rms", 4 * 2.0**-23)


@pytest.mark.parametrize("official", [2.0**-4, 1.0, 1e30])
def test_an_official_float32_that_went_astray_allows_one_hundredth(official):
    truth = truth_of(1)
    for size, verdict in zip(around(0.01 * 8), ("equal", "different"), strict=True):
        found = single(with_item(truth, (0, 1, 2), size), truth, np.full((2, 3), official))
        assert (found.verdict, found.measure, found.allowed) == (verdict, "largest", 0.01)
        ours = truth.copy()
        ours[:, 1] += size * CHECKERS
        assert single(ours, truth, np.full((2, 3), official)).verdict == verdict


@pytest.mark.parametrize("noise", [0.0, 1e30])
@pytest.mark.parametrize("theirs", [-1e30, 0.0, 7.99, 8.0])
def test_float32_is_held_against_the_float64_run_whatever_the_official_float32_run_and_the_noise_are(theirs, noise):
    truth, official = np.full(SHAPE, 8.0), np.stack([SMALL, SMALL])
    for close, verdict in ((2 * SMALL[1], "equal"), (2.1 * SMALL[1], "different")):
        found = single(truth - close, truth, np.full((2, 3), SMALL[1]), theirs=np.full(SHAPE, theirs), noise=noise)
        assert (found.verdict, found.truth, found.noise) == (verdict, 8.0, None)
        assert found.theirs == pytest.approx(theirs)
    astray = np.full(SHAPE, 7.9)
    assert single(astray, truth, official, theirs=astray, noise=noise).verdict == "different"


def test_where_the_mean_square_alone_departs_the_first_step_is_named_and_there_the_largest_element():
    truth, official = with_item(np.zeros(SHAPE), (0, 0, 0), 8.0), np.stack([SMALL, MUCH])
    ours = truth.copy()
    ours[:, 1] += 2.5 * SMALL[1]
    ours[:, 2] += 9 * SMALL[2]
    ours[1, 1, 3] *= 1.5
    found = single(ours, truth, official)
    assert (found.verdict, found.measure) == ("different", "rms")
    assert found.where == {"row": 1, "step": 1, "unit": 3}
    # also where a later step has an element that is too large
    ours[0, 2, 1] = 0.5
    assert single(ours, truth, official).where == {"row": 1, "step": 1, "unit": 3}


@pytest.mark.parametrize(
    "errors", [None, np.zeros(2), np.zeros((2, 1)), np.zeros((2, 4)), np.zeros((1, 3)), np.full((2, 3), NAN)], ids=str
)
def test_float32_without_a_measured_official_error_cannot_be_judged(errors):
    groups = {"float32": {"q": np.ones(SHAPE, np.float32)}, "float64": {"q": np.ones(SHAPE)}}
    groups |= {"noise": {"q": np.float64(0.0)}}
    if errors is not None:
        groups["official_error"] = {"q": errors, "another": np.zeros((2, 3))}
    found = compare(groups["float32"], recording_of(**groups), "float32")[0]
    assert (found.verdict, found.error) == ("not compared", INF)
    assert found.note == f"its official error is {errors}, expected measured numbers for 3 steps"
    for one in (INF, -INF, NAN):
        groups["official_error"] = {"q": with_item(np.zeros((2, 3)), (1, 2), one)}
        assert compare(groups["float32"], recording_of(**groups), "float32")[0].verdict == "not compared"


@pytest.mark.parametrize("truth", [[NAN, 2.0], [INF, 2.0]])
def test_a_truth_that_is_not_finite_allows_nothing(truth):
    found = single([1.0, 2.0], truth, np.zeros((2, 1)), theirs=np.array([1.0, 2.0]))
    assert (found.verdict, found.note) == ("different", "NaN or infinity in the official float64 run")


@pytest.mark.parametrize("theirs", [[NAN, 2.0], [INF, 2.0], [-INF, NAN]])
def test_an_official_float32_that_is_not_finite_allows_nothing(theirs):
    for ours in ([1.0, 2.0], theirs, [5.0, 5.0]):
        assert single(ours, [1.0, 2.0], np.zeros((2, 1)), theirs=np.array(theirs)).verdict == "different"


@pytest.mark.parametrize("official", [0.0, 1e-30, 1.0])
def test_a_truth_of_zeros_allows_nothing_but_zeros(official):
    zeros, errors = np.zeros(2), np.full((2, 1), official)
    assert single(zeros, zeros, errors, theirs=np.array([0.0, 1e-30])).verdict == "equal"
    for ours in ([0.0, 1e-30], [1.0, 1.0], [0.0, 1e-45]):
        assert single(ours, zeros, errors, theirs=np.array(ours)).verdict == "different"


def test_a_truth_of_another_shape_is_no_truth():
    for truth in ([[1.0, 1.0]], [[1.0], [1.0]], 1.0):
        found = single([1.0, 1.0], truth, np.zeros((2, 1)), theirs=np.array([1.0, 1.0]))
        assert (found.verdict, found.note) == ("different", f"shape [2], expected {list(np.shape(truth))}")


def test_what_the_float64_run_lacks_cannot_be_judged_in_float32():
    ones = np.ones(2, np.float32)
    found = compare({"x": ones}, recording_of(float32={"x": ones}, float64={}), "float32")[0]
    assert (found.verdict, found.note) == ("not compared", "missing in the official float64 run")


# Gradients -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["gradient/w", "clipped/w"])
def test_a_gradient_may_be_off_by_four_times_the_official_error_and_by_eight_units(name):
    truth = with_item(np.zeros((4, 4)), (0, 3), 8.0)
    cases = [  # official root of the mean square, official largest element, what the largest element may be
        (1.0, 2.0**-10, 2.0**-8),
        (2.0**-12, 1.0, 4 * 2.0**-10),  # the root of the mean square of one among sixteen is a quarter of it
        (0.0, 0.0, 8 * EPSILON32 * 8),
        (EPSILON32, EPSILON32 * 8, 2 * EPSILON32 * 8 * 4),
        (1e30, 1e30, 0.01 * 8),
    ]
    for rms, largest, limit in cases:
        for size, verdict in zip(around(limit), ("equal", "different"), strict=True):
            found = single(with_item(truth, (2, 1), size), truth, [[rms], [largest]], name)
            assert (found.verdict, found.where) == (verdict, {"in": 2, "unit": 1}), (rms, largest)


def test_sampling_of_one_row_may_be_off_by_four_times_in_either_measure():
    truth = with_item(np.zeros((3, 4)), (2, 3), 8.0)
    official = np.full((2, 3), 2.0**-10)
    for size, verdict in zip(around(2.0**-8), ("equal", "different"), strict=True):
        ours = truth.copy()
        ours[0] = size  # all units alike: the root of the mean square is as large as the largest
        assert single(ours, truth, official, "sample/greedy/mu1").verdict == verdict


@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_a_clipped_gradient_is_held_against_the_size_of_the_gradient(precision):
    number = NUMBERS[precision]
    truth = {"gradient/w": np.array([-1024.0, 0.0]), "clipped/w": np.array([-1.0, 0.0])}
    theirs = {name: value.astype(number) for name, value in truth.items()}
    errors = {name: np.zeros((2, 1)) for name in theirs}
    recording = recording_of(**{"official_error": errors, "float64": truth, precision: theirs})
    limit = 1024 * (1e-10 if precision == "float64" else 8 * EPSILON32)
    for size, verdict in zip(around(limit, number), ("equal", "different"), strict=True):
        ours = theirs | {"clipped/w": np.array([-1.0, size], number)}
        gradient, clipped, *_ = compare(ours, recording, precision)
        assert (gradient.verdict, clipped.verdict, clipped.error) == ("equal", verdict, size / 1024)
    # clipping that was forgotten, by the norm, and at another bound
    for wrong in ([-1024.0, 0.0], [-0.5, 0.0], [-1.0, 1.0]):
        ours = theirs | {"clipped/w": np.array(wrong, number)}
        assert [r.verdict for r in compare(ours, recording, precision)][:2] == ["equal", "different"]


@pytest.mark.parametrize("precision", ["float64", "float32"])
@pytest.mark.parametrize("gradient", [{}, {"gradient/w": np.array([INF])}, {"gradient/w": np.array([NAN])}])
def test_a_clipped_gradient_without_a_sound_gradient_is_not_excused(gradient, precision):
    truth = gradient | {"clipped/w": np.array([1.0])}
    theirs = {name: value.astype(precision) for name, value in truth.items()}
    errors = {name: np.zeros((2, 1)) for name in theirs}
    recording = recording_of(**{"official_error": errors, "float64": truth, precision: theirs})
    rows = compare(theirs | {"clipped/w": np.array([1.001], precision)}, recording, precision)
    assert {r.verdict for r in rows} == {"different"}


# Names ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("missing", ["not compared", "untested"])
def test_a_name_that_one_side_lacks_is_a_row_of_its_own(missing):
    one = np.ones(1)
    recording = recording_of(float64={"theirs": one, "a": one, "more": one})
    rows = compare({"a": one, "ours": one}, recording, "float64", missing=missing)
    assert [(r.quantity, r.verdict, r.note) for r in rows] == [
        ("a", "equal", ""),
        ("ours", "not compared", "missing on the official side"),
        ("theirs", missing, "missing on the port"),
        ("more", missing, "missing on the port"),
    ]
    assert [r.quantity for r in failures(rows)] == (["ours"] if missing == "untested" else ["ours", "theirs", "more"])
    assert [r.verdict for r in compare({}, recording, "float64")] == ["not compared"] * 3  # unless said otherwise


@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_what_was_fed_is_held_against_the_official_quantity_of_that_name(precision):
    name = "train/decoder/i"
    truth = truth_of(0)
    groups = {"float32": {name: truth.astype(np.float32)}, "float64": {name: truth}}
    recording = recording_of(**groups, official_error={name: np.stack([SMALL, SMALL])})
    limit = 8e-10 if precision == "float64" else 4 * SMALL[0]
    for size, verdict in zip(around(limit, NUMBERS[precision]), ("equal", "different"), strict=True):
        ours = {name: truth.astype(precision), FED + name: with_item(truth, (1, 0, 2), size).astype(precision)}
        plain, fed = compare(ours, recording, precision)
        assert (plain.quantity, plain.verdict) == (name, "equal")
        assert (fed.quantity, fed.verdict, fed.error) == (FED + name, verdict, size / 8)
        assert fed.where == {"row": 1, "step": 0, "unit": 2}
    # it does not stand for what runs freely, nor for a name that is not recorded
    rows = compare({FED + name: truth.astype(precision), FED + "train/x": truth}, recording, precision)
    assert [(r.quantity, r.verdict) for r in rows] == [
        (FED + name, "equal"), (FED + "train/x", "not compared"), (name, "not compared")
    ]  # fmt: skip


# What a row says -----------------------------------------------------------------------------------------------------


def test_a_departure_is_told_with_its_likely_cause():
    assert "transposed" in row(SQUARE.T, SQUARE).cause
    assert "transposed" in row(SQUARE[:3].T, SQUARE[:3]).cause
    assert "transposed" in row(SQUARE.T, SQUARE, "float32").cause
    lengths = np.array([2, 3])
    theirs = np.random.default_rng(5).standard_normal((2, 4, 3))
    behind = theirs + (np.arange(4)[:, None] >= lengths[:, None, None])
    recording = recording_of(float64={"train/decoder/i": theirs}, inputs={"lengths": lengths})
    assert "behind the end" in compare({"train/decoder/i": behind}, recording, "float64")[0].cause


def test_a_row_keeps_the_error_of_each_step():
    truth = with_item(np.zeros(SHAPE), (0, 0, 0), 8.0)
    ours = truth + np.array([0.0, 2.0**-13, 0.0])[:, None] + with_item(np.zeros(SHAPE), (1, 2, 3), 2.0**-12)
    assert (row(ours, truth).profile == np.array([0.0, 2.0**-13, 2.0**-12]) / 8).all()
    profile = single(ours, truth, np.stack([SMALL, MUCH])).profile
    assert profile[0] == pytest.approx(np.array([0.0, 2.0**-13, 2.0**-12 / np.sqrt(8)]) / 8, rel=1e-15)
    assert (profile[1] == SMALL / 8).all()


@pytest.mark.parametrize(
    ("name", "shape", "index", "where"),
    [
        ("train/decoder/total", (2, 3, 8), (1, 2, 5), {"row": 1, "step": 2, "gate": "f", "unit": 1}),
        ("gradient/vector_rnn/RNN/output_w", (4, 6), (3, 5), {"in": 3, "unit": 5}),
        ("train/r_cost", (), (), {}),
    ],
)
def test_the_place_of_the_largest_error_is_named_and_the_numbers_there(name, shape, index, where):
    theirs = np.array(np.random.default_rng(3).standard_normal(shape))
    for size in (1e-11, 1.0):
        ours = np.array(theirs)
        ours[index] += size
        found = row(ours, theirs, name=name)
        assert (found.verdict, found.where) == ("equal" if size < 1 else "different", where)
        assert (found.ours, found.theirs, found.truth) == (ours[index], theirs[index], theirs[index])


@pytest.mark.parametrize("name", ["train/decoder/i", "sample/greedy/pi", "train/nll"])
def test_the_place_is_that_of_the_first_step_that_departs_and_there_of_the_largest_error(name):
    shape, axis = {"train/decoder/i": ((3, 5, 4), 1), "sample/greedy/pi": ((5, 4), 0), "train/nll": ((3, 5), 1)}[name]
    theirs = np.random.default_rng(3).standard_normal(shape)
    ours = np.moveaxis(theirs.copy(), axis, 0)  # steps first
    ours[4] += 5.0  # the largest, but late
    ours[2] += 1e-6
    at = (2, *[size - 1 for size in ours.shape[1:]])
    ours[at] += 1e-6
    found = row(np.moveaxis(ours, 0, axis), theirs, name=name)
    index = list(at[1:])
    index.insert(axis, 2)
    assert found.where == place(name, tuple(index), shape)
    assert found.error > 1  # though the number is that of the largest


# The first departure -------------------------------------------------------------------------------------------------


def test_the_first_departure_is_the_first_in_the_order_of_computation():
    names = ["train/z", "train/a", "train/m", "train/b"]
    theirs = {name: np.ones(2) for name in sorted(names)}
    ours = {name: np.ones(2) for name in names}
    recording = recording_of(float64=theirs)
    assert [r.quantity for r in compare(ours, recording, "float64")] == names
    assert first_departure(compare(ours, recording, "float64")) is None
    for wrong, first in (
        (["train/b", "train/m"], "train/m"),
        (["train/a", "train/z"], "train/z"),
        (["train/b"], "train/b"),
    ):
        bad = ours | {name: np.full(2, 2.0) for name in wrong}
        assert first_departure(compare(bad, recording, "float64")).quantity == first
    # what was not compared is told too, behind all that was
    assert first_departure(compare({n: ours[n] for n in names[1:]}, recording, "float64")).quantity == "train/z"


def failed(quantity: str, step: int | None = None, recording: str = "lstm/as_is", precision: str = "float64") -> Row:
    where = {"row": 0} if step is None else {"row": 0, "step": step}
    return Row(recording, quantity, precision, "different", 1.0, 0.0, where=where)


def test_a_name_that_is_missing_is_named_only_where_nothing_departs():
    missing = Row("lstm/as_is", "eval/mu", "float64", "not compared", INF, 0.0)
    assert first_departure([missing, failed("encode")]).quantity == "encode"
    assert first_departure([missing]) is missing


def first_of(*rows: Row) -> tuple[str, str, str, int | None]:
    found = first_departure([Row("x", "train/0", "float64", "equal", 0.0, 0.0), *rows])
    return found.recording, found.precision, found.quantity, found.where.get("step")


@pytest.mark.parametrize("layer", ["train/encoder/fw", "train/encoder/bw", "train/decoder", "eval/decoder"])
def test_within_a_recurrent_layer_the_earliest_step_is_first_and_there_what_is_computed_first(layer):
    i, c, state = (f"{layer}/{name}" for name in ("i", "hyper_cell/c", "state"))
    assert first_of(failed(i, 3), failed(c, 2), failed(state, 2))[2:] == (c, 2)
    assert first_of(failed(i, 0), failed(c, 0), failed(state, 0))[2:] == (i, 0)
    assert first_of(failed(i, 9), failed("train/mu"), failed(c, 8), failed(state, 1))[2:] == (state, 1)


def test_between_layers_the_order_of_computation_counts_and_not_the_step():
    fw, bw, dec = ("train/encoder/fw/i", "train/encoder/bw/i", "train/decoder/i")
    assert first_of(failed(fw, 9), failed(bw, 5), failed(dec, 0))[2:] == (fw, 9)
    assert first_of(failed("train/mu"), failed(dec, 0))[2:] == ("train/mu", None)
    assert first_of(failed(dec, 4), failed("train/pi", 0), failed("eval/decoder/i", 0))[2:] == (dec, 4)
    # the initial state is no step of the layer
    assert first_of(failed("train/decoder/initial_state"), failed(dec, 0))[2] == "train/decoder/initial_state"
    assert first_of(failed(dec, 2), failed("train/decoder/final_state"))[2:] == (dec, 2)


def test_a_layer_of_another_recording_or_precision_is_another_layer():
    dec, c = "train/decoder/i", "train/decoder/c"
    assert first_of(failed(dec, 4), failed(c, 0, "lstm/moved"))[::3] == ("lstm/as_is", 4)
    assert first_of(failed(dec, 4), failed(c, 0, precision="float32"))[1::2] == ("float64", 4)


def test_what_was_fed_comes_last():
    dec, pi = "train/decoder/i", "train/pi"
    assert first_of(failed(FED + dec, 0), failed(pi, 3))[2:] == (pi, 3)
    assert first_of(failed(FED + dec, 3), failed(FED + "train/decoder/c", 1))[2:] == (FED + "train/decoder/c", 1)


def test_what_a_model_is_made_from_comes_before_it_and_trainings_come_last():
    ordered = [
        failed("converted/w", recording="lstm/as_is", precision="exact"),
        failed("h", 2, "cell/lstm"),
        failed("train/0/sketches", recording="data", precision="exact"),
        failed("initial/w", recording="initial/lstm", precision="distribution"),
        failed("train/mu", recording="lstm/moved"),
        failed("train/mu", recording="lstm/moved", precision="float32"),
        failed("steps/cost", recording="training/lstm"),
    ]
    for start, expected in enumerate(ordered):
        for rows in (ordered[start:], ordered[start:][::-1]):
            assert first_departure(rows) is expected
