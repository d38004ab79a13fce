"""Evaluates a model on a stroke set in two ways: as Magenta does, and as our training validates.

Both turn all dropout off and augment nothing. They differ in what they average:

|                   | Magenta                                | ours                                        |
|-------------------|----------------------------------------|---------------------------------------------|
| total             | r_cost + ``kl_weight_start`` * kl_cost | r_cost + ``kl_weight`` * kl_cost            |
| sketches          | whole batches, in order of length      | all                                         |
| pen loss          | counts the padding                     | does not                                    |
| longer sketches   | none: all are padded to the longest    | than ``max_seq_len`` of the model: left out |

Magenta's validation leaves its variable ``kl_weight`` at the initial value, since only training steps feed it. Latent
noise comes from a seed here; Magenta draws other noise each time, so its costs vary by that noise.

Source: Magenta ``sketch_rnn_train.py`` (``load_dataset``, ``evaluate_model``) and ``model.py`` (``kl_weight``).
"""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, overload

import numpy as np
import torch

from pytorch_sketch_rnn.data.batches import Sets, Split
from pytorch_sketch_rnn.data.magenta_loader import Batch
from pytorch_sketch_rnn.data.npz import SPLITS
from pytorch_sketch_rnn.data.stroke_set import StrokeSet
from pytorch_sketch_rnn.model.draws import Draws, KeyedDraws
from pytorch_sketch_rnn.model.losses import CostValues
from pytorch_sketch_rnn.model.sketch_rnn import SketchRNN
from pytorch_sketch_rnn.training.trainer import VALIDATION, Options, Trainer

DrawsOf = Callable[[range], Draws]  # the latent noise of the sketches in these places


class SplitCosts(NamedTuple):
    """The costs of one split."""

    sketches: int  # that the costs average over
    too_long: int  # left out: longer than max_seq_len
    no_batch: int  # left out: they do not fill a batch
    costs: CostValues | None  # None if no sketch is left


class Evaluation(NamedTuple):
    """A model on a set, evaluated in one way."""

    kl_weight: float
    max_seq_len: int  # points that sketches are padded to
    scale_factor: float  # offsets were divided by it
    splits: dict[str, SplitCosts]


def evaluate_as_magenta(
    model: SketchRNN,
    stroke_set: StrokeSet,
    names: Sequence[str] = SPLITS,
    *,
    scale_factor: float | None = None,
    seed: int = 0,
) -> Evaluation:
    """The costs that Magenta's ``evaluate_model`` computes.

    Args:
        model: in eval mode.
        stroke_set: the set; it is padded to the longest sketch of all its splits.
        names: the splits to evaluate. Magenta evaluates ``valid`` and ``test``; ``train`` is treated like these.
        scale_factor: offsets are divided by it; None means that of the set.
        seed: seed of the latent noise.

    Raises:
        BadInput: when the set has no scale factor, or a sketch cannot be read.
    """
    size = model.hparams.batch_size
    scale = stroke_set.scale_factor() if scale_factor is None else np.float32(scale_factor)
    longest = max((len(sketch) for split in stroke_set.splits.values() for sketch in split), default=1)
    results = {}
    for name in names:
        sketches = stroke_set.splits[name]
        costs = magenta_costs(model, Split(sketches, scale, longest), lambda rows: KeyedDraws(seed, VALIDATION, rows))
        unfilled = len(sketches) % size
        results[name] = SplitCosts(len(sketches) - unfilled, 0, unfilled, costs)
    return Evaluation(model.hparams.kl_weight_start, longest, float(scale), results)


