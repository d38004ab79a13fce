"""A batch depends only on seed, step and rows; each row equals Magenta's for the same numbers."""

import numpy as np
import pytest
from training_sets import SMALL, random_splits

from pytorch_sketch_rnn.data.batches import Sets, Split
from pytorch_sketch_rnn.data.magenta_loader import DataLoader, join_sets
from pytorch_sketch_rnn.data.packed import open_packed
from pytorch_sketch_rnn.data.packed_writer import PackedWriter
from pytorch_sketch_rnn.errors import BadInput
from pytorch_sketch_rnn.philox import uniform

SPLITS = random_splits()
SETS = Sets.from_splits(SPLITS, SMALL)


def same(a, b):
    for x, y in zip((a.sketches, a.lengths), (b.sketches, b.lengths), strict=True):
        np.testing.assert_array_equal(x, y, strict=True)
    for x, y in zip(a.strokes, b.strokes, strict=True):
        np.testing.assert_array_equal(x, y, strict=True)


def test_a_step_can_be_drawn_again():
    same(SETS.train.random_rows(5, 0, 7, range(5)), SETS.train.random_rows(5, 0, 7, range(5)))


@pytest.mark.parametrize(("seed", "step"), [(1, 7), (0, 8)])
def test_another_step_or_seed_gives_another_batch(seed, step):
    one, other = SETS.train.random_rows(5, 0, 7, range(5)), SETS.train.random_rows(5, seed, step, range(5))
    assert not np.array_equal(one.sketches, other.sketches)


def test_rows_do_not_depend_on_the_process_that_draws_them():
    whole = SETS.train.random_rows(5, 0, 7, range(5))
    parts = [SETS.train.random_rows(5, 0, 7, rows) for rows in (range(0, 3), range(3, 4), range(4, 5))]
    np.testing.assert_array_equal(whole.sketches, np.concatenate([part.sketches for part in parts]))
    np.testing.assert_array_equal(whole.lengths, np.concatenate([part.lengths for part in parts]))


def test_the_sketches_of_a_batch_differ_and_all_are_equally_frequent():
    plain = Split(SETS.train.sketches, SETS.train.scale_factor, SETS.hparams.max_seq_len)
    known = {sketch.tobytes(): i for i, sketch in enumerate(plain.in_order(range(12)).strokes)}
    counts = np.zeros(12, int)
    for step in range(400):
        chosen = [known[sketch.tobytes()] for sketch in plain.random_rows(5, 0, step, range(5)).strokes]
        assert len(set(chosen)) == 5
        counts[chosen] += 1
    assert counts.sum() == 2000
    assert np.abs(counts - 2000 / 12).max() < 45  # 4.5 standard deviations


class Given:
    """A stand-in for Magenta's stream of uniform numbers."""

    def __init__(self, scale, drop):
        self.scale, self.drop = iter(scale), drop

    def random_sample(self, size=None):
        return float(next(self.scale)) if size is None else self.drop[:size]


def test_a_row_equals_magentas_loader_for_the_same_sketch_and_numbers():
    splits = SPLITS | {"train": [SPLITS["train"][0]] * 5}
    sets = Sets.from_splits(splits, SMALL)
    batch = sets.train.random_rows(5, 2, 9, range(5))
    scale = uniform(2, 9, "augment/scale", range(5), 2)
    drop = uniform(2, 9, "augment/drop", range(5), sets.hparams.max_seq_len)
    for row in range(5):
        loader = DataLoader(
            splits["train"][:1], 1, sets.hparams.max_seq_len, Given(scale[row], drop[row]),
            random_scale_factor=SMALL.random_scale_factor, augment_stroke_prob=SMALL.augment_stroke_prob,
        )  # fmt: skip
        loader.normalize(sets.train.scale_factor)
        expected = loader.get_batch(0)
        np.testing.assert_array_equal(batch.sketches[row : row + 1], expected.sketches, strict=True)
        np.testing.assert_array_equal(batch.strokes[row], expected.strokes[0], strict=True)
        assert batch.lengths[row] == expected.lengths[0]
    assert len(set(batch.lengths)) > 1  # each row has its own augmentation


