"""A file is written completely or not at all, with the permissions of any new file."""

import os
import stat

import pytest

from pytorch_sketch_rnn.errors import BadInput
from pytorch_sketch_rnn.files import atomic_path


def test_a_file_has_the_permissions_of_any_new_file_even_if_it_was_replaced_by_a_private_one(tmp_path, monkeypatch):
    (tmp_path / "plain").write_text("x")

    def touched(mask: int) -> int:
        raise AssertionError("another thread would see this umask")

    monkeypatch.setattr(os, "umask", touched)
    with atomic_path(tmp_path / "file") as temporary:
        temporary.write_text("complete")
    with atomic_path(tmp_path / "replaced") as temporary:
        temporary.unlink()
        temporary.touch(0o600)
    permissions = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("plain", "file", "replaced")]
    assert permissions[0] == permissions[1] == permissions[2]
    assert (tmp_path / "file").read_text() == "complete"


@pytest.mark.parametrize("error", [ValueError("a fault"), KeyboardInterrupt(), BadInput("no good")])
def test_after_a_failure_only_the_old_file_is_left(tmp_path, error):
    (tmp_path / "file").write_text("old")
    with pytest.raises(type(error)), atomic_path(tmp_path / "file") as temporary:  # noqa: PT012
        temporary.write_text("half")
        raise error
    assert (tmp_path / "file").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_missing_folder_and_a_folder_of_that_name_are_bad_input(tmp_path):
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "none" / "file", tmp_path / "folder"):
        with pytest.raises(BadInput, match=f"^{path}: cannot be written"), atomic_path(path) as temporary:
            temporary.write_text("x")
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_an_error_about_another_file_passes_unchanged(tmp_path):
    with pytest.raises(FileNotFoundError) as caught, atomic_path(tmp_path / "file"):
        (tmp_path / "missing").read_text()
    assert caught.value.filename == str(tmp_path / "missing")
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_bad_input_that_names_the_file(tmp_path):
    with pytest.raises(BadInput, match=f"^{tmp_path}/file: cannot be written"), atomic_path(tmp_path / "file"):
        raise OSError(28, "No space left on device")
    assert list(tmp_path.iterdir()) == []
