"""``python -m pytorch_sketch_rnn dataset SRC [SRC ...] OUT``: a stroke set made from drawings of several kinds.

One pass over the sources puts every sketch that is kept into a nameless temporary file. Then their number is known,
each is given its split, and the set is written: the sizes of the splits are exact, the choice is random, and for a
packed set memory holds one byte a sketch.

Sources: Magenta's ``sketch_rnn_train.py`` for what a set holds and how it is scaled; for the kinds of drawings see
:mod:`~pytorch_sketch_rnn.data.ndjson`, :mod:`~pytorch_sketch_rnn.data.svg`, :mod:`~pytorch_sketch_rnn.data.npz` and
:mod:`~pytorch_sketch_rnn.data.kanji`.
"""

import argparse
import math
import os
import random
import shlex
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain, zip_longest
from pathlib import Path
from typing import BinaryIO

import numpy as np

from pytorch_sketch_rnn.data.drawing import grid_svg
from pytorch_sketch_rnn.data.magenta_loader import LIMIT
from pytorch_sketch_rnn.data.ndjson import read_ndjson
from pytorch_sketch_rnn.data.npz import SPLITS, read_npz, write_npz
from pytorch_sketch_rnn.data.simplify import EPSILON, simplify_lines, sketch_of
from pytorch_sketch_rnn.data.strokes import strokes_to_lines
from pytorch_sketch_rnn.data.svg import read_svg, svg_files
from pytorch_sketch_rnn.errors import BadInput
from pytorch_sketch_rnn.files import atomic_path

KANJI = "kanjivg"
PACKED_SUFFIXES = (".h5", ".hdf5")
DTYPES = ("int16", "int32", "float32")
MAX_POINTS = 250  # Magenta's default of max_seq_len
DEFAULT_SPLIT = (0.9, 0.05, 0.05)
SHEET_SKETCHES = 36
# read_npz takes about 3 kB of memory for a sketch, and by default refuses a file that needs more than 4 GiB.
MOST_IN_NPZ = 1_000_000
REFRESH = 0.25  # seconds
_FREE = len(SPLITS)  # in the place of a split's index: in none

# The index of the split that a sketch has in its source, or _FREE, and the sketch.
Labelled = tuple[int, np.ndarray]


@dataclass(frozen=True)
class Options:
    """What is made of the drawings; the command line's help says what each is, and what None stands for."""

    epsilon: float | None = None
    max_points: int = MAX_POINTS
    count: int | None = None
    split: tuple[float, float, float] | None = None
    seed: int = 0
    recognized_only: bool = False
    dtype: str = "int16"

    @property
    def enough(self) -> float:
        """How many sketches to read."""
        limits = [] if self.count is None else [self.count]
        if self.split is not None and _are_sizes(self.split):
            limits.append(sum(self.split))
        return min(limits, default=math.inf)


