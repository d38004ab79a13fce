"""The harness's comparisons can fail: whatever two sides differ in shows, in its place, and nothing hides it."""

import json
import re

import numpy as np
import pytest
from sample_models import ALL_CELLS, checkpoint, tiny, weights

from parity_tests.compare import (
    EPSILON32,
    FLOAT32_CEILING,
    FLOAT32_FACTOR,
    FLOAT32_FLOOR,
    FLOAT64_ALLOWED,
    Row,
    compare,
    failures,
    first_departure,
)
from parity_tests.port import replay
from parity_tests.recording import Recording
from parity_tests.report import HEAD, PARTS, Report, describe, part_of
from pytorch_sketch_rnn.errors import BadInput
from pytorch_sketch_rnn.hparams import HParams
from pytorch_sketch_rnn.model import make_cell
from weight_port.convert import optimizer_names
from weight_port.names import CELLS, weight_names

INF, NAN = float("inf"), float("nan")


def recording_of(name: str = "lstm/as_is", **groups) -> Recording:
    return Recording("model", name, {}, {}, groups)


def row(ours: object, theirs: object, precision: str = "float64", name: str = "train/q") -> Row:
    """The one row of a comparison of one quantity; in float32 of numbers that are float32 on both sides."""
    number = {"float64": np.float64, "float32": np.float32, "exact": None}[precision]
    groups = {precision: {name: np.asarray(theirs, number)}, "noise": {name: np.float64(0.0)}}
    rows = compare({name: np.asarray(ours, number)}, recording_of(**groups), precision)
    assert len(rows) == 1
    return rows[0]


BIG = np.random.default_rng(1).standard_normal((30, 40, 50))
SQUARE = np.random.default_rng(2).standard_normal((4, 4))


def with_item(values: np.ndarray, index: tuple, item: float) -> np.ndarray:
    changed = values.copy()
    changed[index] = item
    return changed


# Values --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("precision", ["float64", "exact"])
@pytest.mark.parametrize("values", [BIG, SQUARE, [0.0], [1e-300, -1e300], 3.5, [-0.0, 0.0]])
def test_the_same_is_equal(values, precision):
    found = row(values, np.array(values), precision)
    assert (found.verdict, found.error, found.note) == ("equal", 0.0, "")


DIFFERENT = {
    "the same mean, other elements": ([1.0, 2.0, 3.0], [2.0, 2.0, 2.0]),
    "the same elements in another order": (BIG[::-1], BIG),
    "the other sign": (-BIG, BIG),
    "a transposed square": (SQUARE.T, SQUARE),
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
    "nothing for something": (np.zeros((0, 3)), np.zeros((1, 3))),
}


@pytest.mark.parametrize("precision", ["float64", "float32", "exact"])
@pytest.mark.parametrize(("ours", "theirs"), DIFFERENT.values(), ids=DIFFERENT)
def test_what_differs_is_different_in_every_precision(ours, theirs, precision):
    found = row(ours, theirs, precision)
    assert found.verdict == "different"
    assert not found.error <= found.allowed
    assert not Report("", [found], {}, {}).passed


@pytest.mark.parametrize("precision", ["float64", "float32", "exact"])
@pytest.mark.parametrize("odd", [NAN, INF, -INF])
def test_the_side_that_is_not_finite_is_named(odd, precision):
    assert row([odd, 1.0], [1.0, 1.0], precision).note == "NaN or infinity in the port"
    assert row([1.0, 1.0], [1.0, odd], precision).note == "NaN or infinity in the official run"
    assert row([odd, 1.0], [odd, 1.0], precision).note == "NaN or infinity in the port"


@pytest.mark.parametrize("precision", ["float64", "float32", "exact"])
def test_an_empty_tensor_proves_nothing(precision):
    found = row(np.zeros((0, 3)), np.zeros((0, 3)), precision)
    assert (found.verdict, found.note) == ("not compared", "empty, shape [0, 3]")


