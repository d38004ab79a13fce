"""The error of the official code itself: what our own is held against."""

import numpy as np

from parity_tests.measure import sizes

Computed = dict[str, np.ndarray]


def float32_errors(pairs: list[tuple[Computed, Computed]]) -> Computed:
    """The largest error of official float32 runs, each against the float64 run of the same weights.

    Args:
        pairs: float32 and float64 runs.

    Returns:
        For each quantity [2, steps] as :func:`parity_tests.measure.sizes` gives it.
    """
    found = [_errors(*pair) for pair in pairs]
    return {name: np.max([errors[name] for errors in found], axis=0) for name in found[0]}


def _errors(single: Computed, double: Computed) -> Computed:
    differences = {name: single[name].astype(np.float64) - double[name] for name in single}
    return {name: sizes(name, difference) for name, difference in differences.items()}


def float64_noise(nudged: list[Computed], truth: Computed) -> Computed:
    """For each quantity the largest change of any element where the weights move by one rounding of float64."""
    return {name: np.max([np.abs(run[name] - value).max() for run in nudged]) for name, value in truth.items()}
