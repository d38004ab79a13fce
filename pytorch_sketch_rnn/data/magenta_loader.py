"""Magenta's data loader: normalising, augmentation, padding and batches, bit-identical for the same NumPy stream.

Source: Magenta ``utils.py`` (``DataLoader``, ``augment_strokes``) and ``sketch_rnn_train.py`` (``load_dataset``).
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from pytorch_sketch_rnn.data.npz import SPLITS, read_npz
from pytorch_sketch_rnn.data.strokes import START_TOKEN
from pytorch_sketch_rnn.errors import BadInput
from pytorch_sketch_rnn.hparams import HParams

LIMIT = 1000  # offsets are clamped to +-this, in units of the file


class Batch(NamedTuple):
    """A batch of sketches, padded to the same length."""

    strokes: list[np.ndarray]  # stroke-3, float32 [n, 3] each
    sketches: np.ndarray  # stroke-5, float64 [B, max_seq_len + 1, 5], the start token first
    lengths: np.ndarray  # points of each sketch [B]


class DataLoader:
    """Batches of one split.

    ``rng`` is the NumPy stream: ``np.random.RandomState(seed)`` draws what Magenta draws after
    ``np.random.seed(seed)``. Several loaders may share a stream, as in Magenta.

    The order of sketches of equal length depends on the NumPy version and on the CPU, so it can be passed as
    ``order``: indices of the kept sketches (those not longer than ``max_seq_len``, in file order). The order in use is
    ``loader.order``.
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
        kept = [clamped(sketch) for sketch in strokes if len(sketch) <= max_seq_len]
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
        self.num_batches = len(kept) // batch_size  # the remaining sketches are in no batch

    def calculate_normalizing_scale_factor(self) -> np.float32:
        """Standard deviation of all offsets, dx and dy together.

        Raises:
            BadInput: when it is 0, where Magenta would divide by 0, or there are no sketches.
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
        """Batch ``index`` of ``num_batches``, sorted by length. It draws its augmentation from the stream too.

        Raises:
            IndexError: when there is no such batch.
        """
        if not 0 <= index < self.num_batches:
            raise IndexError(f"batch {index} of {self.num_batches}")
        return self._batch(range(index * self.batch_size, (index + 1) * self.batch_size))

    def _batch(self, indices: Iterable[int]) -> Batch:
        strokes = [self._augmented(self.strokes[i]) for i in indices]
        return padded(strokes, self.max_seq_len)

    def _augmented(self, sketch: np.ndarray) -> np.ndarray:
        sketch = sketch.copy()
        for axis in range(2):  # drawn even if the factor is 0
            sketch[:, axis] *= (self.rng.random_sample() - 0.5) * 2 * self.random_scale_factor + 1.0
        if self.augment_stroke_prob > 0:
            sketch = augment_strokes(sketch, self.augment_stroke_prob, self.rng)
        return sketch


def augment_strokes(sketch: np.ndarray, prob: float, rng: np.random.RandomState) -> np.ndarray:
    """Drop points of stroke-3 [n, 3] with probability ``prob``; see :func:`drop_points`. Draws one number per point."""
    starts = np.zeros(len(sketch), dtype=bool)
    starts[:1] = True
    result, _ = drop_points(sketch, starts, rng.random_sample(len(sketch)) < prob)
    return result


def drop_points(points: np.ndarray, starts: np.ndarray, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Drop chosen points of sketches that are concatenated; the last point kept before each one gains its offset.

    A point may be dropped only if the pen is down before and at it, and only from the third such point of a stroke on.

    Args:
        points: stroke-3 [N, 3], one sketch after another.
        starts: whether a point is the first of its sketch [N].
        chosen: whether to drop a point if that is allowed [N].

    Returns:
        The points that are kept, and a boolean mask of them [N].
    """
    lifted = points[:, 2]
    lifted_before = np.concatenate([[1], lifted[:-1]])
    lifted_before[starts] = 1
    # the pen state before a point is that of the last point KEPT; a dropped one and its predecessor both have pen down
    begins = (lifted == 1) | (lifted_before == 1)
    position = np.arange(len(points))
    since = position - np.maximum.accumulate(np.where(begins, position, 0))
    dropped = (lifted == 0) & (lifted_before == 0) & (since > 2) & chosen
    kept = ~dropped
    result = points[kept].copy()
    heirs = np.cumsum(kept)[dropped] - 1
    for axis in range(2):  # np.add.at adds in order, on which a float32 sum depends
        np.add.at(result[:, axis], heirs, points[dropped, axis])
    return result, kept


def clamped(points: np.ndarray) -> np.ndarray:
    """A float32 copy of stroke-3 with offsets clamped to +-LIMIT."""
    return np.clip(points.astype(np.float64), -LIMIT, LIMIT).astype(np.float32)


def padded(strokes: list[np.ndarray], max_seq_len: int) -> Batch:
    """A batch of these sketches: stroke-5, padded to ``max_seq_len``, the start token first.

    Raises:
        BadInput: when a sketch is longer than ``max_seq_len``.
    """
    lengths = np.array([len(sketch) for sketch in strokes])
    if lengths.max() > max_seq_len:
        raise BadInput(f"a sketch has {lengths.max()} points, expected at most max_seq_len, {max_seq_len}")
    sketches = np.zeros((len(strokes), max_seq_len + 1, 5))
    sketches[:, :, 4] = 1
    sketches[:, 0] = START_TOKEN
    points = np.concatenate(strokes)
    row = np.repeat(np.arange(len(strokes)), lengths)
    place = 1 + np.arange(len(points)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    pen = points[:, 2]
    sketches[row, place] = np.column_stack([points[:, :2], 1 - pen, pen, np.zeros_like(pen)])
    return Batch(strokes, sketches, lengths)


class Dataset(NamedTuple):
    """The three splits, the hyperparameters with ``max_seq_len`` set from the data, and the scale they share."""

    train: DataLoader
    valid: DataLoader
    test: DataLoader
    hparams: HParams
    scale_factor: np.float32


def load_dataset(data_dir: Path, hparams: HParams, rng: np.random.RandomState) -> Dataset:
    """Read the files ``hparams.data_set`` in ``data_dir`` and make the three loaders; see :func:`join_sets`.

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

    ``max_seq_len`` becomes the length of the longest sketch. The offsets of all splits are divided by the standard
    deviation of the training offsets.

    Args:
        sets: for each set, the stroke-3 sketches of ``train``, ``valid`` and ``test``.
        hparams: the hyperparameters of the training.
        rng: the stream that the loaders share.
        order: the order of the sketches of each split; see :class:`DataLoader`.

    Raises:
        BadInput: when all training offsets are the same.
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
