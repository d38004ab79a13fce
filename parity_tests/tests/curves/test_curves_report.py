"""The verdict on training curves, the two files that state it, and the pictures."""

import dataclasses
import json
import re

import numpy as np
import pytest
from synthetic_curves import ALPHA, PLAN, RUNS, SIZES, VALIDATIONS, changed, shifted, spoilt, synthetic, without_last

from parity_tests.curves.permutation_test import COSTS, QUANTITIES, Comparison, Sizes, compare_curves
from parity_tests.curves.plots import independent_picture, replayed_picture
from parity_tests.curves.report import content, markdown
from parity_tests.curves.results import CurvesResult, Independent


@pytest.fixture
def result(replayed_run):
    theirs, ours = synthetic(1), synthetic(2)
    planted = changed(synthetic(3), "train/cost", shifted(0.5))
    sizes = (SIZES, PLAN.alpha)
    independent = Independent("tiny", theirs, ours, compare_curves(theirs, ours, *sizes))
    bug = Independent("the rate is halved", theirs, planted, compare_curves(theirs, planted, *sizes))
    return CurvesResult(PLAN, [replayed_run], [independent], [bug], {"versions": {"magenta": "2.1.4"}}, 61.0)


def test_a_replayed_run_has_everything_equal_and_the_official_drift_of_each_cost(replayed_run):
    assert replayed_run.equal
    assert replayed_run.name == "layer_norm"
    assert set(replayed_run.official_drift) == set(COSTS)
    assert {len(values) for values in replayed_run.official_drift.values()} == {len(replayed_run.curves.drift)}
    assert 0 < replayed_run.distance < 1e-12


def test_all_that_was_planned_and_is_equal_passes(result):
    assert result.passed
    assert result.verdict().startswith("EQUAL: 1 replayed trainings, and the means of 1 x 6 independent ones; 1 of 1 ")


DIFFERENT = Comparison(equal=False, problems=[])
LACKING = Comparison(equal=False, problems=["our train/cost is missing"])


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda r: r.replayed.clear(), "not all that was planned was compared"),
        (lambda r: r.independent.clear(), "not all that was planned was compared"),
        (lambda r: r.planted.clear(), "not all that was planned was compared"),
        (lambda r: spoil_replayed(r, rows=[]), "layer_norm (replayed) differ"),
        (lambda r: spoil_replayed(r, curves=None), "layer_norm (replayed) differ"),
        (lambda r: spoil_replayed(r, rows=one_different(r)), "layer_norm (replayed) differ"),
        (lambda r: spoil(r.independent, DIFFERENT), "tiny (independent) differ"),
        (lambda r: spoil(r.independent, LACKING), "tiny (independent) differ"),
        (lambda r: spoil(r.planted, r.independent[0].comparison), "planted and not found, .*: the rate is halved"),
        (lambda r: spoil(r.planted, LACKING), "planted and not found, .*: the rate is halved"),
    ],
)
def test_anything_that_differs_or_is_missing_fails(result, spoil, message):
    result.replayed, result.independent, result.planted = map(
        list, (result.replayed, result.independent, result.planted)
    )
    spoil(result)
    assert not result.passed
    assert re.fullmatch(f"DIFFERENT: {message}.".replace("(", r"\(").replace(")", r"\)"), result.verdict())
    assert content(result)["passed"] is False
    assert result.verdict() in markdown(result)


def spoil_replayed(result, **changes):
    result.replayed[0] = dataclasses.replace(result.replayed[0], **changes)


def one_different(result):
    first, *rest = result.replayed[0].rows
    return [dataclasses.replace(first, verdict="different"), *rest]


def spoil(found, comparison):
    found[0] = dataclasses.replace(found[0], comparison=comparison)


def test_missing_curves_are_named_in_the_text(result):
    result.independent = [dataclasses.replace(result.independent[0], comparison=LACKING)]
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
    assert "all 462 ways to split the 12 runs" in " ".join(text.split())
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
    independent_picture(tmp_path / "b.png", "b", theirs, ours, compare_curves(theirs, ours, large, ALPHA), 50)
    assert is_small_png(tmp_path / "a.png")
    assert is_small_png(tmp_path / "b.png")


@pytest.mark.parametrize("spoil", [spoilt(np.nan), without_last(1)])
def test_pictures_are_drawn_of_what_there_is(spoil, tmp_path):
    ours = changed(synthetic(2), "train/cost", spoil)
    del ours["valid/cost"]
    independent_picture(
        tmp_path / "b.png", "b", synthetic(1), ours, compare_curves(synthetic(1), ours, SIZES, ALPHA), 50
    )
    assert is_small_png(tmp_path / "b.png")
