"""What 16-bit weights cost a model: how much worse it predicts sketches, in nats a point."""

from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from pytorch_sketch_rnn.data.batches import Split
from pytorch_sketch_rnn.data.stroke_set import open_set
from pytorch_sketch_rnn.errors import BadInput
from pytorch_sketch_rnn.model.draws import TorchDraws
from pytorch_sketch_rnn.model.losses import reconstruction_cost
from pytorch_sketch_rnn.model.sampling import sample_batch
from pytorch_sketch_rnn.model.sketch_rnn import SketchRNN
from weight_port.convert import empty_model
from weight_port.export.sketch_rnn_js import Quantised
from weight_port.export.stored import Stored

SKETCHES = 100
_SEED = 0


class Sketches(NamedTuple):
    """Sketches on which a model is measured."""

    strokes: list[np.ndarray]  # stroke-3 [n, 3] each, in units of the file
    scale_factor: np.float32  # of the set; offsets are divided by it


class Cost(NamedTuple):
    """Negative log-likelihoods of some sketches, means over all their points, in nats."""

    sketches: int
    points: int
    before: float
    after: float


def cost_of_quantising(stored: Stored, quantised: Quantised, given: Sketches | None = None) -> Cost:
    """Compare a model with its quantised self on sketches.

    Args:
        stored: the model.
        quantised: its weights in 16 bits.
        given: sketches, no longer than ``max_seq_len``; None: some that the model itself draws at temperature 1. A
            conditional model gets the latent vector that a sketch was drawn from, or the mean that its own encoder
            gives.
    """
    models = [_model(stored, stored.weights), _model(stored, quantised.weights())]
    z: Tensor | None = None
    if given is None:
        hparams = stored.hparams
        draws = TorchDraws(torch.Generator().manual_seed(_SEED))
        if hparams.conditional:
            z = draws.normal("latent", (SKETCHES, hparams.z_size), models[0].decoder.output_w)
        given = Sketches(sample_batch(models[0], SKETCHES, hparams.max_seq_len, z=z, draws=draws), np.float32(1))
    sketches, scale_factor = given
    batch = Split(sketches, scale_factor, max(1, *map(len, sketches))).in_order(range(len(sketches)))
    points = int(sum(map(len, sketches)))
    return Cost(len(sketches), points, *(_nats(model, batch.sketches, batch.lengths, z) for model in models))


def sketches_of(data: Path, max_seq_len: int) -> Sketches:
    """The first sketches of a stroke set's test split that are short enough for a model.

    Raises:
        BadInput: when the set cannot be read, or has no such sketch.
    """
    with open_set(data) as stroke_set:
        short = (sketch for sketch in stroke_set.splits["test"] if len(sketch) <= max_seq_len)
        found = Sketches(list(islice(short, SKETCHES)), stroke_set.scale_factor())
    if not found.strokes:
        raise BadInput(f"{data}: its test split has no sketch of at most {max_seq_len} points, that is max_seq_len")
    return found


def _model(stored: Stored, weights: Mapping[str, np.ndarray]) -> SketchRNN:
    model = empty_model(stored.hparams)
    model.load_state_dict({name: torch.from_numpy(np.array(value)) for name, value in weights.items()}, assign=True)
    return model.eval()


@torch.no_grad()
def _nats(model: SketchRNN, sketches: np.ndarray, lengths: np.ndarray, z: Tensor | None) -> float:
    """The mean over the points; the end of a sketch is not counted, as in Magenta's evaluation."""
    if model.encoder is not None and z is None:
        z, _ = model.encode(sketches[:, 1:], lengths)
    mixture = model.decode(sketches[:, :-1], z)
    targets = model.as_input(sketches[:, 1:])
    total = reconstruction_cost(mixture, targets, is_training=False) * targets.shape[0] * targets.shape[1]
    return float(total / max(1, int(np.sum(lengths))))
