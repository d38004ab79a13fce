"""Reads sketches from any source that ``python -m pytorch_sketch_rnn dataset`` takes."""

import random
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

import numpy as np

from pytorch_sketch_rnn.data.npz import SPLITS, read_arrays, split_names
from pytorch_sketch_rnn.data.sources.left_out import LeftOut
from pytorch_sketch_rnn.data.sources.ndjson import read_ndjson
from pytorch_sketch_rnn.data.sources.quickdraw_bin import read_quickdraw_bin
from pytorch_sketch_rnn.data.sources.simplify import EPSILON, simplify_lines, sketch_of
from pytorch_sketch_rnn.data.sources.svg.files import SUFFIXES as SVG_SUFFIXES
from pytorch_sketch_rnn.data.sources.svg.files import is_svg_name, svg_files
from pytorch_sketch_rnn.data.sources.svg.read import read_svg, read_svgs
from pytorch_sketch_rnn.data.splitting import UNASSIGNED
from pytorch_sketch_rnn.data.stroke_forms import to_stroke_3
from pytorch_sketch_rnn.data.strokes import strokes_to_lines
from pytorch_sketch_rnn.errors import Refused, naming, within

KANJI = "kanjivg"  # the name of a source
NDJSON_SUFFIXES = (".ndjson", ".ndjson.gz")
BIN_SUFFIXES = (".bin", ".bin.gz")
FILE_SUFFIXES = (*NDJSON_SUFFIXES, *BIN_SUFFIXES, ".npz", *SVG_SUFFIXES)

# The index of the split that a sketch has in its source, or UNASSIGNED; and the sketch, stroke-3 [n, 3].
Labelled = tuple[int, np.ndarray]


@dataclass(frozen=True)
class ReadOptions:
    """How drawings become sketches.

    Attributes:
        epsilon: tolerance of the simplification, 0 for none; None for the default of each kind of source.
        seed: decides the order of SVG files and of kanji.
        recognized_only: skip QuickDraw's drawings that it did not recognize.
        dtype: number type of the sketches.
        keep_splits: whether the sketches of a ``.npz`` stay in their splits.
        strict: an SVG file in a folder that cannot be drawn is an error; otherwise it is counted.
    """

    epsilon: float | None
    seed: int
    recognized_only: bool
    dtype: np.dtype
    keep_splits: bool
    strict: bool = False


def read_source(source: str, options: ReadOptions, left_out: LeftOut, converted: Counter[str]) -> Iterator[Labelled]:
    """Yield the sketches of a source.

    Args:
        source: ``KANJI``, a folder of SVG files, or a file with one of ``FILE_SUFFIXES``.
        options: how its drawings become sketches.
        left_out: drawings that the source itself leaves out are counted here, by reason.
        converted: sketches that were stored in another form than stroke-3 are counted here, by form.

    Raises:
        BadInput: if the source or anything in it is invalid.
    """
    if source == KANJI:
        from pytorch_sketch_rnn.data.sources import kanjivg

        epsilon = kanjivg.EPSILON if options.epsilon is None else options.epsilon
        sketches = kanjivg.kanji_sketches(options.seed, epsilon)
        yield from ((UNASSIGNED, sketch.astype(options.dtype)) for sketch in sketches)
    elif Path(source).is_dir():
        files = svg_files(Path(source))
        random.Random(options.seed).shuffle(files)  # so that --count does not take the first files by name
        drawings = read_svgs(files, left_out, options.strict)
        yield from ((UNASSIGNED, _sketch(lines, options)) for lines in drawings)
    elif is_svg_name(Path(source)):
        yield UNASSIGNED, _sketch(read_svg(Path(source), left_out), options)
    elif Path(source).suffix.lower() == ".npz":
        yield from _read_npz(Path(source), options, converted)
    elif source.lower().endswith(BIN_SUFFIXES):
        drawings = read_quickdraw_bin(Path(source), options.recognized_only, left_out)
        yield from ((UNASSIGNED, _sketch(lines, options)) for lines in drawings)
    else:
        drawings = read_ndjson(Path(source), options.recognized_only, left_out)
        yield from ((UNASSIGNED, _sketch(lines, options)) for lines in drawings)


def in_turns(sources: Iterable[Iterator[Labelled]]) -> Iterator[Labelled]:
    """Yield one sketch of each source, then the next of each, until all are exhausted."""
    return (labelled for turn in zip_longest(*sources) for labelled in turn if labelled is not None)


def _sketch(lines: Sequence[np.ndarray], options: ReadOptions) -> np.ndarray:
    epsilon = EPSILON if options.epsilon is None else options.epsilon
    return sketch_of(simplify_lines(lines, epsilon), options.dtype)


def _read_npz(path: Path, options: ReadOptions, converted: Counter[str]) -> Iterator[Labelled]:
    """Yield the sketches of a .npz, one split in memory at a time; they are simplified only with an epsilon.

    A set that is divided afresh may lack splits, and its splits may be empty.
    """
    splits = SPLITS if options.keep_splits else split_names(path)
    for split in splits:
        label = SPLITS.index(split)
        arrays = read_arrays(path, split)
        with naming(path), within(f"{split}.npy"):
            if not arrays and options.keep_splits:
                raise Refused("expected sketches, got an empty split; --split 0.9,0.05,0.05 divides the set afresh")
            sketches, form = to_stroke_3(arrays)
        if form is not None:
            converted[form] += len(sketches)
        for index, original in enumerate(sketches):
            with naming(path), within(f"{split}, sketch {index}"):
                sketch = _converted(original, options.dtype)
            yield label if options.keep_splits else UNASSIGNED, _simplified(sketch, options.epsilon or 0)


def _converted(sketch: np.ndarray, dtype: np.dtype) -> np.ndarray:
    with np.errstate(invalid="ignore", over="ignore"):  # values that do not fit are found below
        converted = sketch.astype(dtype)
    wrong = converted != sketch if dtype.kind == "i" else ~np.isfinite(converted)
    if wrong.any():
        raise Refused(f"expected offsets that {dtype} can hold, got {sketch[wrong][0]}{_wider(sketch)}")
    return converted


def _wider(sketch: np.ndarray) -> str:
    """What to do about numbers that a narrower type cannot hold; empty if no type holds them."""
    for name in ("int32", "float32"):
        with np.errstate(invalid="ignore", over="ignore"):
            converted = sketch.astype(name)
        if np.isfinite(converted).all() and (name == "float32" or (converted == sketch).all()):
            return f"; a .npz can hold them with --dtype {name}"
    return ""


def _simplified(sketch: np.ndarray, epsilon: float) -> np.ndarray:
    """Simplify stroke-3 [n, 3]; its first offset is kept."""
    if epsilon == 0:
        return sketch
    ended = sketch.copy()
    ended[-1, 2] = 1  # otherwise strokes_to_lines would drop an unfinished last line
    lines = [np.array(line) for line in strokes_to_lines(ended)]
    simplified = sketch_of(simplify_lines(lines, epsilon), sketch.dtype)
    simplified[0, :2] = sketch[0, :2]
    return simplified
