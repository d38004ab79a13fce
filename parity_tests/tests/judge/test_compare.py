"""The comparisons of the harness can fail: every way in which two sides differ is reported, where it occurs."""

import numpy as np
import pytest
from judging import INF, NAN, NUMBERS, exact, free, held, names_of, recording_of, with_item

from parity_tests.adapter import INTERMEDIATES
from parity_tests.judge.compare import compare, missing_verdict, official_names
from parity_tests.judge.limits import EPSILON32, FLOAT32_FLOOR, FLOAT64_ALLOWED
from parity_tests.judge.row import failures
from parity_tests.judge.tensor.place import place
from parity_tests.record.quantities import VARIABLES
from parity_tests.report.report import Report

BIG = np.random.default_rng(1).standard_normal((30, 40, 50))
SQUARE = np.random.default_rng(2).standard_normal((4, 4))

# Values --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("precision", NUMBERS)
@pytest.mark.parametrize("values", [BIG, SQUARE, [0.0], [1e-30, -1e30], 3.5, [-0.0, 0.0]])
def test_the_same_is_equal(values, precision):
    found = held(values, np.array(values), precision)
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
    "NaN on both sides": (with_item(SQUARE, (1, 2), NAN), with_item(SQUARE, (1, 2), NAN)),
    "nothing but NaN": (NAN, NAN),
    "infinity on our side": (with_item(SQUARE, (1, 2), INF), SQUARE),
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
    found = held(ours, theirs, precision)
    assert found.verdict == "different"
    assert found.error > found.allowed
    assert found.used > 1
    assert not Report("", [found], {}, {}).passed


@pytest.mark.parametrize("precision", NUMBERS)
@pytest.mark.parametrize("odd", [NAN, INF, -INF])
def test_a_port_whose_numbers_are_not_finite_is_told_so_whatever_the_official_side_says(odd, precision):
    assert held([odd, 1.0], [1.0, 1.0], precision).note == "NaN or infinity in the port"
    assert held([odd, 1.0], [odd, 1.0], precision).note == "NaN or infinity in the port"


@pytest.mark.parametrize("odd", [NAN, INF, -INF])
def test_official_numbers_that_are_not_finite_make_nothing_equal(odd):
    assert held([1.0, 1.0], [1.0, odd], "exact").verdict == "different"
    for precision in ("float64", "float32"):
        assert held([1.0, 1.0], [1.0, odd], precision).verdict == "official overflow"


@pytest.mark.parametrize("precision", NUMBERS)
def test_both_shapes_are_named_and_an_empty_tensor_proves_nothing(precision):
    assert held(np.ones((2, 4, 3)), np.ones((2, 3, 3)), precision).note == "shape [2, 4, 3], expected [2, 3, 3]"
    found = held(np.zeros((0, 3)), np.zeros((0, 3)), precision)
    assert (found.verdict, found.note) == ("not compared", "empty, shape [0, 3]")


def around(limit: float) -> tuple[float, float]:
    """The largest number that is within a limit, and the smallest that is beyond it."""
    return limit, float(np.nextafter(limit, INF))


@pytest.mark.parametrize("sign", [1, -1])
def test_float64_may_be_off_by_what_is_allowed_of_the_largest_magnitude_and_no_more(sign):
    theirs = with_item(np.zeros((2, 3, 4)), (1, 2, 3), -1024.0)
    within, beyond = around(FLOAT64_ALLOWED * 1024)
    for index in list(np.ndindex(theirs.shape))[:-1]:
        found = held(with_item(theirs, index, sign * within), theirs)
        assert (found.verdict, found.error, found.allowed) == ("equal", within / 1024, FLOAT64_ALLOWED)
        found = held(with_item(theirs, index, sign * beyond), theirs)
        assert (found.verdict, found.error, found.allowed) == ("different", beyond / 1024, FLOAT64_ALLOWED)
        assert found.where == dict(zip(("row", "step", "unit"), index, strict=True))
        assert (found.ours, found.theirs, found.truth) == (sign * beyond, 0.0, 0.0)
    assert held(np.where(theirs, theirs, within), theirs).verdict == "equal"


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
    found = exact(ours, theirs)
    assert found.verdict == "different"
    assert found.error > found.allowed == 0.0


