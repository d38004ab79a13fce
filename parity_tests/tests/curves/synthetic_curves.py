"""Synthetic curves and a tiny training, which the tests of curves share."""

import numpy as np

from parity_tests.curves.permutation_test import QUANTITIES, Sizes
from parity_tests.curves.plan import CurvesPlan, Departure
from parity_tests.ours import Adapter
from parity_tests.record.configurations import TrainingRun
from parity_tests.record.recording import Recording
from pytorch_sketch_rnn.hparams import HParams

RUNS, STEPS, VALIDATIONS = 6, 35, 3
SIZES = Sizes(RUNS, STEPS, VALIDATIONS)
ALPHA = 0.01


def synthetic(seed, runs=RUNS, steps=STEPS, validations=VALIDATIONS):
    """Curves like those of a training: they fall, and each run has a luck of its own in every step and as a whole."""
    rng = np.random.RandomState(seed)
    result = {}
    for quantity in QUANTITIES:
        count = steps if quantity.startswith("train/") else validations
        luck = 0.02 * rng.standard_normal((runs, 1)) + 0.05 * rng.standard_normal((runs, count))
        result[quantity] = 1 + 2 * 0.95 ** np.arange(count) + luck
    return result


def changed(runs, quantity, change):
    return runs | {quantity: change(runs[quantity].copy())}


def shifted(by, steps=slice(None)):
    def change(values):
        values[:, steps] += by
        return values

    return change


def without_last(axis):
    return lambda values: np.delete(values, -1, axis=axis)


def spoilt(value):
    def change(values):
        values[2, 1] = value
        return values

    return change


TINY = {
    "enc_model": "lstm", "dec_model": "layer_norm", "enc_rnn_size": 4, "dec_rnn_size": 5, "z_size": 3,
    "num_mixture": 2, "batch_size": 4, "num_steps": 4, "save_every": 3, "learning_rate": 0.01, "kl_tolerance": 0.0,
}  # fmt: skip


def sketches(count, seed):
    rng = np.random.RandomState(seed)
    result = []
    for _ in range(count):
        sketch = rng.randint(-40, 40, (rng.randint(4, 9), 3))
        sketch[:, 2] = 0
        sketch[-1, 2] = 1
        result.append(sketch.astype(np.int16))
    return result


def official_recording(runs, scale=1.0, **changes):
    """A recording of official runs with these curves."""
    hparams = HParams(**TINY | {"max_seq_len": 8} | changes)
    weights = {name: value * np.float32(scale) for name, value in Adapter().initial(hparams.to_dict(), 1).items()}
    groups = {"weights": weights, "float32": runs}
    return Recording("curves", "curves/tiny", hparams.to_dict(), {"versions": {"magenta": "2.1.4"}}, groups)


PLAN = CurvesPlan(
    (TrainingRun("layer_norm", {}),),
    (TrainingRun("tiny", TINY),),
    (Departure("the rate is halved", "tiny", {"learning_rate": 0.005}),),
    RUNS,
)
