"""What of a drawing lies on its paper: the viewport of the file, which is all that a browser shows.

A shape is the paper itself, and left out, if it is filled and has no stroke, is one rectangle parallel to the axes,
covers the whole viewport (to within 1 % of its size), and nothing is painted before it.
"""

from dataclasses import dataclass

import numpy as np

_TOLERANCE = 0.01


@dataclass(frozen=True, slots=True)
class Paper:
    """The viewport of a file, in units of its user space."""

    x: float
    y: float
    width: float
    height: float

    def is_paper(self, lines: list[np.ndarray]) -> bool:
        """Whether the outline [k, 2] of a shape is that of the paper, or of a larger rectangle."""
        if len(lines) != 1 or not 4 <= len(lines[0]) <= 6:
            return False
        line = lines[0]
        low, high = line.min(axis=0), line.max(axis=0)
        corner, size = np.array([self.x, self.y]), np.array([self.width, self.height])
        slack = _TOLERANCE * size
        covers = (low <= corner + slack).all() and (high >= corner + size - slack).all()
        in_corners = ((line <= low + slack) | (line >= high - slack)).all()
        return bool(covers and in_corners and _area(line) > (1 - 4 * _TOLERANCE) * (high - low).prod())

    def shows(self, line: np.ndarray, margin: float) -> bool:
        """Whether any of a line [k, 2] may be visible, if it is drawn with a pen of twice this radius."""
        low, high = line.min(axis=0) - margin, line.max(axis=0) + margin
        return bool(
            low[0] <= self.x + self.width and high[0] >= self.x and low[1] <= self.y + self.height and high[1] >= self.y
        )


def _area(line: np.ndarray) -> float:
    """The area inside a line [k, 2], closed."""
    x, y = (line - line[0]).T
    return abs(float(x @ np.roll(y, -1) - y @ np.roll(x, -1))) / 2