def test_exact_is_held_against_the_exact_group_and_no_other():
    recording = recording_of(exact={"x": np.array([1.0])}, float64={"x": np.array([2.0]), "y": np.array([1.0])})
    assert compare({"x": np.array([1.0])}, recording, "exact")[0].verdict == "equal"
    assert compare({"x": np.array([2.0])}, recording, "exact")[0].verdict == "different"


def test_each_precision_must_be_computed_in_its_own_type():
    """But for float64, where more digits than ours has would show, and a count may be an integer."""
    ones, name = np.ones(2, np.float32), "train/x"
    groups = {"float32": {name: ones}, "float64": {name: np.ones(2)}}
    groups |= {f"{precision}_ensemble": {name: np.zeros((3, 2, 1))} for precision in ("float64", "float32")}
    found = compare({name: np.ones(2)}, recording_of(**groups), "float32")[0]
    assert (found.verdict, found.note) == ("different", "type float64, expected float32")
    for number, verdict in ((np.int64, "equal"), (np.float32, "equal"), (bool, "different"), (complex, "different")):
        assert compare({name: np.ones(2, number)}, recording_of(**groups), "float64")[0].verdict == verdict


def test_weights_as_loaded_must_be_the_recorded_ones_bit_by_bit():
    weights = {"w": np.array([[1.0, -2.0]], np.float32), "step": np.asarray(3)}
    gradients = {"gradient/w": np.ones((1, 2))}
    recording = recording_of(weights=weights, float64=gradients, float64_ensemble={"gradient/w": np.zeros((3, 2, 1))})
    assert official_names(recording, "float64") == ["gradient/w", "variables/w"]
    assert official_names(recording_of(weights=weights, float32=gradients), "float32") == ["gradient/w"]
    ours = {"gradient/w": np.ones((1, 2))}
    for value, verdict in (([[1.0, -2.0]], "equal"), ([[np.nextafter(1.0, 2), -2.0]], "different")):
        _, row = compare(ours | {"variables/w": np.array(value)}, recording, "float64")
        assert (row.verdict, row.precision, row.allowed) == (verdict, "exact", 0.0)
    assert [r.verdict for r in compare(ours, recording, "float64")] == ["equal", "not compared"]


@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_a_clipped_gradient_is_held_against_the_size_of_the_gradient(precision):
    number = NUMBERS[precision]
    truth = {"gradient/w": np.array([-1024.0, 0.0]), "clipped/w": np.array([-1.0, 0.0])}
    theirs = {name: value.astype(number) for name, value in truth.items()}
    drift = {name: np.zeros((3, 2, 1)) for name in theirs}
    recording = recording_of(**{"float64": truth, precision: theirs, f"{precision}_ensemble": drift})
    limit = 1024 * (FLOAT64_ALLOWED if precision == "float64" else FLOAT32_FLOOR * EPSILON32)
    for size, verdict in ((limit * (1 - 1e-6), "equal"), (limit * (1 + 1e-6), "different")):
        ours = theirs | {"clipped/w": np.array([-1.0, size], number)}
        gradient, clipped, *_ = compare(ours, recording, precision)
        assert (gradient.verdict, clipped.verdict) == ("equal", verdict)
        assert clipped.error == pytest.approx(size / 1024, rel=1e-6)
    # clipping that was forgotten, by the norm, and at another bound
    for wrong in ([-1024.0, 0.0], [-0.5, 0.0], [-1.0, 1.0]):
        ours = theirs | {"clipped/w": np.array(wrong, number)}
        assert [r.verdict for r in compare(ours, recording, precision)][:2] == ["equal", "different"]


