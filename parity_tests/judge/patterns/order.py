"""Patterns of order: ours has the same numbers as theirs, in other places."""

import itertools
import math

import numpy as np

from parity_tests.judge.patterns.case import Case, variable_of
from parity_tests.record.quantities import FOUR_GATES, GATES

PLURALS = {"row": "rows of the batch", "in": "inputs", "out": "units"}


def transposed(case: Case) -> str | None:
    """Two axes of equal length swapped."""
    for a, b in itertools.combinations(range(case.ours.ndim), 2):
        if case.ours.shape[a] == case.ours.shape[b] and case.explains(case.theirs.swapaxes(a, b)):
            return f"ours is theirs transposed: axes {case.axes[a]} and {case.axes[b]}"
    return None


def shifted_by_a_step(case: Case) -> str | None:
    """Ours at a step is theirs at the step before or after it."""
    for axis, kind in enumerate(case.axes):
        if not kind.endswith("step") or case.size(kind) < 4:
            continue
        ours, theirs = np.moveaxis(case.ours, axis, 0), np.moveaxis(case.theirs, axis, 0)
        for now, then, sign in ((slice(None, -1), slice(1, None), "+"), (slice(1, None), slice(None, -1), "-")):
            if case.fills(ours[now], theirs[then], ours[now] - theirs[now]):
                return f"{kind}s shifted by one: ours at t is theirs at t{sign}1"
    return None


def reversed_sketches(case: Case) -> str | None:
    """The steps of each sketch reversed, up to its length."""
    if case.lengths is None or case.before_end.all():
        return None
    steps = case.along("step", np.arange(case.size("step")))
    backwards = np.where(case.before_end, case.along("row", case.lengths) - 1 - steps, steps).astype(int)
    if not case.explains(np.take_along_axis(case.theirs, backwards, case.axes.index("step"))):
        return None
    return "steps of each sketch in reverse order, up to its length"


def reordered(case: Case) -> str | None:
    """The slices along one axis in another order."""
    for axis, kind in enumerate(case.axes):
        order = _order(np.moveaxis(case.ours, axis, 0), np.moveaxis(case.theirs, axis, 0))
        if case.explains(np.take(case.theirs, order, axis)):
            return _describe_order(order, PLURALS.get(kind, f"{kind}s"), case.name)
    return None


def _order(ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    """For each slice of ours, the slice of theirs that it may be: both are projected on a random line and sorted."""
    line = np.random.default_rng(0).standard_normal(math.prod(ours.shape[1:]))
    places = [np.argsort(side.reshape(len(side), -1) @ line, kind="stable") for side in (ours, theirs)]
    order = np.empty_like(places[0])
    order[places[0]] = places[1]
    return order


def _describe_order(order: np.ndarray, things: str, name: str) -> str:
    """Names an order: reversed, gates swapped, halves swapped, or the ranges that were moved."""
    size, straight = len(order), np.arange(len(order))
    if (order == straight[::-1]).all():
        return f"{things} in reverse order"
    head = f"{things} in another order"
    if things == "units" and size % 4 == 0 and variable_of(name).endswith(FOUR_GATES):
        blocks = order[:: size // 4] // (size // 4)
        if (order == straight.reshape(4, -1)[blocks].ravel()).all():
            return f"four blocks of {head}: ours {', '.join(GATES[block] for block in blocks)}"
    if size % 2 == 0 and (order == np.roll(straight, size // 2)).all():
        return f"{head}: halves swapped"
    runs = np.split(order, np.flatnonzero(np.diff(order) != 1) + 1)
    if len(runs) > 6:
        return f"{head}: {(order != straight).sum()} of {size} elsewhere"
    return f"{head}: ours are theirs {', '.join('-'.join(map(str, sorted({run[0], run[-1]}))) for run in runs)}"
