"""Whole data sets: from files or from memory, one set or several joined."""

import numpy as np
import pytest
from small_loaders import BATCH, MADE, OTHER, SEED, set_arrays, write_sets

from pytorch_sketch_rnn.data.magenta_loader import Dataset, join_sets, load_dataset
from pytorch_sketch_rnn.data.npz import read_npz, write_npz
from pytorch_sketch_rnn.errors import BadInput
from pytorch_sketch_rnn.hparams import HParams


def test_max_seq_len_is_the_length_of_the_longest_sketch_of_all_splits(tmp_path):
    splits = MADE | {"test": [*MADE["test"], np.tile(MADE["test"][0], (77, 1))[:77]]}
    write_npz(tmp_path / "set.npz", splits)
    data = load_dataset(tmp_path, HParams(data_set="set.npz", batch_size=BATCH), np.random.RandomState(SEED))
    assert data.hparams.max_seq_len == 77
    assert data.train.get_batch(0).sketches.shape == (BATCH, 78, 5)
    assert data.valid.random_scale_factor == data.test.augment_stroke_prob == 0
    assert data.train.random_scale_factor == 0.15


def test_an_int8_set_loads(tmp_path):
    splits = {split: [np.clip(s, -100, 100).astype(np.int8) for s in MADE[split]] for split in MADE}
    write_npz(tmp_path / "set.npz", splits)
    assert read_npz(tmp_path / "set.npz")["train"][0].dtype == np.int8
    data = load_dataset(tmp_path, HParams(data_set="set.npz", batch_size=BATCH), np.random.RandomState(SEED))
    assert data.train.random_batch().sketches.shape[0] == BATCH


def test_a_missing_set_is_bad_input_that_names_it(tmp_path):
    write_sets(tmp_path)
    hparams = HParams(data_set=("one.npz", "three.npz"))
    with pytest.raises(BadInput, match=r"three\.npz: expected a \.npz file, but there is no such file"):
        load_dataset(tmp_path, hparams, np.random.RandomState(0))


def joined(*sets: dict[str, list[np.ndarray]], order: dict[str, np.ndarray] | None = None) -> Dataset:
    return join_sets(sets, HParams(batch_size=BATCH, augment_stroke_prob=0.3), np.random.RandomState(SEED), order)


def assert_same_arrays(ours: dict[str, np.ndarray], theirs: dict[str, np.ndarray]) -> None:
    assert ours.keys() == theirs.keys()
    for name, value in theirs.items():
        np.testing.assert_array_equal(ours[name], value, err_msg=name)


def test_sets_in_memory_give_the_batches_of_their_files(tmp_path):
    write_sets(tmp_path)
    hparams = HParams(data_set=["one.npz", "two.npz"], batch_size=BATCH, augment_stroke_prob=0.3)
    from_files = load_dataset(tmp_path, hparams, np.random.RandomState(SEED))
    assert_same_arrays(set_arrays("set", joined(MADE, OTHER)), set_arrays("set", from_files))


def test_joined_splits_hold_the_sketches_of_every_set_scaled_by_the_training_offsets_of_all():
    data = joined(MADE, OTHER)
    longest = max(len(sketch) for made in (MADE, OTHER) for split in made.values() for sketch in split)
    assert data.hparams.max_seq_len == data.train.max_seq_len == data.test.max_seq_len == longest
    offsets = [np.clip(s.astype(np.float32), -1000, 1000)[:, :2].ravel() for s in (*MADE["train"], *OTHER["train"])]
    assert float(data.scale_factor) == pytest.approx(float(np.std(np.concatenate(offsets))), rel=1e-5)
    for split in MADE:
        loader, given = getattr(data, split), [*MADE[split], *OTHER[split]]
        assert len(loader.strokes) == len(given)
        for index, sketch in zip(loader.order, loader.strokes, strict=True):
            expected = np.clip(given[index].astype(np.float32), -1000, 1000)
            expected[:, :2] /= data.scale_factor
            np.testing.assert_array_equal(sketch, expected)


def test_only_the_training_split_is_augmented_and_all_splits_share_a_stream():
    data = joined(MADE)
    assert (data.train.random_scale_factor, data.train.augment_stroke_prob) == (0.15, 0.3)
    for loader in (data.valid, data.test):
        assert (loader.random_scale_factor, loader.augment_stroke_prob) == (0, 0)
        assert loader.rng is data.train.rng


def test_an_order_is_followed_in_each_split_of_joined_sets():
    natural = joined(MADE, OTHER)
    order = {}
    for split in MADE:
        lengths = np.array([len(sketch) for sketch in (*MADE[split], *OTHER[split])])
        order[split] = np.lexsort((-np.arange(len(lengths)), lengths))  # equal lengths: last first
        assert not np.array_equal(order[split], getattr(natural, split).order)
    data = joined(MADE, OTHER, order=order)
    for split, expected in order.items():
        np.testing.assert_array_equal(getattr(data, split).order, expected)
    again = joined(MADE, OTHER, order={split: getattr(natural, split).order for split in MADE})
    assert_same_arrays(set_arrays("set", again), set_arrays("set", joined(MADE, OTHER)))
    with pytest.raises(BadInput, match="does not fit the 45 sketches kept"):
        joined(MADE, OTHER, order=order | {"test": order["test"][:-1]})


def test_joining_does_not_change_its_input():
    given = {split: [sketch.astype(np.float32) for sketch in MADE[split]] for split in MADE}
    before = {split: [sketch.copy() for sketch in given[split]] for split in given}
    joined(given, given).train.random_batch()
    for split in given:
        for sketch, old in zip(given[split], before[split], strict=True):
            np.testing.assert_array_equal(sketch, old)


@pytest.mark.parametrize("sets", [[], [dict.fromkeys(MADE, ())]])
def test_sets_without_sketches_are_bad_input(sets):
    with pytest.raises(BadInput, match="0 sketches whose offsets are all the same have no scale"):
        joined(*sets)
