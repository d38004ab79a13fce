"""Accumulated quantities: what many steps make of rounding, held against how far the official code drifts from itself.

An ensemble of official runs, with weights moved in the last bit and with units and rows in another order, says for each
step how far apart equally good runs are. Ours may be a few times as far off. Where the runs drift so far apart that
agreement would prove nothing, the step is not judged.
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
    """For each measure and step [2, steps]; absolute."""

    allowed: np.ndarray
    spread: np.ndarray  # the largest drift of any official run so far
    judged: np.ndarray  # [steps], whether the spread is small enough to prove anything


def allowance(precision: str, ensemble: np.ndarray, scale: float, last: int | None = None) -> Allowance:
    """What is allowed of an accumulated quantity.

    Args:
        precision: float64 or float32.
        ensemble: sizes of the official runs' drift [members, 2, steps], see :func:`.error_norms.sizes`.
        scale: the largest magnitude of the quantity, or of what it adds up.
        last: the last step that is judged at all; None: every one.
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
