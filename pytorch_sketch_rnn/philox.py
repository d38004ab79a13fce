"""Philox4x32-10, a counter-based random generator: every number is a pure function of a key and a counter.

No state is carried from one number to the next, so any part of a tensor can be computed on its own, on any device and
in any process, with the same bits.

Source: Salmon, Moraes, Dror and Shaw 2011, "Parallel random numbers: as easy as 1, 2, 3", section 5.3.
"""

import sys
import zlib
from collections.abc import Iterable
from typing import TYPE_CHECKING, TypeVar

import numpy as np

if TYPE_CHECKING:  # callers that use NumPy alone must not wait for torch's import
    from torch import Tensor

ROUNDS = 10
MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
KEY_STEPS = (0x9E3779B9, 0xBB67AE85)  # added to the two words of the key after each round
LOW_32_BITS = 0xFFFFFFFF

Words = TypeVar("Words", np.ndarray, "Tensor")


def philox(
    counter: tuple[Words, Words, Words, Words], key: "tuple[int | Tensor, int | Tensor]"
) -> tuple[Words, Words, Words, Words]:
    """Four random 32-bit words for each counter.

    Args:
        counter: four 32-bit words, the lowest first, in arrays that broadcast against each other: NumPy ``uint32``, or
            torch ``int64`` with values in 0..2^32 - 1 (torch supports few operations on unsigned types).
        key: two 32-bit words; with torch, they may be int64 scalars on the counters' device.

    Returns:
        Four arrays of the broadcast shape and of the same type.
    """
    multiply = _multiply_numpy if isinstance(counter[0], np.ndarray) else _multiply_torch
    c0, c1, c2, c3 = counter
    for number in range(ROUNDS):
        k0, k1 = ((word + number * step) & LOW_32_BITS for word, step in zip(key, KEY_STEPS, strict=True))
        (low0, high0), (low1, high1) = multiply(c0, MULTIPLIERS[0]), multiply(c2, MULTIPLIERS[1])
        c0, c1, c2, c3 = high1 ^ c1 ^ k0, low1, high0 ^ c3 ^ k1, low0
    return c0, c1, c2, c3


def _multiply_numpy(word: np.ndarray, factor: int) -> tuple[np.ndarray, np.ndarray]:
    """The lower and the upper half of the 64-bit products, as views."""
    halves = np.multiply(word, np.uint64(factor), dtype=np.uint64).view(np.uint32)
    return (halves[..., 0::2], halves[..., 1::2])[:: 1 if sys.byteorder == "little" else -1]


def _multiply_torch(word: "Tensor", factor: int) -> tuple["Tensor", "Tensor"]:
    """The lower and the upper half of the 64-bit products; an int64 product wraps around to the same bits."""
    product = word * factor
    return product & LOW_32_BITS, (product >> 32) & LOW_32_BITS  # a shift to the right copies the sign bit down


def name_id(name: str) -> int:
    """The word that represents a name in a counter: its CRC-32."""
    return zlib.crc32(name.encode())


def uniform(seed: int, step: int, name: str, rows: Iterable[int], units: int) -> np.ndarray:
    """Uniform float64 numbers in [0, 1), [rows, units], each a function of its row and unit and of the other arguments.

    They are the first words of Philox at the counters (unit, 0, row, name) under the key (seed, step).
    """
    row = np.fromiter(rows, np.uint32).reshape(-1, 1)
    unit = np.arange(units, dtype=np.uint32).reshape(1, -1)
    zero, name_word = np.zeros((1, 1), np.uint32), np.full((1, 1), name_id(name), np.uint32)
    numbers: np.ndarray = philox((unit, zero, row, name_word), (seed, step))[0] * 2.0**-32
    return numbers
