"""Compares one quantity of a port with the recorded one, by the rule for its kind.

*Local* quantities were computed from official values, one step or one function at a time: see
:mod:`parity_tests.judge.tensor.local`. *Accumulated* ones are what a whole run made of its inputs: see
:mod:`parity_tests.judge.tensor.accumulated`. *Exact* ones must have the same bits.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from parity_tests.judge.likely_cause import likely_cause
from parity_tests.judge.limits import CHAOTIC32, CHAOTIC64, EPSILON32, FLOAT64_ALLOWED, SPREAD_FACTOR64
from parity_tests.judge.row import DIFFERENT, EQUAL, NOT_COMPARED, NOT_JUDGED, OVERFLOW, Row, relative
from parity_tests.judge.tensor.accumulated import Allowance, allowance
from parity_tests.judge.tensor.decisions import last_certain_step
from parity_tests.judge.tensor.local import Pooled, judge_pools
from parity_tests.judge.tensor.place import first_of, place, unstepped, within
from parity_tests.record.error_norms import by_step, sizes
from parity_tests.record.quantities import FED, GATES, VARIABLES, in_any_gate, is_weight_vjp
from parity_tests.record.recording import Recording

CAUSE_TOLERANCE32 = 1e-5  # when a cause is sought in float32, numbers this close, relatively, count as equal


class Comparison:
    """One quantity of a port and the official one.

    Args:
        recording: of the official code.
        precision: group of the recording to compare with.
        name: of the quantity, with its prefix.
        ours: what the port computed.
        explain: whether a likely cause is sought for a departure.
    """

    def __init__(self, recording: Recording, precision: str, name: str, ours: np.ndarray, *, explain: bool) -> None:
        self.recording, self.precision, self.name, self.ours, self.explain = recording, precision, name, ours, explain
        self.official = name.removeprefix(FED)
        groups = recording.groups
        self.is_local = precision != "exact" and (recording.kind == "cell" or name.startswith(FED))
        self.truths = groups.get(precision if precision == "exact" else "float64", {})
        if name.startswith(VARIABLES):
            self.precision = "exact"
            self.theirs = groups["weights"][name.removeprefix(VARIABLES)].astype(precision)
            self.truth: Any = self.theirs  # an array; None if it was not recorded, see _not_comparable
            return
        theirs = groups[precision].get(self.official)
        self.theirs = groups[f"{precision}_local"][self.official] if theirs is None else theirs
        self.truth = self.truths.get(self.official)
        if self.is_local:
            self.truths = groups["float32_truth"] if precision == "float32" else self.truths
            self.truth = groups["float32_truth"][self.official] if precision == "float32" else self.theirs

    def row(self) -> Row:
        """The row, with a verdict."""
        if obstacle := self._not_comparable():
            return self._failed(NOT_COMPARED, obstacle)
        if obstacle := self._not_measurable():
            return self._with_cause(self._failed(DIFFERENT, obstacle))
        with np.errstate(invalid="ignore"):
            self.difference = np.abs(self.ours.astype(np.float64) - self.truth.astype(np.float64))
        self.scale = _scale(self.official, self.truth, self.truths, self.recording)
        if not np.isfinite(self.theirs).all() or not np.isfinite(self.truth).all():
            return self._overflow()
        if self.precision == "exact":
            return self._strict(0.0)
        if self.is_local:
            return self._pooled() if self.precision == "float32" else self._conditioned()
        return self._accumulated()

    def _failed(self, verdict: str, note: str) -> Row:
        return Row.failed(self.recording.name, self.name, self.precision, verdict, note)

    def _not_comparable(self) -> str | None:
        """What the recording lacks for a comparison; None if nothing."""
        if self.truth is None:
            return "missing in the official float64 run"
        if not self.theirs.size:
            return f"empty, shape {list(self.theirs.shape)}"
        if self.precision in ("float64", "float32") and not self.is_local:
            steps = by_step(self.official, self.theirs).shape[0]
            drift = self.recording.groups.get(f"{self.precision}_ensemble", {}).get(self.official)
            if drift is None or drift.ndim != 3 or drift.shape[1:] != (2, steps) or not len(drift):
                found = None if drift is None else list(drift.shape)
                return f"its ensemble has the shape {found}, expected [members, 2, {steps}]"
        return None

    def _not_measurable(self) -> str | None:
        """Why the two differ whatever the size of the error; None if the size decides."""
        if not self.ours.shape == self.theirs.shape == self.truth.shape:
            shape = self.theirs.shape if self.ours.shape != self.theirs.shape else self.truth.shape
            return f"shape {list(self.ours.shape)}, expected {list(shape)}"
        if self.ours.dtype != self.theirs.dtype and (self.precision != "float64" or self.ours.dtype.kind not in "fiu"):
            return f"type {self.ours.dtype}, expected {self.theirs.dtype}"
        # a single function may return what is not finite if its arguments are not; a run of the port must be finite
        wanted = np.isfinite(self.truth) if self.is_local else np.ones(self.truth.shape, bool)
        if self.official.endswith("/nll"):  # computed here from the mixture; float32 may round a correlation to 1
            wanted = np.isfinite(self.theirs)
        if not np.isfinite(self.ours[wanted]).all():
            return "NaN or infinity in the port"
        if self.precision == "exact" and self.ours.tobytes() != self.theirs.tobytes():
            difference = np.abs(self.ours.astype(np.float64) - self.theirs.astype(np.float64)).max()
            return None if difference else "the bits differ, the numbers do not"
        return None

    def _overflow(self) -> Row:
        """The official run is not finite, ours is: ours must agree with the float64 truth where that is finite."""
        if self.precision == "exact":
            return self._failed(DIFFERENT, "the official run is not finite")
        finite = np.isfinite(self.truth) & (np.isfinite(self.ours) | ~np.array(self.official.endswith("/nll")))
        error = relative(float(self.difference[finite].max(initial=0.0)), self.scale)
        if self.precision == "float64":
            verdict = DIFFERENT if self.is_local and error > FLOAT64_ALLOWED else OVERFLOW
            rule = "its finite elements are compared" if self.is_local else "ours must be finite, and that is all"
            row = self._failed(verdict, f"the official float64 run is not finite: {rule}")
            return dataclasses.replace(row, error=error, allowed=FLOAT64_ALLOWED if self.is_local else float("inf"))
        drift = self.recording.groups.get("float64_ensemble", {}).get(self.official)
        # float32 rounds 2^29 times as coarsely as float64; if that has grown too far, agreement would prove nothing
        grown = 0.0 if drift is None else SPREAD_FACTOR64 * relative(float(drift.max()), self.scale) * 2.0**29
        allowed = CHAOTIC32 if grown <= CHAOTIC32 else float("inf")
        verdict = OVERFLOW if error <= allowed else DIFFERENT
        note = "the official float32 run is not finite; ours is, and is compared with float64"
        if allowed > CHAOTIC32:
            note = "the official float32 run is not finite; ours is, but float64 is chaotic and cannot confirm it"
        if self.is_local and not finite.all():
            note = "the arguments of the function are not finite in the official float32 run"
        return Row(self.recording.name, self.name, self.precision, verdict, error, min(allowed, 1e308), note=note)

    def _conditioned(self) -> Row:
        """A local function in float64: a fixed bound, wider where the function itself amplifies rounding.

        The official float32 error, which is 2^29 times that of float64, measures the amplification. For example, if the
        points of a component lie on a line, its correlation is near 1, and dividing by 1 - corr^2 may lose ten digits.
        """
        groups, name = self.recording.groups, self.official
        single = groups.get("float32", {}).get(name, groups.get("float32_local", {}).get(name))
        truth = groups.get("float32_truth", {}).get(name)
        if single is None or truth is None:
            return self._strict(FLOAT64_ALLOWED)
        known = np.isfinite(single).all() and np.isfinite(truth).all()
        lost = relative(float(np.abs(single - truth).max(initial=0.0)), float(np.abs(truth).max(initial=0.0)))
        if known:
            return self._strict(max(FLOAT64_ALLOWED, min(CHAOTIC64, SPREAD_FACTOR64 * lost * 2.0**-29)))
        row = self._strict(FLOAT64_ALLOWED)
        if row.verdict == DIFFERENT and row.error <= CHAOTIC64:
            note = "official float32 is not finite, so it is not known how far the function amplifies rounding"
            return dataclasses.replace(row, verdict=NOT_JUDGED, note=note, cause=None)
        return row

    def _strict(self, allowed: float) -> Row:
        """The largest element decides."""
        bad = self.difference > allowed * self.scale
        return self._finished(
            bad,
            departs=bool(bad.any()),
            error=relative(float(self.difference.max()), self.scale),
            allowed=allowed,
            profile=sizes(self.official, self.difference)[1] / self.scale if self.scale else None,
        )

    def _pooled(self) -> Row:
        """A local function in float32: the root mean square of each pool decides."""
        pools = judge_pools(self.official, self.ours, self.theirs, self.truth, self.scale, self._error_of_others())
        worst = max(pools, key=lambda pool: pool.used)
        steps = [pool.index for pool in pools if pool.axis == "step"]
        at = {worst.axis: worst.index} if worst.axis else {}
        if worst.used > 1 and steps:
            at["step"] = min(steps)
        inside = within(self.official, self.difference.shape, at)
        index = np.unravel_index(int(np.where(inside, self.difference, -1.0).argmax()), self.difference.shape)
        where = place(self.official, tuple(map(int, index)), self.difference.shape)
        found = sizes(self.official, self.difference)
        official = sizes(self.official, self.theirs.astype(np.float64) - self.truth)
        row = Row(
            self.recording.name,
            self.name,
            self.precision,
            DIFFERENT if worst.used > 1 else EQUAL,
            relative(worst.error, self.scale),
            relative(worst.allowed, self.scale) if self.scale else 0.0,
            official_error=relative(worst.official, self.scale),
            measure=f"rms of {worst.axis} {self._named(worst)}" if worst.axis else "rms",
            where=where,
            ours=float(self.ours[index]),
            theirs=float(self.theirs[index]),
            truth=float(self.truth[index]),
            profile=np.stack([found[0], official[0]]) / self.scale if self.scale else None,
        )
        return self._with_cause(row) if worst.used > 1 else row

    def _error_of_others(self) -> float:
        """For a gradient of HyperLSTM that is one number: the official root mean square error of it in all gates."""
        kind, groups = in_any_gate(self.official), self.recording.groups
        one_number = self.scale > 0 and np.ptp(self.truth) <= EPSILON32 * self.scale  # zero is exact
        if kind == self.official or not is_weight_vjp(self.official) or not one_number:
            return 0.0
        errors = [
            official.astype(np.float64) - self.truths[name]
            for group in ("float32", "float32_local")
            for name, official in groups.get(group, {}).items()
            if in_any_gate(name) == kind and name in self.truths and np.isfinite(official).all()
        ]
        return float(np.sqrt(np.mean([np.square(error).mean() for error in errors])))

    @staticmethod
    def _named(pool: Pooled) -> str | int:
        return GATES[pool.index] if pool.axis == "gate" else pool.index

    def _accumulated(self) -> Row:
        """A free run: the spread of the official ensemble decides, step by step."""
        drift = self.recording[f"{self.precision}_ensemble"]
        limit = allowance(self.precision, drift[self.official], self.scale, self._last_judged(drift))
        found = sizes(self.official, self.difference)
        with np.errstate(divide="ignore", invalid="ignore"):
            used = np.where((found == 0) | ~limit.judged, 0.0, found / limit.allowed)
        measure, step = np.unravel_index(int(used.argmax()), used.shape)
        double = self.precision == "float64"
        allowed = np.where(limit.judged, limit.allowed, np.nan)
        lines = np.stack([array[1 if double else 0] for array in (found, limit.spread, allowed)])
        row = self._finished(
            self._elements_beyond(limit, used),
            departs=bool(used[measure, step] > 1),
            error=relative(float(found[measure, step]), self.scale),
            allowed=relative(float(limit.allowed[measure, step]), self.scale) if self.scale else 0.0,
            official_error=relative(float(limit.spread[measure, step]), self.scale),
            noise=relative(float(limit.spread[measure, step]), self.scale) if double else None,
            measure=("rms", "largest")[measure],
            profile=lines / self.scale if self.scale else None,
        )
        if row.verdict == EQUAL and not limit.judged.all():
            return dataclasses.replace(row, verdict=NOT_JUDGED, note=self._chaotic(limit))
        return row

    def _last_judged(self, drift: Mapping[str, np.ndarray]) -> int | None:
        """The last step of a sample that can be judged; None for all other quantities."""
        if not self.official.startswith("sample/") or self.difference.ndim != 2:
            return None  # the next number of a generator does not depend on the decisions
        mode, quantity = self.official.split("/")[1:]
        last = last_certain_step(mode, self.precision, self.truths, drift)
        if quantity != "strokes":
            last += 1  # it is computed before the step's decision
        return last

    def _elements_beyond(self, limit: Allowance, used: np.ndarray) -> np.ndarray:
        """Which elements are beyond the allowance for the largest element of their step.

        Where only the root mean square of a step is too large, the largest element of that step is marked.
        """
        flat = by_step(self.official, self.difference)
        beyond = (flat > limit.allowed[1][:, None]) & limit.judged[:, None]
        only_rms = (used[0] > 1) & ~beyond.any(axis=1)
        beyond[only_rms, flat[only_rms].argmax(axis=1)] = True
        return unstepped(self.official, beyond, self.difference.shape)

    def _chaotic(self, limit: Allowance) -> str:
        """Why some steps are not judged: from which step on, and how far rounding has grown there."""
        first = int((~limit.judged).argmax())
        start, end = (relative(float(limit.spread[1][step]), self.scale) for step in (0, first))
        steps = f"from step {first} on: " if len(limit.judged) > 1 else ""
        if np.isfinite(end) and end <= CHAOTIC32 and self.official.startswith("sample/"):
            return f"{steps}a decision of the official run depends on less than its own drift of {end:.0e}"
        grown = f"{start:.0e} becomes {end:.0e}" if len(limit.judged) > 1 else f"official runs drift by {end:.0e}"
        return f"chaotic {steps}{grown}"

    def _finished(self, bad: np.ndarray, *, departs: bool, **numbers: Any) -> Row:
        """The row, placed at the first departure in time, or else at the largest error."""
        verdict = DIFFERENT if departs else EQUAL
        row = Row(self.recording.name, self.name, self.precision, verdict, **numbers)
        index = first_of(self.official, self.difference, bad) if departs else None
        if index is None:
            index = tuple(map(int, np.unravel_index(int(self.difference.argmax()), self.difference.shape)))
        row = dataclasses.replace(
            row,
            where=place(self.official, index, self.difference.shape),
            ours=float(self.ours[index]),
            theirs=float(self.theirs[index]),
            truth=float(self.truth[index]),
        )
        return self._with_cause(row) if row.verdict != EQUAL else row

    def _with_cause(self, row: Row) -> Row:
        if not self.explain:
            return row
        tolerance = CAUSE_TOLERANCE32 if self.precision == "float32" else FLOAT64_ALLOWED
        lengths = self.recording.groups.get("inputs", {}).get("lengths")
        cause = likely_cause(self.official, self.ours, self.truth, self.truths, tolerance, lengths)
        return dataclasses.replace(row, cause=cause)


def _scale(name: str, truth: np.ndarray, truths: Mapping[str, np.ndarray], recording: Recording) -> float:
    """The largest finite magnitude, by which an error is divided.

    A clipped gradient has the scale of the gradient, because clipping keeps its absolute error. A cost has the scale of
    the terms that it sums.
    """
    values = truth
    if name.startswith("clipped/"):
        values = truths.get(name.replace("clipped/", "gradient/", 1), truth)
    if name.startswith("optimizer/clipped/"):
        values = recording["float64"].get(name.replace("optimizer/clipped/", "gradient/", 1), truth)
    largest = float(np.abs(values[np.isfinite(values)]).max(initial=0.0))
    likelihoods = recording.groups.get("float64", {}).get(f"{name.split('/')[0]}/nll")
    if name.endswith(("/cost", "r_cost")) and likelihoods is not None and np.isfinite(likelihoods).all():
        largest = max(largest, float(np.abs(likelihoods).mean()))
    return largest
