"""Magenta's data loader: normalising, augmentation, padding, batches; bit-identical given the same NumPy stream.

Source: Magenta ``utils.py`` (``DataLoader``, ``augment_strokes``) and ``sketch_rnn_train.py`` (``load_dataset``).
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from pytorch_sketch_rnn.data.npz import SPLITS, read_npz
from pytorch_sketch_rnn.data.strokes import START_TOKEN, to_big_strokes
from pytorch_sketch_rnn.errors import BadInput
from pytorch_sketch_rnn.hparams import HParams

LIMIT = 1000  # offsets are clamped to +-this, in units of the file


class Batch(NamedTuple):
    """Some sketches, padded to one length."""

    strokes: list[np.ndarray]  # stroke-3, float32 [n, 3] each
    sketches: np.ndarray  # stroke-5, float64 [B, max_seq_len + 1, 5], the start token first
    lengths: np.ndarray  # points of each sketch [B]


class DataLoader:
    """Batches of one split.

    ``rng`` is the NumPy stream: ``np.random.RandomState(seed)`` gives what Magenta draws after
    ``np.random.seed(seed)``. A stream may be shared by several loaders, as Magenta's training and validation share one.

    How equal lengths are ordered depends on the NumPy version and on the CPU, so ``order`` may carry it: indices of
    the kept sketches (those not longer than ``max_seq_len``, in file order). It is readable as ``loader.order``.
    """

    def __init__(
        self,
        strokes: Sequence[np.ndarray],
        batch_size: int,
        max_seq_len: int,
        rng: np.random.RandomState,
        *,
        random_scale_factor: float = 0.0,
        augment_stroke_prob: float = 0.0,
        order: np.ndarray | None = None,
    ) -> None:
        if batch_size < 1:
            raise BadInput(f"batch_size is {batch_size}, expected at least 1")
        kept = [_clamped(sketch) for sketch in strokes if len(sketch) <= max_seq_len]
        lengths = np.array([len(sketch) for sketch in kept])
        if order is None:
            order = np.argsort(lengths)
        if not np.array_equal(np.sort(order), np.arange(len(kept))):
            raise BadInput(f"the order of {len(order)} sketches does not fit the {len(kept)} sketches kept")
        if np.any(np.diff(lengths[order]) < 0):
            raise BadInput("the order does not sort the sketches by length: it was recorded for other data")
        self.order = order
        self.strokes = [kept[i] for i in order]
        self.batch_size = batch_size
        self.max_seq_len = max_seq_len
        self.rng = rng
        self.random_scale_factor = random_scale_factor
        self.augment_stroke_prob = augment_stroke_prob
        self.num_batches = len(kept) // batch_size  # what is left over is dropped

    def calculate_normalizing_scale_factor(self) -> np.float32:
        """Standard deviation of all offsets, dx and dy together.

        Raises:
            BadInput: when it is 0 (Magenta divides by it), or there are no sketches.
        """
        offsets = [sketch[:, :2].ravel() for sketch in self.strokes]
        scale_factor = np.std(np.concatenate(offsets)) if offsets else np.float32(0)
        if scale_factor == 0:
            raise BadInput(f"{len(offsets)} sketches whose offsets are all the same have no scale to normalise by")
        return scale_factor

    def normalize(self, scale_factor: np.float32) -> None:
        """Divide all offsets by the scale factor, in place."""
        for sketch in self.strokes:
            sketch[:, :2] /= scale_factor

    def random_batch(self) -> Batch:
        """A random batch.

        Raises:
            BadInput: when there are fewer sketches than ``batch_size``.
        """
        if len(self.strokes) < self.batch_size:
            raise BadInput(
                f"{len(self.strokes)} sketches of at most {self.max_seq_len} points are too few for a batch of "
                f"{self.batch_size}; use a smaller batch_size"
            )
        return self._batch(self.rng.permutation(len(self.strokes))[: self.batch_size])

    def get_batch(self, index: int) -> Batch:
        """Batch ``index`` of ``num_batches``, by length. It draws from the stream too (two numbers a sketch).

        Raises:
            IndexError: when there is no such batch.
        """
        if not 0 <= index < self.num_batches:
            raise IndexError(f"batch {index} of {self.num_batches}")
        return self._batch(range(index * self.batch_size, (index + 1) * self.batch_size))

    def _batch(self, indices: Sequence[int]) -> Batch:
        strokes = [self._augmented(self.strokes[i]) for i in indices]
        padded = np.stack([_with_start(sketch, self.max_seq_len) for sketch in strokes])
        return Batch(strokes, padded, np.array([len(sketch) for sketch in strokes]))

    def _augmented(self, sketch: np.ndarray) -> np.ndarray:
        sketch = sketch.copy()
        for axis in range(2):  # drawn even where the factor is 0
            sketch[:, axis] *= (self.rng.random_sample() - 0.5) * 2 * self.random_scale_factor + 1.0
        if self.augment_stroke_prob > 0:
            sketch = augment_strokes(sketch, self.augment_stroke_prob, self.rng)
        return sketch


def augment_strokes(sketch: np.ndarray, prob: float, rng: np.random.RandomState) -> np.ndarray:
    """Drop points of stroke-3 [n, 3] with probability ``prob``; each one's offset goes to the last point kept.

    A point may go only where the pen is down before it and at it, and from the third such point of a stroke on.
    One number is drawn for each point.
    """
    draws = rng.random_sample(len(sketch))
    lifted = sketch[:, 2]
    lifted_before = np.concatenate([[1], lifted[:-1]])
    # the pen state before a point is that of the last point KEPT; a dropped one and its predecessor both have pen down
    begins = (lifted == 1) | (lifted_before == 1)
    position = np.arange(len(sketch))
    since = position - np.maximum.accumulate(np.where(begins, position, 0))
    dropped = (lifted == 0) & (lifted_before == 0) & (since > 2) & (draws < prob)
    result = sketch[~dropped].copy()
    heirs = np.cumsum(~dropped)[dropped] - 1
    for axis in range(2):  # one after the other, in order: float32 sums depend on it
        np.add.at(result[:, axis], heirs, sketch[dropped, axis])
    return result


def _clamped(sketch: np.ndarray) -> np.ndarray:
    """A float32 copy of stroke-3 with large gaps removed."""
    return np.clip(sketch.astype(np.float64), -LIMIT, LIMIT).astype(np.float32)


def _with_start(sketch: np.ndarray, max_seq_len: int) -> np.ndarray:
    return np.concatenate([[START_TOKEN], to_big_strokes(sketch, max_seq_len)])


class Dataset(NamedTuple):
    """The three splits, the hyperparameters with ``max_seq_len`` set from the data, and the scale they share."""

    train: DataLoader
    valid: DataLoader
    test: DataLoader
    hparams: HParams
    scale_factor: np.float32


def load_dataset(data_dir: Path, hparams: HParams, rng: np.random.RandomState) -> Dataset:
    """Read ``hparams.data_set`` below ``data_dir`` and make the three loaders; see :func:`join_sets`.

    Raises:
        BadInput: when a file is missing or is not a stroke set.
    """
    return join_sets([read_npz(Path(data_dir) / name) for name in hparams.data_set], hparams, rng)


def join_sets(
    sets: Sequence[Mapping[str, Sequence[np.ndarray]]],
    hparams: HParams,
    rng: np.random.RandomState,
    order: Mapping[str, np.ndarray] | None = None,
) -> Dataset:
    """Join several sets and make the three loaders, as Magenta does.

    ``max_seq_len`` becomes that of the longest sketch; all splits are scaled by the standard deviation of the training
    offsets.

    Args:
        sets: for each the stroke-3 sketches of ``train``, ``valid`` and ``test``.
        hparams: of the training.
        rng: the stream that the loaders share.
        order: for each split, see :class:`DataLoader`.

    Raises:
        BadInput: when they have no scale to normalise by.
    """
    splits = {split: [sketch for each in sets for sketch in each[split]] for split in SPLITS}
    longest = max((len(sketch) for sketches in splits.values() for sketch in sketches), default=1)
    hparams = hparams.replace(max_seq_len=longest)
    augmentation = {name: getattr(hparams, name) for name in ("random_scale_factor", "augment_stroke_prob")}
    train, valid, test = (
        DataLoader(
            splits[split],
            hparams.batch_size,
            longest,
            rng,
            order=None if order is None else order[split],
            **(augmentation if split == "train" else {}),
        )
        for split in SPLITS
    )
    scale_factor = train.calculate_normalizing_scale_factor()
    for loader in (train, valid, test):
        loader.normalize(scale_factor)
    return Dataset(train, valid, test, hparams, scale_factor)
