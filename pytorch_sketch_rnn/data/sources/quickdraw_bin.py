"""QuickDraw's simplified drawings in their binary form, read one drawing at a time.

All numbers are little-endian. A drawing is a header (key uint64, country 2 bytes, recognized int8, time uint32, number
of strokes uint16), then for each stroke its number of points (uint16), all its x and all its y (uint8 each).

Source: the description of the data set, https://github.com/googlecreativelab/quickdraw-dataset.
"""

import io
import struct
from collections import Counter
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import numpy as np

from pytorch_sketch_rnn.data.pickled_arrays import MAX_POINTS
from pytorch_sketch_rnn.data.sources.ndjson import NOT_RECOGNIZED
from pytorch_sketch_rnn.data.sources.unpacked import open_unpacked
from pytorch_sketch_rnn.errors import Refused, naming, within

_HEADER = struct.Struct("<Q2sbIH")
_LENGTH = struct.Struct("<H")


def read_quickdraw_bin(path: Path, recognized_only: bool, left_out: Counter[str]) -> Iterator[list[np.ndarray]]:
    """Yield each drawing as lines, float64 [k, 2], in 0..255.

    Args:
        path: the file; if its name ends in ``.gz``, it is unpacked.
        recognized_only: skip drawings that QuickDraw did not recognize.
        left_out: skipped drawings are counted here, under ``NOT_RECOGNIZED``.

    Raises:
        BadInput: if the file cannot be read; with the number of the drawing, if it is cut short or not such a drawing.
    """
    with open_unpacked(path) as file:
        for number in count(1):
            with naming(path), within(f"drawing {number}"):
                drawing = _read_drawing(file)
            if drawing is None:
                return
            recognized, lines = drawing
            if recognized_only and not recognized:
                left_out[NOT_RECOGNIZED] += 1
            else:
                yield lines


def _read_drawing(file: io.BufferedReader) -> tuple[bool, list[np.ndarray]] | None:
    """Whether the next drawing was recognized, and its lines; None at the end of the file."""
    if not file.peek(1):
        return None
    _, _, recognized, _, strokes = _HEADER.unpack(_read(file, _HEADER.size))
    if recognized not in (0, 1):
        raise Refused(f"expected 0 or 1 for recognized, got {recognized}; is this a .bin file of QuickDraw?")
    lines = []
    points = 0
    for _ in range(strokes):
        (length,) = _LENGTH.unpack(_read(file, _LENGTH.size))
        line = np.frombuffer(_read(file, 2 * length), np.uint8).reshape(2, length).T
        points += length
        if points > MAX_POINTS:
            raise Refused(f"expected at most {MAX_POINTS:,} points, got more")
        if length:
            lines.append(line.astype(np.float64))
    return bool(recognized), lines


def _read(file: io.BufferedReader, size: int) -> bytes:
    try:
        data = file.read(size)
    except OSError as error:
        raise Refused(f"cannot be read ({error.strerror})") from None
    if len(data) != size:
        raise Refused(f"expected {size} more bytes, got {len(data)}; the file is cut short")
    return data
