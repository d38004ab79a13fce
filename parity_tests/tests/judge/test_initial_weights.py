"""Initial weights: constants and NumPy's draws must be the same numbers, TensorFlow's draws of one distribution."""

import math

import numpy as np
import pytest

from parity_tests import adapter
from parity_tests.judge.initial_weights import CHANCE, bound, compare_initial, distance
from parity_tests.judge.proof import prove
from parity_tests.record.recording import Recording

EPSILON32 = 2.0**-23
SEED, DRAWS = 7, 5
FIXED = {"cell/W_hh": np.array([[0.5, -8.0], [0.0, 2.0]], np.float32), "cell/bias": np.zeros(3, np.float32)}
RANDOM = np.random.default_rng(1)
DRAWN = {"cell/W_xh": (40, 50), "output_b": (60,)}
THEIRS = {name: RANDOM.normal(0, 0.3, (DRAWS, *shape)).astype(np.float32) for name, shape in DRAWN.items()}


def recorded() -> Recording:
    groups = {
        "initial": {f"initial/{name}": value for name, value in FIXED.items()},
        "distribution": {f"initial/{name}": value for name, value in THEIRS.items()},
    }
    return Recording("initial", "initial/lstm", {"dec_model": "lstm"}, {"seed": SEED}, groups)


class Port(adapter.Adapter):
    """One that draws as it should, with a change."""

    def __init__(self, change=lambda variables, seed: {}):
        self.change, self.seeds = change, []

    def initial(self, hparams, seed):
        assert hparams == {"dec_model": "lstm"}
        self.seeds.append(seed)
        random = np.random.default_rng(seed)
        variables = FIXED | {n: random.normal(0, 0.3, shape).astype(np.float32) for n, shape in DRAWN.items()}
        return variables | self.change(variables, seed)


class Without(Port):
    """One that lacks a variable; it may offer no initial weights, and answer all the same."""

    def __init__(self, name, *, offered=True):
        super().__init__()
        self.lacking, self.offered = name, offered

    @property
    def offers(self):
        return super().offers if self.offered else super().offers - {"initial"}

    def initial(self, hparams, seed):
        return {n: value for n, value in super().initial(hparams, seed).items() if n != self.lacking}


def rows_of(port: adapter.Adapter) -> dict:
    rows = compare_initial(recorded(), port)
    assert {(row.recording, row.precision) for row in rows} == {("initial/lstm", "distribution")}
    assert len({row.quantity for row in rows}) == len(rows)
    return {row.quantity: row for row in rows}


def verdicts(port: adapter.Adapter) -> dict[str, str]:
    return {quantity: row.verdict for quantity, row in rows_of(port).items()}


ALL = ["initial/cell/W_hh", "initial/cell/bias", "distribution/cell/W_xh", "distribution/output_b"]
EQUAL = dict.fromkeys(ALL, "equal")


def test_what_draws_alike_is_equal_and_each_draw_has_its_own_seed():
    port = Port()
    assert verdicts(port) == EQUAL
    assert port.seeds == [SEED + index for index in range(DRAWS)]


def test_a_constant_may_be_off_by_four_units_of_the_largest_magnitude_and_no_more():
    limit = 4 * EPSILON32 * 8
    for size, verdict in ((limit, "equal"), (math.nextafter(limit, 1), "different")):
        for sign in (1, -1):
            wrong = FIXED["cell/W_hh"].astype(np.float64)
            wrong[1, 0] = sign * size
            row = rows_of(Port(lambda *_, wrong=wrong: {"cell/W_hh": wrong}))["initial/cell/W_hh"]
            assert (row.verdict, row.error, row.allowed) == (verdict, size / 8, 4 * EPSILON32)


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("cell/W_hh", FIXED["cell/W_hh"].T),
        ("cell/W_hh", -FIXED["cell/W_hh"]),
        ("cell/W_hh", FIXED["cell/W_hh"] * [[1.0, 1.0], [1.0, np.nan]]),
        ("cell/W_hh", FIXED["cell/W_hh"] + [[0.0, 0.0], [np.inf, 0.0]]),
        ("cell/W_hh", FIXED["cell/W_hh"][None]),
        ("cell/bias", np.zeros((3, 1))),
        ("cell/bias", np.zeros(())),
        ("cell/bias", np.array([0.0, 1e-45, 0.0])),
        ("cell/bias", np.full(3, np.nan)),
    ],
)
def test_a_constant_that_differs_is_different(name, wrong):
    row = rows_of(Port(lambda *_: {name: wrong}))[f"initial/{name}"]
    assert row.verdict == "different"
    assert row.error > row.allowed


