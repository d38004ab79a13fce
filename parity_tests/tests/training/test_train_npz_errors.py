"""train.py refuses broken .npz stroke sets: one clear line, exit code 2, every file unchanged."""

import os
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from refusals import (
    BROKEN,
    CAT,
    COUNTS,
    NEW,
    SETS,
    TRAIN,
    Hostile,
    assert_refused,
    case,
    no_root,
    with_sketch,
    with_split,
    words_last,
)

from pytorch_sketch_rnn.data.npz import write_npz
from pytorch_sketch_rnn.errors import run_command
from pytorch_sketch_rnn.training.command import main

pytestmark = pytest.mark.usefixtures("here")


def with_bytes(change: Callable[[bytes], bytes]) -> None:
    CAT.write_bytes(change(CAT.read_bytes()))


def without_split(split: str) -> None:
    write_npz(CAT, {name: items for name, items in SETS.items() if name != split})


def plain_array() -> None:
    """A .npy file under the name of an archive."""
    np.save("data/cat.npy", np.arange(3))
    Path("data/cat.npy").replace(CAT)


def encrypted(data: bytes) -> bytes:
    """Mark all members as encrypted in the directory of the archive."""
    changed = bytearray(data)
    place = -1
    while (place := data.find(b"PK\x01\x02", place + 1)) >= 0:
        changed[place + 8] |= 1
    return bytes(changed)


