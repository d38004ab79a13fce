"""Compares what a port answered at each step of a training with the recorded steps, quantity by quantity."""

import dataclasses
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from parity_tests.adapter import Arrays
from parity_tests.judge.likely_cause import likely_cause
from parity_tests.judge.limits import CHAOTIC64, FLOAT64_ALLOWED, SPREAD_FACTOR64, WINDOW
from parity_tests.judge.row import DIFFERENT, EQUAL, NOT_COMPARED, NOT_JUDGED, UNTESTED, Row
from parity_tests.judge.tensor.place import place
from parity_tests.record.quantities import COSTS
from parity_tests.record.recording import Recording
from parity_tests.replay.model import OF_EACH_VARIABLE
from parity_tests.replay.training import StepAnswer, ValidationAnswer


class Comparison(NamedTuple):
    """One quantity at one step."""

    step: int
    ours: np.ndarray
    theirs: np.ndarray
    error: float  # the largest element, relative to the largest magnitude
    allowed: float
    # of that element; None where the numbers could not be compared
    index: tuple[np.intp, ...] | None  # type: ignore[assignment]  # hides tuple.index, which is not used
    note: str = ""
    noise: float | None = None  # the spread of official runs there; None where the step was not judged

    @property
    def used(self) -> float:
        """The share of the allowance that is used; of an exact quantity the error itself."""
        return self.error / (self.allowed or 1.0)

    @property
    def departs(self) -> bool:
        """Whether the error is beyond the allowance."""
        return self.error > self.allowed


