"""Drawings for the command ``dataset``, and the sets made from them."""

import json
from pathlib import Path

import numpy as np

from pytorch_sketch_rnn.__main__ import main
from pytorch_sketch_rnn.data.npz import SPLITS, read_npz
from pytorch_sketch_rnn.data.packed import open_packed
from pytorch_sketch_rnn.errors import run_command


def run(*arguments: object) -> int:
    """The exit code of the command ``dataset``."""
    return run_command(main, ["dataset", *map(str, arguments)])


def drawing(number: int, points: int = 3) -> dict:
    """A zigzag of this many points, which epsilon 2 does not simplify; its first step identifies it."""
    xs = [0, number, *(20 * step % 250 for step in range(2, points))]
    return {
        "word": "zigzag",
        "recognized": number % 2 == 0,
        "drawing": [[xs[:points], [50 * (n % 2) for n in range(points)]]],
    }


def write(path: Path, *records: object) -> Path:
    """A .ndjson file of these records."""
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return path


def numbers(splits: dict[str, list[np.ndarray]]) -> dict[str, list[int]]:
    """Which drawings each split holds."""
    return {split: [int(sketch[1, 0]) for sketch in sketches] for split, sketches in splits.items()}


def listed(splits: dict[str, list[np.ndarray]]) -> dict[str, list]:
    """The sketches as lists, which can be compared."""
    return {split: [sketch.tolist() for sketch in sketches] for split, sketches in splits.items()}


def made(out: Path) -> dict[str, list[np.ndarray]]:
    """The sketches of a set of either kind."""
    if out.suffix == ".npz":
        return read_npz(out)
    with open_packed(out) as packed:
        return {split: [sketch.copy() for sketch in getattr(packed, split)] for split in SPLITS}
