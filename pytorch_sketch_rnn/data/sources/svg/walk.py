"""Walks through a document as a browser paints it, and collects the outlines of what is painted, in that order.

The walk is not recursive, as elements can be nested to any depth.

Source: SVG 2, chapters 5 (structure, ``use``), 8 (viewports) and 13 (painting).
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from pytorch_sketch_rnn.data.sources.svg import painting
from pytorch_sketch_rnn.data.sources.svg.budget import Budget
from pytorch_sketch_rnn.data.sources.svg.css import StyleSheet
from pytorch_sketch_rnn.data.sources.svg.document import ELEMENT_STEPS, Element
from pytorch_sketch_rnn.data.sources.svg.lengths import parse_length
from pytorch_sketch_rnn.data.sources.svg.outline import Outline
from pytorch_sketch_rnn.data.sources.svg.paper import Paper
from pytorch_sketch_rnn.data.sources.svg.shapes import SHAPES, Lengths, draw_shape
from pytorch_sketch_rnn.data.sources.svg.transforms import (
    IDENTITY,
    Matrix,
    fit,
    multiply,
    parse_transform,
    view_box,
)

# Painted by a browser, but not made of lines.
_NOT_LINES = ("text", "image", "foreignObject", "video", "audio", "canvas", "iframe")
_ANIMATIONS = ("animate", "animateTransform", "animateMotion", "set")
_GROUPS = ("g", "a", "svg", "switch", "symbol", "use")
_DEFAULT_VIEWPORT = (300.0, 150.0)  # of a file without any size, as in a page


@dataclass(frozen=True, slots=True)
class _Visit:
    """An element to be painted, and what surrounds it."""

    element: Element
    matrix: Matrix
    style: Mapping[str, str]
    viewport: tuple[float, float]  # what percentages refer to
    size: tuple[str | None, str | None] = (None, None)  # that ``use`` gives an svg or symbol
    used_directly: bool = False


def painted_lines(root: Element, budget: Budget) -> tuple[list[np.ndarray], list[str]]:
    """The outlines of all that is painted.

    Returns:
        The lines, float64 [k, 2], in user units of the root element, in the order of painting; and the names of what
        a browser paints but is missing from them, or is painted differently.

    Raises:
        Refused: if the drawing exceeds the budget.
    """
    walk = _Walk(root, budget)
    walk.visit_all()
    return walk.lines, list(walk.missing)


class _Walk:
    """The state of a walk."""

    def __init__(self, root: Element, budget: Budget) -> None:
        self.lines: list[np.ndarray] = []
        self.missing: dict[str, None] = {}  # a set that keeps its order
        self._budget = budget
        self._root = root
        self._ids: dict[str, Element] = {}
        self._open: set[int] = set()  # the elements around the one that is visited
        sheets = []
        for element in _descendants(root):
            if "id" in element.attributes:
                self._ids.setdefault(element.attributes["id"], element)
            if element.tag == "style" and element.attributes.get("type", "text/css") in ("", "text/css"):
                sheets.append(element.text)
        self._sheet = StyleSheet(sheets, budget)
        if self._sheet.unsupported:
            self._miss("some style rules")
        self._paper, self._viewport = _paper(root)

    def visit_all(self) -> None:
        """Visit every element that is painted, and with each use of one."""
        first = _Visit(self._root, _root_matrix(self._root), painting.INITIAL, self._viewport)
        waiting: list[tuple[Element | None, Iterator[_Visit]]] = [(None, iter([first]))]
        while waiting:
            element, inside = waiting[-1]
            visit = next(inside, None)
            if visit is not None:
                waiting.append((visit.element, self._inside(visit)))
                self._open.add(id(visit.element))
            else:
                waiting.pop()
                self._open.discard(id(element))

    def _miss(self, name: str) -> None:
        self.missing[name] = None

    def _inside(self, visit: _Visit) -> Iterator[_Visit]:
        """Paint an element, or return the elements in it that are to be painted."""
        self._budget.spend(ELEMENT_STEPS)
        element, tag = visit.element, visit.element.tag
        if tag in _ANIMATIONS:
            self._miss("animations")
        if not (tag in SHAPES or tag in _NOT_LINES or tag in _GROUPS) or (tag == "symbol" and not visit.used_directly):
            return iter(())
        values = painting.declared(element, self._sheet, self._budget)
        if painting.is_hidden(values) and tag != "symbol":
            return iter(())
        style = painting.inherit(visit.style, values)
        if tag in _NOT_LINES:
            if painting.is_visible(style) and (tag != "text" or element.text.strip()):
                self._miss(tag)
            return iter(())
        matrix = self._transformed(visit.matrix, values)
        attributes = {**element.attributes, **values}
        self._note_effects(values, style, matrix, is_shape=tag in SHAPES)
        if tag in SHAPES:
            self._paint(element, attributes, matrix, style, visit.viewport)
            if any(child.tag in _ANIMATIONS for child in element.children):
                self._miss("animations")
            return iter(())
        if tag == "use":
            return self._target(visit, attributes, matrix, style)
        if tag in ("svg", "symbol") and element is not self._root:
            return self._nested(visit, attributes, matrix, style)
        if tag == "switch":
            return (_within(visit, child, matrix, style) for child in _chosen(element))
        return (_within(visit, child, matrix, style) for child in element.children)

    def _transformed(self, outer: Matrix, values: Mapping[str, str]) -> Matrix:
        if "transform" not in values:
            return outer
        matrix = parse_transform(values["transform"], self._budget)
        if matrix is None:
            self._miss("invalid transforms")
            return outer
        if "transform-origin" in values and matrix != IDENTITY:
            self._miss("transform-origin")
        return multiply(outer, matrix)

    def _note_effects(
        self, values: Mapping[str, str], style: Mapping[str, str], matrix: Matrix, is_shape: bool
    ) -> None:
        for name in painting.EFFECTS:
            value = values.get(name, "none")
            if name in painting.INITIAL:  # inherited, and so noted at the shapes
                value = style[name] if is_shape else "none"
            if value in ("none", "inherit", "initial", "unset", "0") or not self._has_effect(name, value, matrix):
                continue
            if name != "stroke-dasharray" or painting.has_stroke(style, self._ids):
                self._miss("markers" if name.startswith("marker") else name)

    def _has_effect(self, name: str, value: str, matrix: Matrix) -> bool:
        """Whether a clipping path clips: design programs write one that has the size of the paper."""
        target = self._ids.get(painting.referenced(value) or "")
        if target is None:
            return name == "stroke-dasharray" or "url(" not in value  # a browser ignores a broken reference
        if name != "clip-path" or self._paper is None or len(target.children) != 1:
            return True
        [shape] = target.children
        if shape.tag != "rect" or "transform" in shape.attributes or "clipPathUnits" in target.attributes:
            return True
        outline = Outline(self._budget)
        draw_shape("rect", shape.attributes, self._viewport, outline, self._budget)
        return not self._paper.is_paper(_transform(outline.lines(), matrix))

    def _paint(
        self,
        element: Element,
        attributes: Mapping[str, str],
        matrix: Matrix,
        style: Mapping[str, str],
        viewport: tuple[float, float],
    ) -> None:
        """Add the outline of a shape, as far as it is painted."""
        filled = painting.is_visible(style) and painting.has_fill(style, self._ids)
        stroked = painting.is_visible(style) and painting.has_stroke(style, self._ids)
        if not (filled or stroked):
            return
        outline = Outline(self._budget)
        if not draw_shape(element.tag, attributes, viewport, outline, self._budget):
            self._miss("what follows an error in a path or in points")
        lines = _transform(outline.lines(), matrix)
        if not stroked and not self.lines and self._is_paper(element, attributes, lines):
            return
        a, b, c, d, *_ = matrix
        pen = math.sqrt(abs(a * d - b * c)) * (parse_length(style["stroke-width"]) or 0) / 2 if stroked else 0.0
        if not math.isfinite(pen):
            pen = 0.0
        lone_points = stroked and style["stroke-linecap"] != "butt"
        without_inside = stroked or painting.is_plain(style)
        for line in lines:
            if not without_inside and len(line) == 2:
                continue
            if not lone_points and (line == line[0]).all():
                continue
            if self._paper is None or self._paper.shows(line, pen):
                self.lines.append(line)

    def _is_paper(self, element: Element, attributes: Mapping[str, str], lines: list[np.ndarray]) -> bool:
        if self._paper is not None:
            return self._paper.is_paper(lines)
        return element.tag == "rect" and attributes.get("width") == attributes.get("height") == "100%"

    def _target(
        self, visit: _Visit, attributes: Mapping[str, str], matrix: Matrix, style: Mapping[str, str]
    ) -> Iterator[_Visit]:
        """What a ``use`` element uses, unless that contains the element itself."""
        href = attributes.get("href", "").strip()
        target = self._ids.get(href[1:]) if href.startswith("#") else None
        if target is None:
            self._miss("use of what is not in the file")
            return
        if id(target) in self._open:
            return  # a cycle, which a browser does not paint
        lengths = Lengths(attributes, visit.viewport)
        moved = multiply(matrix, (1.0, 0.0, 0.0, 1.0, lengths.across("x"), lengths.down("y")))
        size = (attributes.get("width"), attributes.get("height"))
        yield _Visit(target, moved, style, visit.viewport, size, used_directly=True)

    def _nested(
        self, visit: _Visit, attributes: Mapping[str, str], matrix: Matrix, style: Mapping[str, str]
    ) -> Iterator[_Visit]:
        """What is in an ``svg`` or ``symbol``, which has a viewport of its own."""
        given = {name: size for name, size in zip(("width", "height"), visit.size, strict=True) if size is not None}
        lengths = Lengths({**attributes, **given}, visit.viewport)
        width, height = lengths.across("width", "100%"), lengths.down("height", "100%")
        box = view_box(attributes.get("viewBox"))
        if not (width > 0 and height > 0) or (box is not None and not (box[2] > 0 and box[3] > 0)):
            return
        matrix = multiply(matrix, (1.0, 0.0, 0.0, 1.0, lengths.across("x"), lengths.down("y")))
        viewport = (width, height)
        if box is not None:
            matrix = multiply(matrix, fit(box, width, height, attributes.get("preserveAspectRatio", "")))
            viewport = box[2:]
        for child in visit.element.children:
            yield _Visit(child, matrix, style, viewport)


def _within(visit: _Visit, child: Element, matrix: Matrix, style: Mapping[str, str]) -> _Visit:
    return _Visit(child, matrix, style, visit.viewport)


def _chosen(switch: Element) -> list[Element]:
    """The child of a ``switch`` that is painted: the first one whose conditions hold."""
    for child in switch.children:
        languages = child.attributes.get("systemLanguage", "en").replace(" ", "").split(",")
        if child.attributes.get("requiredExtensions", "") == "" and any(word[:2] == "en" for word in languages):
            return [child]
    return []


def _descendants(root: Element) -> Iterator[Element]:
    """All elements in the order of the file."""
    waiting = [root]
    while waiting:
        element = waiting.pop()
        yield element
        waiting.extend(reversed(element.children))


def _paper(root: Element) -> tuple[Paper | None, tuple[float, float]]:
    """The viewport of a file, None if it gives no size; and the size that percentages refer to."""
    box = view_box(root.attributes.get("viewBox"))
    if box is not None and box[2] > 0 and box[3] > 0:
        return Paper(*box), box[2:]
    given = [root.attributes.get(name, "") for name in ("width", "height")]
    sizes = [None if "%" in text else parse_length(text) for text in given]
    width, height = sizes
    if width and height and width > 0 and height > 0:
        return Paper(0.0, 0.0, width, height), (width, height)
    return None, _DEFAULT_VIEWPORT


def _root_matrix(root: Element) -> Matrix:
    """The root's view box scales and moves all alike, which a drawing does not keep; but it can also stretch it."""
    box = view_box(root.attributes.get("viewBox"))
    width, height = (parse_length(root.attributes.get(name)) for name in ("width", "height"))
    aspect = root.attributes.get("preserveAspectRatio", "").split()
    if box is None or not width or not height or aspect[:1] != ["none"] or not (box[2] > 0 and box[3] > 0):
        return IDENTITY
    across, down = width / box[2], height / box[3]
    return (1.0, 0.0, 0.0, down / across, 0.0, 0.0) if across else IDENTITY


def _transform(lines: list[np.ndarray], matrix: Matrix) -> list[np.ndarray]:
    if matrix == IDENTITY:
        return lines
    a, b, c, d, e, f = matrix
    linear, offset = np.array([[a, b], [c, d]]), np.array([e, f])
    return [line @ linear + offset for line in lines]
