"""Compares what a port computed with a recording, tensor by tensor, element by element.

In **float64** a quantity may be off by :data:`FLOAT64_ALLOWED` of its largest magnitude: what is left is rounding, for
all our arithmetic is the official one.

In **float32** the truth is the official float64 run of the same inputs and draws, and the allowance is measured, not
chosen: a multiple of the error that the official float32 code makes against it, at each step of a recurrence, once as
the root of the mean square and once as the largest element. The official error is the largest of six runs, from the
weights as they are and from five nudges of them by one rounding, each against its own truth: that of a single run is
luck where a step has few elements. A floor stands below, where both sides round once or twice; a ceiling above keeps an
official float32 that went astray from allowing anything.
"""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from parity_tests.diagnose import likely_cause
from parity_tests.measure import by_step, sizes, step_axis
from parity_tests.recording import Recording

Arrays = dict[str, np.ndarray]

# Seen at most 6e-12, in a gradient of a hyper cell that nearly cancels; 3e-12 in weights after a step of Adam, whose
# first steps turn the rounding of tiny gradients into more.
# Where |corr| is within 1e-6 of 1 the official density itself loses digits in 1 - corr^2, up to 3e-10 at a corr logit
# of 7.
FLOAT64_ALLOWED = 1e-10
# Our float32 may be off from the truth by so many times the official float32: root of the mean square, largest element.
RMS_FACTOR, LARGEST_FACTOR = 2.0, 4.0
# ... or by so many units in the last place of the largest magnitude, where the official error happens to be smaller.
FLOAT32_FLOOR = 4
# A gradient is a sum over rows and steps that nearly cancels in some variables, and some variables are a single number
# (all of hyper_*/zw at the start). The root of the mean square is judged of all gradients together, see prove.py; a
# single variable may be 4 times the official error off in either measure (seen: 3.2 times), above a floor of its own.
# Seen: where the official error is smaller than this floor allows, ours is at most 4.4 units; the floor is twice that.
GRADIENT_FLOOR = 8
# ... but never by more than this. Seen: up to 3.8e-4 is allowed, in a gradient that nearly cancels.
FLOAT32_CEILING = 1e-2
EPSILON32 = float(np.finfo(np.float32).eps)
FED = "fed/"  # begins the names of what was computed from the official state: it is held against the official quantity
GATES = "ijfo"
BAD = ("different", "not compared")
EXPLAINED = 12  # so many departures of a recording are searched for a cause; later ones follow from these
# how quantities or recordings begin, in this order: a hyper cell holds a layer-norm cell, and that an LSTM
BEFORE_MODELS = ("converted/", "cell/lstm", "cell/layer_norm", "cell/", "data", "initial/")


@dataclasses.dataclass(frozen=True)
class Row:
    """One quantity of one recording in one precision."""

    recording: str
    quantity: str
    precision: str  # float64, float32, exact or distribution
    verdict: str  # "equal", "different", "not compared" (a failure) or "untested" (the port does not offer it)
    error: float  # of ours against the truth, relative to its largest magnitude
    allowed: float
    official_error: float | None = None  # that of the official float32, measured in the same way; None in float64
    measure: str = "largest"  # or "rms": which of the two the numbers are; that which comes closest to its allowance
    noise: float | None = None  # what one rounding of the weights to float64 does to the official float64
    where: dict[str, Any] | None = None  # row, step, gate, unit: of a departure the first, else of the largest error
    ours: float | None = None  # there
    theirs: float | None = None
    truth: float | None = None
    cause: str | None = None  # what the pattern of a departure suggests
    note: str = ""
    profile: np.ndarray | None = dataclasses.field(default=None, repr=False, compare=False)  # errors by step

    @property
    def used(self) -> float:
        """The share of the allowance that is used; more than 1 is a departure."""
        return 0.0 if self.error == 0 else self.error / self.allowed if self.allowed else float("inf")

    @property
    def ratio(self) -> float | None:
        """Our error over the official one; None where there is none, or it is zero."""
        return self.error / self.official_error if self.official_error else None

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        values = {
            field.name: getattr(self, field.name) for field in dataclasses.fields(self) if field.name != "profile"
        }
        return values | {"ratio": self.ratio}