@pytest.mark.parametrize("precision", ["float64", "float32"])
@pytest.mark.parametrize("gradient", [{}, {"gradient/w": np.array([INF])}, {"gradient/w": np.array([NAN])}])
def test_a_clipped_gradient_without_a_sound_gradient_is_not_excused(gradient, precision):
    truth = gradient | {"clipped/w": np.array([1.0])}
    theirs = {name: value.astype(precision) for name, value in truth.items()}
    drift = {name: np.zeros((3, 2, 1)) for name in theirs}
    recording = recording_of(**{"float64": truth, precision: theirs, f"{precision}_ensemble": drift})
    rows = {r.quantity: r.verdict for r in compare({"clipped/w": np.array([1.001], precision)}, recording, precision)}
    assert rows["clipped/w"] == "different"


# Names ---------------------------------------------------------------------------------------------------------------


def test_a_name_that_one_side_lacks_is_a_row_of_its_own():
    one, recording = np.ones(1), recording_of(**names_of("train/cost", "eval/mu", "gradient/w"))
    answers = {"eval/mu": one, "ours": one}
    lacking = [("train/cost", "missing on the port"), ("gradient/w", "missing on the port")]
    lacking.append(("variables/w", "missing on the port"))
    for offers, verdict in ((None, "not compared"), (frozenset(), "untested")):
        rows = compare(answers, recording, "float64", offers=offers)
        assert [(r.quantity, r.verdict, r.note) for r in rows] == [
            ("eval/mu", "equal", ""),
            ("ours", "not compared", "missing on the official side"),
            *((name, verdict, note) for name, note in lacking),
        ]
    assert [r.quantity for r in failures(compare(answers, recording, "float64", offers=frozenset()))] == ["ours"]


def test_what_is_missing_is_a_failure_where_the_port_offers_any_method_that_answers_for_it():
    recording = recording_of(**names_of("train/pi", "gradient/w", "sample/greedy/pi"))
    for offers, failed in (
        ({"sample"}, {"sample/greedy/pi"}),
        ({"train_step"}, {"train/pi", "gradient/w"}),
        ({"decode"}, {"train/pi"}),
        ({"variables", INTERMEDIATES}, {"variables/w"}),
        ({"load", "schedules", "initial"}, set()),
    ):
        rows = compare({}, recording, "float64", offers=frozenset(offers))
        assert {r.quantity for r in failures(rows)} == failed
        assert {r.verdict for r in rows} <= {"not compared", "untested"}
        assert len(rows) == 4


ANSWERING = {  # which methods must be offered for a name to be missed
    "fed/train/decoder/state": {"step_layer", "step_cell"},
    "fed/train/encoder/fw/i": {INTERMEDIATES},
    "fed/train/decoder/initial_state": {"initial_state"},
    "fed/vjp/decoder/W_hh": {"step_layer_vjp", "step_cell_vjp"},
    "fed/train/mu": {"posterior"},
    "fed/train/z": {"latent"},
    "fed/train/head": {"output_layer"},
    "fed/train/pi": {"costs"},
    "fed/loss/gradient/head": {"costs"},
    "fed/optimizer/after/w": {"optimize"},
    "fed/eval/r_cost": {"costs"},
    "prefix/2/mu": {"encode"},
    "prefix/pi": {"decode"},
    "eval/decoder/output": {INTERMEDIATES},
    "eval/z": {"encode"},
    "eval/kl_cost": {"loss"},
    "after/w": {"train_step"},
    "sample/sampled/strokes": {"sample"},
}


def test_keep_probabilities_are_missed_of_a_training_step_that_shows_what_is_inside():
    name = "train/keep_prob/decoder/recurrent"
    for offers, verdict in (
        ({"train_step"}, "untested"),
        ({INTERMEDIATES}, "untested"),
        ({"train_step", INTERMEDIATES}, "not compared"),
    ):
        assert missing_verdict(recording_of(), name, frozenset(offers)) == verdict


@pytest.mark.parametrize(("name", "methods"), ANSWERING.items())
def test_for_each_name_the_methods_that_answer_for_it_are_known(name, methods):
    everything = {method for wanted in ANSWERING.values() for method in wanted} | {"train_step", "load"}
    recording = recording_of()
    for method in everything:
        expected = "not compared" if method in methods else "untested"
        assert missing_verdict(recording, name, frozenset({method})) == expected


# What a row says -----------------------------------------------------------------------------------------------------