class StepComparison:
    """The errors of a training run, step by step.

    Args:
        recording: of the training.
        times: how often each quantity must have been compared; None: as often as it was recorded.
    """

    def __init__(self, recording: Recording, times: int | None = None) -> None:
        self.recording, self.times = recording, times
        self.official = dict(recording["float64"])
        if (validation := self.official.pop("validation", None)) is not None:  # [validations, costs]
            self.official |= {f"validation/{name}": validation[:, i] for i, name in enumerate(COSTS)}
        self.error_by_step = [0.0] * len(self.official["steps/cost"])
        self.compared: dict[str, int] = {}  # how often, in the order of computation
        self.chaotic: dict[str, int] = {}  # at how many steps the official runs spread too far
        self.shown: dict[str, Comparison] = {}  # the first departure of each quantity, or else its largest error
        spreads = recording.groups.get("float64_ensemble", {})
        self.spreads = {name: _largest_nearby(values) for name, values in spreads.items()}

    @property
    def seen(self) -> set[str]:
        """Every quantity that was compared."""
        return set(self.compared)

    def compare(self, answer: StepAnswer | ValidationAnswer) -> None:
        """Compare everything that a port answered at a step, or for a validation batch."""
        if isinstance(answer, ValidationAnswer):
            for name, cost in answer.costs.items():
                theirs = self.official[f"validation/{name}"][answer.index]
                self._compare(f"validation/{name}", answer.step, cost, theirs, float(np.abs(theirs)))
            return
        step, ours, answered = answer
        official = {name: values[step] for name, values in self.official.items() if name.startswith("steps/")}
        # intermediates of a step were not recorded; of what belongs to each variable, everything was
        ours = ours | {n: v for n, v in answered.items() if f"steps/{n}" in official or n.startswith(OF_EACH_VARIABLE)}
        for name, value in ours.items():
            if f"steps/{name}" not in official:
                self._compare(f"steps/{name}", step, value, np.empty(0), 0.0, exact=True)
                continue
            # clipping keeps the absolute error of a gradient
            scaled_by = f"steps/{name.replace('clipped/', 'gradient/', 1) if name.startswith('clipped/') else name}"
            scale, exact = float(np.abs(official[scaled_by]).max()), name in ("sketches", "lengths")
            self._compare(f"steps/{name}", step, value, official[f"steps/{name}"], scale, exact=exact)

    def compare_new_optimizer(self, answered: Arrays) -> None:
        """Compare only what the first step of a run left of each variable."""
        for name in answered:
            if name.startswith("after/") and f"steps/{name}" in self.official:
                theirs = self.official[f"steps/{name}"][0]
                self._compare(f"steps/{name}", 0, answered[name], theirs, float(np.abs(theirs).max()))

    def _compare(
        self, name: str, step: int, ours: np.ndarray, theirs: np.ndarray, scale: float, *, exact: bool = False
    ) -> None:
        spread = self._spread(name, step) / scale if scale and not exact else 0.0
        self.compared[name] = self.compared.get(name, 0) + 1
        ours, theirs = np.array(ours), np.asarray(theirs)
        note = _obstacle(ours, theirs)
        if spread > CHAOTIC64 and not note:
            self.chaotic[name] = self.chaotic.get(name, 0) + 1
            # any comparison of a later step replaces this one
            nothing = Comparison(step, np.empty(0), np.empty(0), 0.0, FLOAT64_ALLOWED, None)
            self.shown.setdefault(name, nothing)
            return
        allowed = 0.0 if exact else max(FLOAT64_ALLOWED, SPREAD_FACTOR64 * spread)
        error, index = float("inf"), None
        if not note:
            difference = np.abs(ours.astype(np.float64) - theirs.astype(np.float64))
            index = np.unravel_index(int(difference.argmax()), difference.shape)
            largest = float(difference[index])
            error = 0.0 if largest == 0 else largest / scale if scale else float("inf")
        self.error_by_step[step] = max(self.error_by_step[step], error)
        found, before = Comparison(step, ours, theirs, error, allowed, index, note, spread), self.shown.get(name)
        if before is None or (not before.departs and found.used >= before.used):
            self.shown[name] = found

    def _spread(self, name: str, step: int) -> float:
        """How far official runs of the nearby steps are from each other; absolute."""
        values = self.spreads.get(name.replace("validation/", "steps/", 1))
        return 0.0 if values is None else float(values[step])

    def departures(self) -> list[Row]:
        """Rows of the quantities that departed so far: all that a run that ended early can prove."""
        return [self._row_of_shown(name) for name in self._sorted(self.shown) if self.shown[name].departs]

    def rows(self, names: Iterable[str]) -> list[Row]:
        """Rows of these quantities over all steps, in the order of computation."""
        return [self.row(name) for name in self._sorted(names)]

    def _sorted(self, names: Iterable[str]) -> list[str]:
        order = {name: place for place, name in enumerate(self.compared)}
        return sorted(names, key=lambda name: (order.get(name, len(order)), name))

    def row(self, name: str) -> Row:
        """The row of a quantity over all steps."""
        recorded = len(self.official[name]) if name in self.official else 0
        wanted = min(recorded, recorded if self.times is None else self.times)
        compared = self.compared.get(name, 0)
        if compared != wanted:
            note = f"compared {compared} times, expected {wanted}" if compared else "missing on the port"
            note = note if recorded else "missing on the official side"
            return Row.failed(self.recording.name, name, "float64", NOT_COMPARED if compared else UNTESTED, note)
        return self._row_of_shown(name)

    def _row_of_shown(self, name: str) -> Row:
        found = self.shown[name]
        verdict, note = DIFFERENT if found.departs else EQUAL, found.note
        if not found.departs and name in self.chaotic:
            verdict = NOT_JUDGED
            note = f"chaotic at {self.chaotic[name]} of {self.compared[name]} steps"
        row = Row(
            self.recording.name,
            name,
            "float64",
            verdict,
            error=found.error,
            allowed=found.allowed,
            where={"step": found.step},
            note=note,
            noise=found.noise,
        )
        if found.index is None:
            return row
        index = tuple(map(int, found.index))
        short = name.removeprefix("steps/")
        where = place(short, index, found.ours.shape) if short.startswith(("gradient", "clipped", "after")) else {}
        cause = likely_cause(name, found.ours, found.theirs, {}, FLOAT64_ALLOWED) if found.departs else None
        return dataclasses.replace(
            row,
            where={"step": found.step, **where},
            ours=float(found.ours[index]),
            theirs=float(found.theirs[index]),
            truth=float(found.theirs[index]),
            cause=cause,
        )


def _obstacle(ours: np.ndarray, theirs: np.ndarray) -> str:
    """Why two arrays differ whatever their numbers are; empty where the numbers decide."""
    if ours.shape != theirs.shape:
        return f"shape {list(ours.shape)}, expected {list(theirs.shape)}"
    if ours.dtype.kind not in "fiu":
        return f"type {ours.dtype}, expected {theirs.dtype}"
    return "" if np.isfinite(ours).all() and np.isfinite(theirs).all() else "NaN or infinity"


def _largest_nearby(values: np.ndarray) -> np.ndarray:
    """The largest of the steps around each step: each was run twice, and neighbours together form an ensemble."""
    padded = np.pad(values, WINDOW, mode="edge")
    return np.lib.stride_tricks.sliding_window_view(padded, 2 * WINDOW + 1).max(axis=1)