@torch.no_grad()
def magenta_costs(model: SketchRNN, split: Split, draws: DrawsOf, order: np.ndarray | None = None) -> CostValues | None:
    """Mean costs of the whole batches of a split, each batch counting once.

    Args:
        model: in eval mode. The longest sketches, which do not fill a batch of its ``batch_size``, are in none.
        split: without augmentation.
        draws: the source of the latent noise of each batch.
        order: indices that sort the sketches by length; None means Magenta's, see :class:`DataLoader`.

    Returns:
        None when there is no whole batch.
    """
    costs = [
        model.costs(batch.sketches, batch.lengths, model.hparams.kl_weight_start, is_training=True, draws=draws(rows))
        for rows, batch in magenta_batches(split, model.hparams.batch_size, order)
    ]
    if not costs:
        return None
    values = torch.tensor([[float(cost) for cost in each] for each in costs], dtype=torch.float64)
    return CostValues(*values.mean(dim=0).tolist())


def magenta_batches(split: Split, batch_size: int, order: np.ndarray | None = None) -> Iterator[tuple[range, Batch]]:
    """The batches of Magenta's loader and the places of their sketches, read on demand; see :func:`magenta_costs`."""
    if order is None:
        order = np.argsort([len(sketch) for sketch in split.sketches])
    for first in range(0, len(order) - batch_size + 1, batch_size):
        rows = range(first, first + batch_size)
        yield rows, split.in_order(order[rows].tolist())


def evaluate_as_trained(
    model: SketchRNN,
    stroke_set: StrokeSet,
    names: Sequence[str] = SPLITS,
    *,
    scale_factor: float | None = None,
    options: Options = Options(),  # noqa: B008 (immutable)
) -> Evaluation:
    """The costs that the validation of our training computes; see :meth:`Trainer.validate`.

    With the set and the options of a training, these are the costs in its log, bit for bit on the same machine.

    Args:
        model: its ``max_seq_len`` is the length of the longest sketch that is not left out.
        stroke_set: the set; it is padded to the longest sketch that is left.
        names: the splits to evaluate.
        scale_factor: offsets are divided by it; None means that of the set.
        options: those of the training.

    Raises:
        BadInput: when the set has no scale factor, or a sketch cannot be read.
    """
    kept = {name: _kept(stroke_set, name, model.hparams.max_seq_len) for name in SPLITS}
    scale = stroke_set.scale_factor(kept["train"]) if scale_factor is None else np.float32(scale_factor)
    longest = max((len(sketch) for split in kept.values() for sketch in split), default=1)
    train, valid, test = (Split(kept[name], scale, longest) for name in SPLITS)
    trainer = Trainer(model, Sets(train, valid, test, model.hparams), options)
    results = {}
    for name in names:
        costs = trainer.validate(name) if len(kept[name]) else None
        too_long = len(stroke_set.splits[name]) - len(kept[name])
        results[name] = SplitCosts(len(kept[name]), too_long, 0, costs)
    return Evaluation(model.hparams.kl_weight, longest, float(scale), results)


class _Chosen(Sequence[np.ndarray]):
    """Some sketches of a split, which are read when they are indexed."""

    def __init__(self, sketches: Sequence[np.ndarray], indices: np.ndarray) -> None:
        self._sketches, self._indices = sketches, indices

    def __len__(self) -> int:
        return len(self._indices)

    @overload
    def __getitem__(self, index: int) -> np.ndarray: ...
    @overload
    def __getitem__(self, index: slice) -> list[np.ndarray]: ...
    def __getitem__(self, index: int | slice) -> np.ndarray | list[np.ndarray]:
        if isinstance(index, slice):
            return [self[place] for place in range(len(self))[index]]
        return self._sketches[int(self._indices[index])]


def _kept(stroke_set: StrokeSet, name: str, limit: int) -> _Chosen:
    """The sketches of a split that are not longer than ``limit``, in the order in which training validates them."""
    sketches = stroke_set.splits[name]
    lengths = np.array([len(sketch) for sketch in sketches], dtype=np.int64)
    # see Sets.from_splits and Sets.from_packed
    order = np.arange(len(lengths)) if stroke_set.packed_scale is not None else np.argsort(lengths, kind="stable")
    return _Chosen(sketches, order[lengths[order] <= limit])
