"""The standard deviation of offsets, computed while a set is written.

Magenta normalises a set by the standard deviation of all its training offsets, dx and dy together
(``calculate_normalizing_scale_factor`` in ``utils.py``). :mod:`~pytorch_sketch_rnn.data.magenta_loader` keeps Magenta's
own computation, NumPy's ``np.std`` over one float32 array: its result depends on the rounding of every partial sum, and
training must start from the same bits. Here nothing needs to be bit-identical to Magenta, but a set may be larger than
memory, so two running sums replace the array.
"""

import math

import numpy as np


class RunningDeviation:
    """Standard deviation of numbers that arrive one array at a time, in constant memory.

    For integers the sums are exact, so the result does not depend on the order of the arrays.
    """

    def __init__(self) -> None:
        self._count = 0
        self._sum: int | float = 0
        self._squares: int | float = 0

    def add(self, numbers: np.ndarray) -> None:
        """Include an array of any shape; integers must be below 2**15 in size, so that int64 holds all sums."""
        wide: np.ndarray = numbers.astype(np.int64 if numbers.dtype.kind in "iu" else np.float64)
        self._count += wide.size
        self._sum += wide.sum().item()
        self._squares += np.vdot(wide, wide).item()

    def deviation(self) -> float:
        """The standard deviation of all numbers so far; there must be at least one."""
        # With floats, rounding can make the variance of equal numbers negative.
        return math.sqrt(max(0, self._count * self._squares - self._sum**2)) / self._count
