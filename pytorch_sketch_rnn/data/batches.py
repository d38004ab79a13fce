"""What each training step is given: which sketches, and how they are augmented, as a function of seed and step alone.

Magenta draws all of this from one stream, so that a batch depends on every batch before it. Here each step, and in it
each row of the batch, has a stream of its own. The distributions are the same; but any step can be drawn again, so that
an interrupted training resumes exactly, and each of several processes can draw the rows that are its own.
"""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Self

import numpy as np

from pytorch_sketch_rnn.data.magenta_loader import Batch, DataLoader, join_sets
from pytorch_sketch_rnn.data.npz import SPLITS
from pytorch_sketch_rnn.data.packed import PackedSet
from pytorch_sketch_rnn.errors import BadInput
from pytorch_sketch_rnn.hparams import HParams

_CHOICE, _AUGMENTATION = 0, 1  # what a stream is for


@dataclasses.dataclass(frozen=True)
class Split:
    """The sketches of a split, stroke-3 [n, 3] in units of the file, and how batches are made of them."""

    sketches: Sequence[np.ndarray]
    scale_factor: np.float32  # offsets are divided by it
    max_seq_len: int
    random_scale_factor: float = 0.0
    augment_stroke_prob: float = 0.0

    def __len__(self) -> int:
        return len(self.sketches)

    def random_rows(self, batch_size: int, seed: int, step: int, rows: Iterable[int]) -> Batch:
        """Some rows of the batch of a step, which is ``batch_size`` different sketches."""
        rng = np.random.Generator(np.random.PCG64([seed, _CHOICE, step]))
        chosen = rng.choice(len(self), batch_size, replace=False)
        return self._batch(
            (int(chosen[row]), np.random.RandomState(np.random.PCG64([seed, _AUGMENTATION, step, row]))) for row in rows
        )

    def in_order(self, indices: Iterable[int]) -> Batch:
        """The sketches at these places, as they are."""
        return dataclasses.replace(self, random_scale_factor=0.0, augment_stroke_prob=0.0)._batch(
            (index, np.random.RandomState(0)) for index in indices
        )

    def _batch(self, rows: Iterable[tuple[int, np.random.RandomState]]) -> Batch:
        """Each row is the batch of a loader that holds one sketch: so it is made as Magenta makes it."""
        batches = []
        for index, rng in rows:
            loader = DataLoader(
                [self.sketches[index]],
                1,
                self.max_seq_len,
                rng,
                random_scale_factor=self.random_scale_factor,
                augment_stroke_prob=self.augment_stroke_prob,
            )
            loader.normalize(self.scale_factor)
            batches.append(loader.get_batch(0))
        strokes, sketches, lengths = zip(*batches, strict=True)
        return Batch([sketch for each in strokes for sketch in each], np.concatenate(sketches), np.concatenate(lengths))


@dataclasses.dataclass(frozen=True)
class Sets:
    """The three splits, and the hyperparameters with ``max_seq_len`` set from the data."""

    train: Split
    valid: Split
    test: Split
    hparams: HParams
    left_out: int = 0  # sketches longer than the ``max_seq_len`` that was given

    @classmethod
    def from_splits(cls, splits: Mapping[str, Sequence[np.ndarray]], hparams: HParams) -> Self:
        """Of sketches in memory.

        Those longer than ``max_seq_len`` are left out; the longest of the others sets it anew.

        Raises:
            BadInput: when too few are left for a batch or a validation, or they have no scale to normalise by.
        """
        limit = hparams.max_seq_len
        kept = {split: sorted((s for s in splits[split] if len(s) <= limit), key=len) for split in SPLITS}
        left_out = sum(len(splits[split]) - len(kept[split]) for split in SPLITS)
        _check_enough(
            kept, hparams.batch_size, f" ({left_out} longer than {limit} points were left out)" * (left_out > 0)
        )
        order = {split: np.arange(len(kept[split])) for split in SPLITS}
        joined = join_sets([kept], hparams, np.random.RandomState(0), order)
        return cls._made(kept, joined.scale_factor, joined.hparams, left_out)

    @classmethod
    def from_packed(cls, packed: PackedSet, hparams: HParams) -> Self:
        """Of sketches that stay in their file.

        Raises:
            BadInput: as :meth:`from_splits`, and when the longest sketch is longer than ``max_seq_len``.
        """
        if packed.longest > hparams.max_seq_len:
            raise BadInput(
                f"the packed set holds sketches of up to {packed.longest} points, expected at most max_seq_len, "
                f"{hparams.max_seq_len}; raise max_seq_len, or make the set again with --max_points"
            )
        splits = {split: getattr(packed, split) for split in SPLITS}
        _check_enough(splits, hparams.batch_size)
        hparams = hparams.replace(max_seq_len=packed.longest)
        return cls._made(splits, np.float32(packed.scale_factor), hparams, 0)

    @classmethod
    def _made(
        cls, splits: Mapping[str, Sequence[np.ndarray]], scale_factor: np.float32, hparams: HParams, left_out: int
    ) -> Self:
        train, valid, test = (Split(splits[split], scale_factor, hparams.max_seq_len) for split in SPLITS)
        train = dataclasses.replace(
            train,
            random_scale_factor=hparams.random_scale_factor,
            augment_stroke_prob=hparams.augment_stroke_prob,
        )
        return cls(train, valid, test, hparams, left_out)


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
