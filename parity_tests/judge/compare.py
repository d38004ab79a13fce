"""Compares what a port computed with a recording, tensor by tensor, each kind of quantity by its own rule.

*Local* quantities were computed from official values, one step or one function at a time: see
:mod:`parity_tests.judge.local`. *Accumulated* ones are what a whole run made of its inputs: see
:mod:`parity_tests.judge.accumulated`. *Exact* ones must be the same bits.
"""

import dataclasses
import re
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from parity_tests.adapter import INTERMEDIATES
from parity_tests.judge.accumulated import Allowance, allowance
from parity_tests.judge.decisions import last_certain_step
from parity_tests.judge.likely_cause import likely_cause
from parity_tests.judge.limits import CHAOTIC32, CHAOTIC64, FLOAT64_ALLOWED, SPREAD_FACTOR64
from parity_tests.judge.local import Pooled, judge_pools
from parity_tests.judge.place import as_shaped, first_of, place, within
from parity_tests.judge.pools import GATES
from parity_tests.judge.row import (
    DIFFERENT,
    EQUAL,
    NOT_COMPARED,
    NOT_JUDGED,
    OVERFLOW,
    UNTESTED,
    Row,
    failures,
    relative,
)
from parity_tests.record.error_norms import by_step, sizes
from parity_tests.record.quantities import FED, PREFIX, VARIABLES
from parity_tests.record.recording import Recording

Arrays = dict[str, np.ndarray]
EXPLAINED = 12  # departures of a recording that are searched for a cause; later ones follow from these
# how quantities or recordings begin, in this order: a hyper cell holds a layer-norm cell, and that an LSTM
BEFORE_MODELS = ("converted/", VARIABLES, "cell/lstm", "cell/layer_norm", "cell/", "data", "initial/")
# which method of a port has to answer for a quantity; the first pattern that matches
OFFERED_BY = (
    (r"(train|valid)/\d/.*|scale_factor", ("data",)),
    (r"fed/train/(encoder/fw|encoder/bw|decoder)/(output|state)|output|state", ("step_layer", "step_cell")),
    (r"fed/train/(encoder/fw|encoder/bw|decoder)/(?!initial_state).*", (INTERMEDIATES,)),
    (r"fed/vjp/.*|vjp/.*", ("step_layer_vjp", "step_cell_vjp")),
    (r"fed/train/(mu|presig)", ("posterior",)),
    (r"fed/train/z", ("latent",)),
    (r"fed/train/decoder/initial_state", ("initial_state",)),
    (r"fed/train/head", ("output_layer",)),
    (r"fed/eval/.*", ("costs",)),
    (r"fed/(train|loss)/.*", ("costs",)),
    (r"fed/optimizer/.*", ("optimize",)),
    (VARIABLES + ".*", ("variables",)),
    (r"prefix/\d/.*", ("encode",)),
    (r"prefix/.*", ("decode",)),
    (r"sample/.*", ("sample",)),
    (r"(train|eval)/(encoder|decoder|head).*", (INTERMEDIATES,)),
    (r"train/keep_prob/.*", ("train_step",)),  # of what it computes inside, see `missing_verdict`
    (r"eval/(mu|presig|z)", ("encode",)),
    (r"eval/(r_cost|kl_cost)", ("loss",)),
    (r"eval/.*", ("decode",)),
    (r"train/cost", ("train_step",)),
    (r"train/(r_cost|kl_cost)", ("train_step", "loss")),
    (r"train/(mu|presig|z)", ("train_step", "encode")),
    (r"train/.*", ("train_step", "decode")),
    (r"(gradient|clipped|after)/.*", ("train_step",)),
    (r"dropout_.*", ("dropout_mask",)),
    (r".*", (INTERMEDIATES,)),  # what a cell on its own computes inside
)


