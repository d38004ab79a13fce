"""The flag ``--backend``: what a run computes with is said, recorded, and kept when it is resumed."""

import json

import pytest
import torch
from train_runs import assert_same_weights, losses, train

from pytorch_sketch_rnn.model.fused import choice

NAMES = ["reference", *choice.names(torch.device("cpu"))]


def recorded(run):
    last = sorted((run / "checkpoints").iterdir())[-1]
    return json.loads((last / "training.json").read_text())["backend"]


@pytest.mark.parametrize("name", NAMES)
def test_a_run_says_and_records_its_backend(data, tmp_path, capsys, name):
    run = train(data, tmp_path / "run", "--num_steps=3", f"--backend={name}")
    assert f"backend {name}\n" in capsys.readouterr().out
    assert recorded(run) == name


def test_the_default_is_the_fastest_that_is_proven(data, tmp_path, capsys):
    run = train(data, tmp_path / "run", "--num_steps=3")
    assert recorded(run) in choice.names(torch.device("cpu"))


@pytest.mark.parametrize("name", [NAMES[0], *(pytest.param(name, marks=pytest.mark.slow) for name in NAMES[1:])])
def test_a_resumed_run_keeps_its_backend_and_its_bits(data, tmp_path, name):
    whole = train(data, tmp_path / "whole", "--num_steps=6", f"--backend={name}")
    parts = train(data, tmp_path / "parts", "--num_steps=3", f"--backend={name}")
    train(data, parts, "--resume", "--num_steps=6")
    assert recorded(parts) == name
    assert losses(parts) == losses(whole)
    assert_same_weights(parts, whole)


def test_another_backend_may_go_on_and_is_said(data, tmp_path, capsys):
    run = train(data, tmp_path / "run", "--num_steps=3", "--backend=reference")
    train(data, run, "--resume", "--num_steps=6", "--backend=fused:aten")
    assert "backend was reference, now fused:aten: losses will differ by rounding" in capsys.readouterr().out
    assert recorded(run) == "fused:aten"


def make_older(run):
    """Take from the last checkpoint what an older version did not write."""
    last = sorted((run / "checkpoints").iterdir())[-1]
    state = json.loads((last / "training.json").read_text())
    del state["backend"], state["vector level"]
    (last / "training.json").write_text(json.dumps(state))
    (last / "SHA256SUMS").unlink()


def test_a_run_of_an_older_version_that_goes_on_with_another_backend_says_so(data, tmp_path, capsys):
    run = train(data, tmp_path / "run", "--num_steps=3", "--backend=reference")
    make_older(run)
    capsys.readouterr()
    train(data, run, "--resume", "--num_steps=4", "--backend=fused:aten")
    assert "backend was reference, now fused:aten: losses will differ by rounding" in capsys.readouterr().out


def test_a_run_of_an_older_version_goes_on_with_the_reference(data, tmp_path, capsys):
    run = train(data, tmp_path / "run", "--num_steps=3", "--backend=reference")
    whole = train(data, tmp_path / "whole", "--num_steps=6", "--backend=reference")
    make_older(run)
    capsys.readouterr()
    train(data, run, "--resume", "--num_steps=6")
    assert "losses will differ" not in capsys.readouterr().out
    assert recorded(run) == "reference"
    assert_same_weights(run, whole)


@pytest.mark.parametrize("name", ["fused:pdp11", "fastest"])
def test_a_backend_that_is_not_there_is_refused(data, tmp_path, capsys, name):
    train(data, tmp_path / "run", f"--backend={name}", code=2)
    error = capsys.readouterr().err
    assert error.startswith(f"error: --backend is '{name}', which cannot be used on cpu")
    assert error.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_a_run_whose_backend_is_not_here_is_not_resumed_with_another_in_silence(data, tmp_path, capsys):
    run = train(data, tmp_path / "run", "--num_steps=3")
    last = sorted((run / "checkpoints").iterdir())[-1]
    state = json.loads((last / "training.json").read_text()) | {"backend": "fused:sve2"}
    (last / "training.json").write_text(json.dumps(state))
    (last / "SHA256SUMS").unlink()
    train(data, run, "--resume", "--num_steps=6", code=2)
    error = capsys.readouterr().err
    assert error.startswith("error: the run in ")
    assert "was trained with another backend than this machine has: backend is 'fused:sve2', which cannot" in error
    assert "--backend=auto goes on with what is there" in error
    train(data, run, "--resume", "--num_steps=6", "--backend=auto")
