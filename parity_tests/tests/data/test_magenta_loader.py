"""The data loader and its augmentation without the official code, and what the loader refuses."""

import numpy as np
import pytest
from small_loaders import BATCH, MADE, MAX_LEN, SEED, made_arrays, made_loaders, sketches, some_batches

from pytorch_sketch_rnn.data.magenta_loader import START_TOKEN, DataLoader, augment_strokes
from pytorch_sketch_rnn.errors import BadInput


# --------------------------------------------------------------------------------------------------------- loader
def test_numpys_global_stream_gives_the_same_batches_as_a_separate_one():
    ours = made_arrays(0.1, 0.15)
    np.random.seed(SEED)
    rng = np.random.mtrand._rand
    train = DataLoader(MADE["train"], BATCH, MAX_LEN, rng, random_scale_factor=0.15, augment_stroke_prob=0.1)
    valid = DataLoader(MADE["valid"], BATCH, MAX_LEN, rng)
    for loader in (train, valid):
        loader.normalize(ours["made/0.1/0.15/factor"])
    for name, value in some_batches("made/0.1/0.15", train, valid).items():
        np.testing.assert_array_equal(value, ours[name], err_msg=name)


def test_a_batch_is_padded_stroke_5_after_the_start_token():
    batch = made_loaders(0.0, 0.0)[0].get_batch(1)
    assert batch.sketches.shape == (BATCH, MAX_LEN + 1, 5)
    assert batch.sketches.dtype == np.float64
    for sketch, strokes, length in zip(batch.sketches, batch.strokes, batch.lengths, strict=True):
        assert tuple(sketch[0]) == START_TOKEN == (0, 0, 1, 0, 0)
        assert len(strokes) == length
        np.testing.assert_array_equal(sketch[1 : length + 1, :2], strokes[:, :2])
        np.testing.assert_array_equal(sketch[1 : length + 1, 3], strokes[:, 2])
        np.testing.assert_array_equal(sketch[1:, 2:].sum(axis=1), 1)
        np.testing.assert_array_equal(sketch[1:, 4], np.arange(MAX_LEN) >= length)


def test_sketches_that_are_too_long_are_left_out_and_large_gaps_are_clamped():
    train, _ = made_loaders(0.0, 0.0)
    kept = [sketch for sketch in MADE["train"] if len(sketch) <= MAX_LEN]
    assert 0 < len(kept) < len(MADE["train"])
    assert any(np.abs(sketch).max() > 1000 for sketch in kept)
    for i, sketch in zip(train.order, train.strokes, strict=True):
        np.testing.assert_array_equal(sketch, np.clip(kept[i], -1000, 1000))
        assert sketch.dtype == np.float32
    assert train.num_batches == len(kept) // BATCH


def test_batches_do_not_change_the_loader_and_the_loader_does_not_change_its_input():
    given = [sketch.copy() for sketch in MADE["train"]]
    train, _ = made_loaders(0.9, 0.15)
    train.normalize(train.calculate_normalizing_scale_factor())
    before = [sketch.copy() for sketch in train.strokes]
    for batch in (train.random_batch(), train.get_batch(0)):
        for sketch in batch.strokes:
            sketch[:] = 7
    assert all(np.array_equal(sketch, old) for sketch, old in zip(train.strokes, before, strict=True))
    assert all(np.array_equal(sketch, old) for sketch, old in zip(MADE["train"], given, strict=True))


def test_normalizing_makes_the_deviation_of_all_offsets_one():
    train, _ = made_loaders(0.0, 0.0)
    train.normalize(train.calculate_normalizing_scale_factor())
    assert float(train.calculate_normalizing_scale_factor()) == pytest.approx(1, rel=1e-5)


def test_another_order_of_equal_lengths_is_followed():
    natural, _ = made_loaders(0.0, 0.0)
    lengths = np.array([len(sketch) for sketch in MADE["train"] if len(sketch) <= MAX_LEN])
    other = np.lexsort((-np.arange(len(lengths)), lengths))  # equal lengths: last first
    assert not np.array_equal(other, natural.order)
    loader, _ = made_loaders(0.0, 0.0, train=other)
    np.testing.assert_array_equal(loader.order, other)
    where = {index: place for place, index in enumerate(natural.order)}
    for index, sketch in zip(other, loader.strokes, strict=True):
        np.testing.assert_array_equal(sketch, natural.strokes[where[index]])


def test_an_order_that_does_not_fit_is_bad_input():
    order = made_loaders(0.0, 0.0)[0].order
    for wrong in (order[:-1], np.append(order, len(order)), np.zeros_like(order), order + 1):
        with pytest.raises(BadInput, match=r"the order of \d+ sketches does not fit the \d+ sketches kept"):
            made_loaders(0.0, 0.0, train=wrong)
    with pytest.raises(BadInput, match="does not sort the sketches by length: it was recorded for other data"):
        made_loaders(0.0, 0.0, train=order[::-1])


