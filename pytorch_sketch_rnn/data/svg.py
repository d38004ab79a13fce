"""Drawings from a folder of SVG files: the outlines of their shapes, in the order of the file.

Read are ``path``, ``line``, ``polyline``, ``polygon``, ``circle`` and ``ellipse``, under every ``transform`` around
them. ``rect`` is not, as it is the paper in most drawings; nor is text, nor ``use``, nor what is only referred to.

Source: SVG 1.1, https://www.w3.org/TR/SVG11/, chapters 7 to 9.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree

import numpy as np

from pytorch_sketch_rnn.data.simplify import check_coordinates, import_extra, scale_lines
from pytorch_sketch_rnn.errors import BadInput

if TYPE_CHECKING:
    import svgelements

MAX_BYTES = 4 << 20  # a path of this size takes about 10 seconds
_POINTS_PER_CURVE = 16
# Their classes in svgelements.
_SHAPES = {
    "line": "SimpleLine",
    "polyline": "Polyline",
    "polygon": "Polygon",
    "circle": "Circle",
    "ellipse": "Ellipse",
}
_NOT_DRAWN = ("defs", "symbol", "clipPath", "mask", "marker", "pattern")


def svg_files(folder: Path) -> list[Path]:
    """Return the SVG files of a folder by name, those of folders in it not among them.

    Raises:
        BadInput: where there are none, or the folder cannot be read.
    """
    try:
        files = sorted(path for path in folder.iterdir() if path.suffix.lower() == ".svg" and path.is_file())
    except OSError as error:
        raise BadInput(f"{folder}: cannot be read ({error.strerror})") from None
    if not files:
        raise BadInput(f"{folder}: expected a folder of .svg files, got one without any")
    return files


def read_svg(path: Path) -> list[np.ndarray]:
    """Return a drawing as its lines, float64 [k, 2], scaled to 0..255.

    Raises:
        BadInput: where svgelements is missing, or the file cannot be read, is larger than ``MAX_BYTES``, has a
            DOCTYPE (which can make a small file unfold without end), is no SVG, or draws nothing.
    """
    import_extra("svgelements")
    root = _parse(path)
    try:
        with np.errstate(all="ignore"):  # what is not finite is found below
            lines = [line for element, matrix in _shapes(root) for line in _transformed(_outline(element), matrix)]
    except Exception as error:  # svgelements has none of its own: a wrong path raises nearly any
        reason = f"{type(error).__name__}: {str(error)[:80]!a}"
        raise BadInput(
            f"{path}: expected shapes and transforms as SVG defines them, got wrong ones ({reason})"
        ) from None
    if not lines:
        raise BadInput(f"{path}: expected at least one path, line, polyline, polygon, circle or ellipse, got none")
    for line in lines:
        check_coordinates(line, str(path))
    return scale_lines(lines)


def sample_path(path: "svgelements.Path") -> list[np.ndarray]:
    """Return the subpaths as points, float64 [k, 2]: ``_POINTS_PER_CURVE`` a curve, evenly spaced in its parameter."""
    import svgelements

    lines: list[list[np.ndarray]] = []
    for segment in path:
        if isinstance(segment, svgelements.Move):
            lines.append([np.array([[segment.end.x, segment.end.y]], dtype=np.float64)])
        else:
            count = 1 if isinstance(segment, svgelements.Line | svgelements.Close) else _POINTS_PER_CURVE
            points = segment.npoint(np.linspace(0, 1, count + 1)[1:])
            lines[-1].append(np.asarray(points, dtype=np.float64))
    return [np.concatenate(line) for line in lines if len(line) > 1]  # a move alone draws nothing


class _Builder(ElementTree.TreeBuilder):
    """Stops at a DOCTYPE, before the parser reads the entities in it."""

    def doctype(self, name: str, public: str | None, system: str | None) -> None:
        raise _DoctypeFound


class _DoctypeFound(Exception):
    pass


def _parse(path: Path) -> ElementTree.Element:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise BadInput(f"{path}: cannot be read ({error.strerror})") from None
    if len(data) > MAX_BYTES:
        raise BadInput(f"{path}: expected a drawing of at most {MAX_BYTES} bytes, got more")
    try:
        root = ElementTree.fromstring(data, ElementTree.XMLParser(target=_Builder()))
    except _DoctypeFound:
        raise BadInput(f"{path}: expected an SVG without DOCTYPE, got one; take that declaration out") from None
    except (ElementTree.ParseError, ValueError, LookupError) as error:  # the latter two: of an unknown encoding
        raise BadInput(f"{path}: expected an SVG, got a file that is no XML ({str(error)[:80]})") from None
    if _tag(root) != "svg":
        raise BadInput(f"{path}: expected an SVG, got XML of another kind, <{_tag(root)[:40]}>")
    return root


def _tag(element: ElementTree.Element) -> str:
    """Return its name without the namespace, which some programs leave out."""
    return element.tag.rpartition("}")[2]


def _shapes(root: ElementTree.Element) -> Iterator[tuple[ElementTree.Element, "svgelements.Matrix"]]:
    """Yield the elements that are drawn and the transform of each, in the order of the file."""
    import svgelements

    waiting = [(root, svgelements.Matrix())]  # no recursion: a file may be nested as deeply as it is long
    while waiting:
        element, outer = waiting.pop()
        tag = _tag(element)
        if tag in _NOT_DRAWN:
            continue
        matrix = svgelements.Matrix(element.get("transform", "")) * outer  # svgelements applies the left one first
        if tag == "path" or tag in _SHAPES:
            yield element, matrix
        waiting.extend((child, matrix) for child in reversed(element))


def _outline(element: ElementTree.Element) -> list[np.ndarray]:
    import svgelements

    tag = _tag(element)
    if tag == "path":
        return sample_path(svgelements.Path(element.get("d", "")))
    return sample_path(svgelements.Path(getattr(svgelements, _SHAPES[tag])(_geometry(element))))


def _geometry(element: ElementTree.Element) -> dict[str, str]:
    """Return the attributes without those of style, and without the transform, which is applied to the points."""
    names = ("x1", "y1", "x2", "y2", "points", "cx", "cy", "r", "rx", "ry")
    return {name: element.attrib[name] for name in names if name in element.attrib}


def _transformed(lines: list[np.ndarray], matrix: "svgelements.Matrix") -> list[np.ndarray]:
    linear = np.array([[matrix.a, matrix.b], [matrix.c, matrix.d]], dtype=np.float64)
    return [line @ linear + np.array([matrix.e, matrix.f], dtype=np.float64) for line in lines]
