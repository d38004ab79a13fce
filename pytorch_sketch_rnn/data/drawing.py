"""Draws sketches as SVG and as pixels, one or a grid of them; :mod:`saving` writes them to files.

Each sketch fills its square cell as far as its aspect ratio allows, centred, in black round-capped lines on white.
As in ``draw_strokes`` of Magenta's notebook, the first offset moves the pen without drawing. Unlike in
``strokes.strokes_to_lines``, a last line without a lifted pen is drawn too. A title and labels are optional.
"""

import math
import textwrap
from collections.abc import Sequence
from typing import NamedTuple
from xml.sax.saxutils import escape

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from pytorch_sketch_rnn.data.strokes import Lines, strokes_to_lines
from pytorch_sketch_rnn.errors import BadInput

# In pixels, for SVG and PNG.
CELL = 160
LABEL_HEIGHT = 20
MARGIN = 10
LINE_WIDTH = 2.5
_FONT_SIZE = 13
_CHARACTER = 7  # a little more than the mean width of a character, so that wrapped text fits its page
# PNG lines are drawn this many times larger, then averaged, which makes them smooth.
_ENLARGEMENT = 4


def to_svg(sketch: np.ndarray) -> str:
    """Return an SVG document of one sketch, [n, 3] or [n, 5]; see ``grid_svg``."""
    return grid_svg([sketch], columns=1)


def grid_svg(
    sketches: Sequence[np.ndarray],
    columns: int | None = None,
    labels: Sequence[str] | None = None,
    *,
    title: str | None = None,
    row_labels: Sequence[str] | None = None,
) -> str:
    """Return an SVG document of sketches, row by row, in cells of ``CELL`` pixels.

    Args:
        sketches: stroke-3 [n, 3] or stroke-5 [n, 5]; the latter ends at its first p3. For n = 0 the cell is empty.
        columns: sketches per row; None for a nearly square grid.
        labels: a line of text for each sketch, in ``LABEL_HEIGHT`` more pixels below it.
        title: text at the top of the page, in lines of ``LABEL_HEIGHT`` pixels.
        row_labels: the same above each row.

    Raises:
        BadInput: if there are no sketches, a shape is wrong, numbers are not finite, columns < 1, or the number of
            labels differs from that of sketches, or of rows.
    """
    cells = fit_all(sketches)
    if labels is not None and len(labels) != len(cells):
        raise BadInput(f"labels: expected one for each of the {len(cells)} sketches, got {len(labels)}")
    page = page_layout(len(cells), columns, CELL if labels is None else CELL + LABEL_HEIGHT, title, row_labels)
    size = f'width="{page.width}" height="{page.height}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} viewBox="0 0 {page.width} {page.height}">',
        f'<rect {size} fill="white"/>',
    ]
    parts += [svg_text(text, f'x="{MARGIN}" y="{y}"') for text, y in page.texts]
    for index, (lines, (x, y)) in enumerate(zip(cells, page.places, strict=True)):
        parts.append(f'<g transform="translate({x} {y})">')
        parts.append(_svg_path(lines))
        if labels is not None:
            place = f'x="{CELL / 2}" y="{CELL + LABEL_HEIGHT / 2}" text-anchor="middle"'
            parts.append(svg_text(labels[index], place))
        parts.append("</g>")
    return "\n".join([*parts, "</svg>\n"])


class Page(NamedTuple):
    """Where everything is on a page, in pixels."""

    width: int
    height: int
    places: list[tuple[int, int]]  # the upper left corner of each sketch's cell
    texts: list[tuple[str, int]]  # the lines of the title and of the row labels, and the middle of each


