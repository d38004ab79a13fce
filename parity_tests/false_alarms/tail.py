"""The probability of a false alarm when none was seen: an upper confidence limit, and a fitted and checked tail.

The unit is a recording (a model and its seed), because rows of one recording are not independent. The number of a unit
is the largest share of its allowance that any of its rows used under any condition; for the tail it is divided by the
median of its kind of model.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

import numpy as np

CONFIDENCE = 0.95
STEEPEST = 1000.0  # the rate of the tail if all of the largest units are alike
FEW = 4  # kinds with fewer recordings are one kind together
FROM_FILES = "models from files"
TAIL = 0.25  # share of the units, the largest ones, that the tail is fitted to


class Tail(NamedTuple):
    """A power law above a threshold: P(used > u) = share (u / threshold)^-rate."""

    threshold: float
    share: float
    rate: float

    def beyond(self, used: float) -> float:
        """The probability that a unit uses more than this share."""
        return float(min(1.0, self.share * (used / self.threshold) ** -self.rate))


def upper_limit(alarms: int, units: int) -> float:
    """The upper 95 % confidence limit of the rate of alarms per unit (Clopper and Pearson, one-sided)."""
    if units == 0 or alarms >= units:
        return 1.0
    low, high = alarms / units, 1.0
    for _ in range(100):
        rate = (low + high) / 2
        if _at_most(alarms, units, rate) > 1 - CONFIDENCE:
            low = rate
        else:
            high = rate
    return high


def _at_most(alarms: int, units: int, rate: float) -> float:
    """Binomial probability of this number of alarms or fewer."""
    log_terms = [0.0]
    for k in range(1, alarms + 1):
        log_terms.append(log_terms[-1] + np.log((units - k + 1) / k))
    ks = np.arange(alarms + 1)
    with np.errstate(divide="ignore"):
        return float(np.exp(np.array(log_terms) + ks * np.log(rate) + (units - ks) * np.log1p(-rate)).sum())


def fit(used: np.ndarray) -> Tail:
    """Fit the tail to the largest quarter of units (Hill's estimator of the rate).

    Raises:
        ValueError: with fewer than 8 units.
    """
    if len(used) < 8:
        raise ValueError(f"a tail of {len(used)} units cannot be fitted; expected at least 8")
    ordered = np.sort(used)[::-1]
    count = max(2, int(len(used) * TAIL))
    threshold = float(ordered[count])
    rate = 1.0 / max(float(np.log(ordered[:count] / threshold).mean()), 1.0 / STEEPEST)
    return Tail(threshold, count / len(used), rate)


def by_kind(used: Mapping[str, float]) -> tuple[np.ndarray, dict[str, float]]:
    """Divide the used share of each recording by the median of its kind.

    Larger tensors average over more numbers, so their shares are higher and scatter less. Shares are only fitted
    together after this scaling.

    Args:
        used: the largest used share of each recording, by its name ``<kind>-seed<n>-step<n>/<variant>``.

    Returns:
        The scaled shares [recordings], and the median of each kind.
    """
    kinds: dict[str, list[float]] = {}
    for name, share in used.items():
        kinds.setdefault(kind_of(name, used), []).append(share)
    medians = {kind: float(np.median(shares)) or 1.0 for kind, shares in kinds.items()}
    return np.array([share / medians[kind_of(name, used)] for name, share in used.items()]), medians


def kind_of(name: str, names: Collection[str]) -> str:
    """The kind of model of a recording; kinds with few recordings, which come from files, are one kind."""
    kind = name.partition("-seed")[0]
    return kind if sum(other.startswith(f"{kind}-seed") for other in names) >= FEW else FROM_FILES


def predicted(tail: Tail, medians: Mapping[str, float], recordings: Sequence[str]) -> float:
    """The probability that at least one of some recordings is called different.

    Args:
        tail: of the scaled shares.
        medians: of the shares of each kind.
        recordings: the kind of each; a kind that was not studied counts as the one with the largest median.
    """
    largest = max(medians.values())
    alarms = np.array([tail.beyond(1.0 / medians.get(kind, largest)) for kind in recordings])
    return float(1.0 - np.prod(1.0 - alarms))


def checked(used: np.ndarray, first: np.ndarray) -> list[dict[str, float]]:
    """Cross-check the tail: fit it on one half of the units, and compare with the other half; then the reverse.

    Args:
        used: scaled shares [units].
        first: bool [units], whether a unit belongs to the first half.

    Returns:
        For each fit, the expected and the observed share of units beyond the threshold, and beyond a point further out.
    """
    return [_checked(used[half], used[~half]) for half in (first, ~first)]


def _checked(one: np.ndarray, other: np.ndarray) -> dict[str, float]:
    tail = fit(one)
    far = tail.threshold * 0.1 ** (-1 / tail.rate)  # a tenth of the tail should lie beyond
    return {
        "threshold": tail.threshold,
        "rate": tail.rate,
        "expected beyond threshold": tail.share,
        "seen beyond threshold": float((other > tail.threshold).mean()),
        "far": far,
        "expected beyond far": tail.beyond(far),
        "seen beyond far": float((other > far).mean()),
    }
