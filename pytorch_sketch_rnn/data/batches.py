"""The batch of each training step: its sketches and their augmentation, as a function of seed and step alone.

Magenta draws all of this from one stream, so each batch depends on every batch before it. Here each step, and each row
of its batch, has its own numbers. The distributions are the same, but any step can be drawn again: an interrupted
training resumes exactly, and each of several processes can draw its own rows.
"""

import dataclasses
import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Self

import numpy as np

from pytorch_sketch_rnn.data.clamp import ClampCount
from pytorch_sketch_rnn.data.magenta_loader import Batch, clamped, drop_points, join_sets, padded
from pytorch_sketch_rnn.data.npz import SPLITS
from pytorch_sketch_rnn.data.packed import PackedSet
from pytorch_sketch_rnn.errors import BadInput
from pytorch_sketch_rnn.hparams import HParams
from pytorch_sketch_rnn.philox import uniform

_CHOICE = 0  # the stream that chooses the sketches of a batch


@dataclasses.dataclass(frozen=True)
class Split:
    """The sketches of a split, stroke-3 [n, 3] in units of the file, and how to make batches of them."""

    sketches: Sequence[np.ndarray]
    scale_factor: np.float32  # offsets are divided by it
    max_seq_len: int
    random_scale_factor: float = 0.0
    augment_stroke_prob: float = 0.0

    def __len__(self) -> int:
        return len(self.sketches)

    def random_rows(self, batch_size: int, seed: int, step: int, rows: Sequence[int]) -> Batch:
        """The given rows of a step's batch, which consists of ``batch_size`` different sketches."""
        rng = np.random.Generator(np.random.PCG64([seed, _CHOICE, step]))
        chosen = rng.choice(len(self), batch_size, replace=False)
        points, lengths = self._points(chosen[rows])
        starts = _starts(lengths)
        factors = (uniform(seed, step, "augment/scale", rows, 2) - 0.5) * 2 * self.random_scale_factor + 1
        points[:, :2] *= np.repeat(factors.astype(np.float32), lengths, axis=0)
        if self.augment_stroke_prob > 0:
            numbers = uniform(seed, step, "augment/drop", rows, lengths.max())
            numbers = numbers[np.arange(lengths.max()) < lengths[:, np.newaxis]]  # one per point, without padding
            points, kept = drop_points(points, starts, numbers < self.augment_stroke_prob)
            lengths = np.add.reduceat(kept, np.flatnonzero(starts), dtype=lengths.dtype)
        return padded(np.split(points, np.cumsum(lengths)[:-1]), self.max_seq_len)

    def in_order(self, indices: Sequence[int]) -> Batch:
        """The sketches at these indices, without augmentation."""
        points, lengths = self._points(indices)
        return padded(np.split(points, np.cumsum(lengths)[:-1]), self.max_seq_len)

    def _points(self, indices: Iterable[int]) -> tuple[np.ndarray, np.ndarray]:
        """Clamped and normalised points, one sketch after another, float32 [N, 3], and the length of each sketch."""
        sketches = [self.sketches[int(index)] for index in indices]
        points = clamped(np.concatenate(sketches))
        points[:, :2] /= self.scale_factor
        return points, np.array([len(sketch) for sketch in sketches])


def _starts(lengths: np.ndarray) -> np.ndarray:
    """Whether a point is the first of its sketch, for sketches of these lengths one after another."""
    starts = np.zeros(lengths.sum(), dtype=bool)
    starts[np.cumsum(lengths) - lengths] = True
    return starts


@dataclasses.dataclass(frozen=True)
class Sets:
    """The three splits, and the hyperparameters with ``max_seq_len`` set from the data."""

    train: Split
    valid: Split
    test: Split
    hparams: HParams
    left_out: int = 0  # number of sketches longer than the requested ``max_seq_len``
    warning: str | None = None  # about offsets that are clamped; a packed set was clamped when it was made

    @classmethod
    def from_splits(cls, splits: Mapping[str, Sequence[np.ndarray]], hparams: HParams) -> Self:
        """Build from sketches in memory.

        Those longer than ``max_seq_len`` are left out; then ``max_seq_len`` becomes the length of the longest one left.

        Raises:
            BadInput: when too few are left for a batch or a validation, or all offsets are the same.
        """
        limit = hparams.max_seq_len
        kept = {split: sorted((s for s in splits[split] if len(s) <= limit), key=len) for split in SPLITS}
        left_out = sum(len(splits[split]) - len(kept[split]) for split in SPLITS)
        _check_enough(
            kept, hparams.batch_size, f" ({left_out} longer than {limit} points were left out)" * (left_out > 0)
        )
        order = {split: np.arange(len(kept[split])) for split in SPLITS}
        clamp = ClampCount()
        for sketch in itertools.chain.from_iterable(kept.values()):
            clamp.add(sketch)
        joined = join_sets([kept], hparams, np.random.RandomState(0), order)
        return cls._create(kept, joined.scale_factor, joined.hparams, left_out, clamp.warning())

    @classmethod
    def from_packed(cls, packed: PackedSet, hparams: HParams) -> Self:
        """Build from a packed set, whose sketches are read from their file on demand.

        Raises:
            BadInput: when a split has too few sketches, or the longest sketch is longer than ``max_seq_len``.
        """
        if packed.longest > hparams.max_seq_len:
            raise BadInput(
                f"the packed set holds sketches of up to {packed.longest} points, expected at most max_seq_len, "
                f"{hparams.max_seq_len}; raise max_seq_len, or make the set again with --max_points"
            )
        splits = {split: getattr(packed, split) for split in SPLITS}
        _check_enough(splits, hparams.batch_size)
        hparams = hparams.replace(max_seq_len=packed.longest)
        return cls._create(splits, np.float32(packed.scale_factor), hparams, 0)

    @classmethod
    def _create(
        cls,
        splits: Mapping[str, Sequence[np.ndarray]],
        scale_factor: np.float32,
        hparams: HParams,
        left_out: int,
        warning: str | None = None,
    ) -> Self:
        train, valid, test = (Split(splits[split], scale_factor, hparams.max_seq_len) for split in SPLITS)
        train = dataclasses.replace(
            train,
            random_scale_factor=hparams.random_scale_factor,
            augment_stroke_prob=hparams.augment_stroke_prob,
        )
        return cls(train, valid, test, hparams, left_out, warning)


def _check_enough(splits: Mapping[str, Sequence[np.ndarray]], batch_size: int, without: str = "") -> None:
    if len(splits["train"]) < batch_size:
        advice = "raise max_seq_len, or use a smaller batch_size" if without else "use a smaller batch_size"
        raise BadInput(
            f"the train split has {len(splits['train'])} sketches{without}, "
            f"too few for a batch of {batch_size}; {advice}"
        )
    for split in ("valid", "test"):
        if not len(splits[split]):
            raise BadInput(f"the {split} split is empty{without}; expected at least one sketch in it")
