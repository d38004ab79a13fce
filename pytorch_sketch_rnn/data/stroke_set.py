"""Opens a stroke set, or drawings, for those who read sketches without training on them."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from pytorch_sketch_rnn.data.magenta_loader import DataLoader
from pytorch_sketch_rnn.data.make_set import PACKED_SUFFIXES
from pytorch_sketch_rnn.data.npz import SPLITS, read_npz, split_names
from pytorch_sketch_rnn.data.packed import open_foreign_packed
from pytorch_sketch_rnn.data.sources.left_out import LeftOut
from pytorch_sketch_rnn.data.sources.read import FILE_SUFFIXES, ReadOptions, read_source
from pytorch_sketch_rnn.errors import BadInput

MOST_DRAWINGS = 10_000  # that are read from a source of drawings, which may be larger than memory


@dataclass(frozen=True)
class StrokeSet:
    """The sketches of a set, stroke-3 [n, 3] in units of the file."""

    path: Path
    splits: Mapping[str, Sequence[np.ndarray]]
    packed_scale: float | None = None  # the scale factor that a packed set holds

    def scale_factor(self, train: Sequence[np.ndarray] | None = None) -> np.float32:
        """The standard deviation of the training offsets, by which Magenta normalises a set.

        Args:
            train: the training sketches to use, sorted by length; None means all, in the order of Magenta's loader.

        Raises:
            BadInput: when there are no sketches, or all their offsets are the same.
        """
        if self.packed_scale is not None:  # over all sketches; a packed set may be larger than memory
            return np.float32(self.packed_scale)
        order = None if train is None else np.arange(len(train))
        train = self.splits["train"] if train is None else train
        longest = max((len(sketch) for sketch in train), default=1)
        loader = DataLoader(train, 1, longest, np.random.RandomState(0), order=order)
        try:
            return loader.calculate_normalizing_scale_factor()
        except BadInput as error:
            raise BadInput(f"{self.path}: the train split: {error}") from None


@contextmanager
def open_set(path: Path, *, whole: bool = True) -> Iterator[StrokeSet]:
    """Open a stroke set; a packed one is read on demand and closed at the end.

    Drawings, such as an SVG file or a folder of them, are read as ``dataset`` reads them, up to ``MOST_DRAWINGS``. All
    three splits are then these drawings.

    Args:
        path: of the set.
        whole: whether all three splits must be there; if not, those of an ``.npz`` that are missing are left out.

    Raises:
        BadInput: when the file is missing or damaged.
    """
    if path.suffix.lower() in PACKED_SUFFIXES:
        with open_foreign_packed(path) as packed:
            splits = {split: getattr(packed, split) for split in SPLITS}
            yield StrokeSet(path, splits, packed.scale_factor)
    elif holds_drawings(path):
        yield StrokeSet(path, dict.fromkeys(SPLITS, _drawings(path)))
    else:
        yield StrokeSet(path, read_npz(path, splits=SPLITS if whole else split_names(path)))


def holds_drawings(path: Path) -> bool:
    """Whether a source, by its name, holds drawings rather than a stroke set with splits."""
    is_drawing = path.name.lower().endswith(FILE_SUFFIXES) and path.suffix.lower() != ".npz"
    return is_drawing or path.is_dir()


def _drawings(path: Path) -> list[np.ndarray]:
    options = ReadOptions(None, seed=0, recognized_only=False, dtype=np.dtype(np.int16), keep_splits=False)
    read = read_source(str(path), options, LeftOut(), Counter())
    drawings = [sketch for _, sketch in islice(read, MOST_DRAWINGS) if len(sketch) > 1]
    if not drawings:
        raise BadInput(f"{path}: expected drawings of at least 2 points, got none")
    return drawings
