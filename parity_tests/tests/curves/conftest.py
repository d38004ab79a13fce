"""Fixtures of the tests of curves."""

import pytest
from synthetic_curves import sketches

from parity_tests.curves.training import replay
from parity_tests.record.recording import FOLDER, Recording
from pytorch_sketch_rnn.data.npz import write_npz


@pytest.fixture(scope="module")
def strokes(tmp_path_factory):
    path = tmp_path_factory.mktemp("strokes") / "few.npz"
    write_npz(path, {"train": sketches(12, 1), "valid": sketches(4, 2), "test": sketches(4, 3)})
    return path


@pytest.fixture(scope="module")
def replayed_run():
    return replay(Recording.load(FOLDER / "training-layer_norm.h5"))