def test_the_error_is_relative_to_the_largest_magnitude_and_may_be_as_large_as_allowed():
    theirs = np.array([0.0, -1000.0, 2.0])
    allowed = 1000 * FLOAT64_ALLOWED
    for element in range(3):
        within, beyond = (with_item(theirs, (element,), theirs[element] + allowed * f) for f in (0.99, 1.01))
        assert row(within, theirs).verdict == "equal"
        found = row(beyond, theirs)
        assert found.verdict == "different"
        assert found.error == pytest.approx(1.01 * FLOAT64_ALLOWED, rel=1e-3)
        assert found.where == {"row": element}
        assert (found.ours, found.theirs) == (beyond[element], theirs[element])


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (np.array([1, 2]), np.array([1.0, 2.0])),
        (np.array([1.0, 2.0]), np.array([1, 2])),
        (np.array([1, 2], np.int32), np.array([1, 2], np.int64)),
        (np.array([1, 2], np.float32), np.array([1, 2], np.float64)),
        (np.array([1, 2], ">f4"), np.array([1, 2], "<f4")),
        (np.array([0, 1], bool), np.array([0, 1], np.uint8)),
        (np.array([2**60 + 1]), np.array([2**60])),
        (np.array([0.0, 1.0]), np.array([-0.0, 1.0])),
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


# float32 -------------------------------------------------------------------------------------------------------------


def single(ours: object, theirs: object, truth: object, name: str = "train/q", noise: float = 0.0) -> Row:
    """A comparison in float32 whose truth is a float64 run."""
    groups = {"float32": np.asarray(theirs, np.float32), "float64": np.asarray(truth, np.float64)}
    groups |= {"noise": np.float64(noise)}
    recording = recording_of(**{group: {name: value} for group, value in groups.items()})
    return compare({name: np.asarray(ours, np.float32)}, recording, "float32")[0]


@pytest.mark.parametrize("name", ["train/pi", "gradient/w", "clipped/w", "sample/greedy/pi"])
@pytest.mark.parametrize(
    ("official_error", "noise"), [(0.0, 0.0), (1e-6, 0.0), (2e-5, 1e-6), (1e-6, 2e-5), (0.0, 1e-4)]
)
def test_float32_may_be_off_by_what_was_measured_and_no_more(name, official_error, noise):
    truth = np.array([[0.25, -8.0], [1.0, 0.5]])
    theirs = with_item(truth, (0, 1), -8.0 * (1 + official_error)).astype(np.float32)
    measured = (abs(float(theirs[0, 1])) - 8) / 8
    allowed = FLOAT32_FACTOR * max(measured, noise) + FLOAT32_FLOOR * EPSILON32
    for index in np.ndindex(2, 2):
        within, beyond = (with_item(truth, index, truth[index] + 8 * allowed * f) for f in (0.9, 1.1))
        found = single(within, theirs, truth, name, 8 * noise)
        assert found.verdict == "equal"
        assert found.allowed == pytest.approx(allowed)
        assert (found.official_error, found.noise) == pytest.approx((measured, noise))
        found = single(beyond, theirs, truth, name, 8 * noise)
        assert found.verdict == "different"
        assert tuple(found.where.values()) == index


def test_float32_is_held_against_the_truth_and_not_against_the_official_float32():
    """With the official rounding on one side of the truth and ours on the other, ours is judged by its own error."""
    found = single([1 - 3e-6], [1 + 1e-6], [1.0])
    assert found.verdict == "equal"
    assert found.error == pytest.approx(3e-6, rel=0.05)
    found = single([1 + 6e-6], [1 + 1e-6], [1.0])
    assert found.verdict == "different"
    assert found.error == pytest.approx(6e-6, rel=0.05)


@pytest.mark.parametrize("noise", [0.0, 1e30])
@pytest.mark.parametrize("theirs", [[-50.0, 2.0], [1e30, 2.0], [0.0, 0.0]])
def test_an_official_float32_that_went_astray_hides_nothing(theirs, noise):
    truth = [1.0, 2.0]
    assert single(np.array(truth) * 1.05, theirs, truth, noise=noise).verdict == "different"
    assert single(theirs, theirs, truth, noise=noise).verdict == "different"
    found = single(truth, theirs, truth, noise=noise)
    assert (found.verdict, found.allowed) == ("equal", FLOAT32_CEILING)


