"""QuickDraw's drawings, one JSON object per line, read line by line, so that a file may be larger than memory.

A drawing is a list of strokes. In the simplified files a stroke is ``[[x, ...], [y, ...]]``, coordinates 0..255; in
the raw ones it is ``[[x, ...], [y, ...], [t, ...]]``, in pixels of the screen it was drawn on.

Source: the description of the data set, https://github.com/googlecreativelab/quickdraw-dataset.
"""

import codecs
import json
from collections import Counter
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from pytorch_sketch_rnn.data.sources.simplify import SIZE, check_coordinates, scale_lines
from pytorch_sketch_rnn.data.sources.unpacked import open_unpacked
from pytorch_sketch_rnn.errors import Refused, naming, within

MAX_LINE = 16 << 20  # bytes
NOT_RECOGNIZED = "not recognized"


def read_ndjson(path: Path, recognized_only: bool, left_out: Counter[str]) -> Iterator[list[np.ndarray]]:
    """Yield each drawing as lines, float64 [k, 2], in 0..255; raw drawings are scaled to that range.

    Args:
        path: the file; if its name ends in ``.gz``, it is unpacked.
        recognized_only: skip drawings that QuickDraw did not recognize.
        left_out: skipped drawings are counted here, under ``NOT_RECOGNIZED``.

    Raises:
        BadInput: if the file cannot be read; with the line number, if a line is longer than ``MAX_LINE``, is not JSON
            in UTF-8, or does not hold such a drawing.
    """
    with open_unpacked(path) as file:
        for number in count(1):
            with naming(path), within(f"line {number}"):
                data = _read_line(file)
                if number == 1:
                    data = data.removeprefix(codecs.BOM_UTF8)
                if not data:
                    return
                if data.isspace():
                    continue
                record = _record(data)
                skipped = recognized_only and not _recognized(record)
                lines = [] if skipped else _lines(record)
            if skipped:
                left_out[NOT_RECOGNIZED] += 1
            else:
                yield lines


def _read_line(file: BinaryIO) -> bytes:
    """The next line, empty at the end of the file."""
    try:
        data = file.readline(MAX_LINE + 1)
    except OSError as error:
        raise Refused(f"cannot be read ({error.strerror})") from None
    if len(data) > MAX_LINE:
        raise Refused(f"expected at most {MAX_LINE} bytes, got more; is there one object per line?")
    return data


def _record(data: bytes) -> dict[str, Any]:
    try:
        record = json.loads(data.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise Refused(f"expected text in UTF-8, got byte {data[error.start]:#04x}") from None
    except json.JSONDecodeError as error:
        reason = f"{error.msg} at character {error.pos + 1}"
        raise Refused(f"expected a whole JSON object, got text that is none ({reason})") from None
    except RecursionError:
        raise Refused("expected a drawing, got JSON nested too deeply") from None
    except ValueError:  # the only other one of json.loads: an integer with thousands of digits
        raise Refused("expected coordinates, got a number of too many digits") from None
    if not isinstance(record, dict) or "drawing" not in record:
        raise Refused(f'expected a JSON object with "drawing", got {_excerpt(record)}')
    return record


def _recognized(record: dict[str, Any]) -> bool:
    recognized = record.get("recognized")
    if not isinstance(recognized, bool):
        raise Refused(f'expected "recognized" to be true or false, got {_excerpt(recognized)}')
    return recognized


def _lines(record: dict[str, Any]) -> list[np.ndarray]:
    drawing = record["drawing"]
    if not isinstance(drawing, list):
        raise Refused(f"expected a drawing as a list of strokes, got {_excerpt(drawing)}")
    lines = []
    for index, stroke in enumerate(drawing, 1):
        with within(f"stroke {index}"):
            line = _line(stroke)
        if len(stroke) != len(drawing[0]):
            raise Refused("expected strokes that all have times or none, got both")
        if len(line):
            lines.append(line)
    if drawing and len(drawing[0]) == 3:
        return scale_lines(lines)
    for line in lines:
        if line.min() < 0 or line.max() > SIZE:
            raise Refused(
                f"expected coordinates 0 to {SIZE} in a simplified drawing, got {line.min():g} to "
                f"{line.max():g}; a drawing in pixels has strokes [x, y, t]"
            )
    return lines


def _line(stroke: Any) -> np.ndarray:
    """A stroke's points, float64 [k, 2]."""
    if not (isinstance(stroke, list) and len(stroke) in (2, 3) and all(isinstance(part, list) for part in stroke)):
        raise Refused(f"expected lists [x, y] or [x, y, t], got {_excerpt(stroke)}")
    if len({len(part) for part in stroke}) > 1:
        lengths = " and ".join(str(len(part)) for part in stroke)
        raise Refused(f"expected x, y and t of one length, got {lengths} numbers")
    for part in stroke[:2]:
        if not set(map(type, part)) <= {int, float}:  # NumPy would convert strings and booleans
            wrong = next(value for value in part if type(value) not in (int, float))
            raise Refused(f"expected numbers, got {_excerpt(wrong)}")
    try:
        line = np.array(stroke[:2], dtype=np.float64).T
    except OverflowError:
        raise Refused("expected coordinates, got an integer beyond float64") from None
    check_coordinates(line)
    return line


def _excerpt(value: Any) -> str:
    """A value as JSON, short enough for a message."""
    try:
        text = json.dumps(value)
    except RecursionError:
        text = type(value).__name__
    return text if len(text) <= 60 else f"{text[:57]}..."
