"""Drawings from a folder of SVG files: the outlines of their shapes, in the order of the file.

The shapes are ``path``, ``line``, ``polyline``, ``polygon``, ``circle`` and ``ellipse``, under every ``transform``
around them. Skipped are ``rect``, which is the paper in most drawings, text, ``use``, and definitions that only other
elements refer to.

Source: SVG 1.1, https://www.w3.org/TR/SVG11/, chapters 7 to 9.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree

import numpy as np

from pytorch_sketch_rnn.data.sources.simplify import check_coordinates, import_extra, scale_lines
from pytorch_sketch_rnn.errors import BadInput, Refused, naming

if TYPE_CHECKING:
    import svgelements

MAX_BYTES = 4 << 20  # a path of this size takes about 10 seconds
_POINTS_PER_CURVE = 16
# Element: its class in svgelements.
_SHAPES = {
    "line": "SimpleLine",
    "polyline": "Polyline",
    "polygon": "Polygon",
    "circle": "Circle",
    "ellipse": "Ellipse",
}
_NOT_DRAWN = ("defs", "symbol", "clipPath", "mask", "marker", "pattern")


def svg_files(folder: Path) -> list[Path]:
    """The SVG files of a folder, sorted by name; subfolders are not searched.

    Raises:
        BadInput: if there are none, or the folder cannot be read.
    """
    try:
        files = sorted(path for path in folder.iterdir() if path.suffix.lower() == ".svg" and path.is_file())
    except OSError as error:
        raise BadInput(f"{folder}: cannot be read ({error.strerror})") from None
    if not files:
        raise BadInput(f"{folder}: expected a folder of .svg files, got one without any")
    return files


def read_svg(path: Path) -> list[np.ndarray]:
    """Read a drawing as lines, float64 [k, 2], scaled to 0..255.

    Raises:
        BadInput: if svgelements is missing, or the file cannot be read, is larger than ``MAX_BYTES``, has a DOCTYPE
            (whose entities can expand a small file without limit), is not SVG, or draws nothing.
    """
    import_extra("svgelements")
    with naming(path):
        lines = _all_lines(_parse(path))
        if not lines:
            raise Refused("expected at least one path, line, polyline, polygon, circle or ellipse, got none")
        for line in lines:
            check_coordinates(line)
    return scale_lines(lines)


def _all_lines(root: ElementTree.Element) -> list[np.ndarray]:
    try:
        with np.errstate(all="ignore"):  # numbers that are not finite are found by check_coordinates
            return [line for element, matrix in _shapes(root) for line in _transformed(_outline(element), matrix)]
    except Exception as error:  # for an invalid path, svgelements raises almost any type
        reason = f"{type(error).__name__}: {str(error)[:80]!a}"
        raise Refused(f"expected shapes and transforms as SVG defines them, got wrong ones ({reason})") from None


def sample_path(path: "svgelements.Path") -> list[np.ndarray]:
    """Sample each subpath as points, float64 [k, 2].

    A straight segment adds its end; a curve adds ``_POINTS_PER_CURVE`` points, evenly spaced in its parameter.
    """
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
    """Stops at a DOCTYPE, before the parser reads its entities."""

    def doctype(self, name: str, public: str | None, system: str | None) -> None:
        raise _DoctypeFound


class _DoctypeFound(Exception):
    pass


def _parse(path: Path) -> ElementTree.Element:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise Refused(f"cannot be read ({error.strerror})") from None
    if len(data) > MAX_BYTES:
        raise Refused(f"expected a drawing of at most {MAX_BYTES} bytes, got more")
    try:
        root = ElementTree.fromstring(data, ElementTree.XMLParser(target=_Builder()))
    except _DoctypeFound:
        raise Refused("expected an SVG without DOCTYPE, got one; take that declaration out") from None
    except (ElementTree.ParseError, ValueError, LookupError) as error:  # the last two: an unknown encoding
        raise Refused(f"expected an SVG, got a file that is no XML ({str(error)[:80]})") from None
    if _tag(root) != "svg":
        raise Refused(f"expected an SVG, got XML of another kind, <{_tag(root)[:40]}>")
    return root


def _tag(element: ElementTree.Element) -> str:
    """The element's name without the namespace, which some programs omit."""
    return element.tag.rpartition("}")[2]


def _shapes(root: ElementTree.Element) -> Iterator[tuple[ElementTree.Element, "svgelements.Matrix"]]:
    """Yield each drawn element with its transform, in file order."""
    import svgelements

    waiting = [(root, svgelements.Matrix())]  # not recursive, as a file can be nested to any depth
    while waiting:
        element, outer = waiting.pop()
        tag = _tag(element)
        if tag in _NOT_DRAWN:
            continue
        matrix = svgelements.Matrix(element.get("transform", "")) * outer  # svgelements applies the left factor first
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
    """The geometric attributes only: style can be invalid, and the transform is applied to the points later."""
    names = ("x1", "y1", "x2", "y2", "points", "cx", "cy", "r", "rx", "ry")
    return {name: element.attrib[name] for name in names if name in element.attrib}


def _transformed(lines: list[np.ndarray], matrix: "svgelements.Matrix") -> list[np.ndarray]:
    linear = np.array([[matrix.a, matrix.b], [matrix.c, matrix.d]], dtype=np.float64)
    return [line @ linear + np.array([matrix.e, matrix.f], dtype=np.float64) for line in lines]
