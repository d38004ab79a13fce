"""Offsets that training clamps are counted, and the commands say so."""

import numpy as np
import pytest
from made_sets import run
from training_sets import SMALL, random_splits

from pytorch_sketch_rnn.data.batches import Sets
from pytorch_sketch_rnn.data.clamp import ClampCount
from pytorch_sketch_rnn.data.npz import SPLITS, write_npz


def large_splits() -> dict[str, list[np.ndarray]]:
    """In every split, a quarter of the offsets is beyond the limit, half of these negative."""
    sketch = np.array([[1001, 0, 0], [1000, -1000, 0], [-32768, 5, 0], [7, 8, 1]], np.int16)
    return {split: [sketch] * 12 for split in SPLITS}


def test_offsets_beyond_the_limit_are_counted_on_both_sides():
    count = ClampCount()
    count.add(large_splits()["train"][0])
    assert (count.offsets, count.beyond) == (8, 2)
    count.add(np.array([[-1000.5, 0, 1]], np.float32))
    assert (count.offsets, count.beyond) == (10, 3)


def test_the_warning_gives_the_share():
    count = ClampCount()
    assert count.warning() is None
    for sketch in large_splits()["valid"]:
        count.add(sketch)
    assert count.warning().startswith(
        "25.0 % of the offsets (24) are beyond +-1000 and are clamped to it, as in Magenta"
    )


def test_training_on_a_set_has_the_warning_if_and_only_if_something_is_clamped():
    assert Sets.from_splits(random_splits(), SMALL).warning is None
    assert Sets.from_splits(large_splits(), SMALL).warning.startswith("25.0 % of the offsets (72)")


@pytest.mark.parametrize("name", ["out.npz", "out.h5"])
def test_dataset_warns(tmp_path, capsys, name):
    pytest.importorskip("shapely")
    write_npz(tmp_path / "large.npz", large_splits())
    assert run(tmp_path / "large.npz", tmp_path / name) == 0
    assert "\nwarning: 25.0 % of the offsets (72) are beyond +-1000" in capsys.readouterr().out