def test_a_constant_is_held_against_the_draw_of_the_recorded_seed():
    other = {"cell/bias": np.ones(3)}
    assert verdicts(Port(lambda _, seed: other if seed == SEED else {}))["initial/cell/bias"] == "different"
    assert verdicts(Port(lambda _, seed: {} if seed == SEED else other)) == EQUAL


DIFFERENT = {
    "a quarter wider": lambda values: values * 1.25,
    "shifted": lambda values: values + 0.1,
    "of one sign": np.abs,
    "uniform, of the same variance": lambda values: np.random.default_rng(2).uniform(-0.52, 0.52, values.shape),
    "cut off at two sigma": lambda values: np.where(np.abs(values) > 0.4, values / 2, values),
    "one number": np.zeros_like,
    "with NaN": lambda values: np.where(values == values.max(), np.nan, values),
    "with infinity": lambda values: np.where(values == values.max(), np.inf, values),
}


@pytest.mark.parametrize("change", DIFFERENT.values(), ids=DIFFERENT)
def test_another_distribution_is_different(change):
    found = rows_of(Port(lambda values, _: {"cell/W_xh": change(values["cell/W_xh"])}))
    assert {quantity: row.verdict for quantity, row in found.items()} == EQUAL | {"distribution/cell/W_xh": "different"}
    assert found["distribution/cell/W_xh"].error > found["distribution/cell/W_xh"].allowed


@pytest.mark.parametrize("draw", range(DRAWS))
def test_every_draw_counts(draw):
    found = verdicts(Port(lambda values, seed: {"cell/W_xh": values["cell/W_xh"] + 3.0 * (seed == SEED + draw)}))
    assert found == EQUAL | {"distribution/cell/W_xh": "different"}


@pytest.mark.parametrize("shape", [(50, 40), (2000,), (1, 40, 50), (40, 49)])
def test_a_drawn_variable_must_have_its_shape(shape):
    def change(values, _):
        return {"cell/W_xh": np.resize(values["cell/W_xh"], shape)}

    row = rows_of(Port(change))["distribution/cell/W_xh"]
    assert (row.verdict, row.note) == ("different", f"shape {list(shape)}, expected [40, 50]")


def test_the_distance_may_be_as_large_as_its_bound_and_no_larger():
    """One sample has a share moved far to the right: that share is the distance."""
    theirs = np.sort(THEIRS["cell/W_xh"], axis=None)
    count = theirs.size
    limit = math.sqrt(math.log(2e9) / 2 * 2 / count)  # a chance of 1e-9, two samples of the same size
    moved = math.floor(limit * count)
    for beyond, verdict in ((moved, "equal"), (moved + 1, "different")):
        ours = theirs.copy()
        ours[:beyond] = 9.0
        draws = ours.reshape(THEIRS["cell/W_xh"].shape)
        row = rows_of(Port(lambda _, seed, draws=draws: {"cell/W_xh": draws[seed - SEED]}))["distribution/cell/W_xh"]
        assert (row.verdict, row.error) == (verdict, pytest.approx(beyond / count, abs=1e-12))
        assert row.allowed == pytest.approx(limit, rel=1e-12)


@pytest.mark.parametrize(("offered", "missing"), [(True, "not compared"), (False, "untested")])
def test_a_variable_that_the_port_lacks_is_a_failure_where_it_offers_initial_weights(offered, missing):
    for name, quantity in (("cell/bias", "initial/cell/bias"), ("output_b", "distribution/output_b")):
        found = rows_of(Without(name, offered=offered))
        assert {q: row.verdict for q, row in found.items()} == EQUAL | {quantity: missing}
        assert found[quantity].note == "missing on the port"


