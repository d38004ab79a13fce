"""The data loader gives Magenta's batches bit for bit, and says clearly what it cannot use."""

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from official_script import run_script

from pytorch_sketch_rnn.data.magenta_loader import (
    START_TOKEN,
    Batch,
    DataLoader,
    Dataset,
    augment_strokes,
    join_sets,
    load_dataset,
)
from pytorch_sketch_rnn.data.npz import read_npz, write_npz
from pytorch_sketch_rnn.errors import BadInput
from pytorch_sketch_rnn.hparams import HParams

REAL = Path(__file__).resolve().parents[4] / "shared" / "data" / "strokes"
SEED, BATCH, MAX_LEN = 7, 8, 40
AUGMENTATIONS = list(itertools.product((0.0, 0.1, 0.9, 1.0), (0.0, 0.15)))
# Loaders of made sketches under each augmentation, then whole data sets; both draw from NumPy's one global stream.
ORACLE = """
import json
from parity_tests.official.session import official_hparams
from parity_tests.official.magenta import sketch_rnn_train, utils
job = json.loads(str(inputs["job"]))

def keep(name, batch):
    strokes, sketches, lengths = batch
    result[name + "/strokes"] = np.concatenate(strokes)
    result[name + "/sketches"], result[name + "/lengths"] = sketches, lengths

def keep_loader(name, loader):
    result[name + "/points"] = np.concatenate(loader.strokes)
    result[name + "/order"] = np.array([len(sketch) for sketch in loader.strokes])

def keep_batches(name, train, valid):
    keep(name + "/random0", train.random_batch())
    keep(name + "/valid0", valid.get_batch(0))
    keep(name + "/random1", train.random_batch())
    keep(name + "/last", valid.get_batch(valid.num_batches - 1))
    keep(name + "/train0", train.get_batch(0))
    keep(name + "/random2", train.random_batch())

def cut(split):
    return np.split(inputs[split + "/points"], np.cumsum(inputs[split + "/lengths"])[:-1])

for augment, scale in job["augmentations"]:
    np.random.seed(job["seed"])
    train = utils.DataLoader(
        cut("train"), job["batch"], job["max_len"], random_scale_factor=scale, augment_stroke_prob=augment)
    valid = utils.DataLoader(cut("valid"), job["batch"], job["max_len"])
    factor = train.calculate_normalizing_scale_factor()
    train.normalize(factor)
    valid.normalize(factor)
    name = f"made/{augment}/{scale}"
    result[name + "/factor"] = factor
    keep_loader(name + "/train", train)
    keep_batches(name, train, valid)

for name, (folder, data_set, batch) in job["sets"].items():
    np.random.seed(job["seed"])
    hparams = official_hparams({"data_set": data_set, "batch_size": batch})
    train, valid, test, hparams, *_ = sketch_rnn_train.load_dataset(folder, hparams)
    result[name + "/max_seq_len"] = np.array(hparams.max_seq_len)
    result[name + "/num_batches"] = np.array([train.num_batches, valid.num_batches, test.num_batches])
    result[name + "/factor"] = train.scale_factor
    for split, loader in (("train", train), ("valid", valid), ("test", test)):
        keep_loader(f"{name}/{split}", loader)
    keep_batches(name, train, valid)
    keep(name + "/test0", test.get_batch(0))
"""


def sketches(count: int, seed: int, longest: int = MAX_LEN, dtype: str = "int16") -> list[np.ndarray]:
    """Sketches as they are: runs of pen down, many of equal length, some large gaps, some too long for MAX_LEN."""
    rng = np.random.RandomState(seed)
    made = []
    for length in rng.randint(1, longest + 1, count):
        sketch = np.zeros((length, 3))
        sketch[:, :2] = rng.normal(size=(length, 2)) * 10.0 ** rng.uniform(0, 3.5, size=(length, 1))
        sketch[:, 2] = rng.random_sample(length) < 0.15
        sketch[-1, 2] = 1
        made.append(np.clip(sketch, -3000, 3000).astype(dtype))
    return made


MADE = {"train": sketches(200, 1, MAX_LEN + 10), "valid": sketches(30, 2), "test": sketches(25, 3)}


