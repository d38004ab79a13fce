"""``SHA256SUMS``: the checksums of files in a folder, in the form that ``sha256sum --check`` reads.

A training records them for the files of each checkpoint and for the models in its folder. Whoever reads these files
verifies them. A folder without checksums is read unverified: an older version or another program wrote it, or only the
files themselves were copied.
"""

import hashlib
import os
import re
from collections.abc import Collection, Mapping
from pathlib import Path

from pytorch_sketch_rnn.errors import BadInput
from pytorch_sketch_rnn.regular_file import open_regular

CHECKSUMS_FILE = "SHA256SUMS"
_LINE = re.compile(r"([0-9a-f]{64}) [ *](.+)")  # the asterisk is that of `sha256sum --binary`
_LIMIT = 2**16  # bytes


def checksum_lines(files: Mapping[str, Path]) -> str:
    """The text of ``SHA256SUMS`` for files by their names in the folder, which need not be their names now."""
    return "".join(f"{_digest(path)}  {name}\n" for name, path in sorted(files.items()))


def write_checksums(folder: Path, names: Collection[str] | None = None) -> None:
    """Record the checksums of files in a folder; without names, those of all other files."""
    if names is None:
        names = [path.name for path in folder.iterdir() if path.is_file() and path.name != CHECKSUMS_FILE]
    text = checksum_lines({name: folder / name for name in names})
    (folder / CHECKSUMS_FILE).write_text(text, encoding="utf-8", newline="\n")


def remove_checksums(folder: Path) -> None:
    """Remove the checksums of files that are about to be replaced, which would not fit the new ones.

    Raises:
        BadInput: when that is impossible.
    """
    try:
        (folder / CHECKSUMS_FILE).unlink(missing_ok=True)
    except OSError as error:
        raise BadInput(f"{folder / CHECKSUMS_FILE}: cannot be replaced ({error.strerror})") from None


def has_checksums(folder: Path) -> bool:
    """Whether checksums were recorded, as older versions did not."""
    return (folder / CHECKSUMS_FILE).exists()


def damaged_file(folder: Path, names: Collection[str] | None = None) -> Path | None:
    """The first file that is not as it was written; None if all are, or no checksums were recorded.

    It is ``SHA256SUMS`` itself if that cannot be read.

    Args:
        folder: holds the files and their checksums.
        names: the files to verify, where they are recorded; None: every file that is.

    Raises:
        BadInput: when a file is not a regular file, or a Git LFS pointer or a web page.
    """
    while True:
        recorded = _recorded(folder)
        damaged = None if recorded is None else _first_damaged(folder, recorded, names)
        # A training may have replaced the files and their checksums in between.
        if damaged is None or _recorded(folder) == recorded:
            return damaged


def complaint(damaged: Path) -> str:
    """What is wrong with a file from :func:`damaged_file`, as the beginning of a message."""
    if damaged.name == CHECKSUMS_FILE:
        return f"{damaged}: expected checksums in the form of sha256sum, got something else"
    if not os.path.lexists(damaged):
        return f"{damaged}: expected the file as it was written, but it is missing"
    return f"{damaged}: expected the file as it was written, got one that does not fit {CHECKSUMS_FILE}"


def _recorded(folder: Path) -> bytes | None:
    """The content of ``SHA256SUMS``; None if there is none, and empty if it cannot be read."""
    try:
        with open_regular(folder / CHECKSUMS_FILE) as file:
            return file.read(_LIMIT)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError:
        return b""


def _first_damaged(folder: Path, recorded: bytes, names: Collection[str] | None) -> Path | None:
    lines = [_LINE.fullmatch(line) for line in recorded.decode("utf-8", "replace").splitlines()]
    if not lines:
        return folder / CHECKSUMS_FILE
    for match in lines:
        if match is None:
            return folder / CHECKSUMS_FILE
        digest, name = match.groups()
        if names is not None and name not in names:
            continue
        if "/" in name or "\\" in name:  # of another folder
            return folder / CHECKSUMS_FILE
        try:
            if _digest(folder / name) != digest:
                return folder / name
        except OSError:
            return folder / name
    return None


def _digest(path: Path) -> str:
    with open_regular(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
