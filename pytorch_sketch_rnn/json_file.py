"""Reads a JSON file, strictly as RFC 8259 describes it, with a limit on its size."""

import json
import math
import os
from collections import Counter
from pathlib import Path
from typing import Any

from pytorch_sketch_rnn.errors import BadInput
from pytorch_sketch_rnn.regular_file import open_regular

LIMIT = 16 * 2**20  # bytes; the files that this project writes have some kilobytes
_LONGEST_NAME = 60  # characters of a name in a message


def read_json(path: Path, expected: str = "a JSON file", limit: int = LIMIT, *, finite: bool = True) -> Any:
    """The content of a JSON file in UTF-8; a byte order mark is skipped, as RFC 8259 allows.

    Args:
        path: of the file.
        expected: what the file should be, for the message when there is none.
        limit: on its size, in bytes.
        finite: whether a number that is not finite is refused.

    Raises:
        BadInput: when the file cannot be read, is not a regular file or not the file itself (see
            :func:`~pytorch_sketch_rnn.regular_file.open_regular`), is larger than the limit, is not JSON, is not
            UTF-8, is nested too deeply, gives a name twice in one object, or holds a number that is not finite
            (``NaN`` and ``Infinity``, which Python accepts, and ``1e999``, which it turns into infinity).
    """
    path = Path(path)
    try:
        with open_regular(path) as file:
            size = os.fstat(file.fileno()).st_size
            if size > limit:
                raise BadInput(f"{path}: has {size} bytes, more than the limit of {limit}; expected {expected}")
            data = file.read(limit)
    except OSError as error:
        raise BadInput(f"{path}: cannot be read ({error.strerror}); expected {expected}") from None
    try:
        return json.loads(
            data.decode("utf-8-sig"),
            parse_constant=_finite_float if finite else float,
            parse_float=_finite_float if finite else float,
            object_pairs_hook=_object,
        )
    except RecursionError:
        raise BadInput(f"{path}: expected JSON, but it is nested too deeply") from None
    except ValueError as error:
        raise BadInput(f"{path}: expected JSON, but {error}") from None


def _finite_float(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text[:_LONGEST_NAME]} is not a finite number")
    return number


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        counts = Counter(name for name, _ in pairs)
        repeated = next(name for name, count in counts.items() if count > 1)
        raise ValueError(f"the name {repeated[:_LONGEST_NAME]!r} comes twice")
    return values