@pytest.mark.parametrize("noise", [NAN, INF, -INF, None])
def test_float32_without_a_measured_noise_cannot_be_judged(noise):
    ones = np.ones(2, np.float32)
    groups = {"float32": {"q": ones}, "float64": {"q": np.ones(2)}}
    if noise is not None:
        groups["noise"] = {"q": np.float64(noise), "another": np.float64(0.0)}
    found = compare({"q": ones}, recording_of(**groups), "float32")[0]
    assert (found.verdict, found.note) == ("not compared", f"its noise is {noise}, expected a measured number")


@pytest.mark.parametrize("theirs", [[NAN, 2.0], [INF, 2.0], [-INF, NAN]])
def test_an_official_float32_that_is_not_finite_allows_nothing(theirs):
    for ours in ([1.0, 2.0], theirs, [5.0, 5.0]):
        assert single(ours, theirs, [1.0, 2.0]).verdict == "different"
    assert "in the official run" in single([1.0, 2.0], theirs, [1.0, 2.0]).note


@pytest.mark.parametrize("truth", [[NAN, 2.0], [INF, 2.0]])
def test_a_truth_that_is_not_finite_allows_nothing(truth):
    found = single([1.0, 2.0], [1.0, 2.0], truth)
    assert (found.verdict, found.note) == ("different", "NaN or infinity in the official float64 run")


@pytest.mark.parametrize("noise", [0.0, 1e-30, 1.0])
def test_a_truth_of_zeros_allows_nothing_but_zeros(noise):
    assert single([0.0, 0.0], [0.0, 1e-30], [0.0, 0.0], noise=noise).verdict == "equal"
    for ours in ([0.0, 1e-30], [1.0, 1.0], [0.0, 1e-45]):
        for theirs in ([0.0, 1e-30], [0.0, 0.0], [1.0, 1.0]):
            assert single(ours, theirs, [0.0, 0.0], noise=noise).verdict == "different"


def test_a_truth_of_another_shape_is_no_truth():
    for truth in ([[1.0, 1.0]], [[1.0], [1.0]], 1.0):
        found = single([1.0, 1.0], [1.0, 1.0], truth)
        assert (found.verdict, found.note) == ("different", f"shape [2], expected {list(np.shape(truth))}")


def test_float32_must_be_computed_in_float32():
    groups = {"float32": np.ones(2, np.float32), "float64": np.ones(2), "noise": np.float64(0.0)}
    recording = recording_of(**{group: {"x": value} for group, value in groups.items()})
    found = compare({"x": np.ones(2)}, recording, "float32")[0]
    assert (found.verdict, found.note) == ("different", "type float64, expected float32")


def test_what_the_float64_run_lacks_cannot_be_judged_in_float32():
    ones = np.ones(2, np.float32)
    found = compare({"x": ones}, recording_of(float32={"x": ones}, float64={}), "float32")[0]
    assert (found.verdict, found.note) == ("not compared", "missing in the official float64 run")


@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_a_clipped_gradient_is_held_against_the_size_of_the_gradient(precision):
    number = {"float64": np.float64, "float32": np.float32}[precision]
    theirs = {"gradient/w": np.array([1000.0, 1.0], number), "clipped/w": np.array([1.0, 1.0], number)}
    groups = {"float64": {n: v.astype(np.float64) for n, v in theirs.items()}, precision: theirs}
    recording = recording_of(**groups, noise=dict.fromkeys(theirs, np.float64(0.0)))
    allowed = 1000 * (FLOAT64_ALLOWED if precision == "float64" else FLOAT32_FLOOR * EPSILON32)
    for factor, verdict in ((0.9, "equal"), (1.1, "different")):
        ours = theirs | {"clipped/w": np.array([1.0 + factor * allowed, 1.0], number)}
        assert [r.verdict for r in compare(ours, recording, precision)] == ["equal", verdict]
    # clipping that was forgotten, by the norm, and at another bound
    for clipped in ([1000.0, 1.0], [1.0, 0.001], [0.5, 0.5]):
        ours = theirs | {"clipped/w": np.array(clipped, number)}
        assert [r.verdict for r in compare(ours, recording, precision)] == ["equal", "different"]


