"""The permutation test finds curves that differ, and no others; anything missing is a failure."""

import math
import re
from itertools import combinations

import numpy as np
import pytest
from synthetic_curves import ALPHA, RUNS, SIZES, STEPS, VALIDATIONS, changed, shifted, spoilt, synthetic, without_last

from parity_tests.curves.permutation_test import (
    BLOCK,
    FLOOR,
    QUANTITIES,
    Sizes,
    all_partitions,
    compare_curves,
    rejection_limit,
)


@pytest.mark.parametrize("runs", [2, 3, 6])
def test_every_partition_occurs_once_and_the_two_sides_come_first(runs):
    ways = all_partitions(runs)
    sets = {frozenset((frozenset(np.flatnonzero(way)), frozenset(np.flatnonzero(~way)))) for way in ways}
    everything = {
        frozenset((frozenset(half), frozenset(range(2 * runs)) - set(half)))
        for half in combinations(range(2 * runs), runs)
    }
    assert sets == everything
    assert len(ways) == len(everything) == math.comb(2 * runs, runs) // 2
    assert np.flatnonzero(ways[0]).tolist() == list(range(runs))


def test_curves_of_one_kind_are_equal():
    comparison = compare_curves(synthetic(1), synthetic(2), SIZES, ALPHA)
    assert comparison.equal
    assert comparison.problems == []
    assert comparison.partitions == 462
    assert comparison.p > ALPHA
    assert comparison.statistic <= comparison.critical


@pytest.mark.parametrize("quantity", QUANTITIES)
@pytest.mark.parametrize("by", [-0.3, 0.3])
def test_a_shift_of_one_quantity_is_found(quantity, by):
    comparison = compare_curves(synthetic(1), changed(synthetic(2), quantity, shifted(by)), SIZES, ALPHA)
    assert not comparison.equal
    assert comparison.problems == []
    assert comparison.p == 1 / 462
    assert comparison.statistic > comparison.critical
    farthest = max(comparison.table(), key=lambda line: line["statistic"])
    assert farthest["quantity"] == quantity


def test_a_shift_of_a_few_steps_is_found_with_its_place():
    ours = changed(synthetic(2), "train/r_cost", shifted(0.4, slice(10, 20)))
    comparison = compare_curves(synthetic(1), ours, SIZES, ALPHA)
    assert not comparison.equal
    farthest = max(comparison.table(), key=lambda line: line["statistic"])
    assert (farthest["quantity"], farthest["at"]) == ("train/r_cost", 10)


def test_a_shift_too_small_for_any_single_point_is_found_in_the_whole_run():
    noisy = {quantity: np.full((RUNS, VALIDATIONS if "valid" in quantity else 400), 1.0) for quantity in QUANTITIES}
    rng = np.random.RandomState(0)
    theirs, ours = ({name: v + 0.1 * rng.standard_normal(v.shape) for name, v in noisy.items()} for _ in range(2))
    ours["train/cost"] += 0.03
    comparison = compare_curves(theirs, ours, Sizes(RUNS, 400, VALIDATIONS), ALPHA)
    assert not comparison.equal
    assert max(comparison.table(), key=lambda line: line["statistic"])["at"] == "whole run"


def naive(theirs, ours):
    """The largest studentised distance of two groups of runs, written out."""
    largest = 0.0
    for quantity in QUANTITIES:
        a, b = theirs[quantity], ours[quantity]
        size = BLOCK if quantity.startswith("train/") else 1
        steps = [slice(first, first + size) for first in range(0, a.shape[1], size)] + [slice(None)]
        points = [(a[:, s].mean(axis=1), b[:, s].mean(axis=1)) for s in steps]
        floor = FLOOR * max(abs(np.concatenate(pair).mean()) for pair in points)
        for one, other in points:
            error = math.sqrt((one.var(ddof=1) + other.var(ddof=1)) / len(one))
            largest = max(largest, abs(one.mean() - other.mean()) / max(error, floor))
    return largest


@pytest.mark.parametrize("seed", range(3))
def test_p_is_the_share_of_all_partitions_that_are_as_far_apart(seed):
    theirs, ours = synthetic(seed, runs=4), synthetic(seed + 10, runs=4)
    comparison = compare_curves(theirs, ours, Sizes(4, STEPS, VALIDATIONS), 0.1)
    both = {name: np.concatenate([theirs[name], ours[name]]) for name in QUANTITIES}
    values = []
    for half in combinations(range(8), 4):  # each partition twice, once from either side
        rest = [run for run in range(8) if run not in half]
        values.append(naive(*({name: v[list(runs)] for name, v in both.items()} for runs in (half, rest))))
    assert comparison.statistic == pytest.approx(naive(theirs, ours), rel=1e-9)
    as_far = [value >= comparison.statistic * (1 - 1e-9) for value in values]
    assert comparison.p == pytest.approx(np.mean(as_far), abs=1e-12)
    assert comparison.critical == pytest.approx(sorted(values, reverse=True)[2 * 3], rel=1e-9)
    assert comparison.equal == (comparison.p > 0.1)


