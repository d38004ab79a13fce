"""Opens files that a stranger may have made: regular files only, and the file itself, not something in its place.

A named pipe would block the reader, and a device such as ``/dev/zero`` never ends. A clone without Git LFS has small
text files in place of the large ones, and a download that went wrong is often a web page: both would be reported as a
damaged file.

Source: the pointer format of Git LFS, https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md.
"""

import errno
import io
import os
import re
import stat
from pathlib import Path

from pytorch_sketch_rnn.errors import BadInput

_LFS_POINTER = re.compile(rb"version https://[a-z.-]+/(spec|v1)")
# An error of a storage service is XML: <?xml ...?><Error><Code>AccessDenied</Code>...
_WEB_PAGE = re.compile(
    rb"(\xef\xbb\xbf)?\s*(<!--.*?-->\s*)?(<!doctype\s+html\b|<html\b|(<\?xml[^>]*\?>\s*)?<Error>)",
    re.IGNORECASE | re.DOTALL,
)
_HEAD = 1024  # bytes that are looked at
_KINDS = (
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISSOCK, "a socket"),
)


def open_regular(path: Path | str) -> io.BufferedReader:
    """Open a regular file for reading in binary mode.

    Raises:
        BadInput: if it is a pipe, a device or a socket, or holds a Git LFS pointer or a web page.
        OSError: if it cannot be opened, or is a folder.
    """
    flags = ("O_NONBLOCK", "O_NOCTTY", "O_BINARY", "O_CLOEXEC")  # not every system has all of them
    descriptor = os.open(path, os.O_RDONLY | sum(getattr(os, flag, 0) for flag in flags))
    try:
        _check_kind(path, os.fstat(descriptor).st_mode)
        file = open(descriptor, "rb")  # noqa: SIM115 (the caller closes it)
    except BaseException:
        os.close(descriptor)
        raise
    try:
        what = stand_in(file.peek(_HEAD)[:_HEAD])
        if what is not None:
            raise BadInput(f"{path}: {what}")
    except BaseException:
        file.close()
        raise
    return file


def check_regular(path: Path | str) -> None:
    """Check a file that a library will open by its name; raises what :func:`open_regular` raises."""
    open_regular(path).close()


def refuse_special(path: Path | str) -> None:
    """Raise BadInput if a path is a pipe, a device or a socket; nothing is opened."""
    if is_no_folder(path):
        _check_kind(path, os.stat(path).st_mode)


def is_no_folder(path: Path | str) -> bool:
    """Whether something is there that is not a folder: a file, or what :func:`open_regular` refuses, such as a pipe.

    Whoever asks whether there is a *file* would report a pipe as missing.
    """
    return os.path.exists(path) and not os.path.isdir(path)


def stand_in(head: bytes) -> str | None:
    """What a file is and what to do, if its first bytes are those of something in the file's place; otherwise None."""
    if _LFS_POINTER.match(head):
        return "is a Git LFS pointer, not the file itself; get the file with `git lfs pull`"
    if _WEB_PAGE.match(head):
        return "is a web page, not the file itself; download the file again, from the link to the file, not to its page"
    return None


def _check_kind(path: Path | str, mode: int) -> None:
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    for is_kind, name in _KINDS:
        if is_kind(mode):
            raise BadInput(f"{path}: is {name}, expected a regular file")
    if not stat.S_ISREG(mode):
        raise BadInput(f"{path}: is a special file, expected a regular file")
