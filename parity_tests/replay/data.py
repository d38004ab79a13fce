"""Drives a port's data loader, and rebuilds the stroke sets that a recording holds."""

from typing import Any

import numpy as np

from parity_tests.adapter import Adapter, Arrays
from parity_tests.record.recording import Recording
from parity_tests.replay.answers import Answers
from pytorch_sketch_rnn.data.npz import SPLITS


def sets_of(recording: Recording) -> list[dict[str, list[np.ndarray]]]:
    """The stroke sets of a recording of data or of a training: for each file, its stroke-3 sketches by split."""
    inputs = recording["inputs"]
    count = len({name.split("/")[0] for name in inputs if name.endswith("/points")})
    return [
        {
            split: np.split(inputs[f"{index}/{split}/points"].copy(), inputs[f"{index}/{split}/offsets"][1:-1])
            for split in SPLITS
        }
        for index in range(count)
    ]


def orders_of(recording: Recording) -> Arrays:
    """The order in which the official loader sorted each split."""
    return {split: recording["inputs"][f"{split}/order"].copy() for split in SPLITS}


def replay_data(recording: Recording, port: Adapter) -> Answers:
    """The scale factor and three batches, from the official seed and with the recorded order of equal lengths."""
    answers = Answers()
    answers.take("data", lambda: _batches(recording, port), required=())
    return answers


def _batches(recording: Recording, port: Adapter) -> Arrays:
    rng = np.random.RandomState(recording.provenance["seed"])
    data = port.data(sets_of(recording), dict(recording.hparams), rng, orders_of(recording))
    result: dict[str, Any] = {"scale_factor": np.asarray(data.scale_factor)}
    draws = {"train/0": data.random_batch, "valid/0": lambda: data.valid_batch(0), "train/1": data.random_batch}
    for name, draw in draws.items():
        strokes, sketches, lengths = draw()
        result |= {
            f"{name}/strokes": np.concatenate(strokes),
            f"{name}/sketches": sketches,
            f"{name}/lengths": np.asarray(lengths),
        }
    return result