def test_a_variable_that_the_official_side_lacks_is_a_row_of_its_own():
    found = rows_of(Port(lambda *_: {"more": np.zeros(2), "and": np.zeros(2)}))
    more = {f"initial/{name}": "not compared" for name in ("and", "more")}
    assert [(q, row.verdict) for q, row in found.items()] == list((EQUAL | more).items())
    assert found["initial/more"].note == "missing on the official side"


def test_a_drawn_variable_must_be_in_every_draw():
    class Once(Port):
        def initial(self, hparams, seed):
            variables = super().initial(hparams, seed)
            return variables if seed == SEED else {n: v for n, v in variables.items() if n != "output_b"}

    assert verdicts(Once()) == EQUAL | {"distribution/output_b": "not compared"}


def test_a_port_without_initial_weights_is_untested_and_one_that_fails_is_different():
    class Broken(adapter.Adapter):
        def initial(self, hparams, seed):
            raise KeyError("no such cell")

    class Nothing(adapter.Adapter):
        def initial(self, hparams, seed):
            return None

    row = rows_of(adapter.Adapter())["initial"]
    assert (row.verdict, row.note) == ("untested", "the port does not offer it")
    row = rows_of(Broken())["initial"]
    assert (row.verdict, row.note) == ("different", "initial failed: KeyError: 'no such cell'")
    assert rows_of(Nothing())["initial"].verdict == "different"
    assert [r.verdict for r in prove(recorded(), adapter.Adapter()).rows] == ["untested"]

    class OffersAll(adapter.Adapter):
        offers = adapter.EVERYTHING

    assert [r.verdict for r in prove(recorded(), OffersAll()).rows] == ["not compared"]
    for offered, verdict in ((False, "untested"), (True, "not compared")):
        found = {r.quantity: r.verdict for r in prove(recorded(), Without("output_b", offered=offered)).rows}
        assert found == EQUAL | {"distribution/output_b": verdict}


# Kolmogorov and Smirnov ----------------------------------------------------------------------------------------------


def by_hand(a: list[float], b: list[float]) -> float:
    """The definition, at each number of either sample."""
    shares = [[sum(x <= at for x in side) / len(side) for side in (a, b)] for at in (*a, *b)]
    return max(abs(left - right) for left, right in shares)


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ([1.0, 2.0], [1.0, 2.0], 0.0),
        ([2.0, 1.0], [1.0, 2.0, 1.0, 2.0], 0.0),
        ([1.0], [2.0], 1.0),
        ([3.0, 4.0], [1.0, 2.0], 1.0),
        ([1.0, 2.0, 3.0, 4.0], [1.0, 2.0, 3.0, 5.0], 0.25),
        ([1.0, 1.0, 1.0, 1.0], [1.0, 1.0, 0.0, 2.0], 0.25),
        ([1.0, 2.0], [1.5], 0.5),
    ],
)
def test_the_distance_of_two_samples(a, b, expected):
    assert distance(np.array(a), np.array(b)) == distance(np.array(b), np.array(a)) == expected == by_hand(a, b)


def test_the_distance_is_that_of_the_definition_for_any_shape():
    random = np.random.default_rng(3)
    for size in (1, 2, 7, 30):
        a, b = random.integers(0, 9, (4, size)), random.normal(4, 2, size)
        assert distance(a, b) == pytest.approx(by_hand(a.ravel().tolist(), b.tolist()), abs=1e-15)


def test_the_bound_is_the_one_of_large_samples():
    assert CHANCE == 1e-9
    assert bound(1000, 1000) == pytest.approx(math.sqrt(math.log(2 / 1e-9) / 1000), rel=1e-12)
    assert bound(100, 300, 0.05) == pytest.approx(1.3581 * math.sqrt(400 / 30000), rel=1e-4)  # of the usual tables
    assert bound(300, 100, 0.01) == pytest.approx(1.6276 * math.sqrt(400 / 30000), rel=1e-4)


def test_the_bound_is_exceeded_as_often_as_it_says():
    random = np.random.default_rng(4)
    limit = bound(400, 600, 0.1)
    beyond = [distance(random.random(400), random.random(600)) > limit for _ in range(1000)]
    assert 0.06 < np.mean(beyond) < 0.12