@pytest.mark.parametrize("gradient", [{}, {"gradient/w": np.array([INF])}])
def test_a_clipped_gradient_without_a_sound_gradient_is_not_excused(gradient):
    theirs = gradient | {"clipped/w": np.array([1.0])}
    rows = compare(theirs | {"clipped/w": np.array([1.001])}, recording_of(float64=theirs), "float64")
    assert {r.verdict for r in rows} == {"different"}


# Names, places and order ---------------------------------------------------------------------------------------------


def test_a_name_that_one_side_lacks_is_a_row_of_its_own():
    one = np.ones(1)
    rows = compare({"a": one, "ours": one}, recording_of(float64={"a": one, "theirs": one}), "float64")
    assert [(r.quantity, r.verdict, r.note) for r in rows] == [
        ("a", "equal", ""),
        ("ours", "not compared", "missing on the official side"),
        ("theirs", "not compared", "missing on the port"),
    ]
    assert [r.quantity for r in failures(rows)] == ["ours", "theirs"]
    assert [r.verdict for r in compare({}, recording_of(float64={"a": one, "b": one}), "float64")] == [
        "not compared"
    ] * 2


PLACES = {
    "train/decoder/i": ((4, 5, 6), (3, 1, 2), {"row": 3, "step": 1, "unit": 2}),
    "eval/encoder/bw/output": ((4, 5, 6), (0, 4, 5), {"row": 0, "step": 4, "unit": 5}),
    "hyper_cell/ln": ((2, 3, 4), (1, 2, 3), {"row": 1, "step": 2, "unit": 3}),
    "train/mu": ((4, 6), (3, 5), {"row": 3, "unit": 5}),
    "train/decoder/initial_state": ((4, 6), (1, 2), {"row": 1, "unit": 2}),
    "train/0/lengths": ((7,), (5,), {"row": 5}),
    "train/r_cost": ((), (), {}),
    "sample/greedy/pi": ((9, 4), (7, 2), {"step": 7, "unit": 2}),
    "sample/sampled/strokes": ((9, 5), (8, 4), {"step": 8, "unit": 4}),
    "gradient/vector_rnn/RNN/output_w": ((4, 6), (3, 5), {"in": 3, "out": 5}),
    "clipped/vector_rnn/RNN/output_b": ((6,), (4,), {"unit": 4}),
    "after/vector_rnn/vector_rnn/RNN/output_w/Adam": ((4, 6), (0, 5), {"in": 0, "out": 5}),
    "after/vector_rnn/global_step": ((), (), {}),
    "converted/vector_rnn/RNN/output_w": ((4, 6), (2, 1), {"in": 2, "out": 1}),
}


@pytest.mark.parametrize(("name", "shape", "index", "place"), [(n, *v) for n, v in PLACES.items()])
def test_the_place_of_the_worst_error_is_named(name, shape, index, place):
    theirs = np.array(np.random.default_rng(3).standard_normal(shape))
    ours = np.array(theirs + 1e-6)  # wrong throughout, most so in one place
    ours[index] += 1.0
    found = row(ours, theirs, name=name)
    assert found.where == place
    assert (found.ours, found.theirs) == (ours[index], theirs[index])


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


# The report ----------------------------------------------------------------------------------------------------------


def a_row(recording: str, quantity: str, precision: str = "float64", verdict: str = "equal", **more) -> Row:
    """A row as a comparison would make it."""
    known = {"error": 0.0, "allowed": 0.0, "official_error": None, "noise": None, "where": {}}
    return Row(recording, quantity, precision, verdict, **known | more)


