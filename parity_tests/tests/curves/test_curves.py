"""`make curves`: the test tells curves apart that differ, and no others; whatever is missing is a failure."""

import dataclasses
import fcntl
import json
import math
import os
import re
import signal
import subprocess
import sys
from contextlib import contextmanager
from itertools import combinations
from multiprocessing import active_children
from pathlib import Path

import numpy as np
import pytest

import parity_tests.__main__
from parity_tests.curves import permutation_test as band
from parity_tests.curves import run as curves
from parity_tests.curves.permutation_test import (
    BLOCK,
    COSTS,
    QUANTITIES,
    Judgement,
    Sizes,
    allowed_partitions,
    halves,
    judge,
)
from parity_tests.curves.plots import independent_picture, replayed_picture
from parity_tests.curves.report import Departure, Independent, Plan, Result, content, markdown
from parity_tests.curves.run import FULL, quick, replayed, run_curves, train_ours
from parity_tests.ours import Adapter
from parity_tests.record import launch as oracle
from parity_tests.record.configurations import CURVE_SKETCHES, TrainingRun
from parity_tests.record.machine import processor
from parity_tests.record.recording import FOLDER, Recording
from pytorch_sketch_rnn.data.npz import write_npz
from pytorch_sketch_rnn.errors import BadInput, run_command
from pytorch_sketch_rnn.hparams import HParams

RUNS, STEPS, VALIDATIONS = 6, 35, 3
SIZES = Sizes(RUNS, STEPS, VALIDATIONS)
ALPHA = 0.01


def synthetic(seed, runs=RUNS, steps=STEPS, validations=VALIDATIONS):
    """Curves like those of a training: they fall, and each run has a luck of its own in every step and as a whole."""
    rng = np.random.RandomState(seed)
    result = {}
    for quantity in QUANTITIES:
        count = steps if quantity.startswith("train/") else validations
        luck = 0.02 * rng.standard_normal((runs, 1)) + 0.05 * rng.standard_normal((runs, count))
        result[quantity] = 1 + 2 * 0.95 ** np.arange(count) + luck
    return result


def changed(runs, quantity, change):
    return runs | {quantity: change(runs[quantity].copy())}


def shifted(by, steps=slice(None)):
    def change(values):
        values[:, steps] += by
        return values

    return change


# The test ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("runs", [2, 3, 6])
def test_every_way_to_part_the_runs_stands_once_and_the_sides_come_first(runs):
    ways = halves(runs)
    sets = {frozenset((frozenset(np.flatnonzero(way)), frozenset(np.flatnonzero(~way)))) for way in ways}
    everything = {
        frozenset((frozenset(half), frozenset(range(2 * runs)) - set(half)))
        for half in combinations(range(2 * runs), runs)
    }
    assert sets == everything
    assert len(ways) == len(everything) == math.comb(2 * runs, runs) // 2
    assert np.flatnonzero(ways[0]).tolist() == list(range(runs))


def test_curves_of_one_kind_are_equal():
    judgement = judge(synthetic(1), synthetic(2), SIZES, ALPHA)
    assert judgement.equal
    assert judgement.problems == []
    assert judgement.partitions == 462
    assert judgement.p > ALPHA
    assert judgement.statistic <= judgement.critical


@pytest.mark.parametrize("quantity", QUANTITIES)
@pytest.mark.parametrize("by", [-0.3, 0.3])
def test_a_shift_of_one_quantity_is_told(quantity, by):
    judgement = judge(synthetic(1), changed(synthetic(2), quantity, shifted(by)), SIZES, ALPHA)
    assert not judgement.equal
    assert judgement.problems == []
    assert judgement.p == 1 / 462
    assert judgement.statistic > judgement.critical
    farthest = max(judgement.table(), key=lambda line: line["statistic"])
    assert farthest["quantity"] == quantity


def test_a_shift_of_a_few_steps_is_told_with_its_place():
    ours = changed(synthetic(2), "train/r_cost", shifted(0.4, slice(10, 20)))
    judgement = judge(synthetic(1), ours, SIZES, ALPHA)
    assert not judgement.equal
    farthest = max(judgement.table(), key=lambda line: line["statistic"])
    assert (farthest["quantity"], farthest["at"]) == ("train/r_cost", 10)


