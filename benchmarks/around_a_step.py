"""What surrounds the arithmetic of a training step: its random numbers and its batch."""

import statistics
import time
from collections.abc import Callable

import numpy as np
import torch

from pytorch_sketch_rnn.data.batches import Split
from pytorch_sketch_rnn.hparams import HParams
from pytorch_sketch_rnn.model.draws import KeyedDraws

REPEATS = 15


def measure_draws(hparams: HParams) -> float:
    """Seconds for the latent noise and the recurrent dropout masks of a step of the longest sketches, the median."""
    batch, steps, like = hparams.batch_size, hparams.max_seq_len, torch.zeros(1)
    units = {"encoder/fw": hparams.enc_rnn_size, "encoder/bw": hparams.enc_rnn_size, "decoder": hparams.dec_rnn_size}

    def draw(step: int) -> None:
        draws = KeyedDraws(0, step, range(batch))
        draws.normal("latent", (batch, hparams.z_size), like)
        for layer, size in units.items():
            draws.mask(f"{layer}/recurrent", (batch, steps, size), hparams.recurrent_dropout_prob).tensor(like)

    return _median(draw)


def measure_batch(split: Split, batch_size: int) -> float:
    """Seconds for the batch of a step, augmented and padded, the median."""
    return _median(lambda step: split.random_rows(batch_size, 0, step, range(batch_size)))


def random_sketches(count: int, steps: int) -> list[np.ndarray]:
    """Stroke-3 of lengths spread evenly over 20 to ``steps``, int16 as in the published sets."""
    rng = np.random.RandomState(0)
    sketches = []
    for length in [steps, *rng.randint(min(20, steps), steps + 1, size=count - 1)]:
        pen = rng.random_sample(length) < 0.1
        pen[-1] = True
        sketches.append(np.column_stack([rng.normal(scale=40, size=(length, 2)), pen]).astype(np.int16))
    return sketches


def _median(do: Callable[[int], object]) -> float:
    seconds = []
    for step in range(REPEATS):
        start = time.perf_counter()
        do(step)
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)
