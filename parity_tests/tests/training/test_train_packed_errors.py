"""train.py refuses broken packed stroke sets: one clear line, exit code 2, every file unchanged."""

import shutil
import struct
from collections.abc import Callable
from functools import partial
from pathlib import Path

import h5py
import numpy as np
import pytest
from refusals import (
    BROKEN,
    CAT,
    LONGEST,
    NEW,
    PACKED,
    SETS,
    assert_one_line,
    assert_refused,
    case,
    pack,
    sketches,
    words_last,
)

from pytorch_sketch_rnn.errors import run_command
from pytorch_sketch_rnn.training.command import main

pytestmark = pytest.mark.usefixtures("here")


def packed_with(change: Callable[[bytes], bytes]) -> None:
    pack()
    PACKED.write_bytes(change(PACKED.read_bytes()))


def damage(index: int, **changed: list[np.ndarray]) -> None:
    """Pack the set, the points of one training sketch with a pen of 9."""
    pack(**changed)
    with h5py.File(PACKED) as file:
        place = file["train_points"].id.get_offset()
    lengths = list(map(len, (SETS | changed)["train"]))
    point = struct.Struct("<3h")
    with PACKED.open("r+b") as file:
        file.seek(place + point.size * sum(lengths[:index]))
        file.write(point.pack(1, 1, 9) * lengths[index])


def other_hdf5() -> None:
    with h5py.File(PACKED, "w") as file:
        file["points"] = np.arange(3)


def of_a_later_version() -> None:
    pack()
    with h5py.File(PACKED, "r+") as file:
        file.attrs["version"] = np.int64(3)


REMAKE = "create it again with `python -m pytorch_sketch_rnn dataset`"
HDF5 = [
    case("cut short", partial(packed_with, lambda data: data[: len(data) // 2]), "", "data/cat.h5: ", REMAKE),
    case("without its last byte", partial(packed_with, lambda data: data[:-1]), "", "data/cat.h5: ", REMAKE),
    case("empty", partial(packed_with, lambda data: b""), "", "data/cat.h5: ", "another kind of file", REMAKE),
    case("text", partial(packed_with, lambda data: b"a cat\n"), "", "data/cat.h5: ", "another kind of file", REMAKE),
    case("other HDF5", other_hdf5, "", "data/cat.h5: ", "HDF5 without the attribute 'format'", REMAKE),
    case("of a later version", of_a_later_version, "", "data/cat.h5: ", "expected version 1 or 2", "got 3", REMAKE),
    case("an .npz under its name", lambda: shutil.copy(CAT, PACKED), "", "data/cat.h5: ", "another kind of file"),
    case("under the name of an .npz", lambda: (pack(), PACKED.replace("data/dog.npz")), "--data_set=dog.npz",
         "data/dog.npz: ", BROKEN),
    case("mixed with an .npz", pack, "--data_set=cat.h5,cat.npz", "--data_set cat.h5,cat.npz", "stands alone", "pack"),
    case("twice", pack, "--data_set=cat.h5,cat.h5", "data_set cat.h5,cat.h5", "names a set twice"),
    case("with sketches that are too long", pack, "--max_seq_len=5", "/data: cat.h5: ",
         f"up to {LONGEST} points", "at most max_seq_len, 5", "raise max_seq_len", "--max_points"),
    case("with too few for a batch", partial(pack, train=SETS["train"][:3]), "", "/data: cat.h5: ", "has 3 sketches",
         "a batch of 4"),
    case("without validation set", partial(pack, valid=[]), "", "/data: cat.h5: ", "the valid split is empty"),
    case("without test set", partial(pack, test=[]), "", "/data: cat.h5: ", "the test split is empty"),
    case("damaged where the run's fingerprint looks", lambda: damage(0), "", "data/cat.h5: train: sketch 0: ",
         "expected as pen 0 or 1", REMAKE),
]  # fmt: skip


@pytest.mark.parametrize(
    ("make", "flags", "words"),
    words_last(HDF5, 2),
)
def test_a_broken_packed_set_is_refused(make, flags, words, capsys, no_training):
    make()
    assert_refused(capsys, [*NEW, "--data_set=cat.h5", *flags.split()], words)


def test_damage_that_only_training_finds_is_reported_and_the_last_checkpoint_stays(capsys):
    count = 130  # the fingerprint of a run is of 64 of them, and all are in a batch
    damage(1, train=sketches(count))
    assert run_command(main, [*NEW, "--data_set=cat.h5", "--num_steps=1", f"--batch_size={count}"]) == 2
    assert_one_line(capsys.readouterr().err, ["data/cat.h5: train: sketch 1: ", "expected as pen 0 or 1", REMAKE])
    assert [path.name for path in Path("new/checkpoints").iterdir()] == ["step-00000000"]


def test_a_packed_set_of_the_version_without_checksums_trains_and_the_run_says_so(capsys):
    pack()
    with h5py.File(PACKED, "r+") as file:
        file.attrs["version"] = np.int64(1)
        for split in SETS:
            del file[f"{split}_crc32"]
    assert run_command(main, [*NEW, "--data_set=cat.h5", "--num_steps=1"]) == 0
    assert "data/cat.h5: an older version packed it without checksums; not verified\n" in capsys.readouterr().out