OTHER = {split: sketches(20, seed, 60) for seed, split in enumerate(MADE)}


def write_sets(folder: Path) -> None:
    write_npz(folder / "one.npz", MADE)
    write_npz(folder / "two.npz", OTHER)


def data_sets(folder: Path) -> dict[str, tuple[str, list[str], int]]:
    """Name: the folder, the files and the batch size of each set to be loaded whole; the real ones where present."""
    sets = {
        "one": (str(folder), ["one.npz"], 10),
        "joined": (str(folder), ["one.npz", "two.npz"], 16),
        "joined the other way": (str(folder), ["two.npz", "one.npz"], 16),
    }
    for name in ("short_kanji", "aaron_sheep"):
        if (REAL / f"{name}.npz").exists():
            sets[name] = (str(REAL), [f"{name}.npz"], 50)
    return sets


@pytest.fixture(scope="module")
def official(tmp_path_factory) -> dict[str, np.ndarray]:
    folder = tmp_path_factory.mktemp("sets")
    write_sets(folder)
    job = {
        "seed": SEED, "batch": BATCH, "max_len": MAX_LEN, "augmentations": AUGMENTATIONS, "sets": data_sets(folder)
    }  # fmt: skip
    inputs = {"job": np.array(json.dumps(job))}
    for split in ("train", "valid"):
        inputs[f"{split}/points"] = np.concatenate(MADE[split])
        inputs[f"{split}/lengths"] = np.array([len(sketch) for sketch in MADE[split]])
    return run_script(ORACLE, tmp_path_factory.mktemp("official"), inputs)


# ------------------------------------------------------------------------------------------------ our own results
def batch_arrays(name: str, batch: Batch) -> dict[str, np.ndarray]:
    return {
        f"{name}/strokes": np.concatenate(batch.strokes),
        f"{name}/sketches": batch.sketches,
        f"{name}/lengths": batch.lengths,
    }


def loader_arrays(name: str, loader: DataLoader) -> dict[str, np.ndarray]:
    lengths = np.array([len(sketch) for sketch in loader.strokes])
    return {f"{name}/points": np.concatenate(loader.strokes), f"{name}/order": lengths}


def some_batches(name: str, train: DataLoader, valid: DataLoader) -> dict[str, np.ndarray]:
    result = batch_arrays(f"{name}/random0", train.random_batch())
    result |= batch_arrays(f"{name}/valid0", valid.get_batch(0))
    result |= batch_arrays(f"{name}/random1", train.random_batch())
    result |= batch_arrays(f"{name}/last", valid.get_batch(valid.num_batches - 1))
    result |= batch_arrays(f"{name}/train0", train.get_batch(0))
    result |= batch_arrays(f"{name}/random2", train.random_batch())
    return result


def made_loaders(augment: float, scale: float, **orders: np.ndarray) -> tuple[DataLoader, DataLoader]:
    rng = np.random.RandomState(SEED)
    train = DataLoader(
        MADE["train"], BATCH, MAX_LEN, rng, random_scale_factor=scale, augment_stroke_prob=augment,
        order=orders.get("train"),
    )  # fmt: skip
    valid = DataLoader(MADE["valid"], BATCH, MAX_LEN, rng, order=orders.get("valid"))
    return train, valid


def made_arrays(augment: float, scale: float, **orders: np.ndarray) -> dict[str, np.ndarray]:
    name = f"made/{augment}/{scale}"
    train, valid = made_loaders(augment, scale, **orders)
    factor = train.calculate_normalizing_scale_factor()
    for loader in (train, valid):
        loader.normalize(factor)
    result = {f"{name}/factor": factor} | loader_arrays(f"{name}/train", train)
    return result | some_batches(name, train, valid)


def set_arrays(name: str, data: Dataset) -> dict[str, np.ndarray]:
    result = {
        f"{name}/max_seq_len": np.array(data.hparams.max_seq_len),
        f"{name}/num_batches": np.array([data.train.num_batches, data.valid.num_batches, data.test.num_batches]),
        f"{name}/factor": data.scale_factor,
    }
    for split in ("train", "valid", "test"):
        result |= loader_arrays(f"{name}/{split}", getattr(data, split))
    result |= some_batches(name, data.train, data.valid)
    return result | batch_arrays(f"{name}/test0", data.test.get_batch(0))


