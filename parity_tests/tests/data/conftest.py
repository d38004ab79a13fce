"""Fixtures that the tests of stroke sets share."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from made_sets import drawing, write
from packed_sets import SETS, pack

from pytorch_sketch_rnn.data.npz import SPLITS, write_npz


@pytest.fixture(scope="session")
def saved(tmp_path_factory) -> Path:
    """A valid packed set; no test may change it."""
    return pack(tmp_path_factory.mktemp("packed") / "cat.h5", SETS)


@pytest.fixture
def path(saved, tmp_path) -> Path:
    """A copy of a valid packed set, to damage."""
    return Path(shutil.copy(saved, tmp_path))


@pytest.fixture
def many(tmp_path) -> Path:
    """Forty drawings, numbered 10 to 49 by their first step."""
    return write(tmp_path / "many.ndjson", *(drawing(number) for number in range(10, 50)))


@pytest.fixture
def stroke_set(tmp_path) -> Path:
    """Three sketches in each split, offsets up to 3,000, the first one not 0, the last pen not lifted in one."""
    rng = np.random.RandomState(1)
    splits = {}
    for split in SPLITS:
        splits[split] = [rng.randint(-3000, 3000, (number + 5, 3)).astype(np.int16) for number in range(3)]
        for sketch in splits[split]:
            sketch[:, 2] = np.arange(len(sketch)) % 3 == 1
    write_npz(tmp_path / "set.npz", splits)
    return tmp_path / "set.npz"
