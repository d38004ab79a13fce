"""Scales and simplifies the lines of a drawing, and turns them into a sketch.

Sources: the QuickDraw data set's description of its simplified drawings (aligned to the top left corner, scaled
uniformly to 0..255, simplified with epsilon 2.0); Ramer, "An iterative procedure for the polygonal approximation of
plane curves", 1972, and Douglas and Peucker, 1973, as shapely implements them.
"""

from collections.abc import Iterator, Sequence
from importlib import import_module
from types import ModuleType

import numpy as np

from pytorch_sketch_rnn.data.strokes import lines_to_strokes
from pytorch_sketch_rnn.errors import BadInput, Refused

SIZE = 255  # longer side of a scaled drawing
EPSILON = 2.0  # tolerance for a drawing of that size
# The time that a line takes can grow with the square of its points: a zigzag of 16,000 takes a second. So a line longer
# than this is simplified in pieces, and keeps the points between them.
_LONG = 2048
_PIECE = 1024
LARGEST = 1e9  # coordinate: beyond any drawing, and small enough for exact sums of whole units in float64
EXTRA = 'pip install "pytorch-sketch-rnn[kanji]"'


def check_coordinates(points: np.ndarray) -> None:
    """Raise Refused for points [k, 2] that are not finite or beyond ``LARGEST``."""
    wrong = points[~(np.abs(points) <= LARGEST)]
    if wrong.size:
        raise Refused(f"expected finite coordinates of at most {LARGEST:g} either way, got {wrong[0]:g}")


def scale_lines(lines: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Move lines [k, 2] to the corner (0, 0) and scale them uniformly, the longer side of the drawing to ``SIZE``."""
    if not lines:
        return []
    points = np.concatenate(lines)
    corner = points.min(axis=0)
    extent = np.ptp(points, axis=0).max() or 1.0
    # Division first, as SIZE / extent overflows for a tiny extent.
    return [(line - corner) / extent * SIZE for line in lines]


def simplify_lines(lines: Sequence[np.ndarray], epsilon: float) -> list[np.ndarray]:
    """Remove points of lines [k, 2] that are within ``epsilon`` of the simplified line; 0 removes none.

    Raises:
        BadInput: if shapely is missing.
    """
    if epsilon == 0:
        return list(lines)
    shapely = import_extra("shapely")

    def simplified(line: np.ndarray) -> np.ndarray:
        if len(line) <= 2:
            return line
        return np.array(shapely.LineString(line).simplify(epsilon, preserve_topology=False).coords)

    return [
        simplified(line)
        if len(line) <= _LONG
        else np.concatenate([line[:1], *(simplified(piece)[1:] for piece in _pieces(line))])
        for line in lines
    ]


def _pieces(line: np.ndarray) -> Iterator[np.ndarray]:
    """Cut a line [k, 2]; each piece begins where the one before it ends."""
    return (line[start : start + _PIECE + 1] for start in range(0, len(line) - 1, _PIECE))


def sketch_of(lines: Sequence[np.ndarray], dtype: np.dtype) -> np.ndarray:
    """Convert lines [k, 2] to stroke-3 [n, 3] of ``dtype``, with (0, 0) as the first offset.

    For an integer type the points are rounded, not the offsets, so that rounding errors do not add up.
    """
    if dtype.kind == "i":
        lines = [np.rint(line).astype(np.int64) for line in lines]
    strokes = lines_to_strokes([line.tolist() for line in lines])
    strokes[:1, :2] = 0
    return strokes.astype(dtype)


def import_extra(name: str) -> ModuleType:
    """Import a package of the extra ``kanji``.

    Raises:
        BadInput: if it is missing.
    """
    try:
        return import_module(name)
    except ImportError:
        raise BadInput(f"the package {name} is missing; install it with {EXTRA}") from None
