"""Fixtures of the tests that run ``train.py``, and of the tests of what it refuses (see ``refusals.py``)."""

import json
import resource
import shutil
from pathlib import Path

import pytest
import torch
from refusals import CAT, SETS, TINY, Began
from training_sets import random_splits

from pytorch_sketch_rnn.data.npz import write_npz
from pytorch_sketch_rnn.training import run
from pytorch_sketch_rnn.training.command import main

ADDRESS_SPACE = 1 << 40  # bytes: more than any of these models needs, less than the refused ones need


@pytest.fixture
def data(tmp_path) -> Path:
    """A folder with a stroke set, ``set.npz``."""
    write_npz(tmp_path / "set.npz", random_splits(train=20))
    return tmp_path


@pytest.fixture(scope="module")
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def made(tmp_path_factory, one_thread) -> Path:
    """A folder with a stroke set, ``data/cat.npz``, and a run of two steps, ``run``."""
    folder = tmp_path_factory.mktemp("made")
    (folder / "data").mkdir()
    write_npz(folder / CAT, SETS)
    flags = [f"--data_dir={folder / 'data'}", f"--save_dir={folder / 'run'}", "--num_steps=2"]
    assert main([*TINY, *flags]) == 0
    return folder


@pytest.fixture
def here(made, tmp_path, monkeypatch) -> Path:
    """The working folder of a test: a copy of ``made`` whose run refers to the copied data."""
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    path = tmp_path / "run" / "settings.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"data_dir": str(tmp_path / "data")}))
    return tmp_path


@pytest.fixture
def no_training(monkeypatch) -> None:
    """Make the first step of a training fail the test."""

    def begin(self: run.Run, num_steps: int) -> bool:
        raise Began(f"a training of {num_steps} steps began")

    monkeypatch.setattr(run.Run, "train", begin)


@pytest.fixture
def bounded():
    """Limit the address space, so that a huge allocation fails however the machine overcommits."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)
