"""pytorch_sketch_rnn.files: a file is wholly there or not at all, with the rights that any new file has."""

import os
import stat

import pytest

from pytorch_sketch_rnn.errors import BadInput
from pytorch_sketch_rnn.files import atomic_path


def test_a_file_gets_the_rights_of_any_new_file_and_the_umask_of_the_process_is_left_alone(tmp_path, monkeypatch):
    (tmp_path / "plain").write_text("x")

    def touched(mask: int) -> int:
        raise AssertionError("another thread would see this umask")

    monkeypatch.setattr(os, "umask", touched)
    with atomic_path(tmp_path / "file") as temporary:
        temporary.write_text("whole")
    rights = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("plain", "file")]
    assert rights[0] == rights[1]
    assert (tmp_path / "file").read_text() == "whole"


@pytest.mark.parametrize("error", [ValueError("a fault"), KeyboardInterrupt(), BadInput("no good")])
def test_a_failure_leaves_the_old_file_and_nothing_beside_it(tmp_path, error):
    (tmp_path / "file").write_text("old")
    with pytest.raises(type(error)), atomic_path(tmp_path / "file") as temporary:  # noqa: PT012
        temporary.write_text("half")
        raise error
    assert (tmp_path / "file").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_folder_that_is_not_there_and_a_folder_in_the_way_are_bad_input(tmp_path):
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "none" / "file", tmp_path / "folder"):
        with pytest.raises(BadInput, match=f"^{path}: cannot be written"), atomic_path(path) as temporary:
            temporary.write_text("x")
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]