def test_a_shift_too_small_for_any_single_point_is_told_by_the_whole_run():
    noisy = {quantity: np.full((RUNS, VALIDATIONS if "valid" in quantity else 400), 1.0) for quantity in QUANTITIES}
    rng = np.random.RandomState(0)
    theirs, ours = ({name: v + 0.1 * rng.standard_normal(v.shape) for name, v in noisy.items()} for _ in range(2))
    ours["train/cost"] += 0.03
    judgement = judge(theirs, ours, Sizes(RUNS, 400, VALIDATIONS), ALPHA)
    assert not judgement.equal
    assert max(judgement.table(), key=lambda line: line["statistic"])["at"] == "whole run"


def naive(theirs, ours):
    """The largest studentised distance of two groups of runs, written out."""
    largest = 0.0
    for quantity in QUANTITIES:
        a, b = theirs[quantity], ours[quantity]
        size = BLOCK if quantity.startswith("train/") else 1
        steps = [slice(first, first + size) for first in range(0, a.shape[1], size)] + [slice(None)]
        points = [(a[:, s].mean(axis=1), b[:, s].mean(axis=1)) for s in steps]
        floor = band.FLOOR * max(abs(np.concatenate(pair).mean()) for pair in points)
        for one, other in points:
            error = math.sqrt((one.var(ddof=1) + other.var(ddof=1)) / len(one))
            largest = max(largest, abs(one.mean() - other.mean()) / max(error, floor))
    return largest


@pytest.mark.parametrize("seed", range(3))
def test_p_is_the_share_of_all_partitions_that_are_as_far_apart(seed):
    theirs, ours = synthetic(seed, runs=4), synthetic(seed + 10, runs=4)
    judgement = judge(theirs, ours, Sizes(4, STEPS, VALIDATIONS), 0.1)
    both = {name: np.concatenate([theirs[name], ours[name]]) for name in QUANTITIES}
    values = []
    for half in combinations(range(8), 4):  # each partition twice, once from either side
        rest = [run for run in range(8) if run not in half]
        values.append(naive(*({name: v[list(runs)] for name, v in both.items()} for runs in (half, rest))))
    assert judgement.statistic == pytest.approx(naive(theirs, ours), rel=1e-9)
    as_far = [value >= judgement.statistic * (1 - 1e-9) for value in values]
    assert judgement.p == pytest.approx(np.mean(as_far), abs=1e-12)
    assert judgement.critical == pytest.approx(sorted(values, reverse=True)[2 * 3], rel=1e-9)
    assert judgement.equal == (judgement.p > 0.1)


def test_what_is_as_likely_as_the_level_is_still_called_different():
    sides = synthetic(1, runs=4), synthetic(2, runs=4), Sizes(4, STEPS, VALIDATIONS)
    p = judge(*sides, 0.5).p
    assert 1 / 35 < p < 0.9
    assert not judge(*sides, p).equal
    assert judge(*sides, p - 0.5 / 35).equal


def test_equal_trainers_are_called_different_no_more_often_than_the_level_says():
    times, alpha, sizes = 300, 0.1, Sizes(4, STEPS, VALIDATIONS)
    told = sum(not judge(synthetic(2 * i, 4), synthetic(2 * i + 1, 4), sizes, alpha).equal for i in range(times))
    # 3 of 35 partitions may be called different; three standard deviations about that
    share = 3 / 35
    assert abs(told - times * share) < 3 * math.sqrt(times * share * (1 - share))


@pytest.mark.parametrize("by", [0.0, 0.05, 0.1, 0.2, 0.4])
def test_equal_means_that_our_mean_is_inside_the_band_everywhere(by):
    judgement = judge(synthetic(1), changed(synthetic(2), "train/cost", shifted(by)), SIZES, ALPHA)
    inside = all(
        (np.abs(points.ours - points.theirs) <= judgement.critical * points.error).all() for points in judgement.points
    )
    assert inside == judgement.equal
    assert judgement.equal == (by < 0.1)


