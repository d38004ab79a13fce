"""Packed sets that the tests of this room share."""

from collections.abc import Iterable
from pathlib import Path

import h5py
import numpy as np
import pytest

from pytorch_sketch_rnn.data.npz import SPLITS
from pytorch_sketch_rnn.data.packed import PackedSet, open_packed
from pytorch_sketch_rnn.data.packed_writer import PackedWriter
from pytorch_sketch_rnn.errors import BadInput

LINE = np.array([[3, 4, 0], [-5, 6, 1]], np.int16)


def sketches(count: int, seed: int = 0, longest: int = 30) -> list[np.ndarray]:
    random = np.random.default_rng(seed)
    result = [random.integers(-300, 301, (length, 3)) for length in random.integers(1, longest + 1, count)]
    for sketch in result:
        sketch[:, 2] = random.integers(0, 2, len(sketch))
    return [sketch.astype(np.int16) for sketch in result]


SETS = {"train": sketches(40), "valid": sketches(5, 1), "test": sketches(3, 2, 50)}


def pack(path: Path, splits: dict[str, Iterable[np.ndarray]], unit: float = 1.0) -> Path:
    with PackedWriter(path, unit) as writer:
        for split, items in splits.items():
            for sketch in items:
                writer.add(split, sketch)
    return path


def everything(opened: PackedSet) -> dict[str, list[np.ndarray]]:
    return {split: list(getattr(opened, split)) for split in SPLITS}


def assert_same(found: dict[str, list[np.ndarray]], expected: dict[str, list[np.ndarray]]) -> None:
    for split in SPLITS:
        assert len(found[split]) == len(expected[split])
        for got, want in zip(found[split], expected[split], strict=True):
            assert got.dtype == np.float32
            np.testing.assert_array_equal(got, want)


def refuse(path: Path, message: str) -> None:
    """Assert that the file is refused with this message."""
    with pytest.raises(BadInput, match=message) as caught:
        open_packed(path)
    check_message(caught.value, path)


def check_message(error: BadInput, path: Path) -> None:
    """Assert that a message names the file, is one line and short, and says what to do."""
    text = str(error)
    assert text.startswith(f"{path}: ")
    assert text.endswith("; create it again with `python -m pytorch_sketch_rnn dataset`")
    assert text.isprintable()
    assert len(text) < len(str(path)) + 500


def replace(file: h5py.File, name: str, **options: object) -> None:
    """Create a dataset again, with its old numbers unless ``options`` say otherwise."""
    data = file[name][()]
    del file[name]
    file.create_dataset(name, **({"data": data} | options))
