"""Small SVG files, and what is drawn of them."""

from pathlib import Path

import numpy as np

from pytorch_sketch_rnn.data.sources.svg.read import read_svg, unscaled_lines

SVG = 'svg xmlns="http://www.w3.org/2000/svg"'
# Spans 0..255 in both directions, so that scaling does not change the other shapes.
FRAME = '<path d="M0 0L255 255"/>'


def write(folder: Path, body: str, root: str = SVG) -> Path:
    path = folder / "a.svg"
    path.write_text(f"<{root}>{body}</{root.split()[0]}>", encoding="utf-8")
    return path


def drawn(folder: Path, body: str) -> list[list]:
    """The lines of the body, drawn together with the frame, rounded to 1e-9."""
    lines = read_svg(write(folder, FRAME + body))
    assert lines[0].tolist() == [[0, 0], [255, 255]]
    return [np.round(line, 9).tolist() for line in lines[1:]]


def painted(body: str, attributes: str = "") -> list[list]:
    """The lines of a body in the units of the file, rounded to 1e-9."""
    return _read(body, attributes)[0]


def missing(body: str, attributes: str = "") -> list[str]:
    """The names of what a browser paints of a body, but we do not."""
    return _read(body, attributes)[1]


def _read(body: str, attributes: str) -> tuple[list[list], list[str]]:
    lines, names = unscaled_lines(f"<{SVG} {attributes}>{body}</svg>".encode())
    return [np.round(line, 9).tolist() for line in lines], names
