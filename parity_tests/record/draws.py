"""What both sides are given in place of random numbers, and nudged weights: seeded NumPy.

A stream of numbers belongs to one name and one step.
"""

import zlib
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

MEMBERS = 12  # official runs of an ensemble, in each precision
PREFIXES = (1, 2, 3)  # points of a sketch after which a step is nearly local
VALIDATION_DRAWS = 1_000_000  # the "step" from which the draws of validation batches are counted


class Wanted(NamedTuple):
    """What is asked for under a name."""

    shape: tuple[int, ...]  # of a mask [T, B, n], of latent noise [B, z]
    keep_prob: float | None  # None: normal numbers


def draws_of(wanted: Mapping[str, Wanted], seed: int, step: int) -> dict[str, np.ndarray]:
    """The numbers of one step, float32, which both precisions then share; those of each name are its own."""
    result = {}
    for name, (shape, keep_prob) in wanted.items():
        rng = np.random.RandomState([seed, step, zlib.crc32(name.encode())])
        if keep_prob is None:
            result[name] = rng.normal(size=shape).astype(np.float32)
        else:
            result[name] = dropout_mask(rng, shape, keep_prob)
    return result


def dropout_mask(rng: np.random.RandomState, shape: tuple[int, ...], keep_prob: float) -> np.ndarray:
    """0 or 1 / keep probability, as float32 rounds it."""
    return ((rng.random_sample(shape) < keep_prob) / keep_prob).astype(np.float32)


def nudged(weights: dict[str, np.ndarray], trainable: set[str], dtype: str, seed: int) -> dict[str, np.ndarray]:
    """Weights of which each trainable one is moved to a neighbouring number of that precision, or stays.

    Nudged in float32 they are another, equally good sample of a float32 run, whose truth is the float64 run of the same
    weights; nudged in float64 they show what float64 cannot tell apart.
    """
    rng = np.random.RandomState(seed)
    result = dict(weights)
    for name in sorted(trainable):
        value = weights[name].astype(dtype)
        direction = rng.randint(-1, 2, value.shape)
        neighbour = np.nextafter(value, np.copysign(np.inf, direction).astype(dtype))
        result[name] = np.where(direction == 0, value, neighbour)
    return result