def declare_gigabytes() -> None:
    """A small archive that declares 5 GiB of unpacked data."""
    with zipfile.ZipFile(CAT) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(CAT, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
        archive.infolist()[0].file_size = 5 << 30


def replaced_by(make: Callable[[Path], Any]) -> None:
    CAT.unlink()
    make(CAT)


def as_floats(value: float) -> np.ndarray:
    sketch = SETS["train"][2].astype(np.float64)
    sketch[1, 0] = value
    return sketch


def all_alike(count: int = 3) -> None:
    alike = {split: [np.full((count, 3), 1, np.int16)] * number for split, number in COUNTS.items()}
    write_npz(CAT, alike)


def lengthen(split: str) -> None:
    """All sketches of a split, or of all, are of 20 points."""
    long = [np.tile(sketch, (7, 1))[:20] for sketch in SETS[split]]
    write_npz(CAT, SETS | {split: long})


NO_FILE = ("data/cat.npz: is no file", "there are none", "--data_set")

NPZ = [
    case("cut short", partial(with_bytes, lambda data: data[: len(data) // 2]), "data/cat.npz: ", BROKEN),
    case("empty", partial(with_bytes, lambda data: b""), "data/cat.npz: ", BROKEN),
    case("text", partial(with_bytes, lambda data: b"a cat\n"), "data/cat.npz: ", BROKEN, "not a zip"),
    case("an array", plain_array, "data/cat.npz: ", BROKEN, "not a zip"),
    case("damaged", partial(with_bytes, lambda data: data[:200] + b"damage" + data[206:]), TRAIN, BROKEN),
    case("encrypted", partial(with_bytes, encrypted), TRAIN, "unencrypted", "decrypt it"),
    case("without training set", partial(without_split, "train"), TRAIN, "no such member", "valid.npy"),
    case("without validation set", partial(without_split, "valid"), "data/cat.npz: valid.npy", "no such member"),
    case("without test set", partial(without_split, "test"), "data/cat.npz: test.npy", "no such member"),
    case("hostile", partial(with_sketch, Hostile()), TRAIN, "system", "could run code", "do not trust this file"),
    case("of objects", partial(with_sketch, {}), TRAIN, "pickle of NumPy arrays only", "do not trust"),
    case("of texts", partial(with_sketch, "a cat"), TRAIN, "sketch 2", "expected a NumPy array, got str"),
    case("of nothing", partial(with_sketch, None), TRAIN, "sketch 2", "expected a NumPy array, got NoneType"),
    case("of lists", partial(with_sketch, [[0, 0, 1]]), TRAIN, "sketch 2", "expected a NumPy array, got list"),
    case("of complex numbers", partial(with_sketch, np.zeros((3, 3), complex)), TRAIN, "sketch 2", "'<c16'"),
    case("of truths", partial(with_sketch, np.zeros((3, 3), bool)), TRAIN, "sketch 2", "integers or floats"),
    case("without pen", partial(with_sketch, np.ones((3, 2), np.int16)), TRAIN, "sketch 2", "[n, 3]", "(3, 2)"),
    case("of four columns", partial(with_sketch, np.ones((3, 4), np.int16)), TRAIN, "sketch 2", "[n, 3]", "(3, 4)"),
    case("of one row", partial(with_sketch, np.ones(3, np.int16)), TRAIN, "sketch 2", "[n, 3]", "(3,)"),
    case("one array of two columns", partial(with_split, "train", np.ones((5, 3, 2))), TRAIN, "[n, 3]", "(3, 2)"),
    case("a number", partial(with_split, "train", np.array(3)), TRAIN, "object array [N]", "shape ()"),
    case("a sketch without points", partial(with_sketch, np.ones((0, 3), np.int16)), TRAIN, "sketch 2", "none"),
    case("NaN", partial(with_sketch, as_floats(np.nan)), TRAIN, "sketch 2", "finite numbers", "NaN"),
    case("infinity", partial(with_sketch, as_floats(-np.inf)), TRAIN, "sketch 2", "finite numbers", "infinity"),
    case("a pen that is neither up nor down", partial(with_sketch, np.full((3, 3), 5, np.int16)), TRAIN, "sketch 2",
         "expected 0 or 1 in its third column"),
    case("no training sketches", partial(with_split, "train", []), TRAIN, "empty split"),
    case("no validation sketches", partial(with_split, "valid", []), "data/cat.npz: valid.npy", "empty split"),
    case("no test sketches", partial(with_split, "test", []), "data/cat.npz: test.npy", "empty split"),
    case("a zip bomb", declare_gigabytes, TRAIN, "needs more than", "4294967296 bytes"),
    case("a loop of links", partial(replaced_by, lambda path: path.symlink_to("cat.npz")), *NO_FILE),
    case("a link to nothing", partial(replaced_by, lambda path: path.symlink_to("dog.npz")), *NO_FILE),
    case("a folder", partial(replaced_by, Path.mkdir), *NO_FILE),
    case("a pipe", partial(replaced_by, os.mkfifo), "data/cat.npz: is a named pipe, expected a regular file"),
    case("not readable", lambda: CAT.chmod(0), "data/cat.npz: ", "Permission denied", marks=no_root),
    case("in a folder that is closed", lambda: CAT.parent.chmod(0), "/data", "Permission denied", marks=no_root),
    case("without scale", all_alike, "/data: cat.npz: ", "offsets are all the same", "no scale to normalise by"),
]  # fmt: skip


@pytest.mark.parametrize(("make", "words"), words_last(NPZ, 1))
def test_a_broken_npz_is_refused(make, words, capsys, no_training):
    make()
    try:
        assert_refused(capsys, NEW, words)
    finally:
        CAT.parent.chmod(0o755)


@pytest.mark.parametrize(
    ("split", "flags", "words"),
    [
        case("training", "train", ["--max_seq_len=10"], ["train split has 0 sketches (12 longer than 10 points",
                                                  "raise max_seq_len"]),
        case("validation", "valid", ["--max_seq_len=10"], ["valid split is empty (4 longer than 10 points"]),
        case("test", "test", ["--max_seq_len=10"], ["test split is empty (4 longer than 10 points"]),
    ],
)  # fmt: skip
def test_a_split_all_of_whose_sketches_are_too_long_is_refused(split, flags, words, capsys, no_training):
    lengthen(split)
    assert_refused(capsys, [*NEW, *flags], ["/data: cat.npz: ", *words])


def test_sketches_left_out_are_counted_when_too_few_remain_for_a_batch(capsys, no_training):
    kept = sum(len(sketch) <= 4 for sketch in SETS["train"])
    assert 0 < kept < 12
    out = sum(len(sketch) > 4 for items in SETS.values() for sketch in items)
    words = [f"the train split has {kept} sketches ({out} longer than 4 points", "a batch of 12", "raise max_seq_len"]
    assert_refused(capsys, [*NEW, "--max_seq_len=4", "--batch_size=12"], words)


def test_the_broken_one_of_several_sets_is_named(capsys, no_training):
    Path("data/dog.npz").write_bytes(CAT.read_bytes()[:-30])
    assert_refused(capsys, [*NEW, "--data_set=cat.npz,dog.npz"], ["data/dog.npz: ", BROKEN])


def test_an_offset_beyond_float32_is_clamped_silently(capsys):
    with_sketch(as_floats(1e300))
    assert run_command(main, [*NEW, "--num_steps=1"]) == 0
    assert capsys.readouterr().err == ""
