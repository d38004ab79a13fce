"""The official process: what is missing, what failed and where its log is are said in one line."""

import hashlib
import importlib.metadata
import importlib.util
import json
import os
import stat
import sys
import types
from contextlib import suppress
from pathlib import Path

import pytest

import parity_tests.__main__
from parity_tests.record import launch as oracle
from parity_tests.record.configurations import TRAINING_FIXTURES, TRAININGS
from parity_tests.record.launch import HOW_TO_INSTALL, require_oracle, run_official, short_kanji, training_task
from pytorch_sketch_rnn.errors import BadInput, run_command

TASKS = [{"do": "record", "seed": 1, "out": "größe"}, {"do": "nothing"}]
find_spec, distribution = importlib.util.find_spec, importlib.metadata.distribution


def remove(monkeypatch, *names: str) -> None:
    """Make it look as if these packages were not installed, and all others were."""

    def find(name, *arguments):
        if name in ("tensorflow", "tf_keras"):
            return None if name in names else object()
        return find_spec(name, *arguments)

    def distribute(name):
        if name == "magenta" and name in names:
            raise importlib.metadata.PackageNotFoundError(name)
        return types.SimpleNamespace(locate_file=Path) if name == "magenta" else distribution(name)

    monkeypatch.setattr(importlib.util, "find_spec", find)
    monkeypatch.setattr(importlib.metadata, "distribution", distribute)
    monkeypatch.setattr(oracle, "OFFICIAL_SHA256", {})  # that folder is empty


@pytest.fixture
def official(monkeypatch, tmp_path):
    """Stand a shell script in for Python, so that the official process is quick and ends as we please."""

    def stand_in(script: str) -> None:
        path = tmp_path / "interpreter"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setattr(sys, "executable", str(path))

    return stand_in


# What must be installed ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "missing",
    [["tensorflow"], ["tf_keras"], ["magenta"], ["tensorflow", "magenta"], ["tensorflow", "tf_keras", "magenta"]],
)
def test_what_is_not_installed_is_named_and_how_to_install_it(monkeypatch, missing):
    remove(monkeypatch, *missing)
    with pytest.raises(BadInput) as caught:
        require_oracle()
    assert str(caught.value) == f"the official code needs {', '.join(missing)}, not installed here; {HOW_TO_INSTALL}"
    assert "magenta==2.1.4" in HOW_TO_INSTALL


def test_nothing_is_missing_where_all_is_installed(monkeypatch):
    remove(monkeypatch)
    require_oracle()


def test_a_magenta_that_is_not_the_official_one_is_refused(monkeypatch, tmp_path):
    remove(monkeypatch)
    monkeypatch.setattr(oracle, "OFFICIAL_SHA256", {"rnn.py": hashlib.sha256(b"official").hexdigest()})
    magenta = types.SimpleNamespace(locate_file=lambda _: tmp_path)
    monkeypatch.setattr(importlib.metadata, "distribution", lambda _: magenta)
    (tmp_path / "rnn.py").write_bytes(b"official")
    require_oracle()
    (tmp_path / "rnn.py").write_bytes(b"patched")
    with pytest.raises(BadInput, match=r"rnn\.py are not those of magenta 2\.1\.4"):
        require_oracle()


def test_asking_imports_nothing():
    before = set(sys.modules)
    with suppress(BadInput):
        require_oracle()
    assert not {name.partition(".")[0] for name in set(sys.modules) - before} & {"tensorflow", "tf_keras", "magenta"}


@pytest.mark.parametrize("command", [["parity"], ["parity", "--only", "training"], ["verify", "model"], ["fixtures"]])
def test_every_command_needs_the_oracle_and_leaves_nothing_without_it(monkeypatch, tmp_path, capsys, command):
    remove(monkeypatch, "tensorflow")
    out = tmp_path / "out"
    assert run_command(parity_tests.__main__.main, [*command, "--out", str(out)]) == 2
    printed = capsys.readouterr()
    assert printed.err == f"error: the official code needs tensorflow, not installed here; {HOW_TO_INSTALL}\n"
    assert printed.out == ""
    assert list(tmp_path.iterdir()) == []


