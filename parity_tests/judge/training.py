"""Judges whole training runs against the official trainer's, with all randomness on, in float64.

*From the official state*: each step starts from the official weights, slots and powers, so errors do not pile up. It is
held against how far a second official run of the same step is from the first (weights perturbed in the last bit, units
and rows in another order). *Free run*: the port starts from the first weights with an optimizer of its own and carries
on from its own results. Training is chaotic, so its drift is held against that of ten official runs whose first weights
were perturbed by 1e-15. A checkpoint that the official trainer saved half-way is converted and resumed as well.

What the port answers comes from :mod:`parity_tests.replay.training`.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from parity_tests.adapter import FAILURES, Adapter, Arrays, describe_error
from parity_tests.judge.limits import DRIFT_FACTOR, DRIFT_FLOOR
from parity_tests.judge.row import DIFFERENT, EQUAL, UNTESTED, Row
from parity_tests.judge.training_steps import StepComparison
from parity_tests.record.quantities import COSTS
from parity_tests.record.recording import Recording
from parity_tests.replay.training import PortFailed, free_run, step_after_checkpoint, steps_from_official_state


@dataclasses.dataclass(frozen=True)
class Curves:
    """A training run of both sides, for the plots; each list has one number per step."""

    recording: str
    theirs: Mapping[str, list[float]]  # cost, r_cost, kl_cost, lr, kl_weight
    ours: Mapping[str, list[float]]
    drift: list[float]  # of our weights from the official run
    official_drift: list[float]  # of the official weights from themselves, the largest of several perturbations
    fed_error: list[float]  # the largest error of any quantity of a step that starts from the official state

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return dataclasses.asdict(self)


def judge_training(recording: Recording, port: Adapter) -> tuple[list[Row], Curves | None]:
    """Rows for both runs of a port, and their curves; None where a run ended early.

    A run that ends early leaves the departures found until then, and a row that says why it ended.
    """
    steps = StepComparison(recording)
    try:
        for answer in steps_from_official_state(recording, port):
            steps.compare(answer)
    except FAILURES as error:
        return [*steps.departures(), _ended_early(recording, error)], None
    rows = steps.rows(steps.seen | set(steps.official))
    first = StepComparison(recording, times=1)
    try:
        curves = _free_run(recording, port, steps.error_by_step, first)
    except FAILURES as error:
        return [*rows, *renamed(first.departures(), "fresh/"), _ended_early(recording, error)], None
    return [*rows, *renamed(first.rows(first.seen), "fresh/"), *_drift_rows(recording, curves)], curves


def judge_resumed(recording: Recording, port: Adapter, variables: Arrays, step: int) -> list[Row]:
    """Rows for the step after an official checkpoint: from the converted variables, against the recorded step.

    Args:
        recording: of the run that saved the checkpoint.
        port: the port.
        variables: of the checkpoint, by their official names.
        step: how many steps the run had taken.

    Raises:
        PortFailed: when a method of the port fails.
        NotImplementedError: when the port cannot load a model or take a training step.
    """
    steps = StepComparison(recording, times=1)
    steps.compare(step_after_checkpoint(recording, port, variables, step))
    names = steps.seen | {name for name in steps.official if name.startswith("steps/")}
    return renamed(steps.rows(names), "resumed/")


def renamed(rows: list[Row], prefix: str) -> list[Row]:
    """Rows of steps under another prefix."""
    return [dataclasses.replace(row, quantity=row.quantity.replace("steps/", prefix, 1)) for row in rows]


def _ended_early(recording: Recording, error: BaseException) -> Row:
    """Why a run ended before its last step."""
    verdict, note = DIFFERENT, describe_error(error)
    if isinstance(error, PortFailed):
        note = str(error)
    elif isinstance(error, NotImplementedError):
        verdict, note = UNTESTED, str(error) or "the port does not offer it"
    return Row.failed(recording.name, "steps", "float64", verdict, note)


def _free_run(recording: Recording, port: Adapter, fed_error: list[float], first: StepComparison) -> Curves:
    """The curves of a free run; what its first step left of a new optimizer is compared in ``first``."""
    official = recording["float64"]
    ours: dict[str, list[float]] = {name: [] for name in (*COSTS, "lr", "kl_weight")}
    drift = []
    weights = {n.removeprefix("steps/after/"): v for n, v in official.items() if "/after/" in n and "/Adam" not in n}
    weights = {name: values for name, values in weights.items() if not name.endswith("_power")}
    for step, own, answer in free_run(recording, port):
        if step == 0:
            first.compare_new_optimizer(answer)
        if lacking := [name for name in weights if f"after/{name}" not in answer]:
            raise NotImplementedError(f"the answer of train_step lacks after/{lacking[0]}")
        for name in ours:
            value = answer[name] if name in COSTS else own.get(name, official[f"steps/{name}"][step])
            ours[name].append(float(value))
        drift.append(max(_distance(answer[f"after/{name}"], values[step]) for name, values in weights.items()))
    runs = recording["official_drift"]
    official_drift = np.max([values for name, values in runs.items() if name.endswith("/weights")], axis=0)
    theirs = {name: official[f"steps/{name}"].tolist() for name in ours}
    return Curves(recording.name, theirs, ours, drift, official_drift.tolist(), fed_error)


def _distance(ours: np.ndarray, theirs: np.ndarray) -> float:
    """The largest difference, relative to the largest magnitude of theirs."""
    if not np.isfinite(ours).all():
        return float("inf")
    scale = float(np.abs(theirs).max())
    return float(np.abs(ours - theirs).max()) / scale if scale else float(np.abs(ours).max())


def _drift_rows(recording: Recording, curves: Curves) -> list[Row]:
    """The drift of the weights, and of each cost relative to its largest value, against the official code's own."""
    rows = [_drift_row(recording, "weights", curves.drift, curves.official_drift)]
    for name in COSTS:
        theirs = np.array(curves.theirs[name])
        runs = [values for key, values in recording["official_drift"].items() if key.split("/")[1] == name]
        scale = float(np.abs(theirs).max()) or 1.0
        with np.errstate(invalid="ignore"):
            ours = np.abs(np.array(curves.ours[name]) - theirs) / scale
        official = np.max(np.abs(np.array(runs) - theirs), axis=0) / scale
        rows.append(_drift_row(recording, name, np.where(np.isfinite(ours), ours, np.inf).tolist(), official.tolist()))
    return rows


def _drift_row(recording: Recording, what: str, ours: list[float], official: list[float]) -> Row:
    """Our drift against the largest official drift so far, at the step that uses most of its allowance."""
    so_far = np.maximum.accumulate(official)
    allowed = np.maximum(DRIFT_FACTOR * so_far, DRIFT_FLOOR)
    step = int((np.array(ours) / allowed).argmax())
    error = ours[step]
    return Row(
        recording.name,
        f"free run: drift of {what if what in COSTS else f'the {what}'}",
        "float64",
        EQUAL if error <= allowed[step] else DIFFERENT,
        error=error,
        allowed=float(allowed[step]),
        official_error=float(so_far[step]),
        where={"step": step},
    )
