"""Makes a stroke set from drawings of several kinds.

One pass over the sources writes every accepted sketch to an unnamed temporary file. Then their number is known, each is
assigned to a split, and the set is written. So the sizes of the splits are exact, their choice is random, and for a
packed set memory holds one byte per sketch.

Source: Magenta's ``sketch_rnn_train.py`` for what a set holds and how it is scaled.
"""

import math
import os
import random
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import BinaryIO

import numpy as np
from tqdm import tqdm

from pytorch_sketch_rnn.data.clamp import ClampCount
from pytorch_sketch_rnn.data.drawing import grid_svg
from pytorch_sketch_rnn.data.magenta_loader import LIMIT
from pytorch_sketch_rnn.data.npz import SPLITS, write_npz
from pytorch_sketch_rnn.data.scale import RunningDeviation
from pytorch_sketch_rnn.data.sources.left_out import LeftOut
from pytorch_sketch_rnn.data.sources.read import FILE_SUFFIXES, KANJI, Labelled, ReadOptions, in_turns, read_source
from pytorch_sketch_rnn.data.sources.svg.files import is_svg_name
from pytorch_sketch_rnn.data.splitting import DEFAULT_SPLIT, UNASSIGNED, are_sizes, assign_splits
from pytorch_sketch_rnn.errors import BadInput
from pytorch_sketch_rnn.files import atomic_path

PACKED_SUFFIXES = (".h5", ".hdf5")
DTYPES = ("int16", "int32", "float32")
MAX_POINTS = 250  # Magenta's default of max_seq_len
SHEET_SKETCHES = 36
# read_npz needs about 3 kB of memory for a sketch, and by default refuses a file that needs more than 4 GiB.
MOST_IN_NPZ = 1_000_000


@dataclass(frozen=True)
class Options:
    """How a set is made; the command line's help explains each option and what None means."""

    epsilon: float | None = None
    max_points: int = MAX_POINTS
    count: int | None = None
    split: tuple[float, float, float] | None = None
    seed: int = 0
    recognized_only: bool = False
    dtype: str = "int16"
    strict: bool = False

    @property
    def target_count(self) -> float:
        """The number of sketches after which reading stops."""
        limits: list[float] = [] if self.count is None else [self.count]
        if self.split is not None and are_sizes(self.split):
            limits.append(sum(self.split))
        return min(limits, default=math.inf)

    @property
    def reading(self) -> ReadOptions:
        """The options that the sources need."""
        keep_splits = self.split is None and self.count is None
        return ReadOptions(
            self.epsilon, self.seed, self.recognized_only, np.dtype(self.dtype), keep_splits, self.strict
        )


@dataclass(frozen=True)
class Summary:
    """What a set holds."""

    sizes: dict[str, int]  # sketches in each split
    median: int  # points in a sketch
    longest: int  # points
    scale_factor: float  # standard deviation of the training offsets, clamped as the data loader clamps them
    left_out: LeftOut
    converted: Counter[str]  # sketches of a source, by the form in which it stored them
    warning: str | None  # about offsets that training will clamp
    shared: bool = False  # whether all splits hold the same sketches


