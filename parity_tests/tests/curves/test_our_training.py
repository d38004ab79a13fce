"""The plan of a comparison, and the training runs of our side."""

import numpy as np
import pytest
from synthetic_curves import ALPHA, RUNS, official_recording, synthetic

from parity_tests.curves.permutation_test import QUANTITIES, Sizes, all_partitions, compare_curves, rejection_limit
from parity_tests.curves.plan import FIRST_SEED, FULL, quick
from parity_tests.curves.training import train_ours
from parity_tests.record.configurations import CURVE_SKETCHES

# The plan ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("plan", [FULL, quick()], ids=["full", "quick"])
def test_a_plan_has_every_cell_and_can_show_a_difference(plan):
    cells = ["lstm", "layer_norm", "hyper"]
    assert [run.name for run in plan.independent] == cells == [run.name for run in plan.replayed]
    for run in plan.independent:
        assert run.hparams["enc_model"] == run.hparams["dec_model"] == run.name
    assert rejection_limit(plan.alpha, len(all_partitions(plan.runs))) >= 1
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
        seeds = [FIRST_SEED["Magenta"] + index for index in range(plan.runs)]
        for departure in (None, *plan.departures):
            seeds += [plan.first_seed(departure) + index for index in range(plan.runs)]
        assert len(set(seeds)) == len(seeds) == plan.runs * (2 + len(plan.departures))


# Our side ------------------------------------------------------------------------------------------------------------


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


def test_a_training_of_ours_that_diverges_is_reported_and_different(strokes, tmp_path):
    official_recording({}, scale=1e30).save(tmp_path / "huge.h5")
    found = train_ours(tmp_path / "huge.h5", strokes, 1, {})
    assert np.isnan(found["train/cost"]).all()
    runs = {name: np.stack([value] * RUNS) for name, value in found.items()}
    comparison = compare_curves(synthetic(1, RUNS, 4, 1), runs, Sizes(RUNS, 4, 1), ALPHA)
    assert not comparison.equal
    assert "our train/cost is nan in run 0 at train 0" in comparison.problems