def compare(ours: Arrays, recording: Recording, precision: str, *, missing: str = "not compared") -> list[Row]:
    """Compare everything, in the order in which ours was computed; a name that one side lacks is a row too.

    Args:
        ours: what the port computed.
        recording: of the official code.
        precision: group of the recording to compare with.
        missing: the verdict on what the port lacks: a failure, or ``untested``.
    """
    theirs = recording[precision]
    rows = []
    for name in ours:
        official = name.removeprefix(FED)
        if official in theirs:
            explain = len(failures(rows)) < EXPLAINED
            rows.append(_Case(recording, precision, name, ours[name], explain=explain).row())
        else:
            rows.append(_failed(recording.name, name, precision, "not compared", "missing on the official side"))
    for name in theirs:
        if name not in ours:
            rows.append(_failed(recording.name, name, precision, missing, "missing on the port"))
    return rows


class _Case:
    """One comparison."""

    def __init__(self, recording: Recording, precision: str, name: str, ours: np.ndarray, *, explain: bool) -> None:
        self.recording, self.precision, self.name, self.ours, self.explain = recording, precision, name, ours, explain
        self.official = name.removeprefix(FED)
        self.theirs = recording[precision][self.official]
        truths = recording[precision] if precision == "exact" else recording.groups.get("float64", {})
        self.truth = truths.get(self.official)
        self.truths = truths

    def row(self) -> Row:
        """Judge it."""
        if obstacle := self._not_comparable():
            return _failed(self.recording.name, self.name, self.precision, "not compared", obstacle)
        if obstacle := self._not_measurable():
            return self._with_cause(
                _failed(self.recording.name, self.name, self.precision, "different", obstacle), self.truth
            )
        self.difference = np.abs(self.ours.astype(np.float64) - self.truth.astype(np.float64))
        return self._judged_against_official() if self.precision == "float32" else self._judged_absolutely()

    def _not_comparable(self) -> str | None:
        if self.truth is None:
            return "missing in the official float64 run"
        if not self.theirs.size:
            return f"empty, shape {list(self.theirs.shape)}"
        if self.precision == "float32":
            steps = by_step(self.official, self.theirs).shape[0]
            errors = self.recording.groups.get("official_error", {}).get(self.official)
            if errors is None or errors.shape != (2, steps) or not np.isfinite(errors).all():
                return f"its official error is {errors}, expected measured numbers for {steps} steps"
        return None

    def _not_measurable(self) -> str | None:
        """Why they are different where the size of the error cannot tell; None where it can."""
        sides = {"the port": self.ours, "the official run": self.theirs, "the official float64 run": self.truth}
        if not self.ours.shape == self.theirs.shape == self.truth.shape:
            shape = self.theirs.shape if self.ours.shape != self.theirs.shape else self.truth.shape
            return f"shape {list(self.ours.shape)}, expected {list(shape)}"
        if self.ours.dtype != self.theirs.dtype and (self.precision != "float64" or self.ours.dtype.kind not in "fiu"):
            return f"type {self.ours.dtype}, expected {self.theirs.dtype}"
        for side, values in sides.items():
            if not np.isfinite(values).all():
                return f"NaN or infinity in {side}"
        self.scale = _scale(self.official, self.truths)
        if not np.isfinite(self.scale):
            return "NaN or infinity in the official gradient that it was clipped from"
        if self.precision == "exact" and self.ours.tobytes() != self.theirs.tobytes():
            difference = np.abs(self.ours.astype(np.float64) - self.theirs.astype(np.float64)).max()
            return None if _relative(float(difference), self.scale) else "other bits, though no difference shows"
        return None

    def _judged_absolutely(self) -> Row:
        allowed = 0.0 if self.precision == "exact" else FLOAT64_ALLOWED
        error = _relative(float(self.difference.max()), self.scale)
        noise = self.recording.groups.get("noise", {}).get(self.official)
        bad = self.difference > allowed * self.scale
        return self._finished(
            bad,
            error=error,
            allowed=allowed,
            noise=None if noise is None else _relative(float(noise), self.scale),
            profile=sizes(self.official, self.difference)[1] / self.scale if self.scale else None,
        )

    def _judged_against_official(self) -> Row:
        official = self.recording["official_error"][self.official]  # [2, steps]
        found = sizes(self.official, self.difference)
        is_gradient = self.official.startswith(("gradient/", "clipped/"))
        # one row a step, which goes on from its own point: all its errors are one early rounding, grown
        is_sampling = self.official.startswith("sample/")
        floor = GRADIENT_FLOOR if is_gradient else FLOAT32_FLOOR
        factors = np.array([[LARGEST_FACTOR if is_gradient or is_sampling else RMS_FACTOR], [LARGEST_FACTOR]])
        allowed = np.clip(factors * official, floor * EPSILON32 * self.scale, FLOAT32_CEILING * self.scale)
        with np.errstate(divide="ignore", invalid="ignore"):
            used = np.where(found == 0, 0.0, found / allowed)
        measure, step = np.unravel_index(int(used.argmax()), used.shape)
        flat = by_step(self.official, self.difference)
        late = flat > allowed[1][:, None]
        # where the mean square alone is too large, the largest element of the step stands for it
        alone = (used[0] > 1) & ~late.any(axis=1)
        late[alone, flat[alone].argmax(axis=1)] = True
        return self._finished(
            _as_shaped(self.official, late, self.difference.shape),
            error=_relative(float(found[measure, step]), self.scale),
            allowed=_relative(float(allowed[measure, step]), self.scale) if self.scale else 0.0,
            official_error=_relative(float(official[measure, step]), self.scale),
            measure=("rms", "largest")[measure],
            profile=np.stack([found[0], official[0]]) / self.scale if self.scale else None,
        )

    def _finished(self, bad: np.ndarray, **numbers: Any) -> Row:
        """The row: of a departure the place is the first, in time, else that of the largest error."""
        row = Row(self.recording.name, self.name, self.precision, "equal", **numbers)
        if row.used > 1:
            row = dataclasses.replace(row, verdict="different")
        index = _first(self.official, self.difference, bad) if row.used > 1 else None
        if index is None:
            index = np.unravel_index(int(self.difference.argmax()), self.difference.shape)
        index = tuple(map(int, index))
        row = dataclasses.replace(
            row,
            where=place(self.official, index, self.difference.shape),
            ours=float(self.ours[index]),
            theirs=float(self.theirs[index]),
            truth=float(self.truth[index]),
        )
        return self._with_cause(row, self.truth) if row.verdict != "equal" else row

    def _with_cause(self, row: Row, truth: np.ndarray) -> Row:
        if not self.explain:
            return row
        tolerance = 1e-5 if self.precision == "float32" else FLOAT64_ALLOWED
        lengths = self.recording.groups.get("inputs", {}).get("lengths")
        cause = likely_cause(self.official, self.ours, truth, self.truths, tolerance, lengths)
        return dataclasses.replace(row, cause=cause)