def test_the_table_says_distance_and_band_relative_to_the_official_mean():
    theirs, ours = synthetic(1), changed(synthetic(2), "valid/cost", shifted(0.3))
    judgement = judge(theirs, ours, SIZES, ALPHA)
    assert [line["quantity"] for line in judgement.table()] == list(QUANTITIES)
    line = judgement.table()[QUANTITIES.index("valid/cost")]
    means, whole = theirs["valid/cost"].mean(axis=0), theirs["valid/cost"].mean()
    distance = np.abs(ours["valid/cost"].mean(axis=0) - means) / means
    assert line["distance"] == pytest.approx(distance.max())
    assert line["distance_of_whole_run"] == pytest.approx((ours["valid/cost"].mean() - whole) / whole)
    [points] = [points for points in judgement.points if points.quantity == "valid/cost"]
    assert line["band"] == pytest.approx(np.median(judgement.critical * points.error[:-1] / means))
    assert line["band_of_whole_run"] == pytest.approx(judgement.critical * points.error[-1] / whole)


def test_rounding_does_not_count_where_all_runs_agree():
    theirs, ours = ({**synthetic(i), "train/kl_cost": np.full((RUNS, STEPS), 0.2)} for i in (1, 2))
    assert judge(theirs, ours, SIZES, ALPHA).equal
    ours["train/kl_cost"] += 2e-8
    judgement = judge(theirs, ours, SIZES, ALPHA)
    assert judgement.equal
    ours["train/kl_cost"] += 1e-3
    assert not judge(theirs, ours, SIZES, ALPHA).equal


def test_costs_that_are_zero_throughout_are_equal():
    zero = {"train/kl_cost": np.zeros((RUNS, STEPS)), "valid/kl_cost": np.zeros((RUNS, VALIDATIONS))}
    judgement = judge(synthetic(1) | zero, synthetic(2) | zero, SIZES, ALPHA)
    assert judgement.equal
    assert all(math.isfinite(line["distance"]) for line in judgement.table())


def test_too_few_runs_to_show_anything_are_refused():
    assert allowed_partitions(1 / 462, 462) == 1
    with pytest.raises(ValueError, match=r"10 partitions cannot show anything at a level of 0\.01"):
        allowed_partitions(0.01, 10)
    with pytest.raises(ValueError, match="more runs are needed"):
        judge(synthetic(1, 3), synthetic(2, 3), Sizes(3, STEPS, VALIDATIONS), 0.01)


# What is missing ------------------------------------------------------------------------------------------------------


def without_last(axis):
    return lambda values: np.delete(values, -1, axis=axis)


def spoilt(value):
    def change(values):
        values[2, 1] = value
        return values

    return change


@pytest.mark.parametrize("side", ["Magenta's", "our"])
@pytest.mark.parametrize("quantity", ["train/cost", "valid/kl_cost"])
@pytest.mark.parametrize(
    ("change", "told"),
    [
        (without_last(0), r"is 5 x \d+, expected 6 runs x \d+"),
        (without_last(1), r"is 6 x \d+, expected 6 runs x \d+"),
        (spoilt(np.nan), r"is nan in run 2 at \w+ 1"),
        (spoilt(np.inf), r"is inf in run 2 at \w+ 1"),
        (None, "is missing"),
    ],
    ids=["a run", "a step", "nan", "inf", "all"],
)
def test_whatever_is_missing_on_either_side_makes_them_different(side, quantity, change, told):
    sides = {"Magenta's": synthetic(1), "our": synthetic(2)}
    if change is None:
        del sides[side][quantity]
    else:
        sides[side] = changed(sides[side], quantity, change)
    judgement = judge(*sides.values(), SIZES, ALPHA)
    assert not judgement.equal
    assert len(judgement.problems) == 1
    assert re.fullmatch(f"{side} {quantity} {told}", judgement.problems[0])
    assert judgement.table() == []


