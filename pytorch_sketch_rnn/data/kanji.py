"""A set of real strokes from the PyPI package ``kanjivg``: its drawings of Chinese characters.

Magenta's own kanji set was made from the same drawings, KanjiVG by Ulrich Apel, CC BY-SA 3.0, which also holds for
what is made here. Each drawing is one SVG file named by its code point, 109 units wide, with one ``path`` for each
stroke of the brush, in writing order. The numbers below are chosen so that length and size of the sketches come out
like those of Magenta's set: there 40 points in the median, 3.2 points a line, and 450 units from side to side.
"""

import re
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from pytorch_sketch_rnn.data.simplify import EXTRA, import_extra
from pytorch_sketch_rnn.data.strokes import Lines, lines_to_strokes
from pytorch_sketch_rnn.errors import BadInput

MAX_POINTS = 88
# In units of the drawings.
EPSILON = 0.8
# Units of a sketch for one of a drawing; rounded to integers, a point is off by at most 0.1 unit of the drawing.
_SCALE = 5
_POINTS_PER_CURVE = 16
_PATH_TAG = "{http://www.w3.org/2000/svg}path"
# Variants have a name after the code point, such as 04e14-Kaisho.svg.
_FILE_NAME = re.compile(r"([0-9a-f]{5})\.svg")


def kanji_splits(
    count: int | None = None,
    *,
    seed: int = 0,
    valid_fraction: float = 0.05,
    test_fraction: float = 0.05,
    max_points: int = MAX_POINTS,
    epsilon: float = EPSILON,
) -> dict[str, list[np.ndarray]]:
    """Make train, valid and test sets of kanji as stroke-3, int16 [n, 3], the first offset always (0, 0).

    The result depends only on the arguments and the version of ``kanjivg``. 1,000 characters take about 2 seconds.

    Args:
        count: characters in all three sets together; None for all, about 6,400.
        seed: chooses and shuffles the characters.
        valid_fraction: part of ``count`` that is put into the validation set, rounded, and at least one.
        test_fraction: the same for the test set.
        max_points: characters with more points are left out.
        epsilon: how far a simplified line may be from its curve, in units of the drawings (109 wide).

    Raises:
        BadInput: where a package is missing, an argument is out of its range, there are fewer than ``count``
            characters, or the training set would be empty.
    """
    if not (valid_fraction >= 0 and test_fraction >= 0 and valid_fraction + test_fraction < 1):
        raise BadInput(
            "valid_fraction, test_fraction: expected at least 0 each and less than 1 together, "
            f"got {valid_fraction} and {test_fraction}"
        )
    if not epsilon >= 0:
        raise BadInput(f"epsilon: expected at least 0, got {epsilon}")
    sketches: list[np.ndarray] = []
    for path in _shuffled_files(seed):
        if count is not None and len(sketches) >= count:
            break
        sketch = _sketch(path, epsilon)
        if len(sketch) <= max_points:
            sketches.append(sketch)
    if count is not None and len(sketches) < count:
        found = f"{len(sketches)} characters of up to {max_points} points"
        raise BadInput(f"count: expected at most the {found} that there are, got {count}")
    return _split(sketches, valid_fraction, test_fraction)


def _split(sketches: list[np.ndarray], valid_fraction: float, test_fraction: float) -> dict[str, list[np.ndarray]]:
    valid, test = (max(1, round(fraction * len(sketches))) for fraction in (valid_fraction, test_fraction))
    train = len(sketches) - valid - test
    if train < 1:
        raise BadInput(
            f"count: expected at least one character in each of train, valid and test, got {len(sketches)} in all; "
            "raise count or max_points"
        )
    return {"train": sketches[:train], "valid": sketches[train : train + valid], "test": sketches[train + valid :]}


def _shuffled_files(seed: int) -> list[Path]:
    """Return the drawings of Chinese characters, without variants, in an order that the seed alone decides."""
    try:
        files = metadata.files("kanjivg") or []
    except metadata.PackageNotFoundError:
        raise BadInput(f"kanji: the package kanjivg is missing; install it with {EXTRA}") from None
    found = {match[1]: file for file in files if (match := _FILE_NAME.fullmatch(file.name))}
    names = sorted(name for name in found if _is_chinese(int(name, 16)))
    # RandomState, whose stream NumPy has promised never to change.
    order = np.random.RandomState(seed).permutation(len(names))
    return [Path(str(found[names[index]].locate())) for index in order]


def _is_chinese(code_point: int) -> bool:
    """Whether it is in one of Unicode's blocks of CJK ideographs; the package also draws kana, letters and signs."""
    return 0x3400 <= code_point <= 0x9FFF or 0xF900 <= code_point <= 0xFAFF or code_point >= 0x20000


def _sketch(path: Path, epsilon: float) -> np.ndarray:
    """Return the drawing in a file as stroke-3, int16 [n, 3]."""
    shapely = import_extra("shapely")
    lines: Lines = []
    for curve in _curves(path):
        simplified = shapely.LineString(curve).simplify(epsilon, preserve_topology=False)
        lines.append(np.rint(_SCALE * np.array(simplified.coords)).astype(int).tolist())
    strokes = lines_to_strokes(lines)
    strokes[0, :2] = 0  # where on the sheet the first line begins
    return strokes.astype(np.int16)


def _curves(path: Path) -> Iterator[np.ndarray]:
    """Yield the lines of a drawing as points [k, 2], evenly spaced in the parameter of each Bezier curve."""
    svgelements = import_extra("svgelements")
    parameters = np.linspace(0, 1, _POINTS_PER_CURVE + 1)[1:]
    for element in ElementTree.parse(path).iter(_PATH_TAG):
        start, *segments = svgelements.Path(element.get("d"))
        points = [np.array([[start.end.x, start.end.y]])]
        points += [segment.npoint(parameters) for segment in segments]
        yield np.concatenate(points)
