"""How probable an alarm is that was not seen: an upper confidence limit, and a tail that was fitted and checked.

A unit is a recording (model x seed): rows of one recording are not independent. Of each unit counts the share of its
allowance that its closest row used, over all rows and all conditions; for the tail, over the median of its kind.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

import numpy as np

CONFIDENCE = 0.95
STEEPEST = 1000.0  # rate, where all of the largest are alike
FEW, FROM_FILES = 4, "models from files"
TAIL = 0.25  # the share of the largest units that the tail is fitted to


class Tail(NamedTuple):
    """An exponential tail of log(used) above a threshold: P(used > u) = share (u / threshold)^-rate."""

    threshold: float
    share: float
    rate: float

    def beyond(self, used: float) -> float:
        """The probability that a unit uses more than this."""
        return float(min(1.0, self.share * (used / self.threshold) ** -self.rate))


def upper_limit(alarms: int, units: int) -> float:
    """The rate of alarms a unit that is excluded with 95 % confidence (Clopper and Pearson, one-sided)."""
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
    """How close each recording came, over the median of its kind; and these medians.

    Large tensors average more: their share is higher, and scatters less. So what scatters alike is fitted together.

    Args:
        used: the largest used share of each recording, named ``<kind>-seed<n>-step<n>/<variant>``.
    """
    kinds: dict[str, list[float]] = {}
    for name, share in used.items():
        kinds.setdefault(kind_of(name, used), []).append(share)
    medians = {kind: float(np.median(shares)) or 1.0 for kind, shares in kinds.items()}
    return np.array([share / medians[kind_of(name, used)] for name, share in used.items()]), medians


def kind_of(name: str, names: Collection[str]) -> str:
    """The kind of model; those of which there are few, from files, are one kind together."""
    kind = name.partition("-seed")[0]
    return kind if sum(other.startswith(f"{kind}-seed") for other in names) >= FEW else FROM_FILES


def predicted(tail: Tail, medians: Mapping[str, float], recordings: Sequence[str]) -> float:
    """The probability that at least one of some recordings is called different.

    Args:
        tail: of shares over the median of their kind.
        medians: of each kind.
        recordings: their kinds; one that was not studied is taken for that with the largest shares.
    """
    largest = max(medians.values())
    alarms = np.array([tail.beyond(1.0 / medians.get(kind, largest)) for kind in recordings])
    return float(1.0 - np.prod(1.0 - alarms))


def checked(used: np.ndarray, first: np.ndarray) -> list[dict[str, float]]:
    """Fit on one half, and compare with what the other did at the fitted threshold and further out; and the reverse.

    Args:
        used: shares, one of each unit.
        first: whether a unit belongs to the first half.
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
