"""Patterns of scale: one factor, shift, bound or mask explains the whole tensor."""

import numpy as np

from parity_tests.judge.patterns.case import Case
from parity_tests.judge.patterns.numbers import fraction_of, slope, variance_note


def clipped_by_norm(case: Case) -> str | None:
    """The whole gradient times one factor, instead of a bound on each element."""
    gradient = case.others.get(case.name.replace("clipped/", "gradient/", 1))
    if gradient is None or not case.name.startswith("clipped/") or np.shape(gradient) != case.ours.shape:
        return None
    gradient = np.asarray(gradient, np.float64)
    factor, is_cut = slope(case.ours, gradient), not case.is_close(case.theirs, gradient)
    if not (is_cut and 0 < factor < 1 and case.explains(factor * gradient)):
        return None
    return f"ours is their gradient times {factor:#.6g}: one common factor, as of a clip by norm, not by value"


def bounded(case: Case) -> str | None:
    """One side stays at a bound where the other exceeds it; elsewhere they are equal."""
    margin = case.tolerance * case.scale
    for side, held, free in (("ours", case.ours, case.theirs), ("theirs", case.theirs, case.ours)):
        low, high = held.min(), held.max()
        below, above = free < low - margin, free > high + margin
        if case.differs.all() or (case.differs != below | above).any():
            continue
        if case.fills(held, free.clip(low, high), case.ours - case.theirs):
            bounds = " and ".join(f"{bound:.6g}" for bound, beyond in ((low, below), (high, above)) if beyond.any())
            fault = "an extra floor or bound" if side == "ours" else "a missing floor or bound"
            return f"equal except for {case.differs.sum()} elements, where {side} stays at {bounds}: {fault}"
    return None


def dropout_mask(case: Case) -> str | None:
    """A dropout mask: some elements are zero on one side, and the others differ by one factor or none."""
    if not case.is_layer:
        return None
    zero, their_zero = case.ours == 0, case.theirs == 0
    # a mask never zeroes a whole unit, or a whole row and step
    partly, units = np.ones_like(zero), tuple(range(zero.ndim - 1))
    for side in (~zero, ~their_zero):
        partly &= side.any(axis=-1, keepdims=True) & side.any(axis=units)
    kept = ~zero & ~their_zero
    if kept.sum() < 3 or (zero != their_zero)[~partly].any():
        return None
    factor = slope(case.ours[kept], case.theirs[kept])
    if not case.is_close(case.ours[kept], factor * case.theirs[kept]):
        return None
    is_scaled = abs(factor - 1) > case.slack
    lost, extra = int((zero & ~their_zero).sum()), int((their_zero & ~zero).sum())
    if not lost and not extra:
        is_mask = is_scaled and (zero & partly).any()
        return f"ours is theirs times {factor:.6g} where not zero: dropout scaling" if is_mask else None
    sides = (("ours", "theirs", lost), ("theirs", "ours", extra))
    found = " and ".join(f"{a} is zero where {b} is not ({count} elements)" for a, b, count in sides if count)
    rest = f"elsewhere ours is theirs times {factor:.6g}" if is_scaled else "elsewhere equal"
    return f"{found}, {rest}: a dropout mask is missing or another"


def one_factor(case: Case) -> str | None:
    """Ours is theirs times one factor, or with the other sign."""
    factor = slope(case.ours[case.before_end], case.theirs[case.before_end])
    if case.explains(-case.theirs):
        return "ours is theirs with the other sign"
    if not case.explains(factor * case.theirs):
        return None
    note = fraction_of(factor, case.tolerance)
    note = variance_note(np.array([factor]), case) or (note if "/" in note else "")
    times = f"{factor:#.6g}" if abs(factor - 1) > 1e-3 else f"1 {'+' if factor > 1 else '-'} {abs(factor - 1):.3g}"
    return f"ours is {times} times theirs{f' ({note})' if note else ''}"


def one_shift(case: Case) -> str | None:
    """Ours is theirs plus one constant."""
    shift = float((case.ours - case.theirs)[case.before_end].mean())
    if not case.explains(case.theirs + shift):
        return None
    return f"ours is theirs {'+' if shift > 0 else '-'} {abs(shift):.6g} everywhere"
