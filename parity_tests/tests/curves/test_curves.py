"""`make curves` as a whole: exit codes, files, processes that end, and the official side."""

import dataclasses
import fcntl
import json
import os
import re
import runpy
import signal
import subprocess
import sys
from contextlib import contextmanager
from multiprocessing import active_children
from pathlib import Path

import numpy as np
import pytest
from synthetic_curves import PLAN, TINY, official_recording, sketches

import parity_tests.__main__
from parity_tests.curves import run as curves
from parity_tests.curves import training
from parity_tests.curves.permutation_test import QUANTITIES
from parity_tests.curves.plan import FIRST_SEED, FULL, Departure
from parity_tests.curves.run import run_curves
from parity_tests.curves.training import train_ours
from parity_tests.curves.workers import workers
from parity_tests.record import launch as oracle
from parity_tests.record.configurations import TrainingRun
from parity_tests.record.machine import processor
from parity_tests.record.recording import Recording
from pytorch_sketch_rnn.errors import BadInput, run_command


@contextmanager
def at_once(say):
    """Stands in for the worker processes: makes the same calls in this process."""

    def run_calls(calls):
        return {title: function(*arguments) for title, (function, arguments) in calls.items()}

    yield run_calls


@pytest.fixture(scope="module")
def trained_once():
    """`train_ours` with a cache: all runs start from the same weights."""
    known = {}

    def train(path, strokes, seed, changes):
        key = seed, *changes.items()
        if key not in known:
            known[key] = train_ours(path, strokes, seed, changes)
        return known[key]

    return train


@pytest.fixture
def without_official(monkeypatch, tmp_path, strokes, trained_once, replayed_run):
    """A whole comparison without the official code: its runs are ours with other seeds."""

    def record(run, runs, out, path):
        folder = out / "independent-tiny"
        folder.mkdir()
        official_recording({}).save(folder / "curves-tiny.h5")
        found = [trained_once(folder / "curves-tiny.h5", path, 1001 + index, {}) for index in range(runs)]
        stacked = {name: np.stack([each[name] for each in found]) for name in QUANTITIES}
        official_recording(stacked).save(folder / "curves-tiny.h5")

    monkeypatch.setattr(curves, "require_oracle", lambda: None)
    monkeypatch.setattr(curves, "workers", at_once)
    monkeypatch.setattr(curves, "record_independent", record)
    monkeypatch.setattr(curves, "train_ours", trained_once)
    monkeypatch.setattr(curves, "record_and_replay", lambda *_: replayed_run)
    monkeypatch.setattr(curves, "short_kanji", lambda **_: {
        "train": sketches(12, 1), "valid": sketches(4, 2), "test": sketches(4, 3)
    })  # fmt: skip
    return tmp_path / "out" / "curves"


def departed(changes):
    return dataclasses.replace(PLAN, departures=(Departure("planted", "tiny", changes),))


def test_a_comparison_of_equals_ends_with_0_and_leaves_tables_and_pictures(without_official):
    printed = []
    assert run_curves(without_official, departed({"learning_rate": 0.5}), say=printed.append) == 0, printed[-1]
    assert {path.name for path in without_official.iterdir() if path.is_file()} == {
        "curves.json", "curves.md", "independent-tiny.png", "kanji-independent.npz", "kanji-replayed.npz",
        "replayed-layer_norm.png",
    }  # fmt: skip
    text = (without_official / "curves.md").read_text()
    assert "\nEQUAL: " in text
    assert all((without_official / name).is_file() for name in re.findall(r"\]\((.*?\.png)\)", text))
    assert json.loads((without_official / "curves.json").read_text())["passed"] is True
    assert text in printed[-1]


def test_a_planted_departure_that_is_not_found_ends_with_1(without_official):
    assert run_curves(without_official, departed({"learning_rate": 0.0100001}), say=lambda _: None) == 1
    assert "planted and not found" in (without_official / "curves.md").read_text()


def test_a_port_that_trains_otherwise_ends_with_1(without_official, monkeypatch, trained_once):
    def other(path, strokes, seed, changes):
        return trained_once(path, strokes, seed, changes | {"learning_rate": 0.5})

    monkeypatch.setattr(curves, "train_ours", other)
    assert run_curves(without_official, departed({}), say=lambda _: None) == 1
    assert "tiny (independent) differ" in (without_official / "curves.md").read_text()


