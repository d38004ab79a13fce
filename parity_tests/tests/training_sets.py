"""Small stroke sets, models and trainers for tests of training."""

import numpy as np
import torch

from pytorch_sketch_rnn.data.batches import Sets
from pytorch_sketch_rnn.distributed import Group
from pytorch_sketch_rnn.hparams import HParams
from pytorch_sketch_rnn.model.sketch_rnn import SketchRNN
from pytorch_sketch_rnn.training.trainer import Options, Trainer

SMALL = HParams(
    enc_model="layer_norm", dec_model="hyper", enc_rnn_size=4, dec_rnn_size=5, z_size=3, num_mixture=2, batch_size=5,
    hyper_num_units=4, hyper_embedding_size=2, kl_tolerance=0.01, use_input_dropout=True, use_output_dropout=True,
    save_every=4, augment_stroke_prob=0.4,
)  # fmt: skip


def random_splits(train=12, valid=7, test=3, seed=0, longest=12):
    rng = np.random.RandomState(seed)

    def sketch():
        points = rng.randint(3, longest + 1)
        pen = rng.random_sample(points) < 0.2
        pen[-1] = True
        return np.column_stack([rng.randint(-60, 60, (points, 2)), pen]).astype(np.int16)

    return {"train": [sketch() for _ in range(train)], "valid": [sketch() for _ in range(valid)],
            "test": [sketch() for _ in range(test)]}  # fmt: skip


def make_trainer(hparams=SMALL, options=Options(seed=3), group=Group(), splits=None, dtype="float64", device="cpu"):  # noqa: B008
    sets = Sets.from_splits(splits or random_splits(), hparams)
    model = SketchRNN(sets.hparams, 1, backend="reference").to(device, getattr(torch, dtype))
    return Trainer(model, sets, options, group)