EQUAL = a_row("lstm/as_is", "train/mu", error=1e-15, allowed=1e-10, where={"row": 0, "unit": 1}, ours=0.5, theirs=0.5)
SINGLE = a_row("lstm/as_is", "train/mu", "float32", error=1e-7, allowed=1e-6, official_error=2e-7, noise=1e-7)
EXACT = a_row("data", "train/0/lengths", "exact")
WORST = a_row(
    *("hyper/moved", "train/mu", "float64", "different"),
    **{"error": 0.25, "allowed": 1e-10, "where": {"row": 3, "unit": 7}, "ours": 1.5, "theirs": -2.5},
)
ABSENT = a_row("hyper/moved", "train/z", "float64", "not compared", error=INF, where=None, note="missing on the port")
GOOD = [EQUAL, SINGLE, EXACT]


@pytest.mark.parametrize(
    ("rows", "conditions", "passed"),
    [
        (GOOD, {}, True),
        (GOOD, {"met": True}, True),
        ([], {}, False),
        ([], {"met": True}, False),
        (GOOD, {"met": True, "unmet": False}, False),
        ([*GOOD, WORST], {"met": True}, False),
        ([WORST, *GOOD], {}, False),
        ([*GOOD, ABSENT], {"met": True}, False),
        ([ABSENT], {}, False),
    ],
)
def test_a_report_passes_only_with_rows_that_are_all_equal_under_conditions_that_were_all_met(rows, conditions, passed):
    report = Report("title", rows, conditions, {})
    assert report.passed is passed
    assert report.verdict().startswith("EQUAL: " if passed else "DIFFERENT: ")
    for text in (report.text(), report.markdown()):
        assert report.verdict() in text
    for condition, met in conditions.items():
        assert f"{'seen' if met else 'NOT SEEN'}: {condition}" in report.text()
        assert f"- {'seen' if met else '**not seen**'}: {condition}" in report.markdown()


def test_the_text_shows_each_failure_in_full():
    report = Report("title", [*GOOD, WORST, ABSENT], {"a bite": False}, {})
    lines = report.text().splitlines()
    told = "hyper/moved train/mu (float64): error 2.5e-01, allowed 1.0e-10, at row 3, unit 7: ours 1.5, theirs -2.5"
    assert f"DIFFERENT {told}" in lines
    assert "NOT COMPARED hyper/moved train/z (float64): missing on the port" in lines
    assert lines[-1] == "DIFFERENT: 5 tensors compared, element by element, 2 failed, conditions not met."
    table = {re.split(r"  +", line)[0]: line for line in lines}
    assert table["mu"].endswith("1 DIFFERENT")
    assert "2.5e-01" in table["mu"]
    assert "hyper/moved row 3, unit 7" in table["mu"]
    assert table["z"].endswith("1 DIFFERENT")
    assert table["data loader"].endswith("equal")


def test_many_failures_are_counted_and_the_first_are_shown():
    rows = [a_row("r", f"train/q{i}", "float64", "different", error=1.0) for i in range(50)]
    text = Report("title", rows, {}, {}).text()
    assert [f"train/q{i} " in text for i in (0, 39)] == [True, True]
    assert "... and 10 more, all in the JSON file" in text
    assert "50 failed" in text


def test_the_table_shows_the_worst_of_each_part_in_the_order_of_the_model():
    rows = [
        a_row("lstm/as_is", "eval/r_cost", error=1e-14, allowed=1e-10),
        a_row("lstm/as_is", "train/pi", error=1e-14, allowed=1e-10),
        EQUAL,
        a_row("lstm/moved", "train/mu", error=3e-13, allowed=1e-10, where={"row": 2, "unit": 5}),
        SINGLE,
        a_row("lstm/moved", "eval/mu", "float32", error=8e-7, allowed=9e-7, official_error=4e-7, noise=3e-7),
    ]
    head, *lines = Report("title", rows, {}, {}).table()
    assert [line[0] for line in lines] == ["mu", "pi", "r_cost, is_training 0"]
    assert dict(zip(HEAD[:3], lines[0][:3], strict=True)) == {"quantity": "mu", "tensors": "4", "float64": "3.0e-13"}
    assert lines[0][3:] == (
        "1.0e-10", "8.0e-07", "4.0e-07", "3.0e-07", "9.0e-07", "lstm/moved row 2, unit 5", "equal"
    )  # fmt: skip
    assert head == HEAD


