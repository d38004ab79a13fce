"""An evaluation gives Magenta's numbers in one form, and those of our own validation in the other."""

import dataclasses

import numpy as np
import pytest
import torch
from shipped import shipped
from training_sets import SMALL, make_trainer, random_splits

from parity_tests import ours
from parity_tests.record.draws import VALIDATION_DRAWS, draws_of
from parity_tests.replay.data import orders_of, sets_of
from parity_tests.replay.training import recorded_draws, state_before, with_step
from pytorch_sketch_rnn.data.batches import Split
from pytorch_sketch_rnn.data.magenta_loader import DataLoader, join_sets
from pytorch_sketch_rnn.data.npz import SPLITS
from pytorch_sketch_rnn.data.packed import open_packed
from pytorch_sketch_rnn.data.packed_writer import PackedWriter
from pytorch_sketch_rnn.data.stroke_set import StrokeSet, open_set
from pytorch_sketch_rnn.errors import BadInput
from pytorch_sketch_rnn.hparams import HParams
from pytorch_sketch_rnn.model.draws import KeyedDraws, RecordedDraws
from pytorch_sketch_rnn.model.sketch_rnn import SketchRNN
from pytorch_sketch_rnn.training.evaluation import (
    evaluate_as_magenta,
    evaluate_as_trained,
    magenta_batches,
    magenta_costs,
)
from pytorch_sketch_rnn.training.trainer import VALIDATION, Options

TRAININGS = [recording for recording in shipped().values() if recording.kind == "training"]
UNCONDITIONAL = SMALL.replace(conditional=False)


def some_splits():
    return random_splits(train=12, valid=13, test=11)


# ------------------------------------------------------------------------------------------ against official numbers
def official_validations(recording):
    """The step, split and mean costs of each call of Magenta's ``evaluate_model`` in its training."""
    hparams, costs = recording.hparams, recording["float64"]["validation"]
    taken, best = 0, np.inf
    for step in range(hparams["save_every"], len(recording["float64"]["steps/cost"]), hparams["save_every"]):
        for split in ("valid", "test"):
            count = len(recording["inputs"][f"{split}/order"]) // hparams["batch_size"]
            mean = costs[taken : taken + count].mean(axis=0)
            yield step, split, taken, mean
            taken += count
            if split == "valid" and mean[0] >= best:
                break
            best = mean[0] if split == "valid" else best
    assert taken == len(costs)


@pytest.mark.parametrize("recording", TRAININGS, ids=lambda recording: recording.name)
def test_against_magenta_every_evaluation_of_a_recorded_training_is_the_same(recording):
    orders = orders_of(recording)
    hparams = HParams.from_dict(recording.hparams)
    joined = join_sets(sets_of(recording), hparams, np.random.RandomState(0), orders)
    splits = {name: [sketch for each in sets_of(recording) for sketch in each[name]] for name in SPLITS}
    wanted, seed = recorded_draws(recording, "validation_draws"), recording.provenance["seed"]
    seen = set()
    for step, name, first, theirs in official_validations(recording):
        port = ours.Adapter()
        port.load(dict(recording.hparams), with_step(state_before(recording, step + 1), step + 1))

        def draws(rows, first=first):
            index = first + rows.start // hparams.batch_size
            return RecordedDraws(draws_of(wanted, seed, VALIDATION_DRAWS + index))

        split = Split(splits[name], joined.scale_factor, joined.hparams.max_seq_len)
        found = magenta_costs(port.model.eval(), split, draws, orders[name])
        np.testing.assert_allclose(found, theirs, rtol=1e-10)
        seen.add(name)
    assert seen == {"valid", "test"}


@pytest.mark.parametrize("name", SPLITS)
def test_the_batches_are_those_of_magentas_loader(name):
    splits = some_splits()
    loader = DataLoader(splits[name], 3, 30, np.random.RandomState(0))
    loader.normalize(np.float32(7.3))
    found = list(magenta_batches(Split(splits[name], np.float32(7.3), 30), 3))
    assert len(found) == loader.num_batches > 0
    for index, (rows, batch) in enumerate(found):
        expected = loader.get_batch(index)
        assert rows == range(3 * index, 3 * index + 3)
        np.testing.assert_array_equal(batch.sketches, expected.sketches)
        np.testing.assert_array_equal(batch.lengths, expected.lengths)


# ------------------------------------------------------------------------------------------------- as Magenta does it
def model_of(hparams=SMALL, seed=3):
    return SketchRNN(hparams, seed).double().eval()


def a_set(splits=None, **replaced):
    return StrokeSet("set.npz", (some_splits() if splits is None else splits) | replaced)


