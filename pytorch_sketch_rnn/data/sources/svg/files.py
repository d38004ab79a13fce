"""Finds the SVG files of a folder, and reads one, compressed or not."""

import os
import zlib
from pathlib import Path

from pytorch_sketch_rnn.errors import BadInput, Refused
from pytorch_sketch_rnn.regular_file import is_no_folder, open_regular

SUFFIXES = (".svg", ".svgz", ".svg.gz")
MAX_BYTES = 4 << 20  # also after decompression
_GZIP = b"\x1f\x8b"


def is_svg_name(path: Path) -> bool:
    """Whether a file is an SVG by its name."""
    return path.name.lower().endswith(SUFFIXES)


def svg_files(folder: Path) -> list[Path]:
    """The SVG files of a folder and of all folders in it, sorted; hidden ones are not searched.

    Links to folders are followed, but each folder is searched once.

    Raises:
        BadInput: if there are none, or a folder cannot be read.
    """
    seen: set[tuple[int, int]] = set()
    files: list[Path] = []
    waiting = [folder]
    try:
        while waiting:
            status = os.stat(here := waiting.pop())
            if (status.st_dev, status.st_ino) in seen:
                continue
            seen.add((status.st_dev, status.st_ino))
            entries = sorted(path for path in here.iterdir() if not path.name.startswith("."))
            files += [path for path in entries if is_svg_name(path) and is_no_folder(path)]
            waiting += [path for path in reversed(entries) if path.is_dir()]
    except OSError as error:
        raise BadInput(f"{error.filename}: cannot be read ({error.strerror})") from None
    if not files:
        raise BadInput(f"{folder}: expected a folder of .svg files, got one without any, in its folders either")
    return sorted(files)


def read_bytes(path: Path) -> bytes:
    """Read a file, decompressed.

    Raises:
        Refused: if it cannot be read, or is larger than ``MAX_BYTES``.
        BadInput: if it is no regular file, or holds something in its place.
    """
    try:
        with open_regular(path) as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise Refused(f"cannot be read ({error.strerror})") from None
    if data.startswith(_GZIP):
        data = _decompress(data)
    if len(data) > MAX_BYTES:
        raise Refused(f"expected a drawing of at most {MAX_BYTES} bytes, got more")
    return data


def _decompress(data: bytes) -> bytes:
    decompressor = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)  # gzip
    try:
        plain = decompressor.decompress(data, MAX_BYTES + 1)
    except zlib.error as error:
        raise Refused(f"expected a whole gzip file, got a damaged one ({error})") from None
    if not decompressor.eof and len(plain) <= MAX_BYTES:
        raise Refused("expected a whole gzip file, got its beginning only")
    return plain
