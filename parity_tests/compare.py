"""Compares what a port computed with a recording, tensor by tensor, element by element.

In float64 a quantity may be off by :data:`FLOAT64_ALLOWED` of its largest magnitude: what is left is rounding, for all
our arithmetic is the official one. In float32 the truth is the official float64 run of the same inputs and draws, and
the allowance is measured, not chosen: a few times the error that the official float32 run makes against it.
"""

import dataclasses
from typing import Any

import numpy as np

from parity_tests.recording import Recording

Arrays = dict[str, np.ndarray]

# Seen over all configurations: at most 3e-13. The smallest planted bug is off by more than 1e-6.
FLOAT64_ALLOWED = 1e-10
# Our float32 may be off from the truth by this many times what the official float32 is off.
FLOAT32_FACTOR = 4.0
# ... and by this many units in the last place of the largest magnitude, where the official error happens to be small.
FLOAT32_FLOOR = {"forward": 4, "gradient": 18}
EPSILON32 = float(np.finfo(np.float32).eps)


@dataclasses.dataclass(frozen=True)
class Row:
    """One quantity of one recording in one precision."""

    recording: str
    quantity: str
    precision: str
    verdict: str  # "equal", "different" or "not compared"
    error: float  # largest |ours - truth| over the largest |truth|
    allowed: float
    official_error: float | None  # that of the official float32; None in float64
    where: dict[str, int] | None  # of the largest error: row, step, unit
    ours: float | None = None  # there
    theirs: float | None = None
    note: str = ""

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return dataclasses.asdict(self)


def compare(ours: Arrays, recording: Recording, precision: str) -> list[Row]:
    """Compare everything, in the order in which ours was computed; a name that one side lacks is a row too."""
    theirs = recording[precision]
    truth = recording.groups.get("float64", theirs)
    rows = [
        _compare_one(recording.name, name, precision, ours[name], theirs[name], truth[name], _scale(name, truth))
        for name in ours
        if name in theirs
    ]
    for name in sorted(set(ours) ^ set(theirs)):
        side = "the official side" if name in ours else "the port"
        rows.append(_failed(recording.name, name, precision, "not compared", f"missing on {side}"))
    return rows


def _compare_one(
    recording: str, name: str, precision: str, ours: np.ndarray, theirs: np.ndarray, truth: np.ndarray, scale: float
) -> Row:
    if ours.shape != theirs.shape:
        return _failed(
            recording, name, precision, "different", f"shape {list(ours.shape)}, expected {list(theirs.shape)}"
        )
    if not (np.isfinite(ours).all() and np.isfinite(theirs).all()):
        return _failed(recording, name, precision, "different", "NaN or infinity")
    if precision == "exact" and ours.dtype != theirs.dtype:
        return _failed(recording, name, precision, "different", f"type {ours.dtype}, expected {theirs.dtype}")
    difference = np.abs(ours.astype(np.float64) - truth.astype(np.float64))
    error = _relative(float(difference.max(initial=0.0)), scale)
    official_error = None
    allowed = 0.0 if precision == "exact" else FLOAT64_ALLOWED
    if precision == "float32":
        official_error = _relative(float(np.abs(theirs.astype(np.float64) - truth).max(initial=0.0)), scale)
        floor = FLOAT32_FLOOR["gradient" if name.startswith(("gradient/", "clipped/")) else "forward"]
        allowed = FLOAT32_FACTOR * official_error + floor * EPSILON32
    index = np.unravel_index(int(difference.argmax()), difference.shape) if difference.size else ()
    return Row(
        recording=recording,
        quantity=name,
        precision=precision,
        verdict="equal" if error <= allowed else "different",
        error=error,
        allowed=allowed,
        official_error=official_error,
        where=_place(name, tuple(map(int, index))),
        ours=float(ours[index]),
        theirs=float(theirs[index]),
    )


def _scale(name: str, truth: Arrays) -> float:
    """The largest magnitude; for a clipped gradient that of the gradient, since clipping keeps its absolute error."""
    whole = name.replace("clipped/", "gradient/", 1) if name.startswith("clipped/") else name
    return float(np.abs(truth[whole]).max(initial=0.0))


def _relative(error: float, scale: float) -> float:
    """Relative to the largest magnitude; where all is zero, any error is infinite."""
    if error == 0:
        return 0.0
    return error / scale if scale > 0 else float("inf")


def _failed(recording: str, name: str, precision: str, verdict: str, note: str) -> Row:
    return Row(recording, name, precision, verdict, float("inf"), 0.0, None, None, note=note)


def _place(name: str, index: tuple[int, ...]) -> dict[str, int]:
    """What each axis of a quantity counts."""
    if name.startswith(("gradient/", "clipped/", "after/")):
        return dict(zip(("in", "out") if len(index) == 2 else ("unit",), index, strict=False))
    if name.startswith("sample/"):
        return dict(zip(("step", "unit"), index, strict=True))
    axes = {3: ("row", "step", "unit"), 2: ("row", "unit"), 1: ("row",), 0: ()}
    return dict(zip(axes[len(index)], index, strict=True))


def failures(rows: list[Row]) -> list[Row]:
    """All rows that are not equal."""
    return [row for row in rows if row.verdict != "equal"]


def first_departure(rows: list[Row]) -> Row | None:
    """The first row, in the order of computation, that is not equal."""
    return next(iter(failures(rows)), None)
