"""QuickDraw's drawings, one JSON object a line, read line by line: a file may be larger than memory.

A drawing is a list of strokes. In the simplified files a stroke is ``[[x, ...], [y, ...]]``, coordinates 0..255; in
the raw ones it is ``[[x, ...], [y, ...], [t, ...]]``, in pixels of whatever screen it was drawn on.

Source: the description of the data set, https://github.com/googlecreativelab/quickdraw-dataset.
"""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from pytorch_sketch_rnn.data.simplify import SIZE, check_coordinates, scale_lines
from pytorch_sketch_rnn.errors import BadInput

MAX_LINE = 16 << 20  # bytes
NOT_RECOGNIZED = "not recognized"


def read_ndjson(path: Path, recognized_only: bool, left_out: Counter[str]) -> Iterator[list[np.ndarray]]:
    """Yield each drawing as its lines, float64 [k, 2], 0..255; raw drawings are scaled to that.

    Args:
        path: the file.
        recognized_only: pass over drawings that QuickDraw's judge did not recognize.
        left_out: those are counted here, under ``NOT_RECOGNIZED``.

    Raises:
        BadInput: where the file cannot be read; names the line where one is longer than ``MAX_LINE``, is no JSON in
            UTF-8, or holds no drawing of that form.
    """
    try:
        with path.open("rb") as file:
            number = 0
            while data := file.readline(MAX_LINE + 1):
                number += 1
                where = f"{path}: line {number}"
                if len(data) > MAX_LINE:
                    raise BadInput(f"{where}: expected at most {MAX_LINE} bytes, got more; is it one object a line?")
                if data.isspace():
                    continue
                record = _record(data, where)
                if recognized_only and not _recognized(record, where):
                    left_out[NOT_RECOGNIZED] += 1
                else:
                    yield _lines(record, where)
    except OSError as error:
        raise BadInput(f"{path}: cannot be read ({error.strerror})") from None


def _record(data: bytes, where: str) -> dict[str, Any]:
    try:
        record = json.loads(data.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise BadInput(f"{where}: expected text in UTF-8, got byte {data[error.start]:#04x}") from None
    except json.JSONDecodeError as error:
        reason = f"{error.msg} at character {error.pos + 1}"
        raise BadInput(f"{where}: expected a whole JSON object, got text that is none ({reason})") from None
    except RecursionError:
        raise BadInput(f"{where}: expected a drawing, got JSON nested too deeply") from None
    except ValueError:  # json.loads has no other: an integer of thousands of digits
        raise BadInput(f"{where}: expected coordinates, got a number of too many digits") from None
    if not isinstance(record, dict) or "drawing" not in record:
        raise BadInput(f'{where}: expected a JSON object with "drawing", got {_shown(record)}')
    return record


def _recognized(record: dict[str, Any], where: str) -> bool:
    recognized = record.get("recognized")
    if not isinstance(recognized, bool):
        raise BadInput(f'{where}: expected "recognized" to be true or false, got {_shown(recognized)}')
    return recognized


def _lines(record: dict[str, Any], where: str) -> list[np.ndarray]:
    drawing = record["drawing"]
    if not isinstance(drawing, list):
        raise BadInput(f"{where}: expected a drawing as a list of strokes, got {_shown(drawing)}")
    lines = []
    for index, stroke in enumerate(drawing, 1):
        line = _line(stroke, f"{where}, stroke {index}")
        if len(stroke) != len(drawing[0]):
            raise BadInput(f"{where}: expected strokes that all have times or none, got both")
        if len(line):
            lines.append(line)
    if drawing and len(drawing[0]) == 3:
        return scale_lines(lines)
    for line in lines:
        if line.min() < 0 or line.max() > SIZE:
            raise BadInput(
                f"{where}: expected coordinates 0 to {SIZE} in a simplified drawing, got {line.min():g} to "
                f"{line.max():g}; a drawing in pixels has strokes [x, y, t]"
            )
    return lines


def _line(stroke: Any, where: str) -> np.ndarray:
    """Return a stroke as its points, float64 [k, 2]."""
    if not (isinstance(stroke, list) and len(stroke) in (2, 3) and all(isinstance(part, list) for part in stroke)):
        raise BadInput(f"{where}: expected lists [x, y] or [x, y, t], got {_shown(stroke)}")
    if len({len(part) for part in stroke}) > 1:
        lengths = " and ".join(str(len(part)) for part in stroke)
        raise BadInput(f"{where}: expected x, y and t of one length, got {lengths} numbers")
    for part in stroke[:2]:
        if not set(map(type, part)) <= {int, float}:  # NumPy would take texts and truth values as numbers
            wrong = next(value for value in part if type(value) not in (int, float))
            raise BadInput(f"{where}: expected numbers, got {_shown(wrong)}")
    try:
        line = np.array(stroke[:2], dtype=np.float64).T
    except OverflowError:
        raise BadInput(f"{where}: expected coordinates, got an integer beyond float64") from None
    check_coordinates(line, where)
    return line


def _shown(value: Any) -> str:
    """Return what came, short enough for a message."""
    try:
        text = json.dumps(value)
    except RecursionError:
        text = type(value).__name__
    return text if len(text) <= 60 else f"{text[:57]}..."
