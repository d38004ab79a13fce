"""Draws sketches as they come about, point by point: as an SVG that animates itself, and as the frames of a GIF.

All sketches of a page begin together, and each is drawn at the same number of points a second.
"""

from collections.abc import Sequence

import numpy as np
from PIL import Image

from pytorch_sketch_rnn.data.drawing import CELL, LINE_WIDTH, MARGIN, Page, fit_all, page_image, page_layout, svg_text
from pytorch_sketch_rnn.data.strokes import Lines
from pytorch_sketch_rnn.errors import BadInput

POINTS_A_SECOND = 40
FRAMES_A_SECOND = 20
MOST_FRAMES = 200  # of a GIF; longer drawings skip points
LARGEST_SIDE = 65_535  # pixels of a GIF, which the format counts in 16 bits
MOST_PIXELS = 500_000_000  # of all frames together, a byte each; larger pages have fewer frames
LAST_SECONDS = 2.0  # how long a GIF shows the finished page

# A line of length 1 is hidden by a gap of its own length, which moves away. Whoever asks for less motion sees it whole.
_STYLE = f"""path{{fill:none;stroke:black;stroke-width:{LINE_WIDTH};stroke-linecap:round;stroke-linejoin:round;
stroke-dasharray:1.1;stroke-dashoffset:1.1;visibility:hidden;animation:draw linear forwards}}
@keyframes draw{{from{{visibility:visible}}to{{stroke-dashoffset:0;visibility:visible}}}}
@media(prefers-reduced-motion:reduce){{path{{animation:none;stroke-dashoffset:0;visibility:visible}}}}"""


def animated_svg(
    sketches: Sequence[np.ndarray],
    columns: int | None = None,
    *,
    title: str | None = None,
    row_labels: Sequence[str] | None = None,
) -> str:
    """An SVG document that draws a page of sketches; for the arguments see :func:`drawing.grid_svg`.

    Raises:
        BadInput: as :func:`drawing.grid_svg`.
    """
    cells = fit_all(sketches)
    page = page_layout(len(cells), columns, CELL, title, row_labels)
    size = f'width="{page.width}" height="{page.height}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} viewBox="0 0 {page.width} {page.height}">',
        f"<style>{_STYLE}</style>",
        f'<rect {size} fill="white"/>',
    ]
    parts += [svg_text(text, f'x="{MARGIN}" y="{y}"') for text, y in page.texts]
    for lines, (x, y) in zip(cells, page.places, strict=True):
        parts.append(f'<g transform="translate({x} {y})">')
        begin = 0
        for line in lines:
            drawn = line if len(line) > 1 else line * 2  # a dot
            data = "M" + " L".join(f"{px:.2f} {py:.2f}" for px, py in drawn)
            times = f"animation-delay:{_seconds(begin)}s;animation-duration:{_seconds(len(line))}s"
            parts.append(f'<path pathLength="1" style="{times}" d="{data}"/>')
            begin += len(line)
        parts.append("</g>")
    return "\n".join([*parts, "</svg>\n"])


def _seconds(points: int) -> str:
    return f"{points / POINTS_A_SECOND:.3f}"


def frames(
    sketches: Sequence[np.ndarray],
    columns: int | None = None,
    *,
    title: str | None = None,
    row_labels: Sequence[str] | None = None,
) -> list[Image.Image]:
    """The frames of a GIF, in which a page of sketches comes about; the last one is finished.

    There are at most :data:`MOST_FRAMES`, and fewer of a large page. For the arguments see :func:`drawing.grid_svg`.

    Raises:
        BadInput: as :func:`drawing.grid_svg`, and when a side is longer than :data:`LARGEST_SIDE`.
    """
    cells = fit_all(sketches)
    page = page_layout(len(cells), columns, CELL, title, row_labels)
    if max(page.width, page.height) > LARGEST_SIDE:
        raise BadInput(
            f"a .gif has at most {LARGEST_SIDE} pixels a side; use other columns, fewer sketches, or an .svg"
        )
    longest = max(sum(map(len, lines)) for lines in cells)
    most = max(1, min(MOST_FRAMES, MOST_PIXELS // (page.width * page.height)))
    steps = max(1, POINTS_A_SECOND // FRAMES_A_SECOND, -(-longest // most))
    counts = [*range(steps, longest, steps), longest]
    return [_frame(page, cells, count) for count in counts]


def _frame(page: Page, cells: Sequence[Lines], count: int) -> Image.Image:
    """The page with the first ``count`` points of each sketch."""
    shown = []
    for lines in cells:
        left, begun = count, []
        for line in lines:
            begun += [line[:left]] if left > 0 else []
            left -= len(line)
        shown.append(begun)
    return page_image(page, shown)