def test_a_departure_is_told_with_its_likely_cause():
    assert "transposed" in held(SQUARE.T, SQUARE).cause
    assert "transposed" in held(SQUARE[:3].T, SQUARE[:3]).cause
    assert "transposed" in held(SQUARE.T, SQUARE, "float32").cause
    lengths = np.array([2, 3])
    theirs = np.random.default_rng(5).standard_normal((2, 4, 3))
    behind = theirs + (np.arange(4)[:, None] >= lengths[:, None, None])
    drift = {"train/decoder/i": np.zeros((3, 2, 4))}
    recording = recording_of(float64={"train/decoder/i": theirs}, float64_ensemble=drift, inputs={"lengths": lengths})
    assert "after the end" in compare({"train/decoder/i": behind}, recording, "float64")[0].cause


@pytest.mark.parametrize(("precision", "which"), [("float64", 1), ("float32", 0)])
def test_a_row_keeps_of_each_step_the_error_the_spread_so_far_and_what_is_allowed(precision, which):
    truth = with_item(np.zeros((2, 3, 4)), (0, 0, 0), 8.0)
    ours = truth + np.array([0.0, 2.0**-20, 0.0])[:, None] + with_item(np.zeros((2, 3, 4)), (1, 2, 3), 2.0**-21)
    drift = np.array([[3.0, 2.0, 4.0], [6.0, 5.0, 7.0]]) * 2.0**-22
    drift[:, 2] = 1.0  # where nothing can be judged
    profile = free(ours, truth, precision, drift=drift).profile
    errors = ([0.0, 2.0**-20, 2.0**-21 / np.sqrt(8)], [0.0, 2.0**-20, 2.0**-21])[which]
    assert profile[0] == pytest.approx(np.array(errors) / 8, rel=1e-15)
    spread = np.array([drift[which, 0], drift[which, 0], 1.0]) / 8
    assert (profile[1] == spread).all()
    assert profile[2, :2] == pytest.approx(np.maximum(10 * spread[:2], 0 if precision == "float64" else 8 * 2.0**-23))
    assert np.isnan(profile[2, 2])


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
        found = held(ours, theirs, name=name)
        assert (found.verdict, found.where) == ("equal" if size < 1 else "different", where)
        assert (found.ours, found.theirs, found.truth) == (ours[index], theirs[index], theirs[index])


@pytest.mark.parametrize("name", ["train/decoder/i", "sample/greedy/pi", "train/nll"])
def test_the_place_is_that_of_the_first_step_that_departs_and_there_of_the_largest_error(name):
    shape, axis = {"train/decoder/i": ((3, 5, 4), 1), "sample/greedy/pi": ((5, 4), 0), "train/nll": ((3, 5), 1)}[name]
    theirs = np.random.default_rng(3).standard_normal(shape)
    theirs = np.exp(theirs) / np.exp(theirs).sum(axis=-1, keepdims=True)
    ours = np.moveaxis(theirs.copy(), axis, 0)  # steps first
    ours[4] += 5.0  # the largest, but late
    ours[2] += 1e-6
    at = (2, *[size - 1 for size in ours.shape[1:]])
    ours[at] += 1e-6
    found = held(np.moveaxis(ours, 0, axis), theirs, name=name)
    index = list(at[1:])
    index.insert(axis, 2)
    assert found.where == place(name, tuple(index), shape)
    assert found.error > 1  # though the number is that of the largest


@pytest.mark.parametrize(
    ("kind", "verdict"), [("float64", "equal"), ("float32", "different"), ("float16", "different")]
)
def test_weights_as_loaded_are_held_against_the_official_ones_not_against_a_copy_rounded_like_ours(kind, verdict):
    weights = np.array([0.1, 1.0], np.float32)
    official = recording_of(
        float64={"gradient/w": weights.astype(np.float64)}, float64_ensemble={"gradient/w": np.zeros((10, 2, 1))},
        float32={}, float32_truth={}, weights={"w": weights},
    )  # fmt: skip
    rows = compare({f"{VARIABLES}w": weights.astype(kind)}, official, "float64")
    assert [row.verdict for row in rows if row.quantity == f"{VARIABLES}w"] == [verdict]
