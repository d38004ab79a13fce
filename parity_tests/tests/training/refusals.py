"""Shared by the tests of what ``train.py`` refuses: a stroke set and a run to break, and what a refusal looks like.

The fixture ``here`` in ``conftest.py`` makes a folder with a stroke set, ``data/cat.npz``, and a run, ``run``.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from _pytest.mark.structures import ParameterSet

from pytorch_sketch_rnn.checksums import CHECKSUMS_FILE
from pytorch_sketch_rnn.data.packed_writer import PackedWriter
from pytorch_sketch_rnn.errors import run_command
from pytorch_sketch_rnn.training.command import main

TINY = ["--enc_rnn_size=4", "--dec_rnn_size=5", "--z_size=2", "--num_mixture=2", "--batch_size=4"]
NEW = [*TINY, "--data_dir=data", "--save_dir=new"]
RESUME = ["--save_dir=run", "--resume", "--num_steps=3"]
COUNTS = {"train": 12, "valid": 4, "test": 4}
LONGEST = 8
CAT, LAST, PACKED = Path("data/cat.npz"), Path("run/checkpoints/step-00000002"), Path("data/cat.h5")
TRAIN = "data/cat.npz: train.npy"
BROKEN = "expected an intact .npz file"
no_root = pytest.mark.skipif(os.geteuid() == 0, reason="root may do everything")


class Began(AssertionError):
    """A training began that should have been refused."""


def case(name: str, *parts: Any, marks: Any = ()) -> ParameterSet:
    """A row of a table of test cases."""
    return pytest.param(*parts, id=name, marks=marks)


def words_last(rows: list[ParameterSet], count: int) -> list[ParameterSet]:
    """The rows, with all values after the first ``count`` as one tuple."""
    return [pytest.param(*row.values[:count], row.values[count:], id=row.id, marks=row.marks) for row in rows]


def sketches(count: int, seed: int = 0) -> list[np.ndarray]:
    """Sketches int16 [n, 3] of 3 to 8 points."""
    random = np.random.default_rng(seed)
    made = [random.integers(-50, 51, (length, 3)) for length in random.integers(3, LONGEST + 1, count)]
    for sketch in made:
        sketch[:, 2] = random.integers(0, 2, len(sketch))
    return [sketch.astype(np.int16) for sketch in made]


SETS = {split: sketches(count, seed) for seed, (split, count) in enumerate(COUNTS.items())}


def everything() -> dict[str, Any]:
    """Everything in the working folder, links and hidden files too: the bytes of each file that can be read.

    A cache of compiled kernels is left out: they may be compiled before a command finds something to refuse.
    """
    found: dict[str, Any] = {}
    for path in sorted(Path().rglob("*")):
        if "pytorch-sketch-rnn" in path.parts or path == Path("cache"):
            continue
        if path.is_symlink():
            found[str(path)] = os.readlink(path)
        else:
            readable = path.is_file() and os.access(path, os.R_OK)
            found[str(path)] = path.read_bytes() if readable else path.stat().st_mode
    return found


def assert_refused(capsys: pytest.CaptureFixture, argv: Sequence[str], words: Sequence[str]) -> None:
    """One line with these words, exit code 2, nothing written."""
    before = everything()
    capsys.readouterr()
    assert run_command(main, list(argv)) == 2
    assert_one_line(capsys.readouterr().err, words)
    assert everything() == before


def assert_one_line(stderr: str, words: Sequence[str]) -> None:
    assert stderr.endswith("\n")
    [line] = stderr.splitlines()
    assert line.startswith("error: ")
    assert [word for word in words if word not in line] == [], line


def objects(items: Sequence[Any]) -> np.ndarray:
    """A 1-D object array."""
    array = np.empty(len(items), dtype=object)
    for index, item in enumerate(items):
        array[index] = item
    return array


def with_split(split: str, items: Any) -> None:
    """Rewrite the set with other sketches, or an array, in one split."""
    sets = {name: objects(each) for name, each in SETS.items()}
    np.savez(CAT, **sets | {split: objects(items) if isinstance(items, list) else items})


def with_sketch(sketch: Any, split: str = "train") -> None:
    """Rewrite the set with another third sketch in one split."""
    with_split(split, [*SETS[split][:2], sketch, *SETS[split][3:]])


def pack(**changed: list[np.ndarray]) -> None:
    """Write the packed set, with other sketches in some splits."""
    with PackedWriter(PACKED) as writer:
        for split, items in (SETS | changed).items():
            for sketch in items:
                writer.add(split, sketch)


def forget_checksums() -> None:
    """Make the run's last checkpoint and its models those of an older version, which recorded no checksums."""
    for folder in (LAST, Path("run"), Path("run/best")):
        (folder / CHECKSUMS_FILE).unlink()


def cut(path: Path) -> None:
    """Keep the first half of a file."""
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])


class Hostile:
    """Loading a pickle of it runs a command."""

    def __reduce__(self):
        return os.system, ("touch ran",)