def compare(ours: Arrays, recording: Recording, precision: str, *, offers: frozenset[str] | None = None) -> list[Row]:
    """Compare everything, in the order in which ours was computed; a name that one side lacks is a row too.

    Args:
        ours: what the port computed.
        recording: of the official code.
        precision: group of the recording to compare with.
        offers: what the port offers; what it offers and lacks is a failure. None: everything.
    """
    official = official_names(recording, precision)
    rows = []
    for name in ours:
        if name in official:
            explain = len(failures(rows)) < EXPLAINED
            rows.append(_Case(recording, precision, name, ours[name], explain=explain).row())
        else:
            note = "missing on the official side"
            rows.append(Row.failed(recording.name, name, precision, NOT_COMPARED, note))
    for name in official:
        if name not in ours:
            verdict = missing_verdict(recording, name, offers)
            rows.append(Row.failed(recording.name, name, precision, verdict, "missing on the port"))
    return rows


def missing_verdict(recording: Recording, name: str, offers: frozenset[str] | None) -> str:
    """A failure where the port offers what would have answered; else it is untested."""
    if offers is None:
        return NOT_COMPARED
    if name.startswith("train/keep_prob/") and INTERMEDIATES not in offers:
        return UNTESTED
    if recording.kind == "cell" and name not in ("output", "state") and not name.startswith(("vjp/", "dropout_")):
        wanted: tuple[str, ...] = (INTERMEDIATES,)
    else:
        wanted = next(methods for pattern, methods in OFFERED_BY if re.fullmatch(pattern, name))
    return NOT_COMPARED if offers & set(wanted) else UNTESTED


def official_names(recording: Recording, precision: str) -> list[str]:
    """The names of everything that a port is held against in a precision."""
    if recording.kind == "cell" and precision != "exact":
        return list(recording["float32_truth"])
    names = list(recording[precision])
    if recording.kind != "model" or precision == "exact":
        return names
    if precision == "float64":
        trainable = [name.removeprefix("gradient/") for name in names if name.startswith("gradient/")]
        names += [VARIABLES + name for name in trainable]
    return names + [FED + name for name in recording["float32_truth"]]


