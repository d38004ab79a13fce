"""The folder of a run is made whole or not at all, and leaves the unfinished folders of others alone."""

import fcntl
import os
import stat
import tempfile
import threading
from pathlib import Path

import pytest
from training_sets import make_trainer

from pytorch_sketch_rnn.errors import BadInput
from pytorch_sketch_rnn.training import run_folder
from pytorch_sketch_rnn.training.checkpoint import checkpoint_path, whole_folder, write_folder
from pytorch_sketch_rnn.training.run_folder import make_folder
from pytorch_sketch_rnn.training.settings import SETTINGS_FILE, Settings


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o755), (0o077, 0o700), (0o002, 0o775)])
def test_the_folder_has_the_permissions_of_the_umask(tmp_path, umask, mode):
    before = os.umask(umask)
    try:
        make_folder(tmp_path / "run", Settings(), make_trainer())
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "run").stat().st_mode) == mode


def test_an_abandoned_folder_of_the_same_run_is_removed_and_others_stay(tmp_path):
    for name in (".run.abcd1234.run.tmp", ".run.v2.abcd1234.run.tmp", ".run.abcd1234.tmp", ".run.mine.tmp", "other"):
        (tmp_path / name).mkdir()
    make_folder(tmp_path / "run", Settings(), make_trainer())
    assert names(tmp_path) == [".run.abcd1234.tmp", ".run.mine.tmp", ".run.v2.abcd1234.run.tmp", "other", "run"]


def test_the_unfinished_folder_of_a_run_that_is_starting_stays(tmp_path):
    unfinished = tmp_path / ".run.abcd1234.run.tmp"
    unfinished.mkdir()
    with (unfinished / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        make_folder(tmp_path / "run", Settings(), make_trainer())
        assert names(tmp_path) == [unfinished.name, "run"]


def test_a_folder_that_is_removed_before_it_is_locked_is_made_again(tmp_path, monkeypatch):
    mkdtemp, made = run_folder.tempfile.mkdtemp, []

    def removed_once(**arguments):
        path = mkdtemp(**arguments)
        made.append(path)
        if len(made) == 1:
            run_folder._remove_abandoned(tmp_path / "run")
        return path

    monkeypatch.setattr(run_folder.tempfile, "mkdtemp", removed_once)
    with run_folder._unfinished(tmp_path / "run") as new:
        assert new.is_dir()
        run_folder._remove_abandoned(tmp_path / "run")
        assert new.is_dir()
    assert len(made) == 2
    assert names(tmp_path) == []


def test_of_many_processes_that_make_the_same_folder_one_succeeds(tmp_path):
    trainers, refused = [make_trainer() for _ in range(4)], []

    def make(trainer):
        try:
            make_folder(tmp_path / "run", Settings(), trainer)
        except BadInput as error:
            refused.append(str(error))

    threads = [threading.Thread(target=make, args=(trainer,)) for trainer in trainers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(refused) == 3
    assert names(tmp_path) == ["run"]


def test_a_failure_leaves_nothing(tmp_path, monkeypatch):
    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(run_folder, "write_folder", full)
    with pytest.raises(BadInput, match=r"run: cannot be made .No space left on device"):
        make_folder(tmp_path / "run", Settings(), make_trainer())
    assert names(tmp_path) == []


def test_a_disk_without_locks_is_left_clean(tmp_path, monkeypatch):
    def without_locks(self):
        raise NotImplementedError("FileSystem does not appear to support flock")  # what filelock may raise

    monkeypatch.setattr(run_folder.FileLock, "acquire", without_locks)
    with pytest.raises(BadInput, match=r"run: cannot be made .FileSystem does not appear to support flock"):
        make_folder(tmp_path / "run", Settings(), make_trainer())
    assert list(tmp_path.iterdir()) == []


def test_a_checkpoint_has_the_permissions_of_the_umask_whatever_its_parent_has(tmp_path):
    make_folder(tmp_path / "run", Settings(), make_trainer())
    (tmp_path / "run" / "checkpoints").chmod(0o777)
    before = os.umask(0o077)
    try:
        trainer = make_trainer()
        write_folder(checkpoint_path(tmp_path / "run", 5), trainer.model, trainer.optimizer, {"step": 5})
        with whole_folder(tmp_path / "run" / "other") as new:
            (new / "file").touch()
    finally:
        os.umask(before)
    folders = [checkpoint_path(tmp_path / "run", 5), tmp_path / "run" / "other"]
    paths = [*folders, *(path for folder in folders for path in folder.iterdir())]
    assert {path: stat.S_IMODE(path.stat().st_mode) & 0o077 for path in paths} == dict.fromkeys(paths, 0)


def test_folders_of_similar_names_that_are_being_made_stay(tmp_path):
    """Also those whose names end as a temporary name may."""
    names_of_others = ("run.v2", "run.abcd1234", "run.abcd1234.run.tmp", "arun", ".run", "run.")
    made = [Path(tempfile.mkdtemp(prefix=f".{name}.", suffix=".run.tmp", dir=tmp_path)) for name in names_of_others]
    make_folder(tmp_path / "run", Settings(), make_trainer())
    assert sorted(tmp_path.iterdir()) == sorted([*made, tmp_path / "run"])


@pytest.mark.parametrize(("url", "mode"), [("https://host/sets?token=SECRET", 0o600), ("https://host/sets", 0o644)])
def test_settings_with_a_secret_are_never_readable_by_others(tmp_path, monkeypatch, url, mode):
    before, modes, replace = os.umask(0o022), [], os.replace

    def replaced(source, target):
        modes.append(stat.S_IMODE(os.stat(source).st_mode))
        replace(source, target)

    monkeypatch.setattr(os, "replace", replaced)
    try:
        Settings(data_dir=url).save(tmp_path)
    finally:
        os.umask(before)
    assert modes == [mode]
    assert stat.S_IMODE((tmp_path / SETTINGS_FILE).stat().st_mode) == mode