@pytest.mark.parametrize("place", range(3))
def test_the_table_points_to_a_failure_in_any_precision(place):
    where = {"row": 3, "unit": 7}
    bad = a_row("hyper/moved", "train/mu", "float32", "different", error=0.5, allowed=1e-6, noise=1e-9, where=where)
    rows = [EQUAL, SINGLE]
    rows.insert(place, bad)
    (line,) = Report("title", rows, {}, {}).table()[1:]
    assert line[1] == "3"
    assert line[4:] == ("5.0e-01", "", "1.0e-09", "1.0e-06", "hyper/moved row 3, unit 7", "1 DIFFERENT")


def test_the_json_is_strict_holds_every_row_and_comes_back(tmp_path):
    odd = {"error": NAN, "allowed": INF, "official_error": -INF, "noise": NAN, "ours": NAN, "theirs": INF}
    odd = a_row("r", "train/cost", "float32", "different", **odd)
    rows = [*GOOD, WORST, ABSENT, odd]
    provenance = {"seed": 1, "nested": {"list": [1.5, INF], "tuple": (NAN,)}}
    report = Report("title", rows, {"a bite": False}, provenance)
    paths = report.save(tmp_path)
    assert [path.name for path in paths] == ["parity.json", "parity.md"]

    def refuse_constant(text: str) -> None:
        raise AssertionError(f"{text} is not JSON")

    content = json.loads(paths[0].read_text(), parse_constant=refuse_constant)
    assert (content["title"], content["passed"], content["conditions"]) == ("title", False, {"a bite": False})
    assert content["provenance"] == {"seed": 1, "nested": {"list": [1.5, None], "tuple": [None]}}
    assert len(content["rows"]) == len(rows)
    for found, wanted in zip(content["rows"], rows, strict=True):
        finite = {n: None if isinstance(v, float) and not np.isfinite(v) else v for n, v in wanted.to_dict().items()}
        assert found == finite | {"part": part_of(wanted)}
    assert paths[1].read_text() == report.markdown()
    with pytest.raises(BadInput, match="cannot be written"):
        report.save(tmp_path / "gone")


def test_a_row_is_described_in_one_line():
    assert describe(ABSENT) == "NOT COMPARED hyper/moved train/z (float64): missing on the port"
    assert len(describe(WORST).splitlines()) == 1


# Parts ---------------------------------------------------------------------------------------------------------------


def recorded_names(hparams: HParams) -> list[str]:
    """The names of all that a recording of such a model holds: those under which the port computes it."""
    random = np.random.default_rng(4)
    batch, steps, seq_len = 2, 3, 2
    sketches = np.zeros((batch, steps + 1, 5), np.float32)
    sketches[..., :2] = random.standard_normal((batch, steps + 1, 2))
    sketches[..., 2] = 1
    units = {"encoder/fw/recurrent": hparams.enc_rnn_size, "encoder/bw/recurrent": hparams.enc_rnn_size}
    units |= {"decoder/recurrent": hparams.dec_rnn_size}
    draws = {name: np.ones((steps, batch, size), np.float32) for name, size in units.items()}
    draws["latent"] = np.zeros((batch, hparams.z_size), np.float32)
    if not hparams.conditional:
        draws = {name: draw for name, draw in draws.items() if name.startswith("decoder/")}
    small = {n: v if "step" in n else v * np.float32(1e-3) for n, v in checkpoint(hparams).items()}
    small["vector_rnn/RNN/output_w"][0] = 0
    inputs = {"sketches": sketches, "lengths": np.array([1, steps]), "lr": 0.01, "kl_weight": 0.5}
    recording = recording_of(weights=small, inputs=inputs, draws=draws)
    recording.groups["float64"] = {"sample/greedy/strokes": np.zeros((seq_len, 5))}
    recording.hparams = hparams.to_dict()
    return list(replay(recording, "float64"))


