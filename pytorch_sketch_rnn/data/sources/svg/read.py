"""Reads a drawing from an SVG file, and the drawings of a folder with the odd ones counted."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from pytorch_sketch_rnn.data.sources.left_out import LeftOut
from pytorch_sketch_rnn.data.sources.simplify import check_coordinates, scale_lines
from pytorch_sketch_rnn.data.sources.svg.budget import Budget
from pytorch_sketch_rnn.data.sources.svg.document import parse_document
from pytorch_sketch_rnn.data.sources.svg.files import read_bytes
from pytorch_sketch_rnn.data.sources.svg.walk import painted_lines
from pytorch_sketch_rnn.errors import BadInput, Refused, naming


def read_svg(path: Path, left_out: LeftOut | None = None) -> list[np.ndarray]:
    """Read a drawing as lines, float64 [k, 2], scaled to 0..255.

    Args:
        path: the file, which may be compressed with gzip.
        left_out: parts of the drawing that are not drawn, such as its text, are counted here.

    Raises:
        BadInput: if the file cannot be read, is too large, declares entities (which can expand a small file without
            limit), is not SVG, takes more than the budget of a file, or paints nothing that can be drawn as lines.
    """
    with naming(path):
        lines, missing = unscaled_lines(read_bytes(path))
        if not lines:
            without = f"; not drawn: {', '.join(missing)}" if missing else ""
            raise Refused(f"expected something painted that can be drawn as lines, got none{without}")
        for line in lines:
            check_coordinates(line)
    if left_out is not None:
        left_out.parts.update(missing)
    return scale_lines(lines)


def unscaled_lines(data: bytes) -> tuple[list[np.ndarray], list[str]]:
    """The painted lines of a file, float64 [k, 2] in its own units, and the names of what is missing from them.

    Raises:
        Refused: as ``read_svg`` does, but also an empty drawing is returned.
    """
    budget = Budget()
    with np.errstate(all="ignore"):  # numbers that are not finite are found by check_coordinates
        return painted_lines(parse_document(data, budget), budget)


def read_svgs(files: Iterable[Path], left_out: LeftOut, strict: bool) -> Iterator[list[np.ndarray]]:
    """Yield each drawing as lines, float64 [k, 2], scaled to 0..255.

    Args:
        files: the files.
        left_out: files that cannot be drawn are counted here.
        strict: raise the error of such a file instead.

    Raises:
        BadInput: if none of the files can be drawn, or ``strict`` is given and one cannot.
    """
    drawn, odd, first = 0, 0, ""
    for path in files:
        try:
            lines = read_svg(path, left_out)
        except BadInput as error:
            if strict:
                raise
            left_out.add_odd_file(str(error))
            odd, first = odd + 1, first or str(error)
        else:
            drawn += 1
            yield lines
    if odd and not drawn:
        others = f"; the other {odd - 1:,} files cannot be drawn either" if odd > 1 else ""
        raise BadInput(f"{first}{others}")
