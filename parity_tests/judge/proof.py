"""Proves a port against one recording of any kind."""

import dataclasses
from typing import Any

import numpy as np

from parity_tests.adapter import EVERYTHING, Adapter, Arrays
from parity_tests.judge.compare import compare, official_names
from parity_tests.judge.initial_weights import CHANCE, compare_initial
from parity_tests.judge.row import DIFFERENT, EQUAL, NOT_COMPARED, NOT_JUDGED, UNTESTED, Row
from parity_tests.judge.tensor.together import gradients_together
from parity_tests.judge.training import Curves, judge_training
from parity_tests.record import mixtures
from parity_tests.record.configurations import CELL_KEEP_PROB
from parity_tests.record.form import PRECISIONS, check_form
from parity_tests.record.recording import Recording
from parity_tests.replay.answers import Answers
from parity_tests.replay.model import replay

MASK_SIZE = 1000  # elements of the mask that the port draws itself


@dataclasses.dataclass
class Findings:
    """Rows, training curves and mixture figures of some recordings."""

    rows: list[Row] = dataclasses.field(default_factory=list)
    training: list[Curves] = dataclasses.field(default_factory=list)
    mixtures: list[dict[str, Any]] = dataclasses.field(default_factory=list)

    def __iadd__(self, other: "Findings") -> "Findings":
        self.rows += other.rows
        self.training += other.training
        self.mixtures += other.mixtures
        return self


@np.errstate(all="ignore")  # a port may answer any number; the row says that it is wrong
def prove(recording: Recording, port: Adapter) -> Findings:
    """Compare a port with a recording in every precision.

    What the port offers and does not answer is a failure; what it does not offer is untested. If the port offers
    everything, nothing may be untested.

    Args:
        recording: of the official code.
        port: the port under test.

    Raises:
        BadInput: when the recording is of an unknown kind, or lacks arrays that are needed here.
    """
    check_form(recording)
    offers = port.offers
    if recording.kind == "training":
        rows, curves = judge_training(recording, port)
        return Findings(_strict(rows, offers), [] if curves is None else [curves])
    if recording.kind == "initial":
        return Findings(_strict(compare_initial(recording, port), offers))
    findings = Findings()
    for precision in PRECISIONS[recording.kind]:
        if precision != "exact" and precision not in port.precisions:
            note = "the port does not offer this precision"
            names = official_names(recording, precision)
            findings.rows += [Row.failed(recording.name, name, precision, UNTESTED, note) for name in names]
            continue
        findings += judge(recording, precision, _answers(findings, recording, precision, port), offers)
    return findings


def judge(recording: Recording, precision: str, answers: Answers, offers: frozenset[str]) -> Findings:
    """Rows for everything that was answered or should have been, and mixture figures."""
    # methods that raised NotImplementedError: the port declined them for this recording
    declined = {method.partition(" (")[0] for method in answers.untested}
    for names in (("step_layer", "step_cell"), ("step_layer_vjp", "step_cell_vjp")):
        declined |= set(names) if declined & set(names) else set()
    findings = Findings(compare(answers.arrays, recording, precision, offers=offers - declined))
    findings.rows += [
        Row.failed(recording.name, method, precision, DIFFERENT, f"{method} failed: {error}")
        for method, error in answers.broken.items()
    ]
    if recording.kind == "model":
        findings.rows += [
            Row(recording.name, f"sample/{mode}/", precision, NOT_JUDGED, 0.0, 0.0, note="official sampling fails")
            for mode in recording.provenance.get("not sampled", ())
            if "sample" in offers
        ]
        findings.rows += gradients_together(recording, precision, answers.arrays)
        _mixtures(findings, answers.arrays, recording, precision)
    findings.rows = _strict(findings.rows, offers)
    return findings


def _answers(findings: Findings, recording: Recording, precision: str, port: Adapter) -> Answers:
    answers = replay(recording, precision, port)
    if recording.kind == "cell" and precision == "exact":
        _own_mask(findings, answers, recording, port)
    return answers


def _strict(rows: list[Row], offers: frozenset[str]) -> list[Row]:
    """The rows; if the port offers everything, untested ones become failures."""
    if not offers >= EVERYTHING:
        return rows
    return [dataclasses.replace(row, verdict=NOT_COMPARED) if row.verdict == UNTESTED else row for row in rows]


def _own_mask(findings: Findings, answers: Answers, recording: Recording, port: Adapter) -> None:
    """A dropout mask that the port draws itself; everywhere else masks are arguments.

    Its values must be the official ones, and the share of kept elements within Hoeffding's bound.
    """
    taken = Answers()
    taken.take("dropout_mask", lambda: {"mask": port.dropout_mask(MASK_SIZE, CELL_KEEP_PROB)}, ())
    answers.broken |= taken.broken
    if "mask" not in taken.arrays:
        return
    mask = taken.arrays["mask"]
    answers.arrays["dropout_values"] = np.unique(mask)
    error = abs(float(np.mean(mask != 0)) - CELL_KEEP_PROB)
    allowed = float(np.sqrt(np.log(2 / CHANCE) / (2 * MASK_SIZE)))
    verdict = EQUAL if mask.shape == (MASK_SIZE,) and error <= allowed else DIFFERENT
    findings.rows.append(Row(recording.name, "dropout_share", "distribution", verdict, error, allowed))


def _mixtures(findings: Findings, ours: Arrays, recording: Recording, precision: str) -> None:
    """Likelihoods and divergences of the training step's mixtures, for the report: how much a difference matters."""
    truth, theirs = recording["float64"], recording[precision]
    names = {name: f"train/{name}" for name in mixtures.DENSITY_PARAMETERS}
    if "train/nll" not in ours or any(not np.isfinite(ours[quantity]).all() for quantity in names.values()):
        return  # the rows of the parameters report it
    sides = [{name: side[quantity] for name, quantity in names.items()} for side in (truth, ours, theirs)]
    kl_ours, kl_official = (float(mixtures.kl(sides[0], side).max()) for side in sides[1:])
    nll_ours, nll_official = ours["train/nll"], truth["train/nll"]
    findings.mixtures.append(
        {
            "recording": recording.name,
            "precision": precision,
            "nll_official": float(nll_official.mean()),
            "nll_ours": float(nll_ours.mean()),
            "largest_nll_difference": float(np.abs(nll_ours - nll_official).max()),
            "kl_ours": kl_ours,
            "kl_official": kl_official if precision == "float32" else None,
        }
    )
