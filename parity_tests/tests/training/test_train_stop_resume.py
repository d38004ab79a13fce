"""train.py stopped, killed and resumed: nothing is lost, and the same numbers come out."""

import os
import signal

import pytest
from train_runs import assert_same_weights, losses, train
from training_sets import random_splits

from pytorch_sketch_rnn.checksums import write_checksums
from pytorch_sketch_rnn.data.npz import write_npz
from pytorch_sketch_rnn.distributed import Group
from pytorch_sketch_rnn.errors import run_command
from pytorch_sketch_rnn.training import publish
from pytorch_sketch_rnn.training.checkpoint import checkpoints
from pytorch_sketch_rnn.training.command import main
from pytorch_sketch_rnn.training.run_folder import only_run
from pytorch_sketch_rnn.training.run_log import read_curves
from pytorch_sketch_rnn.training.trainer import Trainer


@pytest.fixture
def interruptible():
    """Ctrl-C as a terminal's program has it: a test run started in the background inherits SIGINT ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_a_checkpoint_is_published_on_resume_if_the_run_was_killed_before_it_could(data, monkeypatch):
    whole = train(data, data / "whole", "--num_steps=6")
    original = publish.Publisher.publish

    def killed(self, trainer, best):
        if trainer.steps_done == 6:
            raise KeyboardInterrupt
        original(self, trainer, best)

    with monkeypatch.context() as patch:
        patch.setattr(publish.Publisher, "publish", killed)
        part = train(data, data / "part", "--num_steps=6", code=130)
    (part / "samples" / "step-00000009.png").write_bytes(b"of a step that was undone")
    train(data, part, "--resume")
    assert_same_weights(part / "best", whole / "best")
    assert_same_weights(part, whole)
    assert {p.name: p.read_bytes() for p in (part / "samples").iterdir()} == {
        p.name: p.read_bytes() for p in (whole / "samples").iterdir()
    }


def test_a_second_sigterm_loses_nothing(data, monkeypatch):
    step = Trainer.step

    def stopped(self):
        if self.steps_done == 4:
            os.kill(os.getpid(), signal.SIGTERM)
            os.kill(os.getpid(), signal.SIGTERM)
        return step(self)

    monkeypatch.setattr(Trainer, "step", stopped)
    folder = train(data, data / "run", "--num_steps=8", code=130)
    assert list(checkpoints(folder))[-1] == 5


def test_a_change_of_the_environment_is_reported(data, capsys):
    folder = train(data, data / "run", "--num_steps=3")
    state = checkpoints(folder)[3] / "training.json"
    state.write_text(state.read_text().replace('"device": "cpu"', '"device": "cuda"'))
    write_checksums(state.parent)
    train(data, folder, "--num_steps=4", "--resume", "--device=cpu")
    assert "device was cuda, now cpu: losses will differ, because the random numbers do" in capsys.readouterr().out


def test_a_preset_cannot_be_given_on_resume(data, capsys):
    folder = train(data, data / "run", "--num_steps=3")
    train(data, folder, "--preset=magenta", "--resume", code=2)
    assert "--preset starts a run" in capsys.readouterr().err


@pytest.mark.parametrize("flags", [["--dec_model=hyper", "--output_dropout=0.2"], ["--unconditional"]])
def test_a_longer_run_is_a_resumed_shorter_one(data, flags, monkeypatch):
    whole = train(data, data / "whole", "--num_steps=8", *flags)
    part = train(data, data / "part", "--num_steps=6", *flags)
    monkeypatch.chdir(data / "part")  # a run knows its data by an absolute path
    assert run_command(main, [f"--save_dir={part}", "--resume", "--num_steps=8"]) == 0
    assert losses(part) == losses(whole)
    assert_same_weights(part, whole)
    assert_same_weights(part / "best", whole / "best")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_run_saves_its_state_and_can_be_resumed(data, monkeypatch, capsys, interruptible, number):
    whole = train(data, data / "whole", "--num_steps=8")
    step = Trainer.step

    def stopped(self):
        if self.steps_done == 4:
            os.kill(os.getpid(), number)
        return step(self)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "step", stopped)
        part = train(data, data / "part", "--num_steps=8", code=130)
    out = capsys.readouterr().out
    assert f"stopped after step 5; go on with: python -m pytorch_sketch_rnn train --save_dir={part} --resume\n" in out
    assert list(checkpoints(part))[-1] == 5
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    train(data, part, "--num_steps=8", "--resume")
    assert losses(part) == losses(whole)
    assert_same_weights(part, whole)


def test_a_second_interrupt_ends_a_run_at_once(data, monkeypatch, interruptible):
    step = Trainer.step

    def stopped(self):
        if self.steps_done == 4:
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)
        return step(self)

    monkeypatch.setattr(Trainer, "step", stopped)
    folder = train(data, data / "run", "--num_steps=8", code=130)
    assert list(checkpoints(folder))[-1] == 3


def test_a_background_run_ignores_ctrl_c_and_obeys_sigterm(data, monkeypatch, capsys, interruptible):
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    step = Trainer.step

    def stopped(self):
        if self.steps_done in (2, 3):
            os.kill(os.getpid(), signal.SIGINT)
        if self.steps_done == 4:
            os.kill(os.getpid(), signal.SIGTERM)
        return step(self)

    monkeypatch.setattr(Trainer, "step", stopped)
    folder = train(data, data / "run", "--num_steps=8", code=130)
    assert "stopped after step 5;" in capsys.readouterr().out
    assert list(checkpoints(folder))[-1] == 5
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN


def test_a_finished_run_says_so_and_changes_nothing(data, capsys):
    folder = train(data, data / "run", "--num_steps=3")
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    train(data, folder, "--resume")
    assert "3 steps are done already" in capsys.readouterr().out
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_other_data_are_refused_on_resume(data, capsys):
    folder = train(data, data / "run", "--num_steps=3")
    write_npz(data / "set.npz", random_splits(train=20, seed=1))
    train(data, folder, "--num_steps=5", "--resume", code=2)
    assert "the data are not those of the run" in capsys.readouterr().err


def test_two_runs_cannot_share_a_folder(data, capsys):
    folder = train(data, data / "run", "--num_steps=3")
    with only_run(folder, Group()):
        train(data, folder, "--num_steps=5", "--resume", code=2)
    assert "another process is training there" in capsys.readouterr().err


@pytest.mark.parametrize("flags", [["--num_steps=2", "--save_every=1", "--keep=1"], ["--num_epochs=0.25"]])
def test_a_resume_with_no_step_left_changes_nothing(data, capsys, flags):
    folder = train(data, data / "run", "--num_steps=4")
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    train(data, folder, "--resume", *flags)
    assert "4 steps are done already" in capsys.readouterr().out
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_a_run_whose_curves_were_deleted_can_be_resumed(data):
    folder = train(data, data / "run", "--num_steps=3")
    (folder / "curves.csv").unlink()
    train(data, folder, "--resume", "--num_steps=5")
    assert read_curves(folder / "curves.csv")["train"]["step"].tolist() == [3, 4]


def test_a_run_without_a_validation_can_be_resumed(data, monkeypatch):
    """Its best costs are infinite, which JSON cannot hold."""

    def killed(self):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "step", killed)
        folder = train(data, data / "run", "--num_steps=3", code=130)
    assert list(checkpoints(folder)) == [0]
    assert_same_weights(folder / "best", checkpoints(folder)[0])  # what the README draws from is there
    train(data, folder, "--resume", "--num_steps=3")
    assert list(checkpoints(folder)) == [0, 3]