@pytest.mark.parametrize("hparams", [SMALL, UNCONDITIONAL, SMALL.replace(is_training=False)])
def test_as_magenta_is_the_mean_of_whole_batches_with_the_first_kl_weight_and_the_padding(hparams):
    splits, model = some_splits(), model_of(hparams)
    found = evaluate_as_magenta(model, a_set(), seed=4)
    joined = join_sets([splits], hparams, np.random.RandomState(0))
    assert found.kl_weight == hparams.kl_weight_start != hparams.kl_weight
    assert found.scale_factor == joined.scale_factor
    assert found.max_seq_len == joined.hparams.max_seq_len
    for name in ("valid", "test"):
        loader = getattr(joined, name)
        costs = []
        for index in range(loader.num_batches):
            batch, first = loader.get_batch(index), index * hparams.batch_size
            rows = range(first, first + hparams.batch_size)
            draws = KeyedDraws(4, VALIDATION, rows)
            with torch.no_grad():
                one = model.costs(batch.sketches, batch.lengths, hparams.kl_weight_start, is_training=True, draws=draws)
            costs.append([float(cost) for cost in one])
        assert len(costs) > 1
        split = found.splits[name]
        np.testing.assert_allclose(split.costs, np.mean(costs, axis=0), rtol=1e-13)
        whole = loader.num_batches * hparams.batch_size
        assert (split.sketches, split.no_batch, split.too_long) == (whole, len(splits[name]) - whole, 0)
    if not hparams.conditional:
        assert found.splits["valid"].costs.kl_cost == 0


def test_as_magenta_sketches_that_fill_no_batch_have_no_costs_and_are_counted():
    splits = some_splits()
    few = a_set(valid=splits["valid"][: SMALL.batch_size - 1], test=[])
    found = evaluate_as_magenta(model_of(), few).splits
    assert (found["valid"].costs, found["valid"].sketches, found["valid"].no_batch) == (None, 0, SMALL.batch_size - 1)
    assert (found["test"].costs, found["test"].sketches, found["test"].no_batch) == (None, 0, 0)
    assert found["train"].costs is not None


# ------------------------------------------------------------------------------------------- as our training does it
@pytest.mark.parametrize("hparams", [SMALL, UNCONDITIONAL])
def test_as_trained_is_what_the_validation_of_the_training_computes_bit_for_bit(hparams):
    options = Options(seed=7, reg_covar=1e-6)
    trainer = make_trainer(hparams, options=options, splits=some_splits())
    trainer.step()
    model = trainer.model
    model.hparams = trainer.sets.hparams
    found = evaluate_as_trained(model, a_set(), options=options)
    assert (found.kl_weight, found.max_seq_len) == (hparams.kl_weight, trainer.sets.hparams.max_seq_len)
    assert found.scale_factor == trainer.sets.train.scale_factor
    for name in ("valid", "test"):
        assert found.splits[name].costs == trainer.validate(name)
        assert found.splits[name].sketches == len(getattr(trainer.sets, name))
    other = evaluate_as_trained(model, a_set(), options=dataclasses.replace(options, seed=8))
    assert (other == found) == (not hparams.conditional)


def test_as_trained_leaves_out_and_counts_sketches_longer_than_the_models_limit():
    splits = some_splits()
    limit = int(np.median([len(sketch) for sketch in splits["valid"]]))
    model = model_of(SMALL.replace(max_seq_len=limit))
    found = evaluate_as_trained(model, a_set(splits))
    short = {name: [sketch for sketch in splits[name] if len(sketch) <= limit] for name in SPLITS}
    for name, split in found.splits.items():
        assert split.sketches == len(short[name]) < len(splits[name])
        assert split.too_long == len(splits[name]) - len(short[name])
    alone = evaluate_as_trained(model, a_set(short))
    assert {name: split.costs for name, split in alone.splits.items()} == {
        name: split.costs for name, split in found.splits.items()
    }
    assert alone.scale_factor == found.scale_factor


def test_a_split_without_sketches_has_no_costs():
    found = evaluate_as_trained(model_of(), a_set(test=[])).splits
    assert found["test"].costs is None
    assert found["valid"].costs is not None


# ----------------------------------------------------------------------------------------------------------- of both
@pytest.mark.parametrize("evaluate", [evaluate_as_magenta, evaluate_as_trained])
def test_a_given_scale_factor_replaces_that_of_the_set_which_then_needs_no_training_sketches(evaluate):
    model, splits = model_of(), some_splits()
    doubled = {name: [sketch * np.array([2, 2, 1]) for sketch in sketches] for name, sketches in splits.items()}
    own = float(a_set(splits).scale_factor())
    found = evaluate(model, a_set(doubled), ["valid"], scale_factor=2 * own)
    np.testing.assert_allclose(found.splits["valid"].costs, evaluate(model, a_set(splits)).splits["valid"].costs, 1e-6)
    assert list(found.splits) == ["valid"]
    without = a_set(doubled, train=[])
    with pytest.raises(BadInput, match=r"^set.npz: the train split: 0 sketches whose offsets"):
        evaluate(model, without, ["valid"])
    assert evaluate(model, without, ["valid"], scale_factor=2 * own) == found


def test_a_packed_set_gives_the_costs_of_its_sketches(tmp_path):
    path = tmp_path / "set.h5"
    with PackedWriter(path, 1.0) as writer:
        for split, sketches in some_splits().items():
            for sketch in sketches:
                writer.add(split, sketch)
    with open_set(path) as packed, open_packed(path) as expected:
        model = model_of(SMALL.replace(batch_size=2, max_seq_len=expected.longest))
        assert packed.scale_factor() == np.float32(expected.scale_factor)
        splits = {name: list(getattr(expected, name)) for name in SPLITS}
        of_packed = evaluate_as_trained(model, packed, ["valid"])
        in_memory = evaluate_as_trained(model, StrokeSet(path, splits, expected.scale_factor), ["valid"])
        assert of_packed == in_memory
        assert of_packed.splits["valid"].costs is not None
