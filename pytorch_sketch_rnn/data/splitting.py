"""How a set's sketches are divided into train, valid and test."""

import math

import numpy as np

from pytorch_sketch_rnn.data.npz import SPLITS
from pytorch_sketch_rnn.errors import BadInput

DEFAULT_SPLIT = (0.9, 0.05, 0.05)
UNASSIGNED = len(SPLITS)  # in place of a split's index


def parse_split(text: str) -> tuple[float, float, float]:
    """Parse three sizes of at least 1, or three fractions above 0 whose sum is 1, separated by commas.

    Raises:
        BadInput: for anything else.
    """
    try:
        train, valid, test = split = tuple(float(part) for part in text.split(","))
    except ValueError:  # not three parts, or not numbers
        train, valid, test = split = (0.0, 0.0, 0.0)
    fractions = all(number > 0 for number in split) and math.isclose(sum(split), 1)
    if not (fractions or (are_sizes(split) and all(number.is_integer() for number in split))):
        raise BadInput(
            f"--split is {text}, expected three sizes as in 70000,2500,2500 or fractions as in 0.9,0.05,0.05"
        )
    return train, valid, test


def are_sizes(split: tuple[float, ...]) -> bool:
    """Whether a split is given as sizes, not as fractions."""
    return min(split) >= 1


def fraction_sizes(count: int, valid: float, test: float) -> list[int]:
    """Sizes of train, valid and test from fractions of ``count``, rounded; valid and test get at least one sketch.

    The size of train is what remains: it is less than 1 if ``count`` is too small.
    """
    held_out = [max(1, round(fraction * count)) for fraction in (valid, test)]
    return [count - sum(held_out), *held_out]


def assign_splits(assigned: np.ndarray, split: tuple[float, float, float], seed: int, left_out: str = "") -> np.ndarray:
    """Choose a random split for every sketch that has none.

    Args:
        assigned: index of each sketch's split, or ``UNASSIGNED`` [N].
        split: fractions of the unassigned sketches, or sizes; sizes that sum to less than their number are an error
            of the caller, who should have stopped reading.
        seed: decides the choice.
        left_out: for messages, which drawings were left out.

    Returns:
        Index of each sketch's split [N], uint8.

    Raises:
        BadInput: if there are too few sketches for the sizes, for the three splits, or in one of them.
    """
    unassigned = assigned == UNASSIGNED
    count = int(unassigned.sum())
    if are_sizes(split):
        sizes = [int(size) for size in split]
        wanted = f"{sum(sizes):,}"
    else:
        sizes = fraction_sizes(count, *split[1:]) if count else [0, 0, 0]
        wanted = "at least one for each of train, valid and test"
    if sum(sizes) > count or (count and sizes[0] < 1) or not len(assigned):
        raise BadInput(f"too few sketches: expected {wanted}, got {count:,}{left_out}; see --split and --max_points")
    drawn = np.repeat(np.arange(UNASSIGNED, dtype=np.uint8), sizes)
    np.random.RandomState(seed).shuffle(drawn)  # NumPy promises never to change this stream
    result = assigned.copy()
    result[unassigned] = drawn
    found = np.bincount(result, minlength=UNASSIGNED)
    for index, name in enumerate(SPLITS):  # those of a .npz can be empty
        if not found[index]:
            raise BadInput(f"too few sketches: expected at least one for {name}, got none{left_out}; see --max_points")
    return result
