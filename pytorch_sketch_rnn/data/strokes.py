"""Stroke formats and conversions between them.

A sketch is one of

* stroke-3, [n, 3]: dx, dy, and 1 where the pen is lifted after this point, else 0;
* stroke-5, [n, 5]: dx, dy, and a one-hot pen state p1 (down), p2 (lifted), p3 (end of sketch), see section 3.1 of
  Ha & Eck 2017, https://arxiv.org/abs/1704.03477;
* polylines: a list of lines, each a list of absolute points [x, y].

Offsets count from the origin, and the first one only moves: the first line begins at the first point reached.

Source: Magenta ``utils.py``. Results equal its results bit for bit, except where a docstring says "departs".
"""

from collections.abc import Sequence

import numpy as np

from pytorch_sketch_rnn.errors import BadInput

Lines = list[list[list[float]]]
START_TOKEN = (0, 0, 1, 0, 0)  # the stroke-5 point that each sketch begins with, as input to the decoder


def to_big_strokes(stroke: np.ndarray, max_len: int = 250) -> np.ndarray:
    """Convert stroke-3 [n, 3] to float64 stroke-5 [max_len, 5], padded with p3 = 1; no start token is put in front.

    Raises:
        BadInput: where n > max_len (departs: Magenta asserts).
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
    """Convert stroke-5 [n, 5] to float64 stroke-3 [m, 3], where m is the first row with p3 > 0, or n without one.

    As in Magenta, an end of sketch in row 0 counts as none: all n rows are kept.
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
    """Convert polylines to stroke-3 [n, 3]: int64 where all coordinates are integers, else float64."""
    points = [[0, 0, 0]]
    for line in lines:
        points.extend([point[0], point[1], 0] for point in line)
        points[-1][2] = 1  # an empty line finds this set already, or finds the origin, which is left out below
    strokes = np.array(points)
    strokes[1:, :2] -= strokes[:-1, :2]
    return strokes[1:]
