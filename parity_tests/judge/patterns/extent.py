"""Patterns of extent: which rows or steps differ at all."""

import numpy as np

from parity_tests.judge.patterns.case import Case


def all_but_the_longest(case: Case) -> str | None:
    """Every sketch that is padded differs, and no other."""
    if case.lengths is None:
        return None
    shorter = case.lengths < case.lengths.max()
    if shorter.sum() < 2 or not _differs_only_at(case, case.axes.index("row"), shorter):
        return None
    return "differs in all sketches but the longest: length handling"


def after_the_first_step(case: Case) -> str | None:
    """Equal at the first step, different at every later one."""
    for axis, kind in enumerate(case.axes):
        if not kind.endswith("step"):
            continue
        later = np.moveaxis((case.ours != 0) | (case.theirs != 0), axis, 0).reshape(case.size(kind), -1).any(axis=1)
        later[0] = False
        if later.sum() >= 2 and _differs_only_at(case, axis, later):
            what = "state, mask or input" if kind == "step" else "weights, Adam's state or the count of steps"
            return f"equal at the first {kind}, differs from the second on: what is carried over to it ({what})"
    return None


def _differs_only_at(case: Case, axis: int, places: np.ndarray) -> bool:
    """Whether all of these places along an axis differ, and the others at most by a thousandth of that."""
    gaps = np.moveaxis(np.abs(case.ours - case.theirs), axis, 0).reshape(len(places), -1).max(axis=1)
    least, allowed = gaps[places].min(), case.tolerance * case.scale
    return bool(least > allowed and gaps[~places].max() <= min(allowed, least / 1000))