def page_layout(
    count: int, columns: int | None, cell_height: int, title: str | None, row_labels: Sequence[str] | None
) -> Page:
    """Lay out a page of ``count`` cells."""
    if columns is None:
        columns = math.ceil(math.sqrt(count))
    if columns < 1:
        raise BadInput(f"columns: expected at least 1, got {columns}")
    rows, width = math.ceil(count / columns), columns * CELL
    if row_labels is not None and len(row_labels) != rows:
        raise BadInput(f"row_labels: expected one for each of the {rows} rows, got {len(row_labels)}")
    places, texts, y = [], [], 0

    def write(text: str) -> None:
        nonlocal y
        for line in textwrap.wrap(text, (width - 2 * MARGIN) // _CHARACTER):
            texts.append((line, y + LABEL_HEIGHT // 2))
            y += LABEL_HEIGHT

    write(title or "")
    for row in range(rows):
        write("" if row_labels is None else row_labels[row])
        places += [(column * CELL, y) for column in range(min(columns, count - row * columns))]
        y += cell_height
    return Page(width, y, places, texts)


def fit_all(sketches: Sequence[np.ndarray]) -> list[Lines]:
    """The lines of each sketch in pixels of its cell; see :func:`grid_svg`."""
    if len(sketches) == 0:
        raise BadInput("sketches: expected at least one to draw, got none")
    return [_fit(_drawn_lines(np.asarray(sketch), index), index) for index, sketch in enumerate(sketches)]


def stroke3(sketch: np.ndarray, index: int) -> np.ndarray:
    """Stroke-3 [n, 3] of stroke-3 or stroke-5, float64; the latter ends at its first p3.

    Raises:
        BadInput: when it is neither, or a number is not finite; it is called by its index.
    """
    if sketch.ndim != 2 or sketch.shape[1] not in (3, 5) or sketch.dtype.kind not in "biuf":
        raise BadInput(f"sketch {index}: expected numbers [n, 3] or [n, 5], got {sketch.dtype} {list(sketch.shape)}")
    if sketch.shape[1] == 5:
        # Not to_normal_strokes, which ignores an end in row 0; here that is an empty sketch.
        ended = np.flatnonzero(sketch[:, 4] > 0)
        sketch = sketch[: ended[0] if ended.size else len(sketch), [0, 1, 3]]
    strokes = sketch.astype(np.float64)
    if not np.isfinite(strokes).all():
        raise BadInput(f"sketch {index}: expected finite numbers, got NaN or infinity")
    return strokes


def _drawn_lines(sketch: np.ndarray, index: int) -> Lines:
    """Return all lines of a sketch, the unfinished last one included."""
    strokes = stroke3(sketch, index)
    strokes[-1:, 2] = 1
    return strokes_to_lines(strokes)


def _fit(lines: Lines, index: int) -> Lines:
    """Scale lines to the pixels of a cell, keeping their aspect ratio, and centre them."""
    if not lines:
        return []
    xs, ys = ([point[axis] for line in lines for point in line] for axis in (0, 1))
    extent = max(max(xs) - min(xs), max(ys) - min(ys))
    if not math.isfinite(extent):
        raise BadInput(f"sketch {index}: expected finite coordinates, got offsets whose sum overflows")
    # Halved before the addition, as the sum of two large numbers may overflow. A single dot has no extent.
    middle_x, middle_y = min(xs) / 2 + max(xs) / 2, min(ys) / 2 + max(ys) / 2
    extent = extent or 1.0
    inner = CELL - 2 * MARGIN
    return [
        [[CELL / 2 + (x - middle_x) / extent * inner, CELL / 2 + (y - middle_y) / extent * inner] for x, y in line]
        for line in lines
    ]


def _svg_path(lines: Lines) -> str:
    # A dot is drawn as a line to its own point, which round caps make a disc.
    data = " ".join(
        "M" + " L".join(f"{x:.2f} {y:.2f}" for x, y in (line if len(line) > 1 else line * 2)) for line in lines
    )
    style = f'fill="none" stroke="black" stroke-width="{LINE_WIDTH}" stroke-linecap="round" stroke-linejoin="round"'
    return f'<path d="{data}" {style}/>'


def svg_text(text: str, place: str) -> str:
    """A line of text whose middle is at a height."""
    font = f'font-family="sans-serif" font-size="{_FONT_SIZE}" dominant-baseline="central"'
    return f"<text {place} {font}>{escape(text)}</text>"


def grid_image(
    sketches: Sequence[np.ndarray],
    columns: int | None,
    *,
    title: str | None = None,
    row_labels: Sequence[str] | None = None,
) -> Image.Image:
    """The same as pixels, without labels; see :func:`grid_svg`."""
    cells = fit_all(sketches)
    return page_image(page_layout(len(cells), columns, CELL, title, row_labels), cells)


def page_image(page: Page, cells: Sequence[Lines]) -> Image.Image:
    """A page as pixels, from lines in pixels of their cells."""
    image = Image.new("L", (page.width, page.height), "white")
    for lines, place in zip(cells, page.places, strict=True):
        image.paste(_cell_image(lines), place)
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(_FONT_SIZE)
    for text, y in page.texts:
        draw.text((MARGIN, y), text, fill="black", font=font, anchor="lm")
    return image


def _cell_image(lines: Lines) -> Image.Image:
    image = Image.new("L", (CELL * _ENLARGEMENT, CELL * _ENLARGEMENT), "white")
    draw = ImageDraw.Draw(image)
    width = round(LINE_WIDTH * _ENLARGEMENT)
    for line in lines:
        points = [(x * _ENLARGEMENT, y * _ENLARGEMENT) for x, y in line]
        draw.line(points, fill="black", width=width)
        for point in points:  # round caps and joins
            draw.circle(point, width / 2, fill="black")
    return image.reduce(_ENLARGEMENT)