def make_set(sources: Sequence[str], out: Path, options: Options, *, force: bool = False) -> Summary:
    """Join sources into one stroke set, written to ``out``, and draw some of its training sketches beside it.

    Raises:
        BadInput: if an option is out of range, a source or anything in it is invalid, ``out`` exists and ``force`` is
            not given, ``out`` cannot be written, or there are too few sketches. Then nothing is written.
    """
    _check_options(options, out)
    _check_paths(sources, out, force)
    left_out = LeftOut()
    converted: Counter[str] = Counter()
    with _spool_beside(out) as file:
        read = [read_source(source, options.reading, left_out, converted) for source in sources]
        # In turns, so that stopping early uses all sources; otherwise one after the other, as each open .npz is in
        # memory.
        candidates = chain.from_iterable(read) if options.target_count == math.inf else in_turns(read)
        labels = bytearray()
        for label, sketch in _accepted(candidates, options, left_out):
            if out.suffix.lower() == ".npz" and len(labels) == MOST_IN_NPZ:
                raise BadInput(f"{out}: expected at most {MOST_IN_NPZ:,} sketches; make it a .h5, or give --count")
            labels.append(label)
            file.write(len(sketch).to_bytes(4, "little") + sketch.tobytes())
        shared = _is_too_few_to_divide(sources, len(labels), left_out)
        if shared:
            file.seek(0)
            file.write(file.read() * (len(SPLITS) - 1))
            labels = bytearray(split for split in range(len(SPLITS)) for _ in labels)
        found = f" (left out: {left_out.explained()})" if left_out else ""
        assigned = assign_splits(
            np.array(labels, dtype=np.uint8), options.split or DEFAULT_SPLIT, options.seed, left_out=found
        )
        file.seek(0)
        sketches = zip(assigned, _read_spool(file, np.dtype(options.dtype)), strict=True)
        return replace(_write(out, assigned, sketches, options.seed, left_out, converted), shared=shared)


def sheet_path(out: Path) -> Path:
    """The path of the picture beside a set."""
    return out.with_suffix(".svg")


def _check_options(options: Options, out: Path) -> None:
    for name, least, most in (("max_points", 2, 100_000), ("count", 3, 10**12), ("seed", 0, 2**32 - 1)):
        value = getattr(options, name)
        if value is not None and not least <= value <= most:
            raise BadInput(f"--{name} is {value}, expected {least} to {most}")
    if options.epsilon is not None and not 0 <= options.epsilon < math.inf:
        raise BadInput(f"--epsilon is {options.epsilon}, expected a number of at least 0")
    if out.suffix.lower() not in (".npz", *PACKED_SUFFIXES):
        raise BadInput(f"{out}: expected a name that ends in .npz or .h5, got {out.suffix or 'no suffix'}")
    if "," in out.name or out.name != out.name.strip() or not out.name.isprintable():
        raise BadInput(f"{out}: expected a name without commas, outer blanks and control characters, for --data_set")
    if out.suffix.lower() in PACKED_SUFFIXES and options.dtype != "int16":
        raise BadInput(f"--dtype is {options.dtype}, expected int16, the only type that {out.suffix} holds")


def _check_paths(sources: Sequence[str], out: Path, force: bool) -> None:
    """Refuse at once what would fail after hours of reading, or overwrite a file unasked."""
    for source in (source for source in sources if source != KANJI):
        if not os.path.exists(source):
            raise BadInput(f"{source}: there is no such file or folder; the source of kanji is called {KANJI}")
        if not os.path.isdir(source) and not source.lower().endswith(FILE_SUFFIXES):
            raise BadInput(
                f"{source}: expected {', '.join(FILE_SUFFIXES)}, a folder of .svg files, or the word {KANJI}"
            )
        if out.exists() and out.samefile(source):
            raise BadInput(f"{out}: is both SRC and OUT, expected another name for OUT")
        if sheet_path(out).exists() and sheet_path(out).samefile(source):
            raise BadInput(f"{out}: its picture would overwrite {source}, expected another name for OUT")
        if any(folder.samefile(source) for folder in out.resolve().parents if folder.exists()):
            raise BadInput(f"{out}: lies in SRC, where its picture would become a drawing; put OUT elsewhere")
    if not out.parent.is_dir():
        raise BadInput(f"{out}: cannot be written, expected a folder that exists")
    for path in (out, sheet_path(out)):
        if path.is_dir():
            raise BadInput(f"{path}: expected a name for a file, got a folder")
        if path.exists() and not force:
            raise BadInput(f"{path}: exists already; give --force to overwrite it")


def _is_too_few_to_divide(sources: Sequence[str], count: int, left_out: LeftOut) -> bool:
    """Whether there are one or two drawings because no more were given: for an encoder, as one cannot train on them."""
    drawings = all(is_svg_name(Path(source)) or os.path.isdir(source) for source in sources)
    return drawings and not (len(left_out) or left_out.odd_files) and 0 < count < len(SPLITS)


