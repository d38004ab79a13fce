"""What a checkpoint records of its run: a fingerprint tells its data from other data."""

import numpy as np
import pytest
from training_sets import SMALL, make_trainer, random_splits

from pytorch_sketch_rnn.data.batches import Sets
from pytorch_sketch_rnn.data.npz import SPLITS
from pytorch_sketch_rnn.model.draws import DRAWS
from pytorch_sketch_rnn.training.run_state import Best, fingerprint, run_state


def fingerprint_of(splits):
    return fingerprint(Sets.from_splits(splits, SMALL))


@pytest.mark.parametrize("split", SPLITS)
def test_a_fingerprint_changes_with_every_sketch_of_a_small_set(split):
    splits = random_splits()
    before = fingerprint_of(splits)
    assert fingerprint_of(splits) == before
    for place, sketch in enumerate(splits[split]):
        other = sketch.copy()
        other[-1, 0] += 1
        changed = splits | {split: [*splits[split][:place], other, *splits[split][place + 1 :]]}
        assert fingerprint_of(changed)["crc32_of_some"] != before["crc32_of_some"]


def test_a_fingerprint_covers_sketches_all_over_a_large_set():
    splits = random_splits(train=640, longest=9)
    before = fingerprint_of(splits)
    order = np.argsort([len(sketch) for sketch in splits["train"]], kind="stable")
    for part in np.split(order, 10):  # at least one of its 64 sketches lies in each tenth
        changed = list(splits["train"])
        for place in part:
            changed[place] = changed[place].copy()
            changed[place][-1, 0] += 1
        assert fingerprint_of(splits | {"train": changed})["crc32_of_some"] != before["crc32_of_some"]


@pytest.mark.parametrize("less", SPLITS)
def test_a_fingerprint_counts_the_sketches_of_each_split(less):
    splits = random_splits()
    fewer = fingerprint_of(splits | {less: splits[less][1:]})
    assert {name for name in SPLITS if fewer[name] != fingerprint_of(splits)[name]} == {less}


def test_a_state_records_the_version_of_the_draws():
    assert run_state(make_trainer(), Best())["draws"] == DRAWS
