"""Patterns of layer normalisation and its gains: a factor or shift for each row and step, or for each unit."""

import numpy as np

from parity_tests.judge.patterns.case import Case
from parity_tests.judge.patterns.numbers import slopes, spaced, value_range, variance_note


def normalisation(case: Case) -> str | None:
    """Another normalisation: each row and step has its own factor, about a centre of each unit (its beta)."""
    if not case.is_layer:
        return None
    units = case.ours.shape[-1]
    theirs = case.theirs.reshape(-1, units)
    gap = case.ours.reshape(-1, units) - theirs
    changed = np.flatnonzero(case.differs.reshape(-1, units).any(axis=1))
    if units < 4 or len(changed) < 4:
        return None
    centre = _centre(theirs, gap, changed)
    factor = 1 + slopes(gap.T, (theirs - centre).T)[:, None]
    is_shift = np.abs(centre).max() > 10 * case.scale  # a factor next to 1 about a centre far away
    if is_shift or not case.explains((centre + factor * (theirs - centre)).reshape(case.ours.shape)):
        return None
    found, axes = factor[changed], " and ".join(case.axes[:-1])
    if found.min() < 0.03 or found.max() > 30:
        return None
    note = variance_note(found, case) or "epsilon or variance"
    return f"each {axes} is scaled by its own factor ({value_range(found)}): a normalisation ({note})"


def _centre(theirs: np.ndarray, gap: np.ndarray, changed: np.ndarray) -> np.ndarray:
    """The centre of each unit [n], by least squares.

    gap = e (theirs - centre), with an e for each row, is linear in 1 / e and the centre. These equations are solved for
    some of the rows and units; from the e of those rows follows the centre of every unit.
    """
    some, few = spaced(changed), spaced(np.arange(theirs.shape[1]))
    part = theirs[np.ix_(some, few)]
    of_rows = np.eye(len(some))[:, None, :] * gap[np.ix_(some, few)][:, :, None]
    of_units = np.tile(np.eye(len(few)), (len(some), 1, 1))
    equations = np.concatenate([of_rows, of_units], axis=2).reshape(part.size, -1)
    excess = 1 / np.linalg.lstsq(equations, part.ravel(), rcond=None)[0][: len(some), None]
    return (excess**2 * theirs[some] - excess * gap[some]).sum(axis=0) / (excess**2).sum()


def factor_or_shift_of_each_unit(case: Case) -> str | None:
    """Each unit has its own factor, shift or both."""
    if case.axes[-1] not in ("unit", "out"):
        return None
    units = case.ours.shape[-1]
    if case.differs.sum() < 4 * case.differs.reshape(-1, units).any(axis=0).sum():
        return None
    alive, ours, theirs = (side.reshape(-1, units) for side in (case.before_end, case.ours, case.theirs))
    weight = alive / np.maximum(alive.sum(axis=0), 1)
    mean_ours, mean_theirs = (weight * ours).sum(axis=0), (weight * theirs).sum(axis=0)
    if case.explains(np.broadcast_to(mean_ours, case.ours.shape)):
        return None  # a constant does not show how it came from theirs
    shift, factor = mean_ours - mean_theirs, slopes(weight * ours, weight * theirs)
    if case.explains(case.theirs + shift):
        cause = ": another bias or beta, or none" if case.is_layer else ""
        return f"each unit is shifted by its own constant ({value_range(shift)}){cause}"
    if case.explains(case.theirs * factor):
        cause = ": another gamma, or bias before exp, or none" if case.is_layer else ""
        return f"each unit is scaled by its own factor ({value_range(factor)}){cause}"
    if not case.is_layer:
        return None
    factor = slopes(weight * (ours - mean_ours), weight * (theirs - mean_theirs))
    shift = mean_ours - factor * mean_theirs
    if case.explains(case.theirs * factor + shift):
        scaled_and_shifted = f"scaled ({value_range(factor)}) and shifted ({value_range(shift)})"
        return f"each unit is {scaled_and_shifted}: another gamma and beta, or none"
    return None
