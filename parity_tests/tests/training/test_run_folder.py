"""What a run is resumed from: its data are told from others, and all of its state comes back."""

import numpy as np
import pytest
import torch
from training_sets import SMALL, make_trainer, random_splits

from pytorch_sketch_rnn.data.batches import Sets
from pytorch_sketch_rnn.data.npz import SPLITS
from pytorch_sketch_rnn.errors import BadInput
from pytorch_sketch_rnn.training import run_folder as run
from pytorch_sketch_rnn.training.checkpoint import checkpoint_path, write_folder
from pytorch_sketch_rnn.training.run_folder import Best, fingerprint, make_folder, resume
from pytorch_sketch_rnn.training.settings import Settings

BEST = Best(2, 1.5, 1.25)


def print_of(splits):
    return fingerprint(Sets.from_splits(splits, SMALL))


@pytest.mark.parametrize("split", SPLITS)
def test_a_fingerprint_tells_every_sketch_of_a_small_set_from_another(split):
    splits = random_splits()
    before = print_of(splits)
    assert print_of(splits) == before
    for place, sketch in enumerate(splits[split]):
        other = sketch.copy()
        other[-1, 0] += 1
        changed = splits | {split: [*splits[split][:place], other, *splits[split][place + 1 :]]}
        assert print_of(changed)["crc32_of_some"] != before["crc32_of_some"]


def test_a_fingerprint_looks_at_sketches_all_over_a_large_set():
    splits = random_splits(train=640, longest=9)
    before = print_of(splits)
    order = np.argsort([len(sketch) for sketch in splits["train"]], kind="stable")
    for part in np.split(order, 10):  # of 64 sketches it sees at least one in each tenth
        changed = list(splits["train"])
        for place in part:
            changed[place] = changed[place].copy()
            changed[place][-1, 0] += 1
        assert print_of(splits | {"train": changed})["crc32_of_some"] != before["crc32_of_some"]


@pytest.mark.parametrize("less", SPLITS)
def test_a_fingerprint_counts_the_sketches_of_each_split(less):
    splits = random_splits()
    fewer = print_of(splits | {less: splits[less][1:]})
    assert {name for name in SPLITS if fewer[name] != print_of(splits)[name]} == {less}


@pytest.fixture
def left(tmp_path):
    """The folder of a run of two steps, and its trainer."""
    trainer = make_trainer()
    make_folder(tmp_path / "run", Settings(), trainer)
    for _ in range(2):
        trainer.step()
    state = run._state(trainer, BEST)
    write_folder(checkpoint_path(tmp_path / "run", 2), trainer.model, trainer.optimizer, state)
    return tmp_path / "run", trainer


def test_all_of_a_run_comes_back(left):
    folder, trainer = left
    resumed = make_trainer()
    assert resume(folder, resumed) == BEST
    assert resumed.steps_done == 2
    for (name, ours), theirs in zip(resumed.model.named_parameters(), trainer.model.parameters(), strict=True):
        assert torch.equal(ours, theirs), name
        for slot in ("m", "v"):
            assert torch.equal(resumed.optimizer.state[ours][slot], trainer.optimizer.state[theirs][slot]), name
    assert resumed.step() == trainer.step()


@pytest.mark.parametrize("split", SPLITS)
def test_a_run_does_not_go_on_where_one_split_is_another(left, split):
    folder, _ = left
    splits = random_splits()
    other = make_trainer(splits=splits | {split: [*splits[split][:-1], splits[split][-1] * np.int16([1, 2, 1])]})
    before = [weight.detach().clone() for weight in other.model.parameters()]
    with pytest.raises(BadInput, match="the data are not those of the run"):
        resume(folder, other)
    assert other.steps_done == 0
    assert all(torch.equal(one, two) for one, two in zip(before, other.model.parameters(), strict=True))