def test_scales_and_dropped_points_have_magentas_distribution():
    """Scales are uniform in 1 +- random_scale_factor for x and y each; droppable points go with the probability."""
    line = np.ones((50, 3)) * [4, 4, 0]
    line[-1, 2] = 1
    plain = Split([line] * 100, np.float32(1), 50, random_scale_factor=0.15)
    scales = np.concatenate([[s[0, :2] for s in plain.random_rows(100, 0, t, range(100)).strokes] for t in range(40)])
    scales = scales / 4
    assert scales.min() >= 0.85
    assert scales.max() <= 1.15
    np.testing.assert_allclose(scales.mean(0), 1, atol=5 * 0.3 / np.sqrt(12 * 4000))
    np.testing.assert_allclose(scales.std(0), 0.3 / np.sqrt(12), rtol=0.05)
    assert abs(np.corrcoef(scales.T)[0, 1]) < 0.08
    thinned = Split([line] * 100, np.float32(1), 50, augment_stroke_prob=0.1)
    lengths = np.concatenate([thinned.random_rows(100, 0, t, range(100)).lengths for t in range(40)])
    candidates = 46  # all but the first three points, and the last, which lifts the pen
    assert abs((50 - lengths).mean() / candidates - 0.1) < 5 * np.sqrt(0.09 / (candidates * 4000))


def test_validation_is_magentas_without_augmentation():
    official = join_sets([SPLITS], SMALL.replace(batch_size=7), np.random.RandomState(0))
    batch = SETS.valid.in_order(range(7))
    assert sorted(official.valid.get_batch(0).lengths) == batch.lengths.tolist()
    expected = {sketch.tobytes() for sketch in official.valid.get_batch(0).sketches}
    assert {sketch.tobytes() for sketch in batch.sketches} == expected
    assert official.scale_factor == SETS.train.scale_factor
    assert official.hparams.max_seq_len == SETS.hparams.max_seq_len


@pytest.mark.parametrize("limit", [9, 11])  # no sketch has 9 points, some have 11
def test_sketches_that_are_too_long_are_left_out_and_the_rest_set_max_seq_len(limit):
    sets = Sets.from_splits(SPLITS, SMALL.replace(max_seq_len=limit))
    lengths = [len(sketch) for split in SPLITS.values() for sketch in split]
    assert (limit in lengths) == (limit == 11)
    assert sets.left_out == sum(n > limit for n in lengths) > 0
    assert sets.hparams.max_seq_len == max(n for n in lengths if n <= limit)
    kept = [len(sketch) for split in (sets.train, sets.valid, sets.test) for sketch in split.sketches]
    assert sorted(kept) == sorted(n for n in lengths if n <= limit)


@pytest.mark.parametrize(
    ("splits", "words"),
    [
        (random_splits(train=4), ["4 sketches", "batch of 5", "batch_size"]),
        (random_splits(valid=0), ["valid split", "empty"]),
        (random_splits(test=0), ["test split", "empty"]),
        (
            random_splits(longest=12) | {"train": [np.ones((300, 3), np.int16)] * 9},
            ["0 sketches", "9 longer", "raise max_seq_len"],
        ),
    ],
)
def test_too_few_sketches_are_refused(splits, words):
    with pytest.raises(BadInput) as error:
        Sets.from_splits(splits, SMALL)
    assert all(word in str(error.value) for word in words), error.value


def test_a_packed_set_gives_the_same_batches(tmp_path):
    ordered = {split: sorted(sketches, key=len) for split, sketches in SPLITS.items()}
    with PackedWriter(tmp_path / "set.h5") as writer:
        for split, sketches in ordered.items():
            for sketch in sketches:
                writer.add(split, sketch)
    with open_packed(tmp_path / "set.h5") as packed:
        sets = Sets.from_packed(packed, SMALL)
        assert sets.hparams == SETS.hparams
        assert sets.train.scale_factor == pytest.approx(SETS.train.scale_factor, rel=1e-6)
        one, other = (s.train.random_rows(5, 0, 3, range(5)) for s in (sets, SETS))
        np.testing.assert_array_equal(one.lengths, other.lengths)
        np.testing.assert_allclose(one.sketches, other.sketches, rtol=1e-6)
        with pytest.raises(BadInput, match="max_seq_len"):
            Sets.from_packed(packed, SMALL.replace(max_seq_len=8))