@pytest.mark.parametrize("batch_size", [0, -1])
def test_a_batch_size_below_1_is_bad_input(batch_size):
    with pytest.raises(BadInput, match=f"^batch_size is {batch_size}, expected at least 1"):
        DataLoader(MADE["valid"], batch_size, MAX_LEN, np.random.RandomState(0))


def test_too_few_sketches_for_a_batch_are_bad_input():
    rng = np.random.RandomState(0)
    loader = DataLoader(MADE["valid"], len(MADE["valid"]) + 1, MAX_LEN, rng)
    assert loader.num_batches == 0
    with pytest.raises(BadInput, match="30 sketches of at most 40 points are too few for a batch of 31; use a"):
        loader.random_batch()
    with pytest.raises(BadInput, match=r"^0 sketches of at most 40 points are too few"):
        DataLoader([], 1, MAX_LEN, rng).random_batch()
    DataLoader(MADE["valid"], len(MADE["valid"]), MAX_LEN, rng).random_batch()


@pytest.mark.parametrize("index", [-1, 3, 100])
def test_a_batch_out_of_range_is_an_index_error(index):
    loader = made_loaders(0.0, 0.0)[1]
    assert loader.num_batches == 3
    with pytest.raises(IndexError, match=f"batch {index} of 3"):
        loader.get_batch(index)


def test_sketches_without_a_scale_are_bad_input():
    still = [np.array([[2, 2, 0], [2, 2, 1]], dtype=np.int16)]
    for strokes in ([], still):
        loader = DataLoader(strokes, 1, MAX_LEN, np.random.RandomState(0))
        with pytest.raises(BadInput, match=f"{len(strokes)} sketches whose offsets are all the same have no scale"):
            loader.calculate_normalizing_scale_factor()


@pytest.mark.parametrize("dtype", ["int8", "int32", "float32", "float64"])
def test_other_number_types_give_the_same_batches_even_int8_which_magenta_cannot_load(dtype):
    small = [np.clip(sketch, -120, 120) for sketch in MADE["train"]]
    batches = []
    for kind in ("int16", dtype):
        rng = np.random.RandomState(SEED)
        given = [sketch.astype(kind) for sketch in small]
        batches.append(DataLoader(given, BATCH, MAX_LEN, rng, augment_stroke_prob=0.5).random_batch())
    for ours, expected in zip(batches[1].strokes, batches[0].strokes, strict=True):
        assert ours.tobytes() == expected.tobytes()
    np.testing.assert_array_equal(batches[1].sketches, batches[0].sketches)


# --------------------------------------------------------------------------------------------------- augmentation
def plain_augmentation(sketch: np.ndarray, draws: np.ndarray, prob: float) -> np.ndarray:
    """The rule of the docstring of drop_points, point by point."""
    kept: list[list[np.floating]] = []
    since = 0
    for point, draw in zip(sketch, draws, strict=True):
        down_before = bool(kept) and kept[-1][2] == 0
        since = since + 1 if down_before and point[2] == 0 else 0
        if since > 2 and draw < prob:
            kept[-1][0] += point[0]
            kept[-1][1] += point[1]
        else:
            kept.append(list(point))
    return np.array(kept, dtype=np.float32)


@pytest.mark.parametrize("prob", [0.1, 0.5, 1.0])
def test_augmentation_merges_dropped_points_into_the_last_one_kept(prob):
    dropped = 0
    for seed, sketch in enumerate(sketches(60, 9)):
        sketch = sketch.astype(np.float32) / np.array([3, 7, 1], dtype=np.float32)
        draws = np.random.RandomState(seed).random_sample(len(sketch))
        result = augment_strokes(sketch, prob, np.random.RandomState(seed))
        np.testing.assert_array_equal(result, plain_augmentation(sketch, draws, prob))
        np.testing.assert_allclose(result[:, :2].sum(axis=0), sketch[:, :2].sum(axis=0), rtol=1e-3, atol=1e-2)
        assert result[:, 2].sum() == sketch[:, 2].sum()
        dropped += len(sketch) - len(result)
    assert dropped > 0


def test_augmentation_draws_one_number_per_point_whatever_is_dropped():
    for sketch in (MADE["train"][0], MADE["train"][1]):
        rng, expected = np.random.RandomState(1), np.random.RandomState(1)
        augment_strokes(sketch.astype(np.float32), 0.5, rng)
        expected.random_sample(len(sketch))
        assert rng.random_sample() == expected.random_sample()


def test_dropping_every_point_that_may_be_dropped_keeps_the_ends_of_a_stroke():
    sketch = np.array([[i + 1, 0, 0] for i in range(6)] + [[7, 0, 1]], dtype=np.float32)
    result = augment_strokes(sketch, 1.0, np.random.RandomState(0))
    np.testing.assert_array_equal(result, [[1, 0, 0], [2, 0, 0], [3 + 4 + 5 + 6, 0, 0], [7, 0, 1]])
