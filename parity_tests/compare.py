"""Compares what a port computed with a recording, tensor by tensor, element by element.

In float64 a quantity may be off by :data:`FLOAT64_ALLOWED` of its largest magnitude: what is left is rounding, for all
our arithmetic is the official one. In float32 the truth is the official float64 run of the same inputs and draws, and
the allowance is measured, not chosen: a few times the error that the official float32 run makes against it, or that
one rounding of the weights makes in the official float64 run, whichever is larger. (The first alone is a matter of
luck: the largest error of a tensor often stands in one ill-conditioned element, where either side may round well or
badly.) A ceiling keeps an official float32 that went astray from allowing anything.
"""

import dataclasses
from typing import Any

import numpy as np

from parity_tests.recording import Recording

Arrays = dict[str, np.ndarray]

# Seen at most 3e-12, in weights after a step of Adam, whose first steps turn the rounding of tiny gradients into more.
# The least that a planted bug is off by, where it first shows, is 5e-4 (torch's Adam). Where |corr| is within 1e-6 of 1
# the official density itself loses digits in 1 - corr^2, up to 3e-10 at a corr logit of 7.
FLOAT64_ALLOWED = 1e-10
# Our float32 may be off from the truth by this many times the official error or noise: seen up to 3 times,
# where these stand above the floor below.
FLOAT32_FACTOR = 4.0
# ... and by this many units in the last place of the largest magnitude, where both happen to be small.
FLOAT32_FLOOR = 4
# ... but never by more than this. Seen: up to 7.5e-3 is allowed, in a gradient of a hyper cell that nearly cancels.
FLOAT32_CEILING = 1e-2
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
    noise: float | None  # what a rounding of the weights does to the official float64; None in float64
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
    truth = theirs if precision == "exact" else recording.groups.get("float64", theirs)
    noise = recording.groups.get("noise", {})
    rows = [
        _compare_one(recording.name, name, precision, ours[name], theirs[name], truth, noise.get(name))
        for name in ours
        if name in theirs
    ]
    for name in sorted(set(ours) ^ set(theirs)):
        side = "the official side" if name in ours else "the port"
        rows.append(_failed(recording.name, name, precision, "not compared", f"missing on {side}"))
    return rows


def _compare_one(
    recording: str,
    name: str,
    precision: str,
    ours: np.ndarray,
    theirs: np.ndarray,
    truths: Arrays,
    noise: np.ndarray | None,
) -> Row:
    truth = truths.get(name)
    if truth is None or not theirs.size:
        note = "missing in the official float64 run" if truth is None else f"empty, shape {list(theirs.shape)}"
        return _failed(recording, name, precision, "not compared", note)
    if precision == "float32" and (noise is None or not np.isfinite(noise)):
        return _failed(recording, name, precision, "not compared", f"its noise is {noise}, expected a measured number")
    if obstacle := _obstacle(precision, ours, theirs, truth):
        return _failed(recording, name, precision, "different", obstacle)
    scale = _scale(name, truths)
    difference = np.abs(ours.astype(np.float64) - truth.astype(np.float64))
    error = _relative(float(difference.max()), scale)
    if precision == "exact" and error == 0 and ours.tobytes() != theirs.tobytes():
        return _failed(recording, name, precision, "different", "other bits, though no difference shows in float64")
    official_error = relative_noise = None
    allowed = 0.0 if precision == "exact" else FLOAT64_ALLOWED
    if precision == "float32":
        official_error = _relative(float(np.abs(theirs.astype(np.float64) - truth).max()), scale)
        relative_noise = _relative(float(noise), scale)
        measured = max(official_error, relative_noise)
        allowed = min(FLOAT32_FACTOR * measured + FLOAT32_FLOOR * EPSILON32, FLOAT32_CEILING)
    index = np.unravel_index(int(difference.argmax()), difference.shape)
    return Row(
        recording=recording,
        quantity=name,
        precision=precision,
        verdict="equal" if error <= allowed else "different",
        error=error,
        allowed=allowed,
        official_error=official_error,
        noise=relative_noise,
        where=_place(name, tuple(map(int, index))),
        ours=float(ours[index]),
        theirs=float(theirs[index]),
    )


def _obstacle(precision: str, ours: np.ndarray, theirs: np.ndarray, truth: np.ndarray) -> str | None:
    """Why they are different where the size of the error cannot tell; None where it can."""
    sides = {"the port": ours, "the official run": theirs, "the official float64 run": truth}
    if not ours.shape == theirs.shape == truth.shape:
        shape = theirs.shape if ours.shape != theirs.shape else truth.shape
        return f"shape {list(ours.shape)}, expected {list(shape)}"
    if precision != "float64" and ours.dtype != theirs.dtype:
        return f"type {ours.dtype}, expected {theirs.dtype}"
    for side, values in sides.items():
        if not np.isfinite(values).all():
            return f"NaN or infinity in {side}"
    return None


def _scale(name: str, truth: Arrays) -> float:
    """The largest magnitude; for a clipped gradient that of the gradient, since clipping keeps its absolute error."""
    whole = name.replace("clipped/", "gradient/", 1) if name.startswith("clipped/") else name
    return float(np.abs(truth.get(whole, truth[name])).max())


def _relative(error: float, scale: float) -> float:
    """Relative to the largest magnitude; where that is zero or infinite, any error is infinite."""
    if error == 0:
        return 0.0
    return error / scale if 0 < scale < float("inf") else float("inf")


def _failed(recording: str, name: str, precision: str, verdict: str, note: str) -> Row:
    return Row(recording, name, precision, verdict, float("inf"), 0.0, None, None, None, note=note)


def _place(name: str, index: tuple[int, ...]) -> dict[str, int]:
    """What each axis of a quantity counts."""
    if name.startswith(("gradient/", "clipped/", "after/", "converted/")):
        return dict(zip(("in", "out") if len(index) == 2 else ("unit",), index, strict=False))
    if name.startswith("sample/"):
        return dict(zip(("step", "unit"), index, strict=False))
    axes = {3: ("row", "step", "unit"), 2: ("row", "unit"), 1: ("row",), 0: ()}
    return dict(zip(axes[len(index)], index, strict=True))


def failures(rows: list[Row]) -> list[Row]:
    """All rows that are not equal."""
    return [row for row in rows if row.verdict != "equal"]


def first_departure(rows: list[Row]) -> Row | None:
    """The first row, in the order of computation, that is not equal."""
    return next(iter(failures(rows)), None)