class _Case:
    """One comparison."""

    def __init__(self, recording: Recording, precision: str, name: str, ours: np.ndarray, *, explain: bool) -> None:
        self.recording, self.precision, self.name, self.ours, self.explain = recording, precision, name, ours, explain
        self.official = name.removeprefix(FED)
        groups = recording.groups
        self.is_local = precision != "exact" and (recording.kind == "cell" or name.startswith(FED))
        self.truths = groups.get(precision if precision == "exact" else "float64", {})
        if name.startswith(VARIABLES):
            self.precision = "exact"
            self.theirs = groups["weights"][name.removeprefix(VARIABLES)].astype(precision)
            self.truth = self.theirs
            return
        self.theirs = groups[precision].get(self.official)
        if self.theirs is None:
            self.theirs = groups[f"{precision}_local"][self.official]
        self.truth = self.truths.get(self.official)
        if self.is_local:
            self.truths = groups["float32_truth"] if precision == "float32" else self.truths
            self.truth = groups["float32_truth"][self.official] if precision == "float32" else self.theirs

    def row(self) -> Row:
        """Judge it."""
        if obstacle := self._not_comparable():
            return self._failed(NOT_COMPARED, obstacle)
        if obstacle := self._not_measurable():
            return self._with_cause(self._failed(DIFFERENT, obstacle))
        with np.errstate(invalid="ignore"):
            self.difference = np.abs(self.ours.astype(np.float64) - self.truth.astype(np.float64))
        self.scale = _scale(self.official, self.truth, self.truths, self.recording)
        if not np.isfinite(self.theirs).all() or not np.isfinite(self.truth).all():
            return self._overflown()
        if self.precision == "exact":
            return self._strict(0.0)
        if self.is_local:
            return self._local() if self.precision == "float32" else self._conditioned()
        return self._accumulated()

    def _failed(self, verdict: str, note: str) -> Row:
        return Row.failed(self.recording.name, self.name, self.precision, verdict, note)

    def _not_comparable(self) -> str | None:
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
        """Why they are different where the size of the error cannot tell; None where it can."""
        if not self.ours.shape == self.theirs.shape == self.truth.shape:
            shape = self.theirs.shape if self.ours.shape != self.theirs.shape else self.truth.shape
            return f"shape {list(self.ours.shape)}, expected {list(shape)}"
        if self.ours.dtype != self.theirs.dtype and (self.precision != "float64" or self.ours.dtype.kind not in "fiu"):
            return f"type {self.ours.dtype}, expected {self.theirs.dtype}"
        # a single function of values that are not finite need not be finite; a run of the port must be
        wanted = np.isfinite(self.truth) if self.is_local else np.ones(self.truth.shape, bool)
        if self.official.endswith("/nll"):  # read off the mixture by the harness: float32 may round a correlation to 1
            wanted = np.isfinite(self.theirs)
        if not np.isfinite(self.ours[wanted]).all():
            return "NaN or infinity in the port"
        if self.precision == "exact" and self.ours.tobytes() != self.theirs.tobytes():
            difference = np.abs(self.ours.astype(np.float64) - self.theirs.astype(np.float64)).max()
            return None if difference else "other bits, though no difference shows"
        return None

    def _overflown(self) -> Row:
        """The official run is not finite. Ours is; it must agree with float64 as far as that is a number."""
        if self.precision == "exact":
            return self._failed(DIFFERENT, "the official run is not finite")
        finite = np.isfinite(self.truth) & (np.isfinite(self.ours) | ~np.array(self.official.endswith("/nll")))
        error = relative(float(self.difference[finite].max(initial=0.0)), self.scale)
        if self.precision == "float64":
            verdict = DIFFERENT if self.is_local and error > FLOAT64_ALLOWED else OVERFLOW
            asked = "what is finite in it is compared" if self.is_local else "of ours it is asked to be, and no more"
            row = self._failed(verdict, f"the official float64 run is not finite: {asked}")
            return dataclasses.replace(row, error=error, allowed=FLOAT64_ALLOWED if self.is_local else float("inf"))
        drift = self.recording.groups.get("float64_ensemble", {}).get(self.official)
        # float32 rounds 2^29 times as coarsely as float64: as far as that may have grown, nothing can be asked
        grown = 0.0 if drift is None else SPREAD_FACTOR64 * relative(float(drift.max()), self.scale) * 2.0**29
        allowed = CHAOTIC32 if grown <= CHAOTIC32 else float("inf")
        verdict = OVERFLOW if error <= allowed else DIFFERENT
        note = "the official float32 run is not finite; ours is, and is held against float64"
        if allowed > CHAOTIC32:
            note = "the official float32 run is not finite; ours is, and no more can be asked, for float64 is chaotic"
        if self.is_local and not finite.all():
            note = "what the function is given is not finite in the official float32 run"
        return Row(self.recording.name, self.name, self.precision, verdict, error, min(allowed, 1e308), note=note)

    def _conditioned(self) -> Row:
        """A local function in float64: strictly, but for one that makes more of rounding than that.

        How much it makes, the official float32 error tells, which is 2^29 times that of float64: a component whose
        points lie on a line has a correlation near 1, and dividing by 1 - corr^2 may lose ten digits.
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
            note = "official float32 is not finite, so how much the function makes of rounding is not known"
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

    def _local(self) -> Row:
        """Pools decide."""
        pools = judge_pools(self.official, self.ours, self.theirs, self.truth, self.scale)
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

    @staticmethod
    def _named(pool: Pooled) -> str | int:
        return GATES[pool.index] if pool.axis == "gate" else pool.index

    def _accumulated(self) -> Row:
        """The ensemble decides, step by step."""
        drift = self.recording[f"{self.precision}_ensemble"]
        last = None
        if self.official.startswith("sample/"):
            mode, quantity = self.official.split("/")[1:]
            last = last_certain_step(mode, self.precision, self.truths, drift)
            if quantity != "strokes":
                last += 1  # it is computed before the step's decision
            if self.difference.ndim != 2:
                last = None  # what is left in the streams does not depend on the decisions
        limit = allowance(self.precision, drift[self.official], self.scale, last)
        found = sizes(self.official, self.difference)
        with np.errstate(divide="ignore", invalid="ignore"):
            used = np.where((found == 0) | ~limit.judged, 0.0, found / limit.allowed)
        measure, step = np.unravel_index(int(used.argmax()), used.shape)
        flat = by_step(self.official, self.difference)
        late = (flat > limit.allowed[1][:, None]) & limit.judged[:, None]
        # where the mean square alone is too large, the largest element of the step stands for it
        alone = (used[0] > 1) & ~late.any(axis=1)
        late[alone, flat[alone].argmax(axis=1)] = True
        double = self.precision == "float64"
        allowed = np.where(limit.judged, limit.allowed, np.nan)
        lines = np.stack([array[1 if double else 0] for array in (found, limit.spread, allowed)])
        row = self._finished(
            as_shaped(self.official, late, self.difference.shape),
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

    def _chaotic(self, limit: Allowance) -> str:
        """From where on, and how far rounding has grown there."""
        first = int((~limit.judged).argmax())
        start, end = (relative(float(limit.spread[1][step]), self.scale) for step in (0, first))
        steps = f"from step {first} on: " if len(limit.judged) > 1 else ""
        if np.isfinite(end) and end <= CHAOTIC32 and self.official.startswith("sample/"):
            return f"{steps}a decision of the official run hangs on less than its own drift of {end:.0e}"
        grown = f"{start:.0e} becomes {end:.0e}" if len(limit.judged) > 1 else f"official runs drift by {end:.0e}"
        return f"chaotic {steps}{grown}"

    def _finished(self, bad: np.ndarray, *, departs: bool, **numbers: Any) -> Row:
        """The row: of a departure the place is the first, in time, else that of the largest error."""
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
        tolerance = 1e-5 if self.precision == "float32" else FLOAT64_ALLOWED
        lengths = self.recording.groups.get("inputs", {}).get("lengths")
        cause = likely_cause(self.official, self.ours, self.truth, self.truths, tolerance, lengths)
        return dataclasses.replace(row, cause=cause)


def _scale(name: str, truth: np.ndarray, truths: Mapping[str, np.ndarray], recording: Recording) -> float:
    """The largest magnitude that counts; infinite numbers do not.

    For a clipped gradient it is that of the gradient, since clipping keeps its absolute error; for a cost it is what
    the cost adds up.
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


