"""Philox4x32-10, a counter-based random generator: every number is a pure function of a key and a counter.

No state is carried from one number to the next, so any part of a tensor can be computed on its own, on any device and
in any process, with the same bits.

Source: Salmon, Moraes, Dror and Shaw 2011, "Parallel random numbers: as easy as 1, 2, 3", section 5.3.
"""

import zlib
from collections.abc import Iterable
from typing import TYPE_CHECKING, TypeVar

import numpy as np

if TYPE_CHECKING:  # what is drawn with NumPy must not wait for torch
    from torch import Tensor

ROUNDS = 10
MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
KEY_STEPS = (0x9E3779B9, 0xBB67AE85)  # added to the two words of the key after each round
LOW_32_BITS = 0xFFFFFFFF

Words = TypeVar("Words", np.ndarray, "Tensor")


def philox(counter: tuple[Words, Words, Words, Words], key: tuple[int, int]) -> tuple[Words, Words, Words, Words]:
    """Four random 32-bit words for each counter.

    Args:
        counter: four 32-bit words, the lowest first, in arrays that broadcast against each other: NumPy ``uint64`` or
            torch ``int64``, which have room for the 64-bit products.
        key: two 32-bit words.

    Returns:
        Four arrays of the broadcast shape, with values in 0..2^32 - 1.
    """
    c0, c1, c2, c3 = counter
    for number in range(ROUNDS):
        k0, k1 = ((word + number * step) & LOW_32_BITS for word, step in zip(key, KEY_STEPS, strict=True))
        product0, product1 = c0 * MULTIPLIERS[0], c2 * MULTIPLIERS[1]
        # masking after the shift also removes the sign bits that an int64 shift copies down
        c0 = ((product1 >> 32) ^ c1 ^ k0) & LOW_32_BITS
        c2 = ((product0 >> 32) ^ c3 ^ k1) & LOW_32_BITS
        c1, c3 = product1, product0  # only their lower halves count: the next masking removes the upper ones
    return c0, c1 & LOW_32_BITS, c2, c3 & LOW_32_BITS


def name_id(name: str) -> int:
    """The word that stands for a name in a counter: its CRC-32."""
    return zlib.crc32(name.encode())


def uniform(seed: int, step: int, name: str, rows: Iterable[int], units: int) -> np.ndarray:
    """Uniform float64 numbers in [0, 1), [rows, units], each a function of its row and unit and of the other arguments.

    They are the first words of Philox at the counters (unit, 0, row, name) under the key (seed, step).
    """
    row = np.fromiter(rows, np.uint64).reshape(-1, 1)
    unit, zero, name_word = np.arange(units, dtype=np.uint64), np.uint64([0]), np.uint64([name_id(name)])
    return philox((unit, zero, row, name_word), (seed, step))[0] * 2.0**-32