@pytest.mark.parametrize(("enc", "dec"), [("lstm", "hyper"), ("hyper", "layer_norm"), (None, "lstm")])
def test_every_quantity_of_a_model_belongs_to_a_part(enc, dec):
    names = recorded_names(tiny(enc, dec))
    parts = {name: part_of(a_row("x/as_is", name)) for name in names}
    plain = {
        "mu",
        "presig",
        "z",
        "pi",
        "mu1",
        "mu2",
        "sigma1",
        "sigma2",
        "corr",
        "pen",
        "pen_logits",
        "kl_cost",
        "cost",
    }
    known = {part for _, part in PARTS if part} | plain
    assert {name: part for name, part in parts.items() if part not in known} == {}
    wanted = {*plain, "decoder", "r_cost, is_training 0", "r_cost, is_training 1", "gradients", "gradients, clipped"}
    wanted |= {"Adam: m", "Adam: v", "Adam: powers", "weights after a step", "dropout, keep probabilities"}
    wanted |= {"sampling, greedy", "sampling at a temperature"}
    wanted |= {"encoder, forward", "encoder, backward", "decoder, initial state"}
    if enc is None:
        wanted -= {"mu", "presig", "z", "encoder, forward", "encoder, backward", "decoder, initial state"}
    assert set(parts.values()) == wanted
    for name, part in parts.items():
        for scope, place in {"encoder/fw": "encoder, forward", "encoder/bw": "encoder, backward"}.items():
            inside = scope in name and name.startswith(("train", "eval")) and "keep_prob" not in name
            assert inside == (part == place)


@pytest.mark.parametrize(("enc", "dec"), ALL_CELLS)
def test_every_converted_variable_belongs_to_a_part(enc, dec):
    names = weight_names(tiny(enc, dec))
    assert {part_of(a_row("x/as_is", f"converted/{name}", "exact")) for name in names} == {
        "checkpoint: weights as converted"
    }
    state = "checkpoint: optimizer state as converted"
    assert {part_of(a_row("x/as_is", f"converted/{name}", "exact")) for name in optimizer_names(names)} == {state}
    assert set(weights(tiny(enc, dec))) == set(names)


@pytest.mark.parametrize(
    ("kind", "part"),
    [("lstm", "LSTM cell alone"), ("layer_norm", "layer-norm LSTM cell alone"), ("hyper", "HyperLSTM cell alone")],
)
def test_every_quantity_of_a_cell_alone_belongs_to_its_part(kind, part):
    random = np.random.default_rng(5)
    cell = make_cell(kind, 2, 3, tiny())
    shapes = {name: value.shape for name, value in cell.state_dict().items()}
    official_cell, table = CELLS[kind]
    state = random.standard_normal((2, sum(cell.state_sizes))).astype(np.float32)
    recording = recording_of(
        f"cell/{kind}",
        weights={f"{official_cell}/{name}": random.standard_normal(shapes[ours]) for name, ours in table.items()},
        inputs={"x": random.standard_normal((2, 1, 2)), "state": state},
        draws={"recurrent": np.ones((1, 2, 3))},
        float64={"state": state[:, None]},
    )
    recording.kind = "cell"
    recording.hparams = {
        "cell": kind,
        "input": 2,
        "units": 3,
        "steps": 1,
        "hyper_num_units": 5,
        "hyper_embedding_size": 6,
    }
    names = list(replay(recording, "float64"))
    assert len(names) >= 9
    assert {part_of(a_row(f"cell/{kind}", n)) for n in names} == {part}


def test_every_quantity_of_the_data_loader_belongs_to_its_part():
    names = ["scale_factor", *(f"{b}/{n}" for b in ("train/0", "valid/0") for n in ("strokes", "sketches", "lengths"))]
    assert {part_of(a_row("data", n, "exact")) for n in names} == {"data loader"}
