"""Reads the ``d`` of a path in one pass. As in a browser, what stands before an error is drawn.

No library: svgelements takes quadratic time for some paths (33 KB of ``z`` took more than 25 seconds), and refuses the
whole path for an error.

Source: SVG 2, chapter 9.3; chapter 9.5.4 for errors.
"""

import re
from collections.abc import Callable, Iterator

from pytorch_sketch_rnn.data.sources.svg.budget import Budget
from pytorch_sketch_rnn.data.sources.svg.lengths import NUMBER
from pytorch_sketch_rnn.data.sources.svg.outline import Outline

_SPACE = r"[ \t\r\n\f]*+"
_BETWEEN = rf"{_SPACE},?+{_SPACE}"
# No letter of a command occurs in a number.
_COMMAND = re.compile(r"([MmZzLlHhVvCcSsQqTtAa])([^MmZzLlHhVvCcSsQqTtAa]*+)")
_NUMBERS = re.compile(rf"{_SPACE}(?:{NUMBER}{_BETWEEN})*+")
_NUMBER = re.compile(NUMBER)
# The flags may be followed directly by the next number: "a1 1 0 0110 10".
_ARC = re.compile(_SPACE + "".join(rf"({part}){_BETWEEN}" for part in [NUMBER] * 3 + ["[01]"] * 2 + [NUMBER] * 2))


def draw_path(data: str, outline: Outline, budget: Budget) -> bool:
    """Draw a path's data; returns whether all of it is valid."""
    data = data.strip(" \t\r\n\f")
    if not data or data == "none":
        return True
    if data[0] not in "Mm":
        return False
    pen = _Pen(outline, budget)
    for match in _COMMAND.finditer(data):
        budget.spend(1)
        if not pen.obey(match[1], match[2]):
            return False
    return True


class _Pen:
    """Obeys the commands of a path."""

    def __init__(self, outline: Outline, budget: Budget) -> None:
        self._outline = outline
        self._budget = budget
        self._before = ""  # the last command, which decides what S and T reflect
        self._control = (0.0, 0.0)  # the last control point

    def obey(self, letter: str, text: str) -> bool:
        """Draw one command with all its arguments, as far as they are valid; returns whether all are."""
        command = letter.upper()
        if command == "Z":
            self._outline.close()
            self._before = "Z"
            return not text.strip(" \t\r\n\f")
        if command == "A":
            groups, valid = _arcs(text)
        else:
            numbers, valid = _numbers(text)
            size = _COMMANDS[command][0]
            valid = valid and bool(numbers) and len(numbers) % size == 0
            flat = iter(numbers)
            groups = zip(*[flat] * size, strict=False)
        draw, relative = _COMMANDS[command][1], letter != command
        for group in groups:
            draw(self, relative, *group)
            self._before = command
            if command == "M":
                draw = _Pen._line  # further pairs are lines
        return valid

    def _at(self, relative: bool, x: float, y: float) -> tuple[float, float]:
        return (self._outline.x + x, self._outline.y + y) if relative else (x, y)

    def _move(self, relative: bool, x: float, y: float) -> None:
        self._outline.move_to(*self._at(relative, x, y))

    def _line(self, relative: bool, x: float, y: float) -> None:
        self._outline.line_to(*self._at(relative, x, y))

    def _horizontal(self, relative: bool, x: float) -> None:
        self._outline.line_to(self._outline.x + x if relative else x, self._outline.y)

    def _vertical(self, relative: bool, y: float) -> None:
        self._outline.line_to(self._outline.x, self._outline.y + y if relative else y)

    def _cubic(self, relative: bool, x1: float, y1: float, *rest: float) -> None:
        self._cubic_from(self._at(relative, x1, y1), relative, *rest)

    def _smooth_cubic(self, relative: bool, *rest: float) -> None:
        self._cubic_from(self._reflected("CS"), relative, *rest)

    def _cubic_from(self, first: tuple[float, float], relative: bool, x2: float, y2: float, x: float, y: float) -> None:
        self._control = self._at(relative, x2, y2)
        self._outline.cubic_to(*first, *self._control, *self._at(relative, x, y))

    def _quadratic(self, relative: bool, x1: float, y1: float, x: float, y: float) -> None:
        self._control = self._at(relative, x1, y1)
        self._outline.quadratic_to(*self._control, *self._at(relative, x, y))

    def _smooth_quadratic(self, relative: bool, x: float, y: float) -> None:
        self._control = self._reflected("QT")
        self._outline.quadratic_to(*self._control, *self._at(relative, x, y))

    def _arc(
        self, relative: bool, rx: float, ry: float, degrees: float, large: float, sweep: float, x: float, y: float
    ) -> None:
        self._outline.arc_to(rx, ry, degrees, bool(large), bool(sweep), *self._at(relative, x, y))

    def _reflected(self, commands: str) -> tuple[float, float]:
        """The last control point mirrored at the pen, if the last command was one of these; otherwise the pen."""
        x, y = self._outline.x, self._outline.y
        if self._before not in commands or not self._before:
            return x, y
        return 2 * x - self._control[0], 2 * y - self._control[1]


# Command: the numbers that it takes at a time, and how it is drawn.
_COMMANDS: dict[str, tuple[int, Callable[..., None]]] = {
    "M": (2, _Pen._move),
    "L": (2, _Pen._line),
    "H": (1, _Pen._horizontal),
    "V": (1, _Pen._vertical),
    "C": (6, _Pen._cubic),
    "S": (4, _Pen._smooth_cubic),
    "Q": (4, _Pen._quadratic),
    "T": (2, _Pen._smooth_quadratic),
    "A": (7, _Pen._arc),
}


def _numbers(text: str) -> tuple[list[float], bool]:
    """The numbers of an argument list up to its first error, and whether there is none."""
    match = _NUMBERS.match(text)
    end = match.end() if match else 0
    return [float(number) for number in _NUMBER.findall(text, 0, end)], end == len(text)


def _arcs(text: str) -> tuple[Iterator[tuple[float, ...]], bool]:
    """The arguments of arcs up to the first error, and whether there is none."""
    arcs, end = [], 0
    while end < len(text) and (match := _ARC.match(text, end)):
        arcs.append(tuple(map(float, match.groups())))
        end = match.end()
    return iter(arcs), end == len(text) and bool(arcs)
