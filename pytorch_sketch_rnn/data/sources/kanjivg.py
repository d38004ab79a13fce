"""Sketches of Chinese characters from the PyPI package ``kanjivg``.

Magenta's own kanji set was made from the same drawings, KanjiVG by Ulrich Apel, CC BY-SA 3.0; that licence also covers
these sketches. Each drawing is one SVG file named by its code point, 109 units wide, with one ``path`` for each stroke
of the brush, in writing order. The constants are chosen so that length and size of the sketches match Magenta's set: a
median of 40 points, 3.2 points in a line, and 450 units from side to side.
"""

import re
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from pytorch_sketch_rnn.data.sources.simplify import EXTRA, simplify_lines, sketch_of
from pytorch_sketch_rnn.data.sources.svg.budget import Budget
from pytorch_sketch_rnn.data.sources.svg.outline import Outline
from pytorch_sketch_rnn.data.sources.svg.path_data import draw_path
from pytorch_sketch_rnn.errors import BadInput

EPSILON = 0.8  # tolerance of the simplification, in units of the drawings
# Units of a sketch per unit of a drawing; rounding to integers then moves a point by at most 0.1 unit of the drawing.
_SCALE = 5
_PATH_TAG = "{http://www.w3.org/2000/svg}path"
# Variants have a suffix after the code point, such as 04e14-Kaisho.svg.
_FILE_NAME = re.compile(r"([0-9a-f]{5})\.svg")


def kanji_sketches(seed: int, epsilon: float = EPSILON) -> Iterator[np.ndarray]:
    """Yield all Chinese characters, about 6,400, as stroke-3, int16 [n, 3]; the first offset is always (0, 0).

    The result is a function of the arguments and the version of ``kanjivg``. 1,000 characters take about 2 seconds.

    Args:
        seed: decides the order.
        epsilon: the largest distance of a simplified line from its curve, in units of the drawings (109 wide); 0
            keeps all sampled points.

    Raises:
        BadInput: if a package is missing.
    """
    for path in _shuffled_files(seed):
        yield sketch_of([_SCALE * line for line in simplify_lines(_lines(path), epsilon)], np.dtype(np.int16))


def _shuffled_files(seed: int) -> list[Path]:
    """The drawings of Chinese characters, without variants, in an order that depends on the seed alone."""
    try:
        files = metadata.files("kanjivg") or []
    except metadata.PackageNotFoundError:
        raise BadInput(f"kanji: the package kanjivg is missing; install it with {EXTRA}") from None
    found = {match[1]: file for file in files if (match := _FILE_NAME.fullmatch(file.name))}
    names = sorted(name for name in found if _is_chinese(int(name, 16)))
    order = np.random.RandomState(seed).permutation(len(names))  # NumPy promises never to change this stream
    return [Path(str(found[names[index]].locate())) for index in order]


def _is_chinese(code_point: int) -> bool:
    """Whether it is in one of Unicode's blocks of CJK ideographs; the package also has kana, letters and symbols."""
    return 0x3400 <= code_point <= 0x9FFF or 0xF900 <= code_point <= 0xFAFF or code_point >= 0x20000


def _lines(path: Path) -> list[np.ndarray]:
    """The lines of a drawing as points, float64 [k, 2], in its own units."""
    budget = Budget()
    outline = Outline(budget)
    for element in ElementTree.parse(path).iter(_PATH_TAG):
        draw_path(element.get("d", ""), outline, budget)
    return outline.lines()
