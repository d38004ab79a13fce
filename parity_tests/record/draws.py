"""Random inputs of both sides, and perturbed weights, from seeded NumPy generators.

Each name has its own generator at each step, so its numbers do not depend on what else is drawn.
"""

import zlib
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

MEMBERS = 12  # official runs in an ensemble, in each precision
PREFIXES = (1, 2, 3)  # numbers of first points after which results are still nearly local
VALIDATION_DRAWS = 1_000_000  # the "step" of the first validation batch, beyond all training steps


class Wanted(NamedTuple):
    """Shape and distribution of one random input."""

    shape: tuple[int, ...]  # [T, B, n] of a mask, [B, z] of latent noise
    keep_prob: float | None  # of a mask; None: standard normal numbers


def draws_of(wanted: Mapping[str, Wanted], seed: int, step: int) -> dict[str, np.ndarray]:
    """The random inputs of one step by name, float32, so that both precisions share them."""
    result = {}
    for name, (shape, keep_prob) in wanted.items():
        rng = np.random.RandomState([seed, step, zlib.crc32(name.encode())])
        if keep_prob is None:
            result[name] = rng.normal(size=shape).astype(np.float32)
        else:
            result[name] = dropout_mask(rng, shape, keep_prob)
    return result


def dropout_mask(rng: np.random.RandomState, shape: tuple[int, ...], keep_prob: float) -> np.ndarray:
    """A mask of 0 and 1 / keep probability, float32."""
    return ((rng.random_sample(shape) < keep_prob) / keep_prob).astype(np.float32)


def nudged(weights: dict[str, np.ndarray], trainable: set[str], dtype: str, seed: int) -> dict[str, np.ndarray]:
    """Weights with each trainable element moved to the next larger or smaller number of a precision, or left as it is.

    A float32 run of weights nudged in float32 is as good as the original one. Weights nudged in float64 show which
    results float64 cannot tell apart.
    """
    rng = np.random.RandomState(seed)
    result = dict(weights)
    for name in sorted(trainable):
        value = weights[name].astype(dtype)
        direction = rng.randint(-1, 2, value.shape)
        neighbour = np.nextafter(value, np.copysign(np.inf, direction).astype(dtype))
        result[name] = np.where(direction == 0, value, neighbour)
    return result
