"""Resuming a run restores all of its state, and refuses other data and other random draws."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from training_sets import make_trainer, random_splits

from pytorch_sketch_rnn.checksums import CHECKSUMS_FILE
from pytorch_sketch_rnn.data.npz import SPLITS, write_npz
from pytorch_sketch_rnn.errors import BadInput, run_command
from pytorch_sketch_rnn.model.sampling import sample_batch
from pytorch_sketch_rnn.model.sketch_rnn import SketchRNN
from pytorch_sketch_rnn.training.checkpoint import STATE_FILE, checkpoint_path, write_folder
from pytorch_sketch_rnn.training.command import main
from pytorch_sketch_rnn.training.resume import resume
from pytorch_sketch_rnn.training.run_folder import make_folder
from pytorch_sketch_rnn.training.run_state import Best, run_state
from pytorch_sketch_rnn.training.settings import Settings

BEST = Best(2, 1.5, 1.25)
OLD_RUN = Path(__file__).with_name("old_run")
OLD_CHECKPOINT = Path("checkpoints/step-00000004")


@pytest.fixture
def interrupted(tmp_path):
    """The folder of a run of two steps, and its trainer."""
    trainer = make_trainer()
    make_folder(tmp_path / "run", Settings(), trainer)
    for _ in range(2):
        trainer.step()
    state = run_state(trainer, BEST)
    write_folder(checkpoint_path(tmp_path / "run", 2), trainer.model, trainer.optimizer, state)
    return tmp_path / "run", trainer


def test_all_of_a_run_is_restored(interrupted):
    folder, trainer = interrupted
    resumed = make_trainer()
    assert resume(folder, resumed) == BEST
    assert resumed.steps_done == 2
    for (name, ours), theirs in zip(resumed.model.named_parameters(), trainer.model.parameters(), strict=True):
        assert torch.equal(ours, theirs), name
        for slot in ("m", "v"):
            assert torch.equal(resumed.optimizer.state[ours][slot], trainer.optimizer.state[theirs][slot]), name
    assert resumed.step() == trainer.step()


@pytest.mark.parametrize("split", SPLITS)
def test_a_run_with_another_split_is_not_resumed(interrupted, split):
    folder, _ = interrupted
    splits = random_splits()
    other = make_trainer(splits=splits | {split: [*splits[split][:-1], splits[split][-1] * np.int16([1, 2, 1])]})
    before = [weight.detach().clone() for weight in other.model.parameters()]
    with pytest.raises(BadInput, match="the data are not those of the run"):
        resume(folder, other)
    assert other.steps_done == 0
    assert all(torch.equal(one, two) for one, two in zip(before, other.model.parameters(), strict=True))


@pytest.mark.parametrize("found", [None, 1, 3, "2"])
def test_a_run_with_other_random_draws_is_not_resumed(interrupted, found):
    folder, _ = interrupted
    path = checkpoint_path(folder, 2) / STATE_FILE
    state = json.loads(path.read_text()) | {"draws": found}
    path.write_text(json.dumps({name: value for name, value in state.items() if value is not None}))
    (path.parent / CHECKSUMS_FILE).unlink()
    with pytest.raises(BadInput, match="expected random draws of version"):
        resume(folder, make_trainer())


# A run of the version before draws had a version (train.py on random_splits(train=20), four steps of a tiny model),
# without its pictures.


@pytest.fixture
def old_run(tmp_path):
    """A copy of the old run, its data at hand, so that nothing but the draws keeps it from being resumed."""
    write_npz(tmp_path / "set.npz", random_splits(train=20))
    shutil.copytree(OLD_RUN, tmp_path / "old")
    return tmp_path / "old"


def test_a_run_of_an_older_version_is_not_resumed_and_left_unchanged(old_run, capsys):
    before = {path: path.read_bytes() for path in old_run.rglob("*") if path.is_file()}
    argv = [f"--save_dir={old_run}", "--resume", "--num_steps=6", f"--data_dir={old_run.parent}"]
    assert run_command(main, argv) == 2
    [line] = capsys.readouterr().err.splitlines()
    for words in ("training.json: expected random draws of version 2, found no version", "the version of this program",
                  f"--init_from={old_run / OLD_CHECKPOINT}"):  # fmt: skip
        assert words in line
    assert {path: path.read_bytes() for path in old_run.rglob("*") if path.is_file()} == before


def test_an_old_run_without_a_validation_is_refused_for_its_draws_too(old_run, capsys):
    """Its unknown best cost was written as Infinity, which is no JSON."""
    path = old_run / OLD_CHECKPOINT / STATE_FILE
    state = json.loads(path.read_text()) | {"best": {"step": 0, "valid_cost": float("inf"), "test_cost": float("inf")}}
    path.write_text(json.dumps(state))
    assert "Infinity" in path.read_text()
    assert run_command(main, [f"--save_dir={old_run}", "--resume", f"--data_dir={old_run.parent}"]) == 2
    assert "expected random draws of version 2, found no version" in capsys.readouterr().err


def test_nothing_but_its_draws_keeps_the_old_run_from_being_resumed(old_run, capsys):
    path = old_run / OLD_CHECKPOINT / STATE_FILE
    path.write_text(json.dumps(json.loads(path.read_text()) | {"draws": 2}))
    argv = [f"--save_dir={old_run}", "--resume", "--num_steps=5", f"--data_dir={old_run.parent}"]
    assert run_command(main, argv) == 0
    assert f"{old_run / OLD_CHECKPOINT}: not verified; it has no {CHECKSUMS_FILE}" in capsys.readouterr().out


@pytest.mark.parametrize("part", [".", "best", OLD_CHECKPOINT])
def test_the_models_of_an_older_run_load_and_draw(part):
    model = SketchRNN.from_pretrained(OLD_RUN / part)
    assert len(sample_batch(model, 3)) == 3


def test_a_new_run_starts_from_an_older_one(old_run, capsys):
    new = old_run.parent / "new"
    argv = [f"--save_dir={new}", f"--init_from={old_run / OLD_CHECKPOINT}", f"--data_dir={old_run.parent}",
            "--data_set=set.npz", "--batch_size=5", "--num_steps=1"]  # fmt: skip
    assert run_command(main, argv) == 0
    assert "with its Adam slots" in capsys.readouterr().out
    first = SketchRNN.from_pretrained(new / "checkpoints" / "step-00000000").state_dict()
    for name, weight in SketchRNN.from_pretrained(old_run / OLD_CHECKPOINT).state_dict().items():
        assert torch.equal(first[name], weight), name
