"""Read a JSON file from a stranger: RFC 8259 to the letter, with a limit on its size."""

import json
import math
from pathlib import Path

from pytorch_sketch_rnn.errors import BadInput


def read_json(path: Path, limit: int) -> object:
    """The parsed content of a JSON file of at most ``limit`` bytes.

    Raises:
        BadInput: The file cannot be read, is larger, is not JSON, nests too deeply, or holds a number that is not
            finite (``NaN`` and ``Infinity``, which Python would take, and ``1e999``, which it would make infinite).
    """
    try:
        size = path.stat().st_size
        if size > limit:
            raise BadInput(f"{path}: has {size} bytes, which is more than the limit of {limit}")
        data = path.read_bytes()
    except OSError as error:
        raise BadInput(f"{path}: cannot be read ({error.strerror})") from None
    try:
        return json.loads(data, parse_constant=_finite_float, parse_float=_finite_float)
    except RecursionError:
        raise BadInput(f"{path}: is nested too deeply") from None
    except ValueError as error:
        raise BadInput(f"{path}: is not valid JSON ({error})") from None


def _finite_float(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is not a finite number")
    return number
