"""Our batches equal the official data loader's bit for bit."""

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from official_script import run_script
from small_loaders import BATCH, MADE, MAX_LEN, SEED, made_arrays, made_loaders, set_arrays, write_sets

from pytorch_sketch_rnn.data.magenta_loader import load_dataset
from pytorch_sketch_rnn.hparams import HParams

REAL = Path(__file__).resolve().parents[4] / "shared" / "data" / "strokes"
AUGMENTATIONS = list(itertools.product((0.0, 0.1, 0.9, 1.0), (0.0, 0.15)))
# Loaders of synthetic sketches with each augmentation, then whole data sets; all draw from NumPy's global stream.
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


def data_sets(folder: Path) -> dict[str, tuple[str, list[str], int]]:
    """Folder, files and batch size of each data set by name; published sets are included if present."""
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
