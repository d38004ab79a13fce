"""Transforms: their syntax, and the matrices that they and viewports stand for.

Source: SVG 2, chapters 8.5 and 8.7; CSS Transforms 1, chapter 8.
"""

import math
import re
from collections.abc import Callable, Sequence

from pytorch_sketch_rnn.data.sources.svg.budget import Budget
from pytorch_sketch_rnn.data.sources.svg.lengths import NUMBER

# (a, b, c, d, e, f): x' = a x + c y + e, y' = b x + d y + f.
Matrix = tuple[float, float, float, float, float, float]
IDENTITY: Matrix = (1.0, 0.0, 0.0, 1.0, 0.0, 0.0)
_SPACE = r"[ \t\r\n\f]*+"
# In an attribute numbers have no unit; in CSS they have.
_ARGUMENTS = rf"(?:{NUMBER}(?:px|deg)?+{_SPACE},?+{_SPACE})++"
_FUNCTION = re.compile(rf"{_SPACE},?+{_SPACE}([a-zA-Z]+){_SPACE}\({_SPACE}({_ARGUMENTS})\){_SPACE}")
_NUMBER = re.compile(NUMBER)
_VIEW_BOX = re.compile(rf"{_SPACE}{_ARGUMENTS}")


def multiply(outer: Matrix, inner: Matrix) -> Matrix:
    """The matrix that applies ``inner`` first."""
    a, b, c, d, e, f = outer
    g, h, i, j, k, m = inner
    return (a * g + c * h, b * g + d * h, a * i + c * j, b * i + d * j, a * k + c * m + e, b * k + d * m + f)


def parse_transform(text: str, budget: Budget) -> Matrix | None:
    """Parse a list of transforms, the first one applied last; None if it is invalid, which a browser ignores."""
    matrix, position = IDENTITY, 0
    if not text.strip() or text.strip() == "none":
        return IDENTITY
    while position < len(text):
        budget.spend(1)
        match = _FUNCTION.match(text, position)
        if match is None:
            return None
        arguments = [float(number) for number in _NUMBER.findall(match[2])]
        make, counts = _FUNCTIONS.get(match[1], (_translate, ()))
        if len(arguments) not in counts or not all(map(math.isfinite, arguments)):
            return None
        matrix = multiply(matrix, make(*arguments))
        position = match.end()
    return matrix


def view_box(text: str | None) -> tuple[float, float, float, float] | None:
    """Parse a view box, (x, y, width, height); None if there is none, or if it is invalid, which a browser ignores."""
    if text is None or not _VIEW_BOX.fullmatch(text):
        return None
    numbers = [float(number) for number in _NUMBER.findall(text)]
    if len(numbers) != 4 or not all(map(math.isfinite, numbers)) or min(numbers[2:]) < 0:
        return None
    x, y, width, height = numbers
    return x, y, width, height


def fit(box: tuple[float, float, float, float], width: float, height: float, aspect: str) -> Matrix:
    """The matrix from a view box of positive size to a viewport at (0, 0); ``aspect`` is preserveAspectRatio."""
    x, y, box_width, box_height = box
    across, down = width / box_width, height / box_height
    words: Sequence[str] = aspect.split() or ("xMidYMid",)
    if words[0] == "none":
        return (across, 0.0, 0.0, down, -x * across, -y * down)
    scale = max(across, down) if words[-1] == "slice" else min(across, down)
    shares = {"Min": 0.0, "Mid": 0.5, "Max": 1.0}
    left = (width - box_width * scale) * shares.get(words[0][1:4], 0.5)
    top = (height - box_height * scale) * shares.get(words[0][5:8], 0.5)
    return (scale, 0.0, 0.0, scale, left - x * scale, top - y * scale)


def _translate(x: float, y: float = 0.0) -> Matrix:
    return (1.0, 0.0, 0.0, 1.0, x, y)


def _scale(x: float, y: float | None = None) -> Matrix:
    return (x, 0.0, 0.0, x if y is None else y, 0.0, 0.0)


def _rotate(degrees: float, x: float = 0.0, y: float = 0.0) -> Matrix:
    turned = math.fmod(degrees, 360) % 360
    # Exact for quarters of a turn, where rounding would tilt straight lines.
    quarters = {0.0: (1.0, 0.0), 90.0: (0.0, 1.0), 180.0: (-1.0, 0.0), 270.0: (0.0, -1.0)}
    cos, sin = quarters.get(turned, (math.cos(math.radians(turned)), math.sin(math.radians(turned))))
    return multiply(multiply(_translate(x, y), (cos, sin, -sin, cos, 0.0, 0.0)), _translate(-x, -y))


def _skew_x(degrees: float) -> Matrix:
    return (1.0, 0.0, math.tan(math.radians(degrees)), 1.0, 0.0, 0.0)


def _skew_y(degrees: float) -> Matrix:
    return (1.0, math.tan(math.radians(degrees)), 0.0, 1.0, 0.0, 0.0)


def _matrix(a: float, b: float, c: float, d: float, e: float, f: float) -> Matrix:
    return (a, b, c, d, e, f)


# Name: the function, and the numbers of arguments that it takes.
_FUNCTIONS: dict[str, tuple[Callable[..., Matrix], tuple[int, ...]]] = {
    "matrix": (_matrix, (6,)),
    "translate": (_translate, (1, 2)),
    "translateX": (_translate, (1,)),
    "scale": (_scale, (1, 2)),
    "rotate": (_rotate, (1, 3)),
    "skewX": (_skew_x, (1,)),
    "skewY": (_skew_y, (1,)),
}