# What is planned ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("plan", [FULL, quick()], ids=["full", "quick"])
def test_a_plan_has_every_cell_and_can_show_a_difference(plan):
    cells = ["lstm", "layer_norm", "hyper"]
    assert [run.name for run in plan.independent] == cells == [run.name for run in plan.replayed]
    for run in plan.independent:
        assert run.hparams["enc_model"] == run.hparams["dec_model"] == run.name
    assert allowed_partitions(plan.alpha, len(halves(plan.runs))) >= 1
    assert plan.runs >= 6
    assert len(plan.departures) >= (2 if plan is FULL else 1)
    assert {departure.cell for departure in plan.departures} <= set(cells)


@pytest.mark.parametrize("plan", [FULL, quick()], ids=["full", "quick"])
def test_validation_sets_are_whole_batches_and_runs_end_with_a_validation(plan):
    for run in plan.independent:
        assert CURVE_SKETCHES["sketches"] // 5 % run.hparams["batch_size"] == 0
        assert (run.hparams["num_steps"] - 1) % run.hparams["save_every"] == 0
        steps = [step for step in range(run.hparams["num_steps"]) if step and step % run.hparams["save_every"] == 0]
        assert plan.sizes(run) == Sizes(plan.runs, run.hparams["num_steps"], len(steps))


def test_no_two_runs_share_a_seed():
    for plan in (FULL, quick()):
        seeds = [curves.FIRST_SEED["Magenta"] + index for index in range(plan.runs)]
        for departure in (None, *plan.departures):
            seeds += [curves._seed(plan, departure) + index for index in range(plan.runs)]
        assert len(set(seeds)) == len(seeds) == plan.runs * (2 + len(plan.departures))


# Our side -------------------------------------------------------------------------------------------------------------

TINY = {
    "enc_model": "lstm", "dec_model": "layer_norm", "enc_rnn_size": 4, "dec_rnn_size": 5, "z_size": 3,
    "num_mixture": 2, "batch_size": 4, "num_steps": 4, "save_every": 3, "learning_rate": 0.01, "kl_tolerance": 0.0,
}  # fmt: skip


def sketches(count, seed):
    rng = np.random.RandomState(seed)
    result = []
    for _ in range(count):
        sketch = rng.randint(-40, 40, (rng.randint(4, 9), 3))
        sketch[:, 2] = 0
        sketch[-1, 2] = 1
        result.append(sketch.astype(np.int16))
    return result


@pytest.fixture(scope="module")
def strokes(tmp_path_factory):
    path = tmp_path_factory.mktemp("strokes") / "few.npz"
    write_npz(path, {"train": sketches(12, 1), "valid": sketches(4, 2), "test": sketches(4, 3)})
    return path


def official_recording(runs, scale=1.0, **changes):
    """A recording of official runs with these curves."""
    hparams = HParams(**TINY | {"max_seq_len": 8} | changes)
    weights = {name: value * np.float32(scale) for name, value in Adapter().initial(hparams.to_dict(), 1).items()}
    groups = {"weights": weights, "float32": runs}
    return Recording("curves", "curves/tiny", hparams.to_dict(), {"versions": {"magenta": "2.1.4"}}, groups)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    path = tmp_path_factory.mktemp("recorded") / "curves-tiny.h5"
    official_recording({}).save(path)
    return path


def test_ours_leaves_the_costs_of_every_step_and_of_each_validation(recorded, strokes):
    found = train_ours(recorded, strokes, 1, {})
    assert set(found) == set(QUANTITIES)
    assert {name: value.shape for name, value in found.items()} == {
        name: (4,) if name.startswith("train/") else (1,) for name in QUANTITIES
    }
    assert all(np.isfinite(value).all() for value in found.values())
    weight = found["train/cost"] - found["train/r_cost"]
    assert np.allclose(weight, 0.01 * found["train/kl_cost"], rtol=0.1)
    # as Magenta's: the evaluation weighs the KL cost by kl_weight_start throughout
    assert np.allclose(found["valid/cost"], found["valid/r_cost"] + 0.01 * found["valid/kl_cost"], rtol=1e-6)


