"""Accumulated quantities: rounding errors build up over many steps, so the official code's own spread sets the bound.

An ensemble of official runs, with weights perturbed in the last bit and with units and rows in another order, shows for
each step how far apart equally good runs are. Ours may be off by a fixed multiple of that. Where the runs are so far
apart that agreement would prove nothing, the step is not judged.
"""

from typing import NamedTuple

import numpy as np

from parity_tests.judge.limits import (
    CHAOTIC32,
    CHAOTIC64,
    EPSILON32,
    FLOAT32_FLOOR,
    FLOAT64_ALLOWED,
    SPREAD_FACTOR32,
    SPREAD_FACTOR64,
)


class Allowance(NamedTuple):
    """For each norm (root mean square, largest element) and step [2, steps]; absolute."""

    allowed: np.ndarray
    spread: np.ndarray  # the largest drift of any official run up to that step
    judged: np.ndarray  # [steps], whether the spread is small enough to prove anything


def allowance(precision: str, ensemble: np.ndarray, scale: float, last: int | None = None) -> Allowance:
    """The error that is allowed for an accumulated quantity.

    Args:
        precision: float64 or float32.
        ensemble: drift of the official runs [members, 2, steps], see :func:`.error_norms.sizes`.
        scale: the largest magnitude of the quantity, or of the terms that it sums.
        last: the last step that may be judged; None: every step may.
    """
    double = precision == "float64"
    spread = np.maximum.accumulate(
        np.nan_to_num(ensemble, nan=np.inf, posinf=np.inf).astype(np.float64).max(axis=0), axis=1
    )
    floor = (FLOAT64_ALLOWED if double else FLOAT32_FLOOR * EPSILON32) * scale
    allowed = np.maximum(floor, (SPREAD_FACTOR64 if double else SPREAD_FACTOR32) * spread)
    judged = (spread <= (CHAOTIC64 if double else CHAOTIC32) * scale).all(axis=0) | (spread == 0).all(axis=0)
    if last is not None:
        judged &= np.arange(len(judged)) <= last
    return Allowance(allowed, spread, judged)