@dataclass(frozen=True)
class Summary:
    """What was made."""

    sizes: dict[str, int]  # sketches in each split
    median: int  # points of a sketch
    longest: int
    scale_factor: float  # standard deviation of the training offsets, clamped as the data loader clamps them
    left_out: Counter[str]  # drawings by the reason


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Give a parser the flags of the command."""
    add = parser.add_argument
    add("sources", metavar="SRC", nargs="+", help=f".ndjson, .npz, a folder of .svg files, or the word {KANJI}")
    add("out", metavar="OUT", type=Path, help=".npz, Magenta's format, or .h5, which may outgrow memory")
    add("--epsilon", type=float, help=f"simplification: 0 none (default {EPSILON:g}; a .npz is left as it is)")
    add("--max_points", type=int, default=MAX_POINTS, help=f"longer sketches are left out (default {MAX_POINTS})")
    add("--count", type=int, help="stop at so many sketches, taken from the sources in turns")
    add(
        "--split",
        metavar="TRAIN,VALID,TEST",
        help="sizes, such as 70000,2500,2500, or fractions (default 0.9,0.05,0.05; without --split and --count, a "
        ".npz keeps its own)",
    )
    add("--seed", type=int, default=0, help="decides which sketch comes into which split (default 0)")
    add("--recognized_only", action="store_true", help="of .ndjson files, drawings that QuickDraw recognized")
    add("--dtype", choices=DTYPES, default=DTYPES[0], help=f"numbers of a .npz (default {DTYPES[0]}, as Magenta's)")
    add("--force", action="store_true", help="overwrite OUT and the picture beside it")


def run(arguments: argparse.Namespace) -> int:
    """Run the command; returns the exit code."""
    sources, out = arguments.sources, arguments.out
    if sources[0] == "pack":
        sources = sources[1:]
        if not sources or out.suffix.lower() not in PACKED_SUFFIXES:
            raise BadInput(f"dataset pack: expected SRC [SRC ...] OUT.h5, got {' '.join([*sources, str(out)])}")
    names = ("epsilon", "max_points", "count", "seed", "recognized_only", "dtype")
    split = None if arguments.split is None else parse_split(arguments.split)
    options = Options(split=split, **{name: getattr(arguments, name) for name in names})
    summary = make_set(sources, out, options, force=arguments.force)
    print("sketches:", ", ".join(f"{split} {size:,}" for split, size in summary.sizes.items()))
    print(f"points: median {summary.median}, longest {summary.longest}")
    print("left out:", _listed(summary.left_out))
    print(f"scale factor: {summary.scale_factor:.4g} (standard deviation of the training offsets)")
    print(f"wrote {out} and, to look at, training sketches in {sheet_path(out)}")
    print("next:", shlex.join(_next_command(out, summary.longest)))
    return 0


def make_set(sources: Sequence[str], out: Path, options: Options, *, force: bool = False) -> Summary:
    """Join sources to one stroke set, written to ``out``, and draw some of its training sketches beside it.

    Raises:
        BadInput: where an option is out of its range, a source or anything in it is wrong, ``out`` exists without
            ``force`` or cannot be written, or there are too few sketches. Then nothing is written.
    """
    _check_options(options, out)
    _check_paths(sources, out, force)
    left_out: Counter[str] = Counter()
    with _spool_beside(out) as file, _Progress() as progress:
        streams = [_read(source, options, left_out) for source in sources]
        # In turns, so that stopping early takes of all; else one after the other, as a .npz is in memory meanwhile.
        candidates = chain.from_iterable(streams) if options.enough == math.inf else _in_turns(streams)
        labels = bytearray()
        for label, sketch in _kept(candidates, options, left_out, progress):
            if out.suffix.lower() == ".npz" and len(labels) == MOST_IN_NPZ:
                raise BadInput(f"{out}: expected at most {MOST_IN_NPZ:,} sketches; make it a .h5, or give --count")
            labels.append(label)
            file.write(len(sketch).to_bytes(4, "little") + sketch.tobytes())
        assigned = _assign(labels, options, left_out)
        file.seek(0)
        spooled = zip(assigned, _spooled(file, np.dtype(options.dtype)), strict=True)
        return _write(out, assigned, spooled, options.seed, left_out, progress)


def sheet_path(out: Path) -> Path:
    """Where the picture of a set is."""
    return out.with_suffix(".svg")


def parse_split(text: str) -> tuple[float, float, float]:
    """Read three sizes of at least 1, or three fractions above 0 that sum up to 1.

    Raises:
        BadInput: for anything else.
    """
    try:
        train, valid, test = split = tuple(float(part) for part in text.split(","))
    except ValueError:  # too few, too many, or no numbers
        train, valid, test = split = (0.0, 0.0, 0.0)
    sizes = all(number >= 1 and number.is_integer() for number in split)
    fractions = all(number > 0 for number in split) and math.isclose(sum(split), 1)
    if not (sizes or fractions):
        raise BadInput(
            f"--split is {text}, expected three sizes as in 70000,2500,2500 or fractions as in 0.9,0.05,0.05"
        )
    return train, valid, test


def _are_sizes(split: tuple[float, float, float]) -> bool:
    return min(split) >= 1


def _check_options(options: Options, out: Path) -> None:
    for name, least, most in (("max_points", 2, 100_000), ("count", 3, 10**12), ("seed", 0, 2**32 - 1)):
        value = getattr(options, name)
        if value is not None and not least <= value <= most:
            raise BadInput(f"--{name} is {value}, expected {least} to {most}")
    if options.epsilon is not None and not 0 <= options.epsilon < math.inf:
        raise BadInput(f"--epsilon is {options.epsilon}, expected a number of at least 0")
    if out.suffix.lower() not in (".npz", *PACKED_SUFFIXES):
        raise BadInput(f"{out}: expected a name that ends in .npz or .h5, got {out.suffix or 'no suffix'}")
    if out.suffix.lower() in PACKED_SUFFIXES and options.dtype != "int16":
        raise BadInput(f"--dtype is {options.dtype}, expected int16, the one type that {out.suffix} holds")


def _check_paths(sources: Sequence[str], out: Path, force: bool) -> None:
    """Refuse at once what would fail after hours of reading, or overwrite what is to be kept."""
    for source in (source for source in sources if source != KANJI):
        if not os.path.exists(source):
            raise BadInput(f"{source}: there is no such file or folder, and the word for kanji is {KANJI}")
        if not os.path.isdir(source) and Path(source).suffix.lower() not in (".ndjson", ".npz"):
            raise BadInput(f"{source}: expected .ndjson, .npz, a folder of .svg files, or the word {KANJI}")
        if out.exists() and out.samefile(source):
            raise BadInput(f"{out}: is SRC and OUT, expected another name for OUT")
        if out.parent.exists() and out.parent.samefile(source):
            raise BadInput(f"{out}: lies in SRC, where its picture would become a drawing; put OUT elsewhere")
    if not out.parent.is_dir():
        raise BadInput(f"{out}: cannot be written, expected a folder that exists")
    for path in (out, sheet_path(out)):
        if path.is_dir():
            raise BadInput(f"{path}: expected a name for a file, got a folder")
        if path.exists() and not force:
            raise BadInput(f"{path}: exists already; give --force to overwrite it")


def _read(source: str, options: Options, left_out: Counter[str]) -> Iterator[Labelled]:
    """Yield the sketches of a source."""
    if source == KANJI:
        from pytorch_sketch_rnn.data.kanji import kanji_splits

        splits = kanji_splits(seed=options.seed, max_points=sys.maxsize)  # _kept leaves out, and counts
        yield from ((_FREE, sketch.astype(options.dtype)) for split in SPLITS for sketch in splits[split])
    elif Path(source).is_dir():
        files = svg_files(Path(source))
        random.Random(options.seed).shuffle(files)  # stopping early must not take the first ones by name
        yield from ((_FREE, _sketch(read_svg(path), options)) for path in files)
    elif Path(source).suffix.lower() == ".npz":
        yield from _read_npz(Path(source), options)
    else:
        drawings = read_ndjson(Path(source), options.recognized_only, left_out)
        yield from ((_FREE, _sketch(lines, options)) for lines in drawings)


def _sketch(lines: Sequence[np.ndarray], options: Options) -> np.ndarray:
    epsilon = EPSILON if options.epsilon is None else options.epsilon
    return sketch_of(simplify_lines(lines, epsilon), np.dtype(options.dtype))


def _read_npz(path: Path, options: Options) -> Iterator[Labelled]:
    """Yield the sketches of a .npz, a split at a time, as they are or simplified where that is asked for."""
    keeps_splits = options.split is None and options.count is None
    for label, split in enumerate(SPLITS):
        for index, original in enumerate(read_npz(path, splits=(split,))[split]):
            sketch = _converted(original, np.dtype(options.dtype), f"{path}: {split}, sketch {index}")
            yield label if keeps_splits else _FREE, _simplified(sketch, options.epsilon or 0)


def _converted(sketch: np.ndarray, dtype: np.dtype, where: str) -> np.ndarray:
    with np.errstate(invalid="ignore", over="ignore"):  # what does not fit is found below
        converted = sketch.astype(dtype)
    wrong = converted != sketch if dtype.kind == "i" else ~np.isfinite(converted)
    if wrong.any():
        raise BadInput(f"{where}: expected offsets that {dtype} can hold, got {sketch[wrong][0]}; a .npz has --dtype")
    return converted


def _simplified(sketch: np.ndarray, epsilon: float) -> np.ndarray:
    """Simplify stroke-3 [n, 3]; its first offset stays."""
    if epsilon == 0:
        return sketch
    ended = sketch.copy()
    ended[-1, 2] = 1  # else the last line would be none
    lines = [np.array(line) for line in strokes_to_lines(ended)]
    simplified = sketch_of(simplify_lines(lines, epsilon), sketch.dtype)
    simplified[0, :2] = sketch[0, :2]
    return simplified


def _in_turns(streams: Iterable[Iterator[Labelled]]) -> Iterator[Labelled]:
    return (labelled for turn in zip_longest(*streams) for labelled in turn if labelled is not None)


def _kept(
    candidates: Iterable[Labelled], options: Options, left_out: Counter[str], progress: "_Progress"
) -> Iterator[Labelled]:
    """Pass on sketches that are not too short or too long, until there are enough."""
    kept = 0
    progress.show("reading")
    for label, sketch in candidates:
        if len(sketch) < 2:
            left_out["with fewer than 2 points"] += 1
        elif len(sketch) > options.max_points:
            left_out[f"with more than {options.max_points} points"] += 1
        else:
            yield label, sketch
            kept += 1
            if kept >= options.enough:
                return
        progress.show(f"read {kept + left_out.total():,} drawings, kept {kept:,}")


def _assign(labels: bytearray, options: Options, left_out: Counter[str]) -> np.ndarray:
    """Return for each sketch the index of its split [N]."""
    assigned = np.array(labels, dtype=np.uint8)
    free = assigned == _FREE
    count = int(free.sum())
    split = options.split or DEFAULT_SPLIT
    if _are_sizes(split):
        sizes = [int(size) for size in split]
    else:
        others = [max(1, round(fraction * count)) if count else 0 for fraction in split[1:]]
        sizes = [count - sum(others), *others]
    without = f" (left out: {_listed(left_out)})" if left_out else ""
    if sum(sizes) > count or (count and sizes[0] < 1) or not labels:
        wanted = f"{sum(sizes):,}" if _are_sizes(split) else "at least one for each of train, valid and test"
        raise BadInput(f"too few sketches: expected {wanted}, got {count:,}{without}; see --split and --max_points")
    drawn = np.repeat(np.arange(_FREE, dtype=np.uint8), sizes)
    np.random.RandomState(options.seed).shuffle(drawn)  # its stream NumPy has promised never to change
    assigned[free] = drawn
    found = np.bincount(assigned, minlength=_FREE)
    for label, name in enumerate(SPLITS):  # those of a .npz may all have been left out
        if not found[label]:
            raise BadInput(f"too few sketches: expected at least one for {name}, got none{without}; see --max_points")
    return assigned


def _write(
    out: Path,
    assigned: np.ndarray,
    spooled: Iterable[tuple[int, np.ndarray]],
    seed: int,
    left_out: Counter[str],
    progress: "_Progress",
) -> Summary:
    sizes = np.bincount(assigned, minlength=_FREE)
    # Not NumPy: its choice makes a permutation of them all.
    shown = set(random.Random(seed).sample(range(sizes[0]), min(SHEET_SKETCHES, sizes[0])))
    sheet: list[np.ndarray] = []
    lengths: Counter[int] = Counter()
    spread, written, trained = _Spread(), 0, 0
    with atomic_path(sheet_path(out)) as picture, _writer(out) as add:
        for label, sketch in spooled:
            add(SPLITS[label], sketch)
            lengths[len(sketch)] += 1
            if SPLITS[label] == "train":
                spread.add(sketch[:, :2])
                if trained in shown:
                    sheet.append(sketch)
                trained += 1
            written += 1
            progress.show(f"wrote {written:,} of {len(assigned):,} sketches")
        if spread.deviation() == 0:
            raise BadInput(f"{out}: the training offsets are all the same, expected drawings of some extent")
        picture.write_text(grid_svg(sheet), encoding="utf-8", newline="\n")
    return Summary(
        dict(zip(SPLITS, sizes.tolist(), strict=False)), _median(lengths), max(lengths), spread.deviation(), left_out
    )


@contextmanager
def _writer(out: Path) -> Iterator[Callable[[str, np.ndarray], None]]:
    """Yield ``add(split, sketch)``; the file appears at the end, whole."""
    if out.suffix.lower() in PACKED_SUFFIXES:
        from pytorch_sketch_rnn.data.packed import PackedWriter

        with PackedWriter(out) as writer:
            yield writer.add
    else:
        splits: dict[str, list[np.ndarray]] = {split: [] for split in SPLITS}
        yield lambda split, sketch: splits[split].append(sketch)
        write_npz(out, splits)


@contextmanager
def _spool_beside(out: Path) -> Iterator[BinaryIO]:
    """Yield a nameless file, which is gone however the program ends, on the disk that has to hold the set anyway."""
    try:
        with tempfile.TemporaryFile(dir=out.parent) as file:
            yield file
    except OSError as error:
        raise BadInput(f"{out}: cannot be written ({error.strerror or error})") from None


def _spooled(file: BinaryIO, dtype: np.dtype) -> Iterator[np.ndarray]:
    while header := file.read(4):
        length = int.from_bytes(header, "little")
        yield np.frombuffer(file.read(length * 3 * dtype.itemsize), dtype).reshape(length, 3)


class _Spread:
    """The standard deviation of numbers that come bit by bit."""

    def __init__(self) -> None:
        self.count, self.sum, self.squares = 0, 0.0, 0.0

    def add(self, offsets: np.ndarray) -> None:
        clamped = offsets.astype(np.float64).clip(-LIMIT, LIMIT)
        self.count += clamped.size
        self.sum += float(clamped.sum())
        self.squares += float((clamped**2).sum())

    def deviation(self) -> float:
        mean = self.sum / self.count
        return math.sqrt(max(0.0, self.squares / self.count - mean**2))


def _median(lengths: Counter[int]) -> int:
    """Return the lower median of numbers that were counted."""
    numbers = sorted(lengths)
    reached = np.cumsum([lengths[number] for number in numbers])
    return numbers[int(np.searchsorted(reached, reached[-1] / 2))]


def _listed(left_out: Counter[str]) -> str:
    return ", ".join(f"{number:,} {reason}" for reason, number in left_out.items()) or "none"


def _next_command(out: Path, longest: int) -> list[str]:
    flags = {"data_dir": out.parent, "data_set": out.name, "save_dir": out.with_name(f"{out.stem}-model")}
    if longest > MAX_POINTS:
        flags["max_seq_len"] = longest
    return ["python", "train.py", *(f"--{name}={value}" for name, value in flags.items())]


class _Progress:
    """A line on stderr that is written anew, where stderr is a terminal; it is wiped out at the end."""

    def __init__(self) -> None:
        self.live = sys.stderr.isatty()
        self.due = 0.0

    def __enter__(self) -> "_Progress":
        return self

    def __exit__(self, *_: object) -> None:
        if self.live:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)

    def show(self, text: str) -> None:
        if self.live and (now := time.monotonic()) >= self.due:
            self.due = now + REFRESH
            print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)
