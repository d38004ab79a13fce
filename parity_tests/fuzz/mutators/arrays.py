"""Changes of arrays: other values, types and shapes."""

from collections.abc import Callable
from random import Random

import numpy as np

_VALUES = (0, 1, -1, 2, 127, 300, 32767, -32768, 2**31, 2**53, 1e30, 1e300, -1e300, 1e-300, np.nan, np.inf, -np.inf)
_TYPES = ("f2", "f4", "f8", ">f4", "i1", "i2", ">i2", "i4", "i8", "u1", "u8", "?", "c8")
_MOST = 2**20  # elements


def mutate_array(random: Random, array: np.ndarray) -> np.ndarray:
    """A changed copy of an array of numbers.

    Args:
        random: decides everything.
        array: of any shape.
    """
    with np.errstate(all="ignore"):
        for _ in range(random.choice((1, 1, 2, 3))):
            array = random.choice(_OPERATIONS)(random, array)
    return array


def _set_value(random: Random, array: np.ndarray) -> np.ndarray:
    changed = array.copy()
    if changed.size:
        value = random.choice(_VALUES)
        start = random.randrange(changed.size)
        places = slice(start, start + random.choice((1, 1, 3, changed.size)))
        changed.ravel()[places] = np.array(value, np.float64).astype(changed.dtype)
        return changed.copy()
    return changed


def _all(random: Random, array: np.ndarray) -> np.ndarray:
    return np.full(array.shape, np.array(random.choice(_VALUES), np.float64).astype(array.dtype))


def _type(random: Random, array: np.ndarray) -> np.ndarray:
    number_type = np.dtype(random.choice(_TYPES))
    return (array if number_type.kind == "c" else array.real).astype(number_type)


def _shorter(random: Random, array: np.ndarray) -> np.ndarray:
    if not array.ndim:
        return array
    axis = random.randrange(array.ndim)
    return np.delete(array, random.choice((slice(0, 1), slice(-1, None), slice(None))), axis)


def _longer(random: Random, array: np.ndarray) -> np.ndarray:
    if not array.ndim or not array.size:
        return array.reshape(-1)
    axis = random.randrange(array.ndim)
    times = max(1, min(random.choice((2, 2, 3, 100)), _MOST // array.size))
    return np.concatenate([array] * times, axis)


def _shape(random: Random, array: np.ndarray) -> np.ndarray:
    changes: tuple[Callable[[], np.ndarray], ...] = (
        lambda: array.ravel(), lambda: array.T, lambda: array[None], lambda: array[..., None],
        lambda: array.ravel()[:1].reshape(()) if array.size else array,
        lambda: array.ravel()[:0], lambda: array[:0] if array.ndim else array,
    )  # fmt: skip
    return random.choice(changes)()


_OPERATIONS: tuple[Callable[[Random, np.ndarray], np.ndarray], ...] = (
    _set_value, _set_value, _set_value, _all, _type, _shorter, _longer, _shape,
)  # fmt: skip