def first_departure(rows: Iterable[Row]) -> Row | None:
    """The failed row that was computed first.

    What a model is made from comes before the model: converted weights, weights as loaded, cells alone, data, initial
    weights; whole trainings come last, and float32 after float64. Within a layer it is the earliest step, and there the
    quantity that is computed first: a later step reads what an earlier one left. Between layers it is the order of
    computation. Runs over the first points alone (``prefix/``) are the same ones again, cut short: they count where no
    whole run departs. What was computed from the official state (``fed/``) tells whether an error is local; it comes
    last.
    """
    failed = sorted(failures(rows), key=_rank)  # a stable sort keeps the order of computation
    free = [row for row in failed if not row.quantity.startswith(FED) and not _is_prefix(row)]
    own = free or [row for row in failed if _is_prefix(row)] or failed
    if not own:
        return None
    first = own[0]
    together = _recurrence(first)
    same = [row for row in own if _recurrence(row) == together] if together is not None else []
    return min(same, key=_step) if same else first


def _is_prefix(row: Row) -> bool:
    """Whether a row is of the first points alone; one that says how a method failed there names the method."""
    return row.quantity.startswith(PREFIX) or " (first " in row.quantity


def _step(row: Row) -> float:
    """The step of a departure; what is drawn from a mixture comes after it."""
    drawn = row.quantity.startswith("sample/") and row.quantity.endswith("/strokes")
    return (row.where or {}).get("step", 0) + 0.5 * drawn


def _rank(row: Row) -> tuple[int, bool, bool]:
    """What is made from other things comes after them."""
    name = row.quantity if row.quantity.startswith(("converted/", VARIABLES)) else row.recording
    before = [index for index, kind in enumerate(BEFORE_MODELS) if name.startswith(kind)]
    rank = before[0] if before else len(BEFORE_MODELS) + name.startswith("training/")
    # a name that is missing tells less than a number that differs, or a method that failed
    return rank, row.precision == "float32", row.verdict == NOT_COMPARED


def _recurrence(row: Row) -> tuple[str, str, str] | None:
    """A recurrent layer of a recording, or one way of sampling, where the row belongs to one."""
    for layer in ("encoder/fw/", "encoder/bw/", "decoder/", "sample/greedy/", "sample/sampled/"):
        head, found, _ = row.quantity.partition(layer)
        if found and not row.quantity.endswith("_state"):
            return row.recording, row.precision, head + found
    return None