def _scale(name: str, truth: Mapping[str, np.ndarray]) -> float:
    """The largest magnitude; for a clipped gradient that of the gradient, since clipping keeps its absolute error."""
    whole = name.replace("clipped/", "gradient/", 1) if name.startswith("clipped/") else name
    return float(np.abs(truth.get(whole, truth[name])).max())


def _relative(error: float, scale: float) -> float:
    """Relative to the largest magnitude; where that is zero or infinite, any error is infinite."""
    if error == 0:
        return 0.0
    return error / scale if 0 < scale < float("inf") else float("inf")


def _failed(recording: str, name: str, precision: str, verdict: str, note: str) -> Row:
    return Row(recording, name, precision, verdict, float("inf"), 0.0, note=note)


def _as_shaped(name: str, flat: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """[steps, all the rest] in the shape of the quantity again."""
    axis = step_axis(name, len(shape))
    if axis is None:
        return flat.reshape(shape)
    rest = tuple(size for index, size in enumerate(shape) if index != axis)
    return np.moveaxis(flat.reshape(shape[axis], *rest), 0, axis)


def _first(name: str, difference: np.ndarray, bad: np.ndarray) -> tuple[int, ...] | None:
    """The largest difference of the first step that departs."""
    if not bad.any():
        return None
    axis = step_axis(name, difference.ndim)
    if axis is not None:
        steps = np.moveaxis(bad, axis, 0).reshape(bad.shape[axis], -1).any(axis=1)
        at = np.arange(bad.shape[axis]).reshape([-1 if index == axis else 1 for index in range(bad.ndim)])
        bad = bad & (at == int(steps.argmax()))
    return np.unravel_index(int(np.where(bad, difference, -1.0).argmax()), difference.shape)


def place(name: str, index: tuple[int, ...], shape: tuple[int, ...]) -> dict[str, Any]:
    """What each axis of a quantity counts; where the last one holds four gates, the gate and the unit within it."""
    result: dict[str, Any]
    if name.startswith(("gradient/", "clipped/", "after/", "converted/", "initial/")):
        result = dict(zip(("in", "unit") if len(index) == 2 else ("unit",), index, strict=False))
    elif name.startswith("sample/"):
        result = dict(zip(("step", "unit"), index, strict=False))
    elif name.endswith("/nll"):
        result = dict(zip(("row", "step"), index, strict=False))
    else:
        axes = {3: ("row", "step", "unit"), 2: ("row", "unit"), 1: ("row",), 0: ()}
        result = dict(zip(axes[len(index)], index, strict=True))
    units = name.removesuffix("/Adam_1").removesuffix("/Adam").rsplit("/", 1)[-1]
    if units in ("W_xh", "W_hh", "bias", "total") or "/ln_all/" in name:
        gate, unit = divmod(result["unit"], shape[-1] // 4)
        result = result | {"gate": GATES[gate], "unit": unit}
    return result


def failures(rows: Iterable[Row]) -> list[Row]:
    """All rows that are different, or should have been compared and were not."""
    return [row for row in rows if row.verdict in BAD]


def first_departure(rows: Iterable[Row]) -> Row | None:
    """The failed row that was computed first.

    What a model is made from comes before the model: converted weights, cells alone, data, initial weights; whole
    trainings come last, and float32 behind float64. Within a layer it is the earliest step, and there the quantity that
    is computed first: a later step reads what an earlier one left. Between layers it is the order of computation. What
    was computed from the official state (``fed/``) only tells whether an error is local, so it comes behind all else.
    """
    failed = sorted(failures(rows), key=_rank)  # a stable sort keeps the order of computation
    own = [row for row in failed if not row.quantity.startswith(FED)] or failed
    if not own:
        return None
    first = own[0]
    layer = [row for row in own if _layer(row) == _layer(first) is not None]
    return min(layer, key=lambda row: (row.where or {}).get("step", 0)) if layer else first


def _rank(row: Row) -> tuple[int, bool, bool]:
    """What is made from other things comes behind them."""
    name = row.quantity if row.quantity.startswith("converted/") else row.recording
    before = [index for index, kind in enumerate(BEFORE_MODELS) if name.startswith(kind)]
    rank = before[0] if before else len(BEFORE_MODELS) + name.startswith("training/")
    # a name that is missing tells less than a number that differs, or a method that failed
    return rank, row.precision == "float32", row.verdict == "not compared"


def _layer(row: Row) -> tuple[str, str, str] | None:
    """A recurrent layer of a recording, where the row belongs to one."""
    for layer in ("encoder/fw/", "encoder/bw/", "decoder/"):
        head, found, _ = row.quantity.partition(layer)
        if found and not row.quantity.endswith("_state"):
            return row.recording, row.precision, head + found
    return None
