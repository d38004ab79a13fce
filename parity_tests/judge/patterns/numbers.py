"""Estimates and notes that several patterns share."""

import math
from fractions import Fraction

import numpy as np

from parity_tests.judge.patterns.case import Case

ENOUGH = 24  # rows and steps, and units, from which a normalisation is estimated


def slope(ours: np.ndarray, theirs: np.ndarray) -> float:
    """The factor from theirs to ours, by least squares."""
    return float((ours * theirs).sum() / (theirs * theirs).sum())


def slopes(ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    """The same for each column."""
    return np.nan_to_num((ours * theirs).sum(axis=0) / (theirs * theirs).sum(axis=0))


def spaced(indices: np.ndarray) -> np.ndarray:
    """At most :data:`ENOUGH` of these indices, evenly spaced."""
    return indices[np.unique(np.linspace(0, len(indices) - 1, ENOUGH).astype(int))]


def value_range(values: np.ndarray) -> str:
    """The smallest and the largest value, with enough digits to tell them apart; rounding errors count as zero."""
    low, high = (0.0 if abs(end) < 1e-12 * np.abs(values).max() else end for end in (values.min(), values.max()))
    digits = next((digits for digits in (4, 7, 10) if f"{low:.{digits}g}" != f"{high:.{digits}g}"), 4)
    return f"{low:.{digits}g}..{high:.{digits}g}"


def variance_note(factors: np.ndarray, case: Case) -> str:
    """A note if the factors fit a variance over n - 1 instead of n, or the reverse; epsilon shifts them a little."""
    units = case.ours.shape[-1]
    root = math.sqrt(1 - 1 / units)
    for expected, bottom in ((root, "n - 1"), (1 / root if root else 0, "n")):
        if case.is_layer and (np.abs(factors - expected) < (1 - root) / 20).all():
            return f"about {expected:.4g}: a variance over {bottom}, n = {units}"
    return ""


def fraction_of(ratio: float, tolerance: float) -> str:
    """The simple fraction that equals a ratio; empty if chance finds such a fraction more than once in 500 cases."""
    precision = max(tolerance, 1e-9)
    most = int(min(300, math.sqrt(1 / (600 * precision))))
    if not most or not 0 < abs(ratio) < math.inf:
        return ""
    below_one = min(abs(ratio), 1 / abs(ratio))
    near = Fraction(below_one).limit_denominator(most)
    if not 0 < near < 1 or abs(below_one / near - 1) > precision:
        return ""
    return f"{'-' if ratio < 0 else ''}{1 / near if abs(ratio) > 1 else near}"
