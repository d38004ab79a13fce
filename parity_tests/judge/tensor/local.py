"""Local quantities: one step or one function, computed from official values, so that rounding errors cannot build up.

In float64 the largest element decides. In float32 the truth is the same step in float64 from exactly the float32 values
that were fed. Our root mean square error is compared with the official one, pooled over the whole tensor and over each
row, step, gate and unit. The fewer elements carry a pool's error, the wider its allowance.
"""

from typing import NamedTuple

import numpy as np

from parity_tests.judge.limits import CANCELLING, EPSILON32, LOCAL_FLOOR, factors, family
from parity_tests.judge.tensor.pools import pooled


class Pooled(NamedTuple):
    """One pool and its allowance."""

    used: float  # its error over its allowance; above 1 it departs
    error: float  # root mean square, absolute
    official: float
    allowed: float
    axis: str  # what the fixed axis counts; "" for the whole tensor
    index: int  # type: ignore[assignment]  # hides tuple.index, which is not used


def judge_pools(
    name: str, ours: np.ndarray, official: np.ndarray, truth: np.ndarray, scale: float, of_others: float = 0.0
) -> list[Pooled]:
    """All pools of a float32 quantity that depart; if none does, the one that uses most of its allowance.

    Args:
        name: of the official quantity.
        ours: float32.
        official: float32, from the same values.
        truth: float64, from the same values.
        scale: the largest magnitude of the terms that a cost sums; ignored for other families.
        of_others: root mean square error, absolute, of official quantities that sum terms of the same size.
    """
    kind = family(name)
    truth = truth.astype(np.float64)
    pools = pooled(name, (ours.astype(np.float64) - truth, official.astype(np.float64) - truth), truth)
    error, theirs, magnitude = pools.values
    if kind == "cost":
        magnitude = np.maximum(magnitude, scale)
    of_whole = theirs[0] / magnitude[0] if magnitude[0] else 0.0
    expected = theirs**2 + (of_whole**2 + (LOCAL_FLOOR * EPSILON32) ** 2) * magnitude**2
    if kind in CANCELLING:
        expected += theirs[0] ** 2 + of_others**2
    allowed = factors(kind, pools.sizes) * np.sqrt(expected)
    with np.errstate(divide="ignore", invalid="ignore"):
        used = np.where(error == 0, 0.0, error / allowed)

    def entry(index: int) -> Pooled:
        values = [float(array[index]) for array in (used, error, theirs, allowed)]
        return Pooled(values[0], values[1], values[2], values[3], pools.axes[index], int(pools.indices[index]))

    bad = np.flatnonzero(used > 1)
    return [entry(int(index)) for index in (bad if bad.size else [int(used.argmax())])]
