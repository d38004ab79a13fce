"""Collects the segments of outlines, and samples them all at once.

A straight segment adds its end; a curve adds ``POINTS_PER_CURVE`` points, evenly spaced in its parameter, of which an
arc's is the angle.

Source: SVG 2, chapters 9.3 and 9.5; its appendix on implementation notes for arcs (B.2).
"""

import math

import numpy as np

from pytorch_sketch_rnn.data.sources.svg.budget import Budget

POINTS_PER_CURVE = 16
_T = np.linspace(0, 1, POINTS_PER_CURVE + 1)[1:]


class Outline:
    """An outline under construction; a pen draws it, as the commands of a path do."""

    def __init__(self, budget: Budget) -> None:
        self.x = self.y = 0.0  # where the pen is
        self._budget = budget
        self._start = (0.0, 0.0)  # of the subpath
        self._closed = False
        self._count = 0  # points so far
        self._starts: list[int] = []  # index of each line's first point
        self._points: list[float] = []  # x and y of each point given as such
        self._points_at: list[int] = []  # its index
        self._cubics: list[float] = []  # the 8 coordinates of each curve
        self._cubics_at: list[int] = []  # index of its first point
        self._quadratics: list[float] = []  # 6 coordinates
        self._quadratics_at: list[int] = []
        self._arcs: list[float] = []  # center, radii, cosine and sine of the rotation, first angle, angle turned
        self._arcs_at: list[int] = []

    def move_to(self, x: float, y: float) -> None:
        """Begin a subpath."""
        self._starts.append(self._count)
        self._start, self._closed = (x, y), False
        self.line_to(x, y)

    def line_to(self, x: float, y: float) -> None:
        """Draw a straight segment."""
        self._points_at.append(self._advance(1))
        self._points += (x, y)
        self.x, self.y = x, y

    def cubic_to(self, x1: float, y1: float, x2: float, y2: float, x: float, y: float) -> None:
        """Draw a cubic Bezier curve."""
        self._cubics_at.append(self._advance(POINTS_PER_CURVE))
        self._cubics += (self.x, self.y, x1, y1, x2, y2, x, y)
        self.x, self.y = x, y

    def quadratic_to(self, x1: float, y1: float, x: float, y: float) -> None:
        """Draw a quadratic Bezier curve."""
        self._quadratics_at.append(self._advance(POINTS_PER_CURVE))
        self._quadratics += (self.x, self.y, x1, y1, x, y)
        self.x, self.y = x, y

    def arc_to(self, rx: float, ry: float, degrees: float, large: bool, sweep: bool, x: float, y: float) -> None:
        """Draw an arc of an ellipse that is rotated by ``degrees``."""
        if x == self.x and y == self.y:
            return
        arc = _centered((self.x, self.y), (x, y), (abs(rx), abs(ry)), degrees, large, sweep)
        if arc is None:
            self.line_to(x, y)
            return
        self._add_arc(arc)
        self.x, self.y = x, y

    def ellipse(self, cx: float, cy: float, rx: float, ry: float) -> None:
        """Draw a whole ellipse, clockwise from its right."""
        self.move_to(cx + rx, cy)
        for quarter in range(4):
            self._add_arc((cx, cy, rx, ry, 1.0, 0.0, quarter * math.pi / 2, math.pi / 2))
        self.close()

    def close(self) -> None:
        """Draw a straight segment to the start of the subpath; once closed, closing it again draws nothing."""
        if not self._closed:
            self.line_to(*self._start)
            self._closed = True

    def lines(self) -> list[np.ndarray]:
        """The subpaths as points, float64 [k, 2], without those that are a single move."""
        if not self._starts:
            return []
        points = np.empty((self._count, 2))
        points[self._points_at] = np.reshape(self._points, (-1, 2))
        for at, sampled in (
            (self._cubics_at, _sample_cubics(self._cubics) if self._cubics else None),
            (self._quadratics_at, _sample_quadratics(self._quadratics) if self._quadratics else None),
            (self._arcs_at, _sample_arcs(self._arcs) if self._arcs else None),
        ):
            if sampled is not None:
                points[np.array(at)[:, None] + np.arange(POINTS_PER_CURVE)] = sampled
        ends = [*self._starts[1:], self._count]
        return [points[start:end] for start, end in zip(self._starts, ends, strict=True) if end - start > 1]

    def _advance(self, points: int) -> int:
        """Make room for points; returns the index of the first."""
        self._budget.add_points(points)
        self._closed = False
        first = self._count
        self._count += points
        return first

    def _add_arc(self, arc: tuple[float, ...]) -> None:
        self._arcs_at.append(self._advance(POINTS_PER_CURVE))
        self._arcs += arc


def _sample_cubics(coordinates: list[float]) -> np.ndarray:
    """Points [m, POINTS_PER_CURVE, 2] of m curves."""
    p0, p1, p2, p3 = np.reshape(coordinates, (-1, 4, 1, 2)).swapaxes(0, 1)
    t = _T[:, None]
    u = 1 - t
    points: np.ndarray = u * u * u * p0 + 3 * (u * u * t * p1 + t * t * u * p2) + t * t * t * p3
    return points


def _sample_quadratics(coordinates: list[float]) -> np.ndarray:
    p0, p1, p2 = np.reshape(coordinates, (-1, 3, 1, 2)).swapaxes(0, 1)
    t = _T[:, None]
    u = 1 - t
    points: np.ndarray = u * u * p0 + 2 * (u * t) * p1 + t * t * p2
    return points


def _sample_arcs(numbers: list[float]) -> np.ndarray:
    cx, cy, rx, ry, cos, sin, first, turned = np.reshape(numbers, (-1, 8)).T[:, :, None]
    angles = first + turned * _T
    across, down = rx * np.cos(angles), ry * np.sin(angles)
    return np.stack([cx + cos * across - sin * down, cy + sin * across + cos * down], axis=2)


def _centered(
    start: tuple[float, float],
    end: tuple[float, float],
    radii: tuple[float, float],
    degrees: float,
    large: bool,
    sweep: bool,
) -> tuple[float, ...] | None:
    """An arc by its center, as ``Outline._arcs`` holds it; None if it is a straight line (appendix B.2.4)."""
    rx, ry = radii
    if not math.isfinite(degrees):
        return None
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    half_x, half_y = (start[0] - end[0]) / 2, (start[1] - end[1]) / 2
    x, y = cos * half_x + sin * half_y, cos * half_y - sin * half_x
    if not (rx > 0 and ry > 0 and all(map(math.isfinite, (rx, ry, x, y)))):
        return None
    x, y = x / rx, y / ry  # on a unit circle now
    distance = x * x + y * y
    if distance > 1:  # the radii are too small to reach
        grow = math.sqrt(distance)
        rx, ry, x, y, distance = rx * grow, ry * grow, x / grow, y / grow, 1.0
    if not (distance > 0 and math.isfinite(distance)):
        return None
    aside = math.sqrt(max(0.0, 1 / distance - 1)) * (-1 if large == sweep else 1)
    center_x, center_y = aside * y, -aside * x
    first = math.atan2(y - center_y, x - center_x)
    turned = math.atan2(-y - center_y, -x - center_x) - first
    if sweep and turned < 0:
        turned += 2 * math.pi
    elif not sweep and turned > 0:
        turned -= 2 * math.pi
    cx = cos * rx * center_x - sin * ry * center_y + (start[0] + end[0]) / 2
    cy = sin * rx * center_x + cos * ry * center_y + (start[1] + end[1]) / 2
    return (cx, cy, rx, ry, cos, sin, first, turned)