def _accepted(candidates: Iterable[Labelled], options: Options, left_out: LeftOut) -> Iterator[Labelled]:
    """Yield the sketches that are neither too short nor too long, until there are enough."""
    accepted = 0
    with tqdm(candidates, "reading", unit=" drawings", mininterval=0.25, leave=False, disable=None) as progress:
        for label, sketch in progress:
            if len(sketch) < 2:
                left_out["with fewer than 2 points"] += 1
            elif len(sketch) > options.max_points:
                left_out[f"with more than {options.max_points} points"] += 1
            else:
                yield label, sketch
                accepted += 1
                if accepted >= options.target_count:
                    return


def _write(
    out: Path,
    assigned: np.ndarray,
    sketches: Iterable[Labelled],
    seed: int,
    left_out: LeftOut,
    converted: Counter[str],
) -> Summary:
    sizes = np.bincount(assigned, minlength=UNASSIGNED)
    # Not NumPy's choice, which makes a permutation of all training sketches.
    picked = set(random.Random(seed).sample(range(sizes[0]), min(SHEET_SKETCHES, sizes[0])))
    sheet: list[np.ndarray] = []
    lengths: Counter[int] = Counter()
    scale, clamp, trained = RunningDeviation(), ClampCount(), 0
    with atomic_path(sheet_path(out)) as picture, _writer(out) as add:
        counted = {"total": len(assigned), "unit": " sketches", "mininterval": 0.25, "leave": False, "disable": None}
        for label, sketch in tqdm(sketches, "writing", **counted):
            add(SPLITS[label], sketch)
            lengths[len(sketch)] += 1
            clamp.add(sketch)
            if SPLITS[label] == "train":
                scale.add(sketch[:, :2].clip(-LIMIT, LIMIT))
                if trained in picked:
                    sheet.append(sketch)
                trained += 1
        if scale.deviation() == 0:
            raise BadInput(f"{out}: the training offsets are all the same, expected drawings of some extent")
        picture.write_text(grid_svg(sheet), encoding="utf-8", newline="\n")
    return Summary(
        dict(zip(SPLITS, sizes.tolist(), strict=False)),
        _median(lengths),
        max(lengths),
        scale.deviation(),
        left_out,
        converted,
        clamp.warning(),
    )


@contextmanager
def _writer(out: Path) -> Iterator[Callable[[str, np.ndarray], None]]:
    """Yield ``add(split, sketch)``; the file appears, complete, when the block ends."""
    if out.suffix.lower() in PACKED_SUFFIXES:
        from pytorch_sketch_rnn.data.packed_writer import PackedWriter

        with PackedWriter(out) as writer:
            yield writer.add
    else:
        splits: dict[str, list[np.ndarray]] = {split: [] for split in SPLITS}
        yield lambda split, sketch: splits[split].append(sketch)
        write_npz(out, splits)


@contextmanager
def _spool_beside(out: Path) -> Iterator[BinaryIO]:
    """Yield an unnamed file on the disk that must hold the set anyway; it disappears however the process ends."""
    try:
        file = tempfile.TemporaryFile(dir=out.parent)  # noqa: SIM115 (closed below)
    except OSError as error:
        raise BadInput(f"{out}: cannot be written ({error.strerror})") from None
    try:
        with file:
            yield file
    except OSError as error:
        if error.filename is not None:  # an error about another file, as this one has no name
            raise
        raise BadInput(f"{out}: cannot be written ({error.strerror or error})") from None


def _read_spool(file: BinaryIO, dtype: np.dtype) -> Iterator[np.ndarray]:
    while header := file.read(4):
        length = int.from_bytes(header, "little")
        yield np.frombuffer(file.read(length * 3 * dtype.itemsize), dtype).reshape(length, 3)


def _median(lengths: Counter[int]) -> int:
    """The lower median of counted numbers."""
    numbers = sorted(lengths)
    reached = np.cumsum([lengths[number] for number in numbers])
    return numbers[int(np.searchsorted(reached, reached[-1] / 2))]