def test_ours_depends_on_its_seed_and_on_the_hyperparameters_that_are_planted_alone(recorded, strokes):
    first, again, other = (train_ours(recorded, strokes, seed, {}) for seed in (1, 1, 2))
    assert all(np.array_equal(first[name], again[name]) for name in QUANTITIES)
    assert all(not np.array_equal(first[name], other[name]) for name in QUANTITIES)
    planted = train_ours(recorded, strokes, 1, {"decay_rate": 0.5})
    assert np.array_equal(planted["train/cost"][:2], first["train/cost"][:2])
    assert not np.array_equal(planted["train/cost"][2:], first["train/cost"][2:])


def test_ours_begins_with_the_weights_of_the_recording(recorded, strokes, tmp_path):
    official_recording({}, scale=1.5).save(tmp_path / "other.h5")
    still = {"learning_rate": 1e-12, "min_learning_rate": 0.0, "use_recurrent_dropout": False}
    first, other = (train_ours(path, strokes, 1, still) for path in (recorded, tmp_path / "other.h5"))
    assert not np.isclose(first["valid/r_cost"], other["valid/r_cost"], rtol=1e-3).any()
    longer = train_ours(recorded, strokes, 1, still | {"num_steps": 7})
    assert np.ptp(longer["valid/r_cost"]) < 1e-6


def test_a_training_of_ours_that_goes_astray_is_told_and_different(strokes, tmp_path):
    official_recording({}, scale=1e30).save(tmp_path / "huge.h5")
    found = train_ours(tmp_path / "huge.h5", strokes, 1, {})
    assert np.isnan(found["train/cost"]).all()
    runs = {name: np.stack([value] * RUNS) for name, value in found.items()}
    judgement = judge(synthetic(1, RUNS, 4, 1), runs, Sizes(RUNS, 4, 1), ALPHA)
    assert not judgement.equal
    assert "our train/cost is nan in run 0 at train 0" in judgement.problems


# What is written ------------------------------------------------------------------------------------------------------

PLAN = Plan(
    (TrainingRun("layer_norm", {}),),
    (TrainingRun("tiny", TINY),),
    (Departure("the rate is halved", "tiny", {"learning_rate": 0.005}),),
    RUNS,
)


@pytest.fixture(scope="module")
def replayed_run():
    return replayed(Recording.load(FOLDER / "training-layer_norm.h5"))


@pytest.fixture
def result(replayed_run):
    theirs, ours = synthetic(1), synthetic(2)
    planted = changed(synthetic(3), "train/cost", shifted(0.5))
    sizes = (SIZES, PLAN.alpha)
    independent = Independent("tiny", theirs, ours, judge(theirs, ours, *sizes))
    bug = Independent("the rate is halved", theirs, planted, judge(theirs, planted, *sizes))
    return Result(PLAN, [replayed_run], [independent], [bug], {"versions": {"magenta": "2.1.4"}}, 61.0)


def test_a_replayed_run_has_everything_equal_and_the_official_drift_of_each_cost(replayed_run):
    assert replayed_run.equal
    assert replayed_run.name == "layer_norm"
    assert set(replayed_run.official_drift) == set(COSTS)
    assert {len(values) for values in replayed_run.official_drift.values()} == {len(replayed_run.curves.drift)}
    assert 0 < replayed_run.distance < 1e-12


def test_all_that_was_planned_and_is_equal_passes(result):
    assert result.passed
    assert result.verdict().startswith("EQUAL: 1 replayed trainings, and the means of 1 x 6 independent ones; 1 of 1 ")


