"""Only regular files are opened, and what stands in place of a file is named."""

import os
import re
import socket
from pathlib import Path

import pytest
from foreign_files import PAGES, POINTER, make_device, make_pipe

from pytorch_sketch_rnn.errors import BadInput
from pytorch_sketch_rnn.regular_file import check_regular, open_regular

posix = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")


def test_a_regular_file_is_opened_at_its_start_and_read_to_its_end(tmp_path):
    data = bytes(range(256)) * 1000
    (tmp_path / "file").write_bytes(data)
    with open_regular(tmp_path / "file") as file:
        assert file.read() == data
    with open_regular(str(tmp_path / "file")) as file:
        assert file.tell() == 0
        assert os.get_blocking(file.fileno()) is not None


def test_a_link_to_a_file_is_the_file(tmp_path):
    (tmp_path / "file").write_bytes(b"x")
    (tmp_path / "link").symlink_to("file")
    with open_regular(tmp_path / "link") as file:
        assert file.read() == b"x"


def test_an_empty_file_is_a_file(tmp_path):
    (tmp_path / "file").touch()
    check_regular(tmp_path / "file")


def test_a_missing_file_and_a_folder_are_errors_of_the_system(tmp_path):
    with pytest.raises(FileNotFoundError):
        open_regular(tmp_path / "none")
    with pytest.raises(OSError, match=r"directory|denied"):
        open_regular(tmp_path)


@posix
@pytest.mark.parametrize(("make", "kind"), [(make_pipe, "a named pipe"), (make_device, "a device")])
def test_pipes_and_devices_are_refused_at_once(tmp_path, make, kind):
    path = make(tmp_path / "file")
    for refuse in (open_regular, check_regular):
        with pytest.raises(BadInput, match=rf"^{re.escape(str(path))}: is {kind}, expected a regular file$"):
            refuse(path)


@posix
def test_a_socket_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # the name of a socket must be short
    with socket.socket(socket.AF_UNIX) as made:
        made.bind("file")
        with pytest.raises((BadInput, OSError)):
            open_regular("file")


def test_a_git_lfs_pointer_is_named_with_the_command_that_gets_the_file(tmp_path):
    (tmp_path / "a.npz").write_bytes(POINTER)
    with pytest.raises(BadInput, match=r"a\.npz: is a Git LFS pointer, not the file itself; .*`git lfs pull`$"):
        open_regular(tmp_path / "a.npz")


@pytest.mark.parametrize("content", PAGES.values(), ids=PAGES)
def test_a_web_page_is_named(tmp_path, content):
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(BadInput, match=r"a\.npz: is a web page, not the file itself"):
        open_regular(tmp_path / "a.npz")


@pytest.mark.parametrize(
    "content",
    [
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"<?xml version='1.0'?><svg/>",
        b"<htmlish",
        b"version 2\n",
        b"x" * 50,
    ],
)
def test_other_text_is_no_page_and_no_pointer(tmp_path, content):
    (tmp_path / "file").write_bytes(content)
    check_regular(tmp_path / "file")


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc")
def test_what_is_refused_is_closed(tmp_path):
    (tmp_path / "pointer").write_bytes(POINTER)
    paths = [make_pipe(tmp_path / "pipe"), make_device(tmp_path / "device"), tmp_path / "pointer", tmp_path]
    before = open_files()
    for path in paths:
        with pytest.raises((BadInput, OSError)):
            open_regular(path)
    assert open_files() == before
