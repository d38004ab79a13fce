"""The outlines of the basic shapes and of paths.

Source: SVG 2, chapters 7.7, 9 and 10.
"""

import math
import re
from collections.abc import Callable, Mapping

from pytorch_sketch_rnn.data.sources.svg.budget import Budget
from pytorch_sketch_rnn.data.sources.svg.lengths import NUMBER, parse_length
from pytorch_sketch_rnn.data.sources.svg.outline import Outline
from pytorch_sketch_rnn.data.sources.svg.path_data import draw_path

_POINTS = re.compile(rf"[ \t\r\n\f]*+(?:{NUMBER}[ \t\r\n\f]*+,?+[ \t\r\n\f]*+)*+")
_NUMBER = re.compile(NUMBER)


class Lengths:
    """The geometric attributes of an element, in units of its user space.

    Args:
        attributes: by name; what is missing or invalid has its default.
        viewport: width and height that percentages refer to.
    """

    def __init__(self, attributes: Mapping[str, str], viewport: tuple[float, float]) -> None:
        self._attributes = attributes
        self._viewport = viewport

    def across(self, name: str, default: str = "0") -> float:
        """A length in x."""
        return self._length(name, default, self._viewport[0])

    def down(self, name: str, default: str = "0") -> float:
        """A length in y."""
        return self._length(name, default, self._viewport[1])

    def radius(self, name: str) -> float:
        """A length in neither direction."""
        return self._length(name, "0", math.hypot(*self._viewport) / math.sqrt(2))

    def has(self, name: str) -> bool:
        """Whether the attribute is given, valid, and not negative (``auto``, for a radius)."""
        length = parse_length(self._attributes.get(name))
        return length is not None and length >= 0

    def _length(self, name: str, default: str, whole: float) -> float:
        length = parse_length(self._attributes.get(name), whole)
        if length is None:
            length = parse_length(default, whole)
        return length or 0.0


def draw_shape(
    tag: str, attributes: Mapping[str, str], viewport: tuple[float, float], outline: Outline, budget: Budget
) -> bool:
    """Draw the outline of an element whose tag is in ``SHAPES``; returns whether all its data is valid."""
    if tag == "path":
        return draw_path(attributes.get("d", ""), outline, budget)
    if tag in ("polyline", "polygon"):
        return _draw_points(attributes.get("points", ""), outline, closed=tag == "polygon")
    _LENGTH_SHAPES[tag](Lengths(attributes, viewport), outline)
    return True


def _draw_points(text: str, outline: Outline, closed: bool) -> bool:
    """Draw the points up to the first error."""
    match = _POINTS.match(text)
    end = match.end() if match else 0
    numbers = [float(number) for number in _NUMBER.findall(text, 0, end)]
    flat = iter(numbers)
    draw = outline.move_to
    for x, y in zip(flat, flat, strict=False):
        draw(x, y)
        draw = outline.line_to
    if closed and len(numbers) > 1:
        outline.close()
    return end == len(text) and len(numbers) % 2 == 0


def _draw_line(lengths: Lengths, outline: Outline) -> None:
    outline.move_to(lengths.across("x1"), lengths.down("y1"))
    outline.line_to(lengths.across("x2"), lengths.down("y2"))


def _draw_circle(lengths: Lengths, outline: Outline) -> None:
    radius = lengths.radius("r")
    if radius > 0:
        outline.ellipse(lengths.across("cx"), lengths.down("cy"), radius, radius)


def _draw_ellipse(lengths: Lengths, outline: Outline) -> None:
    rx, ry = _radii(lengths)
    if rx > 0 and ry > 0:
        outline.ellipse(lengths.across("cx"), lengths.down("cy"), rx, ry)


def _draw_rect(lengths: Lengths, outline: Outline) -> None:
    x, y, width, height = lengths.across("x"), lengths.down("y"), lengths.across("width"), lengths.down("height")
    if not (width > 0 and height > 0):
        return
    rx, ry = _radii(lengths)
    rx, ry = min(rx, width / 2), min(ry, height / 2)
    right, bottom = x + width, y + height
    if not (rx > 0 and ry > 0):
        outline.move_to(x, y)
        for corner in ((right, y), (right, bottom), (x, bottom)):
            outline.line_to(*corner)
        outline.close()
        return
    outline.move_to(x + rx, y)
    for straight, turned in (
        ((right - rx, y), (right, y + ry)),
        ((right, bottom - ry), (right - rx, bottom)),
        ((x + rx, bottom), (x, bottom - ry)),
        ((x, y + ry), (x + rx, y)),
    ):
        outline.line_to(*straight)
        outline.arc_to(rx, ry, 0.0, False, True, *turned)
    outline.close()


def _radii(lengths: Lengths) -> tuple[float, float]:
    """Both radii; one that is not given equals the other."""
    rx, ry = lengths.across("rx"), lengths.down("ry")
    if not lengths.has("rx"):
        rx = ry
    if not lengths.has("ry"):
        ry = rx
    return rx, ry


_LENGTH_SHAPES: dict[str, Callable[[Lengths, Outline], None]] = {
    "line": _draw_line,
    "circle": _draw_circle,
    "ellipse": _draw_ellipse,
    "rect": _draw_rect,
}
SHAPES = frozenset(("path", "polyline", "polygon", *_LENGTH_SHAPES))