DIFFERENT = Judgement(equal=False, problems=[])
LACKING = Judgement(equal=False, problems=["our train/cost is missing"])


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda r: r.replayed.clear(), "not all that was planned was compared"),
        (lambda r: r.independent.clear(), "not all that was planned was compared"),
        (lambda r: r.planted.clear(), "not all that was planned was compared"),
        (lambda r: spoil_replayed(r, rows=[]), "layer_norm (replayed) differ"),
        (lambda r: spoil_replayed(r, curves=None), "layer_norm (replayed) differ"),
        (lambda r: spoil_replayed(r, rows=one_different(r)), "layer_norm (replayed) differ"),
        (lambda r: spoil(r.independent, DIFFERENT), "tiny (independent) differ"),
        (lambda r: spoil(r.independent, LACKING), "tiny (independent) differ"),
        (lambda r: spoil(r.planted, r.independent[0].judgement), "planted and not found, .*: the rate is halved"),
        (lambda r: spoil(r.planted, LACKING), "planted and not found, .*: the rate is halved"),
    ],
)
def test_anything_that_differs_or_is_missing_fails(result, spoil, told):
    result.replayed, result.independent, result.planted = map(
        list, (result.replayed, result.independent, result.planted)
    )
    spoil(result)
    assert not result.passed
    assert re.fullmatch(f"DIFFERENT: {told}.".replace("(", r"\(").replace(")", r"\)"), result.verdict())
    assert content(result)["passed"] is False
    assert result.verdict() in markdown(result)


def spoil_replayed(result, **changes):
    result.replayed[0] = dataclasses.replace(result.replayed[0], **changes)


def one_different(result):
    first, *rest = result.replayed[0].rows
    return [dataclasses.replace(first, verdict="different"), *rest]


def spoil(found, judgement):
    found[0] = dataclasses.replace(found[0], judgement=judgement)


def test_what_is_missing_is_told_in_the_text(result):
    result.independent = [dataclasses.replace(result.independent[0], judgement=LACKING)]
    text = markdown(result)
    assert "- tiny: our train/cost is missing" in text
    assert "| tiny | – | – | – | – | – | – | – | **different** |" in text


def test_the_text_has_a_table_for_each_part_and_names_pictures_seeds_and_versions(result):
    text = markdown(result)
    for quantity in QUANTITIES:
        assert f"| tiny | {quantity} |" in text
    assert "| layer_norm | 6 |" in text
    assert re.search(r"\| the rate is halved \| tiny \| train/cost \| .* \| 0\.0022 \| found \|", text)
    assert "](replayed-layer_norm.png)" in text
    assert "](independent-tiny.png)" in text
    assert "all 462 ways to part the 12 runs" in " ".join(text.split())
    assert "magenta 2.1.4" in text
    assert "Magenta 1001 to 1006, ours 2001 to 2006" in text
    assert "learning_rate 0.01" in text
    for table in re.findall(r"(?:^\|.*\n)+", text, flags=re.MULTILINE):
        assert len({line.count("|") for line in table.splitlines()}) == 1


def test_json_holds_the_curves_of_every_run_and_no_nan(result):
    result.independent[0].ours["train/cost"][0, 0] = np.nan
    found = json.loads(json.dumps(content(result), allow_nan=False))
    [independent], [planted], [replay] = found["independent"], found["planted"], found["replayed"]
    assert np.array(independent["magenta"]["valid/cost"]).shape == (RUNS, VALIDATIONS)
    assert independent["ours"]["train/cost"][0][0] is None
    assert independent["ours"]["train/cost"][0][1] == result.independent[0].ours["train/cost"][0, 1]
    assert (independent["equal"], planted["found"], replay["equal"]) == (True, True, True)
    assert len(replay["curves"]["ours"]["cost"]) == 6
    assert len(independent["quantities"]) == len(QUANTITIES)
    assert found["seeds"]["first"] == {"Magenta": 1001, "ours": 2001, "planted": 3001}


def is_small_png(path):
    assert path.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert 10_000 < path.stat().st_size < 100_000
    return True


def test_pictures_are_drawn_and_small(result, tmp_path):
    run = result.replayed[0]
    replayed_picture(tmp_path / "a.png", "a", run.curves, run.official_drift)
    large = Sizes(8, 301, 6)
    theirs, ours = (synthetic(seed, 8, 301, 6) for seed in (1, 2))
    independent_picture(tmp_path / "b.png", "b", theirs, ours, judge(theirs, ours, large, ALPHA), 50)
    assert is_small_png(tmp_path / "a.png")
    assert is_small_png(tmp_path / "b.png")


