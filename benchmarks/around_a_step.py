"""What surrounds the arithmetic of a training step: its random numbers, its batch, and the saves of a run."""

import dataclasses
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from pytorch_sketch_rnn.data.batches import Sets, Split
from pytorch_sketch_rnn.hparams import HParams
from pytorch_sketch_rnn.model.draws import KeyedDraws
from pytorch_sketch_rnn.model.sketch_rnn import SketchRNN
from pytorch_sketch_rnn.training.run import Run
from pytorch_sketch_rnn.training.run_log import CURVES_FILE, read_curves
from pytorch_sketch_rnn.training.run_state import Best
from pytorch_sketch_rnn.training.trainer import Trainer

REPEATS = 15
SAVES = 3


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


def measure_save(hparams: HParams, evaluated: int = 300) -> float:
    """Seconds for a save of a run: validation, test, checkpoint, model, page of sketches and plotted curves; the mean.

    Args:
        hparams: of the model.
        evaluated: sketches in the validation and the test set; Magenta's sheep have 300 each.
    """
    hparams = dataclasses.replace(hparams, save_every=1)
    sketches = random_sketches(max(evaluated, hparams.batch_size), hparams.max_seq_len)
    sets = Sets.from_splits({"train": sketches, "valid": sketches[:evaluated], "test": sketches[:evaluated]}, hparams)
    trainer = Trainer(SketchRNN(sets.hparams, 0), sets)
    with tempfile.TemporaryDirectory() as folder:
        run = Run(Path(folder), trainer, Best(), 1, lambda _: None)
        run.train(1)  # the first save also imports and compiles
        start = time.perf_counter()
        for step in range(SAVES):
            run.best = Best()  # so that each one is the best, and the test set is evaluated, too
            run.train(step + 2)  # at its end, the curves are plotted
        seconds = time.perf_counter() - start
        steps = read_curves(Path(folder) / CURVES_FILE)["train"]["seconds"][-SAVES:]
    return (seconds - float(steps.sum())) / SAVES


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
