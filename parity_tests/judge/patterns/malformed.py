"""Departures that cannot be compared element by element: another shape, NaN or infinity."""

import itertools

import numpy as np

from parity_tests.judge.patterns.case import Case, axes_of


def other_shape(name: str, ours: np.ndarray, theirs: np.ndarray, tolerance: float) -> str | None:
    """Two tensors of different shapes: transposed, an axis of length 1 more or fewer, or one slice more or fewer."""

    def equal(a: np.ndarray, b: np.ndarray) -> bool:
        return bool(np.abs(a - b).max() <= max(100 * tolerance, 1e-9) * np.abs(theirs).max())

    if not (ours.size and theirs.size):
        return None
    axes = axes_of(name, theirs.ndim)
    if [n for n in ours.shape if n != 1] == [n for n in theirs.shape if n != 1] and ours.ndim != theirs.ndim:
        return f"ours has {'more' if ours.ndim > theirs.ndim else 'fewer'} axes of length 1 than theirs"
    if ours.ndim != theirs.ndim:
        return None
    orders = [o for o in itertools.permutations(range(ours.ndim)) if theirs.transpose(o).shape == ours.shape]
    for order in orders:
        if equal(ours, theirs.transpose(order)):
            return f"ours is theirs transposed: its axes are {', '.join(axes[axis] for axis in order)}"
    if len(orders) == 1:
        return f"ours has the shape of theirs transposed: {', '.join(axes[axis] for axis in orders[0])}"
    more = np.subtract(ours.shape, theirs.shape)
    if np.abs(more).sum() != 1:
        return None
    axis = int(np.abs(more).argmax())
    longer, shorter = (np.moveaxis(side, axis, 0) for side in ((ours, theirs) if more[axis] > 0 else (theirs, ours)))
    ends = (("last", longer[:-1]), ("first", longer[1:]))
    end = next((f", the {end}; the rest is equal" for end, rest in ends if equal(rest, shorter)), "")
    return f"ours has one {axes[axis]} {'more' if more[axis] > 0 else 'fewer'} than theirs{end}"


def not_finite(case: Case) -> str:
    """NaN or infinity on either side: on which, where, and from which step on."""
    ours, theirs = ~np.isfinite(case.ours), ~np.isfinite(case.theirs)
    if (ours == theirs).all():
        return f"NaN or infinity on both sides, at the same {ours.sum()} of {ours.size} elements"
    odd, side, other = (ours, "ours", "theirs") if (ours & ~theirs).any() else (theirs, "theirs", "ours")
    odd = odd & ~(ours & theirs)
    kind = "NaN" if np.isnan((case.ours if side == "ours" else case.theirs)[odd]).all() else "NaN or infinite"
    step = next((axis for axis in ("step", "training step") if axis in case.axes), None)
    first = f", from {step} {odd.nonzero()[case.axes.index(step)].min()} on" if step else ""
    return f"{side} is {kind} at {odd.sum()} of {odd.size} elements where {other} is finite{first}"