@pytest.mark.parametrize("spoil", [spoilt(np.nan), without_last(1)])
def test_pictures_are_drawn_of_what_there_is(spoil, tmp_path):
    ours = changed(synthetic(2), "train/cost", spoil)
    del ours["valid/cost"]
    independent_picture(tmp_path / "b.png", "b", synthetic(1), ours, judge(synthetic(1), ours, SIZES, ALPHA), 50)
    assert is_small_png(tmp_path / "b.png")


# The whole ------------------------------------------------------------------------------------------------------------


@contextmanager
def at_once(say):
    """In the place of the processes: the same work, here."""

    def each(work):
        return {title: do(*arguments) for title, (do, arguments) in work.items()}

    yield each


@pytest.fixture(scope="module")
def trained_once():
    """`train_ours`, but what was trained before is not trained again: all begin with the same weights."""
    known = {}

    def train(path, strokes, seed, changes):
        key = seed, *changes.items()
        if key not in known:
            known[key] = train_ours(path, strokes, seed, changes)
        return known[key]

    return train


@pytest.fixture
def stood_in(monkeypatch, tmp_path, strokes, trained_once, replayed_run):
    """A whole comparison without the official code: its runs are ours with other seeds."""

    def record(run, runs, out, path):
        folder = out / "independent-tiny"
        folder.mkdir()
        official_recording({}).save(folder / "curves-tiny.h5")
        found = [trained_once(folder / "curves-tiny.h5", path, 1001 + index, {}) for index in range(runs)]
        stacked = {name: np.stack([each[name] for each in found]) for name in QUANTITIES}
        official_recording(stacked).save(folder / "curves-tiny.h5")

    monkeypatch.setattr(curves, "require_oracle", lambda: None)
    monkeypatch.setattr(curves, "_workers", at_once)
    monkeypatch.setattr(curves, "record_independent", record)
    monkeypatch.setattr(curves, "train_ours", trained_once)
    monkeypatch.setattr(curves, "replay", lambda *_: replayed_run)
    monkeypatch.setattr(curves, "short_kanji", lambda **_: {
        "train": sketches(12, 1), "valid": sketches(4, 2), "test": sketches(4, 3)
    })  # fmt: skip
    return tmp_path / "out" / "curves"


def departed(changes):
    return dataclasses.replace(PLAN, departures=(Departure("planted", "tiny", changes),))


def test_a_comparison_of_equals_ends_with_0_and_leaves_tables_and_pictures(stood_in):
    said = []
    assert run_curves(stood_in, departed({"learning_rate": 0.5}), say=said.append) == 0, said[-1]
    assert {path.name for path in stood_in.iterdir() if path.is_file()} == {
        "curves.json", "curves.md", "independent-tiny.png", "kanji-independent.npz", "kanji-replayed.npz",
        "replayed-layer_norm.png",
    }  # fmt: skip
    text = (stood_in / "curves.md").read_text()
    assert "\nEQUAL: " in text
    assert all((stood_in / name).is_file() for name in re.findall(r"\]\((.*?\.png)\)", text))
    assert json.loads((stood_in / "curves.json").read_text())["passed"] is True
    assert text in said[-1]


def test_a_planted_departure_that_is_not_found_ends_with_1(stood_in):
    assert run_curves(stood_in, departed({"learning_rate": 0.0100001}), say=lambda _: None) == 1
    assert "planted and not found" in (stood_in / "curves.md").read_text()


def test_a_port_that_trains_otherwise_ends_with_1(stood_in, monkeypatch, trained_once):
    def other(path, strokes, seed, changes):
        return trained_once(path, strokes, seed, changes | {"learning_rate": 0.5})

    monkeypatch.setattr(curves, "train_ours", other)
    assert run_curves(stood_in, departed({}), say=lambda _: None) == 1
    assert "tiny (independent) differ" in (stood_in / "curves.md").read_text()


def test_earlier_results_are_gone_when_a_run_fails(stood_in, monkeypatch):
    stood_in.mkdir(parents=True)
    for path in curves._files(stood_in, FULL):
        path.write_text("old")

    def failing(*_):
        raise BadInput("the official process ended")

    monkeypatch.setattr(curves, "record_independent", failing)
    with pytest.raises(BadInput, match="the official process ended"):
        run_curves(stood_in, PLAN, say=lambda _: None)
    assert {path.suffix for path in stood_in.iterdir()} == {".npz"}