def assert_identical(ours: dict[str, np.ndarray], official: dict[str, np.ndarray], prefix: str) -> None:
    expected = {name: value for name, value in official.items() if name.startswith(f"{prefix}/")}
    assert ours.keys() == expected.keys()
    for name, value in expected.items():
        here = np.asarray(ours[name])
        assert (here.dtype, here.shape) == (value.dtype, value.shape), name
        assert here.tobytes() == value.tobytes(), name


@pytest.mark.oracle
@pytest.mark.parametrize(("augment", "scale"), AUGMENTATIONS)
def test_batches_equal_the_official_ones_bit_for_bit(official, augment, scale):
    assert_identical(made_arrays(augment, scale), official, f"made/{augment}/{scale}")


@pytest.mark.oracle
def test_a_recorded_order_gives_the_official_batches_on_any_machine(official):
    train, valid = made_loaders(0.1, 0.15)
    ours = made_arrays(0.1, 0.15, train=train.order.copy(), valid=valid.order.copy())
    assert_identical(ours, official, "made/0.1/0.15")


@pytest.mark.oracle
@pytest.mark.parametrize("name", ["one", "joined", "joined the other way", "short_kanji", "aaron_sheep"])
def test_whole_data_sets_equal_the_official_ones_bit_for_bit(official, tmp_path, name):
    write_sets(tmp_path)
    if name not in data_sets(tmp_path):
        pytest.skip(f"{name} is not on this machine")
    folder, files, batch = data_sets(tmp_path)[name]
    data = load_dataset(Path(folder), HParams(data_set=files, batch_size=batch), np.random.RandomState(SEED))
    assert_identical(set_arrays(name, data), official, name)


# --------------------------------------------------------------------------------------------------------- loader
def test_numpys_global_stream_gives_what_a_stream_of_its_own_gives():
    ours = made_arrays(0.1, 0.15)
    np.random.seed(SEED)
    rng = np.random.mtrand._rand
    train = DataLoader(MADE["train"], BATCH, MAX_LEN, rng, random_scale_factor=0.15, augment_stroke_prob=0.1)
    valid = DataLoader(MADE["valid"], BATCH, MAX_LEN, rng)
    for loader in (train, valid):
        loader.normalize(ours["made/0.1/0.15/factor"])
    for name, value in some_batches("made/0.1/0.15", train, valid).items():
        np.testing.assert_array_equal(value, ours[name], err_msg=name)


def test_a_batch_is_padded_stroke_5_behind_the_start_token():
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


def test_batches_do_not_change_the_loader_nor_the_loader_what_it_was_given():
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
def test_a_batch_that_is_not_there_is_an_index_error(index):
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
def test_other_number_types_give_the_same_batches_also_int8_which_magenta_cannot_load(dtype):
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
    """The rule said in its docstring, one point after the other."""
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


def test_augmentation_draws_one_number_a_point_whatever_is_dropped():
    for sketch in (MADE["train"][0], MADE["train"][1]):
        rng, expected = np.random.RandomState(1), np.random.RandomState(1)
        augment_strokes(sketch.astype(np.float32), 0.5, rng)
        expected.random_sample(len(sketch))
        assert rng.random_sample() == expected.random_sample()


def test_a_sketch_of_which_every_third_point_could_go_keeps_its_ends():
    sketch = np.array([[i + 1, 0, 0] for i in range(6)] + [[7, 0, 1]], dtype=np.float32)
    result = augment_strokes(sketch, 1.0, np.random.RandomState(0))
    np.testing.assert_array_equal(result, [[1, 0, 0], [2, 0, 0], [3 + 4 + 5 + 6, 0, 0], [7, 0, 1]])


# ------------------------------------------------------------------------------------------------------ data sets
def test_max_seq_len_is_that_of_the_longest_sketch_of_all_splits(tmp_path):
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


def test_training_alone_is_augmented_and_all_splits_draw_from_one_stream():
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


def test_joining_does_not_change_what_it_is_given():
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
