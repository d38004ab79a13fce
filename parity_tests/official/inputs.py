"""Inputs of both sides: batches of sketches, and weights with noise. Seeded NumPy, no TensorFlow arithmetic."""

import numpy as np

from parity_tests.official.magenta import utils
from weight_port.names import OUTPUT


def make_batch(
    strokes: list[np.ndarray], batch: int, steps: int, padding: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Real sketches, padded by Magenta, and their lengths, from 1 to ``steps - padding``.

    Short sketches are repeated up to their length.
    """
    rng = np.random.RandomState(seed)
    lengths = np.concatenate([[1], rng.randint(2, steps - padding, size=batch - 2), [steps - padding]])
    sketches = []
    for length, index in zip(lengths, rng.permutation(len(strokes)), strict=False):
        repeated = np.concatenate([strokes[index]] * (length // len(strokes[index]) + 1))
        sketches.append(repeated[:length])
    return utils.DataLoader([], batch, steps).pad_batch(sketches, steps), lengths


def moved(weights: dict[str, np.ndarray], trainable: set[str], scale: float, seed: int) -> dict[str, np.ndarray]:
    """Weights with seeded noise on every trainable variable, rounded to float32 so that both precisions share them.

    The noise has the standard deviation ``scale``. For matrices it is divided by the square root of the number of rows,
    so that it changes their products equally at any size. The output layer gets four times the noise, which gives wide
    and narrow components, and correlations near +-1.
    """
    rng = np.random.RandomState(seed)
    result = dict(weights)
    for name in sorted(trainable):
        value = weights[name]
        deviation = scale / np.sqrt(len(value)) if value.ndim == 2 else scale
        if name in OUTPUT:
            deviation *= 4
        result[name] = (value + rng.normal(0.0, deviation, value.shape)).astype(np.float32)
    return result
