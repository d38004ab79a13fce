"""Stroke formats and conversions between them.

A sketch is one of

* stroke-3, [n, 3]: dx, dy, and 1 if the pen is lifted after this point, else 0;
* stroke-5, [n, 5]: dx, dy, and a one-hot pen state p1 (down), p2 (lifted), p3 (end of sketch), see section 3.1 of
  Ha & Eck 2017, https://arxiv.org/abs/1704.03477;
* polylines: a list of lines, each a list of absolute points [x, y].

The first offset is relative to the origin and draws nothing: the first line begins at its end.

Source: Magenta ``utils.py``. Results equal its results bit for bit, except where a docstring says "departs".
"""

from collections.abc import Sequence

import numpy as np

from pytorch_sketch_rnn.errors import BadInput

Lines = list[list[list[float]]]
START_TOKEN = (0, 0, 1, 0, 0)  # stroke-5; the decoder's first input for every sketch


def to_big_strokes(stroke: np.ndarray, max_len: int = 250) -> np.ndarray:
    """Convert stroke-3 [n, 3] to float64 stroke-5 [max_len, 5], padded with p3 = 1, without a start token.

    Raises:
        BadInput: if n > max_len (departs: Magenta asserts).
    """
    length = len(stroke)
    if length > max_len:
        raise BadInput(
            f"stroke: expected at most max_len = {max_len} points, got {length}; raise max_len or shorten it"
        )
    big = np.zeros((max_len, 5))
    big[:length, :2] = stroke[:, :2]
    big[:length, 3] = stroke[:, 2]
    big[:length, 2] = 1 - big[:length, 3]
    big[length:, 4] = 1
    return big


def to_normal_strokes(big_stroke: np.ndarray) -> np.ndarray:
    """Convert stroke-5 [n, 5] to float64 stroke-3 [m, 3], where m is the first row with p3 > 0, or n if there is none.

    As in Magenta, an end of sketch in row 0 is ignored: all n rows are kept.
    """
    ended = np.flatnonzero(big_stroke[:, 4] > 0)
    length = (ended[0] if ended.size else 0) or len(big_stroke)
    return np.array(big_stroke[:length, [0, 1, 3]], dtype=np.float64)


def strokes_to_lines(strokes: np.ndarray) -> Lines:
    """Convert stroke-3 [n, 3] to polylines.

    As in Magenta, points after the last lifted pen (== 1) belong to no line and are dropped.
    """
    lines: Lines = []
    line: list[list[float]] = []
    x = y = 0.0
    for dx, dy, lifted in strokes:
        x += float(dx)
        y += float(dy)
        line.append([x, y])
        if lifted == 1:
            lines.append(line)
            line = []
    return lines


def lines_to_strokes(lines: Sequence[Sequence[Sequence[float]]]) -> np.ndarray:
    """Convert polylines to stroke-3 [n, 3]: int64 if all coordinates are integers, else float64."""
    points: list[list[float]] = [[0, 0, 0]]
    for line in lines:
        points.extend([point[0], point[1], 0] for point in line)
        # For an empty line this is the point before, which is lifted already, or the origin, which is removed below.
        points[-1][2] = 1
    strokes = np.array(points)
    strokes[1:, :2] -= strokes[:-1, :2]
    return strokes[1:]
