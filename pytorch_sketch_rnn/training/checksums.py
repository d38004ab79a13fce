"""The SHA-256 of each file of a checkpoint, in the form that ``sha256sum --check`` reads."""

import hashlib
import re
from pathlib import Path

CHECKSUMS_FILE = "SHA256SUMS"
_LINE = re.compile(r"([0-9a-f]{64})  ([^/\\]+)")
_LIMIT = 2**16  # bytes


def write_checksums(folder: Path) -> None:
    """Record the checksums of all other files in a folder."""
    paths = sorted(path for path in folder.iterdir() if path.is_file() and path.name != CHECKSUMS_FILE)
    text = "".join(f"{_digest(path)}  {path.name}\n" for path in paths)
    (folder / CHECKSUMS_FILE).write_text(text, encoding="utf-8", newline="\n")


def has_checksums(folder: Path) -> bool:
    """Whether checksums were recorded, as older versions did not."""
    return (folder / CHECKSUMS_FILE).exists()


def damaged_file(folder: Path) -> Path | None:
    """The first file that is not as it was written; None if all are, or no checksums were recorded."""
    path = folder / CHECKSUMS_FILE
    if not path.exists():
        return None
    try:
        with path.open("rb") as file:
            lines = file.read(_LIMIT).decode("ascii").splitlines()
    except (OSError, UnicodeDecodeError):
        return path
    recorded = [_LINE.fullmatch(line) for line in lines]
    if not recorded:
        return path
    for match in recorded:
        if match is None:
            return path
        digest, name = match.groups()
        try:
            if _digest(folder / name) != digest:
                return folder / name
        except OSError:
            return folder / name
    return None


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
