"""The ways to start a training, and the commands that it prints: what is printed works, and nothing does nothing."""

import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from train_runs import TINY, train

from pytorch_sketch_rnn import __main__ as package
from pytorch_sketch_rnn.data.npz import read_npz
from pytorch_sketch_rnn.data.packed_writer import PackedWriter
from pytorch_sketch_rnn.errors import run_command
from pytorch_sketch_rnn.training.checkpoint import checkpoints
from pytorch_sketch_rnn.training.run_log import read_curves
from pytorch_sketch_rnn.training.trainer import Trainer

ROOT = Path(__file__).parents[3]
DOORS = {
    "train.py": [str(ROOT / "train.py")],
    "the package": ["-m", "pytorch_sketch_rnn", "train"],
    "its subpackage": ["-m", "pytorch_sketch_rnn.training"],
    "its module": ["-m", "pytorch_sketch_rnn.training.command"],
}


@pytest.mark.parametrize("door", DOORS)
def test_every_door_leads_to_the_training(door, tmp_path):
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    argv = [sys.executable, *DOORS[door], "--data_dir=nowhere", "--save_dir=new"]
    done = subprocess.run(argv, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: --data_dir ")
    assert len(done.stderr.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def run(line: str) -> None:
    """Run a printed command in this process."""
    python, dash_m, name, *arguments = shlex.split(line)
    assert (python, dash_m, name) == ("python", "-m", "pytorch_sketch_rnn")
    assert run_command(package.main, arguments) == 0


def printed(out: str, before: str) -> str:
    found = re.search(rf"{re.escape(before)}: (python .*)", out)
    assert found, out
    return found[1]


def test_the_commands_at_the_end_of_a_training_work_as_printed(data, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    train(data, Path("my run"), "--num_steps=3")
    out = capsys.readouterr().out
    assert "N(0, I)" in out
    like = printed(out, "Draw like its test sketches")
    assert "--like" in like
    run(printed(out, "done. Draw with it"))
    run(like)
    assert Path("sketches.svg").read_text() != Path("like.svg").read_text()
    assert "my run/curves.png" in out


def test_a_packed_set_is_reconstructed_as_well(data, tmp_path, monkeypatch, capsys):
    with PackedWriter(data / "set.h5") as writer:
        for split, sketches in read_npz(data / "set.npz").items():
            for sketch in sketches:
                writer.add(split, sketch)
    monkeypatch.chdir(tmp_path)
    train(data, Path("run"), "--num_steps=1", "--data_set=set.h5")
    run(printed(capsys.readouterr().out, "Draw like its test sketches"))
    assert Path("like.svg").exists()


def test_a_model_without_an_encoder_reconstructs_nothing(data, capsys):
    train(data, data / "run", "--num_steps=3", "--unconditional")
    out = capsys.readouterr().out
    assert "done. Draw with it: " in out
    assert "--like" not in out


def test_the_command_of_the_package_trains_and_resumes(data, monkeypatch, capsys):
    flags = [*TINY, f"--data_dir={data}", "--data_set=set.npz", f"--save_dir={data / 'run'}"]
    assert run_command(package.main, ["train", *flags, "--num_steps=3"]) == 0
    assert run_command(package.main, ["train", f"--save_dir={data / 'run'}", "--resume", "--num_steps=4"]) == 0
    assert f"resuming {data / 'run'} at step 3" in capsys.readouterr().out


def test_the_help_of_the_package_lists_the_training(capsys):
    with pytest.raises(SystemExit):
        package.main(["--help"])
    assert re.search(r"^ +train +train a model", capsys.readouterr().out, flags=re.MULTILINE)


def test_before_the_first_validation_best_is_the_last_model(data, monkeypatch):
    step = Trainer.step

    def stopped(self):
        if self.steps_done == 1:
            os.kill(os.getpid(), signal.SIGTERM)
        return step(self)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "step", stopped)
        folder = train(data, data / "run", "--num_steps=8", code=130)
    assert max(checkpoints(folder)) == 2
    for name in ("model.safetensors", "config.json"):
        assert (folder / "best" / name).read_bytes() == (checkpoints(folder)[2] / name).read_bytes()
    assert not read_curves(folder / "curves.csv")["valid"]["step"].size