def test_without_the_official_code_it_ends_with_2_and_leaves_nothing(monkeypatch, tmp_path, capsys):
    def lacking():
        raise BadInput("the official code needs tensorflow, not installed here")

    monkeypatch.setattr(curves, "require_oracle", lacking)
    out = tmp_path / "curves"
    assert run_command(parity_tests.__main__.main, ["curves", "--quick", "--out", str(out)]) == 2
    assert capsys.readouterr().err == "error: the official code needs tensorflow, not installed here\n"
    assert not out.exists()


def test_a_folder_that_cannot_be_written_ends_with_2(stood_in, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInput, match=r"file/curves: cannot be written .*choose another --out"):
        run_curves(tmp_path / "file" / "curves", PLAN, say=lambda _: None)


WAITS = """
import fcntl, signal, sys
lock = open(sys.argv[1], "w")
fcntl.flock(lock, fcntl.LOCK_EX)
open(sys.argv[2], "w").close()
signal.pause()
"""


@pytest.fixture
def impatient():
    """Lest a test that fails waits for ever."""

    def end(*_):
        raise TimeoutError("a process is left behind")

    before = signal.signal(signal.SIGALRM, end)
    signal.alarm(100)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def waiting_and_failing(tmp_path):
    """Work of which one piece runs a process that holds a lock, and the other fails once it does."""
    lock, begun = tmp_path / "lock", tmp_path / "begun"
    os.mkfifo(begun)
    command = [sys.executable, "-c", WAITS, str(lock), str(begun)]
    return lock, {"waits": (subprocess.run, (command,)), "fails": (Recording.load, (begun,))}


def test_when_one_piece_of_work_fails_the_others_end_and_what_they_started(tmp_path, impatient):
    said = []
    lock, work = waiting_and_failing(tmp_path)
    with pytest.raises(BadInput, match="begun: expected a recording"), curves._workers(said.append) as each:
        each(work)
    assert active_children() == []
    assert said == []
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)


# The official side ----------------------------------------------------------------------------------------------------


@pytest.mark.oracle
def test_the_official_trainer_runs_with_seeds_of_its_own_from_the_same_weights(tmp_path, strokes, monkeypatch):
    try:
        oracle.require_oracle()
    except BadInput as error:
        pytest.skip(str(error))
    monkeypatch.chdir(Path(oracle.__file__).parents[2])
    monkeypatch.setitem(curves.FIRST_SEED, "Magenta", 5)
    recordings = []
    for name in ("a", "b"):
        curves.record_independent(TrainingRun("tiny", TINY), 2, tmp_path / name, strokes)
        recordings.append(Recording.load(tmp_path / name / "independent-tiny" / "curves-tiny.h5"))
    first, again = recordings
    runs = first["float32"]
    assert {name: value.shape for name, value in runs.items()} == {
        name: (2, 4) if name.startswith("train/") else (2, 1) for name in QUANTITIES
    }
    for name, value in runs.items():
        assert np.array_equal(value, again["float32"][name])
        assert not np.array_equal(value[0], value[1])
    assert all(np.array_equal(value, again["weights"][name]) for name, value in first["weights"].items())
    assert first.provenance["seeds"] == [5, 6]
    assert first.provenance["threads"] == 1
    assert first.provenance["linear algebra"] in ("Eigen, oneDNN on", "Eigen, oneDNN off")
    assert first.provenance["processor"] == processor()
    # what is recorded as a validation is one: the official evaluation weighs the KL cost by its start throughout
    assert np.allclose(runs["valid/cost"], runs["valid/r_cost"] + 0.01 * runs["valid/kl_cost"], rtol=1e-5)
    # the first step is that of the shared weights: the costs differ by batch, mask and noise alone
    ours = train_ours(tmp_path / "a/independent-tiny/curves-tiny.h5", strokes, 1, {})
    assert np.allclose(runs["train/r_cost"][:, 0], ours["train/r_cost"][0], rtol=0.2)
