"""When the numbers of a port and of the reference with a bug count as the same."""

from collections.abc import Mapping
from itertools import combinations

import numpy as np

# A port matches if no more than this is left, relative to the largest magnitude. Measured: a second implementation
# (examples/numpy_port.py) with the same bug comes within 4e-15 in every forward quantity of the shipped models and
# cells, and our sound port within 9e-14 of the official code in all 3668 tensors, gradients and slots included. Two
# bugs that are not the same to rounding come this close in 23 of 113,000 pairs: in 22 of them one is an epsilon of
# 1e-12 and the other a smaller one or none.
MATCH = 1e-10
# The departure must be larger than what is left by this factor. Some hundred bugs and pairs are tried, so one of them
# could come close by accident: to a single number such as a cost more easily than to a tensor.
EVIDENCE, EVIDENCE_OF_ONE = 1e4, 1e6


def is_match(residual: float, departure: float, size: int) -> bool:
    """Whether the reference with a bug gives the port's numbers, and the departure is large enough to be evidence.

    Args:
        residual: distance between the port and the reference with the bug.
        departure: distance between the port and the official code.
        size: how many numbers are compared.
    """
    return residual <= min(MATCH, departure / (EVIDENCE if size > 1 else EVIDENCE_OF_ONE))


def distance(a: np.ndarray, b: np.ndarray) -> float:
    """The largest difference relative to the largest magnitude of either; infinite if they cannot be compared."""
    a, b = np.asarray(a), np.asarray(b)
    if a.shape != b.shape or a.dtype.kind not in "biuf" or b.dtype.kind not in "biuf":
        return float("inf")
    a, b = a.astype(np.float64), b.astype(np.float64)
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        return float("inf")
    scale = max(np.abs(a).max(initial=0.0), np.abs(b).max(initial=0.0))
    return float(np.abs(a - b).max() / scale) if scale else 0.0


def left_by_pairs(
    start: np.ndarray | None, answers: Mapping[str, np.ndarray | None], ours: np.ndarray
) -> dict[tuple[str, str], float]:
    """What pairs of bugs would leave of a departure if their effects added up.

    Args:
        start: the reference's answer without either bug of a pair.
        answers: its answer with one more bug, by the bug's name.
        ours: the port's answer.

    Returns:
        For each pair |ours - start - effect - effect'|^2, less the same constant for all pairs. Bugs whose answers
        cannot be subtracted are left out.
    """
    fits = {n: a for n, a in answers.items() if a is not None and a.shape == ours.shape and np.isfinite(a).all()}
    if start is None or start.shape != ours.shape or not np.isfinite(ours).all() or len(fits) < 2:
        return {}
    effects = np.stack([(answer.astype(np.float64) - start).ravel() for answer in fits.values()])
    along = effects @ (ours.astype(np.float64) - start).ravel()
    products = effects @ effects.T
    squares = np.diag(products)
    error = squares[:, None] + squares + 2 * products - 2 * (along[:, None] + along)
    names = list(fits)
    return {(names[a], names[b]): error[a, b] for a, b in combinations(range(len(names)), 2)}