def test_earlier_results_are_gone_when_a_run_fails(without_official, monkeypatch):
    without_official.mkdir(parents=True)
    for name in curves.file_names(FULL):
        (without_official / name).write_text("old")

    def failing(*_):
        raise BadInput("the official process ended")

    monkeypatch.setattr(curves, "record_independent", failing)
    with pytest.raises(BadInput, match="the official process ended"):
        run_curves(without_official, PLAN, say=lambda _: None)
    assert {path.suffix for path in without_official.iterdir()} == {".npz"}


def test_without_the_official_code_it_ends_with_2_and_leaves_nothing(monkeypatch, tmp_path, capsys):
    def lacking():
        raise BadInput("the official code needs tensorflow, not installed here")

    monkeypatch.setattr(curves, "require_oracle", lacking)
    out = tmp_path / "curves"
    assert run_command(parity_tests.__main__.main, ["curves", "--quick", "--out", str(out)]) == 2
    assert capsys.readouterr().err == "error: the official code needs tensorflow, not installed here\n"
    assert not out.exists()


def test_a_folder_that_cannot_be_written_ends_with_2(without_official, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInput, match=r"file/curves: cannot be written .*choose another --out"):
        run_curves(tmp_path / "file" / "curves", PLAN, say=lambda _: None)


WAITS = """
import fcntl, signal, sys
lock = open(sys.argv[1], "w")
fcntl.flock(lock, fcntl.LOCK_EX)
open(sys.argv[2], "w").close()
signal.pause()
"""


@pytest.fixture
def time_limit():
    """Fail a test that would otherwise wait forever."""

    def end(*_):
        raise TimeoutError("a process is still running")

    before = signal.signal(signal.SIGALRM, end)
    signal.alarm(100)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


FAILS = """
from pytorch_sketch_rnn.errors import BadInput
with open({begun!r}) as file:  # waits until the other process opens it too
    file.read()
raise BadInput("the other one has begun")
"""


def waiting_and_failing(tmp_path):
    """Two calls: one runs a process that holds a lock, the other fails as soon as it does."""
    lock, begun, fails = tmp_path / "lock", tmp_path / "begun", tmp_path / "fails.py"
    os.mkfifo(begun)
    fails.write_text(FAILS.format(begun=str(begun)))
    command = [sys.executable, "-c", WAITS, str(lock), str(begun)]
    return lock, {"waits": (subprocess.run, (command,)), "fails": (runpy.run_path, (str(fails),))}


def test_when_one_piece_of_work_fails_the_others_end_and_what_they_started(tmp_path, time_limit):
    printed = []
    lock, work = waiting_and_failing(tmp_path)
    with pytest.raises(BadInput, match="the other one has begun"), workers(printed.append) as each:
        each(work)
    assert active_children() == []
    assert printed == []
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)


# The official side ---------------------------------------------------------------------------------------------------


@pytest.mark.oracle
@pytest.mark.slow
def test_the_official_trainer_runs_with_seeds_of_its_own_from_the_same_weights(tmp_path, strokes, monkeypatch):
    try:
        oracle.require_oracle()
    except BadInput as error:
        pytest.skip(str(error))
    monkeypatch.chdir(Path(oracle.__file__).parents[2])
    monkeypatch.setitem(FIRST_SEED, "Magenta", 5)
    recordings = []
    for name, count in (("a", 2), ("b", 1)):
        training.record_independent(TrainingRun("tiny", TINY), count, tmp_path / name, strokes)
        recordings.append(Recording.load(tmp_path / name / "independent-tiny" / "curves-tiny.h5"))
    first, again = recordings
    runs = first["float32"]
    assert {name: value.shape for name, value in runs.items()} == {
        name: (2, 4) if name.startswith("train/") else (2, 1) for name in QUANTITIES
    }
    for name, value in runs.items():
        assert np.array_equal(value[:1], again["float32"][name])
        assert not np.array_equal(value[0], value[1])
    assert all(np.array_equal(value, again["weights"][name]) for name, value in first["weights"].items())
    assert first.provenance["seeds"] == [5, 6]
    assert first.provenance["threads"] == 1
    assert first.provenance["linear algebra"] in ("Eigen, oneDNN on", "Eigen, oneDNN off")
    assert first.provenance["processor"] == processor()
    # what is recorded as a validation is one: the official evaluation weighs the KL cost by its start throughout
    assert np.allclose(runs["valid/cost"], runs["valid/r_cost"] + 0.01 * runs["valid/kl_cost"], rtol=1e-5)
    # the first step is that of the shared weights: the costs differ by batch, mask and noise alone
    ours = train_ours(tmp_path / "a/independent-tiny/curves-tiny.h5", strokes, 1, {})
    assert np.allclose(runs["train/r_cost"][:, 0], ours["train/r_cost"][0], rtol=0.2)