def test_a_source_that_is_missing_ends_verify_with_2_and_no_output(monkeypatch, tmp_path, capsys):
    remove(monkeypatch)
    out = tmp_path / "out"
    assert run_command(parity_tests.__main__.main, ["verify", str(tmp_path / "owl.json"), "--out", str(out)]) == 2
    printed = capsys.readouterr()
    assert printed.err.startswith(f"error: {tmp_path}/owl.json: does not exist")
    assert len(printed.err.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


# What it is given to do -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("run", [*TRAININGS, *TRAINING_FIXTURES], ids=lambda run: run.name)
def test_a_training_task_says_what_is_trained_on_what_and_where_it_goes(run, tmp_path):
    task = training_task(run, tmp_path / "short.npz", tmp_path / "out", seed=5)
    assert json.loads(json.dumps(task)) == task
    [training] = task.pop("trainings")
    strokes = str(tmp_path / "short.npz")
    assert task == {"do": "record", "seed": 5, "out": str(tmp_path / "out"), "strokes": strokes}
    assert training == {"name": run.name, "hparams": run.hparams | {"data_set": ["short.npz"]}, "hyper": run.hyper}
    assert training["hparams"]["save_every"] < training["hparams"]["num_steps"]  # a checkpoint is left half-way


def test_short_kanji_are_short_enough_and_of_the_wanted_number():
    pytest.importorskip("kanjivg")
    drawn = [short_kanji(sketches=10, longest=30, seed=seed) for seed in (1, 1, 2)]
    for splits in drawn:
        assert {split: len(sketches) for split, sketches in splits.items()} == {"train": 6, "valid": 2, "test": 2}
        assert all(1 < len(sketch) <= 30 for sketches in splits.values() for sketch in sketches)
    first, again, other = ([sketch.tobytes() for sketch in splits["train"]] for splits in drawn)
    assert first == again != other


# How the process ends ------------------------------------------------------------------------------------------------


def test_the_process_gets_the_tasks_and_its_output_goes_to_the_log(official, tmp_path, capfd):
    official('echo "$@"; echo said >&2; echo "$TF_CPP_MIN_LOG_LEVEL $PYTHONUNBUFFERED"')
    run_official(TASKS, tmp_path, "owl")
    job = tmp_path / "owl.job.json"
    assert json.loads(job.read_text())["tasks"] == TASKS
    assert (tmp_path / "owl.log").read_text() == f"-m parity_tests.official {job}\nsaid\n3 1\n"
    assert tuple(capfd.readouterr()) == ("", "")


@pytest.mark.parametrize(
    ("script", "told"),
    [
        (
            "echo first; echo 'ValueError: no such thing' >&2; echo; exit 1",
            "ended with exit code 1: ValueError: no such",
        ),
        ("exit 3", "ended with exit code 3: no output "),
        ("echo; exit 1", "ended with exit code 1: no output "),
        (r"printf 'gone \377\n'; exit 1", "ended with exit code 1: gone \N{REPLACEMENT CHARACTER} "),
        ("echo busy; kill -9 $$", "was killed by signal 9: busy "),
        ("kill -15 $$", "was killed by signal 15: no output "),
    ],
)
def test_a_process_that_fails_or_is_killed_is_reported_with_its_last_line_and_its_log(official, tmp_path, script, told):
    official(script)
    with pytest.raises(BadInput) as caught:
        run_official(TASKS, tmp_path, "owl")
    message = str(caught.value)
    assert message.startswith(f"the official process 'owl' {told}")
    assert message.endswith(f"(log: {tmp_path / 'owl.log'})")
    assert len(message.splitlines()) == 1
    assert (tmp_path / "owl.log").is_file()


def test_a_log_of_an_earlier_run_is_not_taken_for_that_of_this_one(official, tmp_path):
    official("echo old; exit 1")
    with pytest.raises(BadInput, match="old"):
        run_official(TASKS, tmp_path, "owl")
    official("exit 1")
    with pytest.raises(BadInput, match="no output"):
        run_official(TASKS, tmp_path, "owl")


@pytest.mark.oracle
def test_a_job_that_the_official_code_cannot_do_is_reported(tmp_path, monkeypatch):
    try:
        require_oracle()
    except BadInput as error:
        pytest.skip(str(error))
    monkeypatch.chdir(Path(oracle.__file__).parents[2])
    monkeypatch.setitem(os.environ, "CUDA_VISIBLE_DEVICES", "")
    tasks = [{"do": "record", "seed": 1, "out": str(tmp_path), "strokes": str(tmp_path / "gone.npz")}]
    with pytest.raises(
        BadInput, match=r"'owl' ended with exit code 1: .*BadInput: .*gone\.npz: .*\(log: .*owl\.log\)$"
    ):
        run_official(tasks, tmp_path, "owl")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["owl.job.json", "owl.log"]
    assert "Traceback" in (tmp_path / "owl.log").read_text()


def test_too_few_short_kanji_are_told():
    pytest.importorskip("kanjivg")
    with pytest.raises(BadInput, match=r"kanji of at most 2 points: found .*; allow more points"):
        short_kanji(sketches=5, longest=2, seed=1)