def test_what_is_as_likely_as_the_level_is_still_called_different():
    sides = synthetic(1, runs=4), synthetic(2, runs=4), Sizes(4, STEPS, VALIDATIONS)
    p = compare_curves(*sides, 0.5).p
    assert 1 / 35 < p < 0.9
    assert not compare_curves(*sides, p).equal
    assert compare_curves(*sides, p - 0.5 / 35).equal


def test_equal_trainers_are_called_different_no_more_often_than_the_level_says():
    times, alpha, sizes = 300, 0.1, Sizes(4, STEPS, VALIDATIONS)
    rejected = sum(
        not compare_curves(synthetic(2 * i, 4), synthetic(2 * i + 1, 4), sizes, alpha).equal for i in range(times)
    )
    # 3 of 35 partitions may be called different; three standard deviations about that
    share = 3 / 35
    assert abs(rejected - times * share) < 3 * math.sqrt(times * share * (1 - share))


@pytest.mark.parametrize("by", [0.0, 0.05, 0.1, 0.2, 0.4])
def test_equal_means_that_our_mean_is_inside_the_band_everywhere(by):
    comparison = compare_curves(synthetic(1), changed(synthetic(2), "train/cost", shifted(by)), SIZES, ALPHA)
    inside = all(
        (np.abs(points.ours - points.theirs) <= comparison.critical * points.error).all()
        for points in comparison.points
    )
    assert inside == comparison.equal
    assert comparison.equal == (by < 0.1)


def test_the_table_says_distance_and_band_relative_to_the_official_mean():
    theirs, ours = synthetic(1), changed(synthetic(2), "valid/cost", shifted(0.3))
    comparison = compare_curves(theirs, ours, SIZES, ALPHA)
    assert [line["quantity"] for line in comparison.table()] == list(QUANTITIES)
    line = comparison.table()[QUANTITIES.index("valid/cost")]
    means, whole = theirs["valid/cost"].mean(axis=0), theirs["valid/cost"].mean()
    distance = np.abs(ours["valid/cost"].mean(axis=0) - means) / means
    assert line["distance"] == pytest.approx(distance.max())
    assert line["distance_of_whole_run"] == pytest.approx((ours["valid/cost"].mean() - whole) / whole)
    [points] = [points for points in comparison.points if points.quantity == "valid/cost"]
    assert line["band"] == pytest.approx(np.median(comparison.critical * points.error[:-1] / means))
    assert line["band_of_whole_run"] == pytest.approx(comparison.critical * points.error[-1] / whole)


def test_rounding_does_not_count_where_all_runs_agree():
    theirs, ours = ({**synthetic(i), "train/kl_cost": np.full((RUNS, STEPS), 0.2)} for i in (1, 2))
    assert compare_curves(theirs, ours, SIZES, ALPHA).equal
    ours["train/kl_cost"] += 2e-8
    comparison = compare_curves(theirs, ours, SIZES, ALPHA)
    assert comparison.equal
    ours["train/kl_cost"] += 1e-3
    assert not compare_curves(theirs, ours, SIZES, ALPHA).equal


def test_costs_that_are_zero_throughout_are_equal():
    zero = {"train/kl_cost": np.zeros((RUNS, STEPS)), "valid/kl_cost": np.zeros((RUNS, VALIDATIONS))}
    comparison = compare_curves(synthetic(1) | zero, synthetic(2) | zero, SIZES, ALPHA)
    assert comparison.equal
    assert all(math.isfinite(line["distance"]) for line in comparison.table())


def test_too_few_runs_to_show_anything_are_refused():
    assert rejection_limit(1 / 462, 462) == 1
    with pytest.raises(ValueError, match=r"10 partitions cannot show anything at a level of 0\.01"):
        rejection_limit(0.01, 10)
    with pytest.raises(ValueError, match="more runs are needed"):
        compare_curves(synthetic(1, 3), synthetic(2, 3), Sizes(3, STEPS, VALIDATIONS), 0.01)


# Missing curves ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("side", ["Magenta's", "our"])
@pytest.mark.parametrize("quantity", ["train/cost", "valid/kl_cost"])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (without_last(0), r"is 5 x \d+, expected 6 runs x \d+"),
        (without_last(1), r"is 6 x \d+, expected 6 runs x \d+"),
        (spoilt(np.nan), r"is nan in run 2 at \w+ 1"),
        (spoilt(np.inf), r"is inf in run 2 at \w+ 1"),
        (None, "is missing"),
    ],
    ids=["a run", "a step", "nan", "inf", "all"],
)
def test_anything_missing_on_either_side_makes_them_different(side, quantity, change, message):
    sides = {"Magenta's": synthetic(1), "our": synthetic(2)}
    if change is None:
        del sides[side][quantity]
    else:
        sides[side] = changed(sides[side], quantity, change)
    comparison = compare_curves(*sides.values(), SIZES, ALPHA)
    assert not comparison.equal
    assert len(comparison.problems) == 1
    assert re.fullmatch(f"{side} {quantity} {message}", comparison.problems[0])
    assert comparison.table() == []
