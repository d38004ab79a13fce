"""One recording of any kind, and all that a port has to show for it."""

import dataclasses
from typing import Any

import numpy as np

from parity_tests import mixtures
from parity_tests.adapter import FAILURES, Adapter, Arrays, told
from parity_tests.compare import (
    EPSILON32,
    FLOAT32_CEILING,
    FLOAT32_FLOOR,
    LARGEST_FACTOR,
    RMS_FACTOR,
    Row,
    compare,
)
from parity_tests.configurations import CELL_KEEP_PROB
from parity_tests.initial import CHANCE, compare_initial
from parity_tests.measure import together
from parity_tests.recording import Recording
from parity_tests.replay import Answers, fed_names, gradients, replay
from parity_tests.streams import GRADIENT_NUDGES, nudged
from parity_tests.training import Curves, replay_training
from pytorch_sketch_rnn.errors import BadInput

# what a recording of each kind must hold
PRECISIONS = {
    "model": ("float64", "float32"),
    "cell": ("float64", "float32", "exact"),
    "data": ("exact",),
    "training": ("float64",),
    "initial": ("initial", "distribution"),
}
# ... and what else it must hold, without which nothing can be replayed
GIVEN = {
    "model": ("weights", "inputs", "draws", "official_error", "noise"),
    "cell": ("weights", "inputs", "draws", "official_error", "noise"),
    "data": ("inputs",),
    "training": ("weights", "inputs", "official_drift"),
    "initial": (),
}
TOGETHER = "gradient/together"
STANDARD_ERRORS = 3  # of the factor between ours and the official error of all gradients
# In float64 all that is left of a divergence, the square of an error of 1e-15, is its own rounding: seen 2e-14.
DIVERGENCE_ALLOWED = 1e-12
MASK_SIZE = 1000  # so many numbers of a mask of the port's own making


@dataclasses.dataclass
class Findings:
    """What came of some recordings."""

    rows: list[Row] = dataclasses.field(default_factory=list)
    training: list[Curves] = dataclasses.field(default_factory=list)
    mixtures: list[dict[str, Any]] = dataclasses.field(default_factory=list)

    def __iadd__(self, other: "Findings") -> "Findings":
        self.rows += other.rows
        self.training += other.training
        self.mixtures += other.mixtures
        return self


@np.errstate(all="ignore")  # what a port answers may be any number; that it is wrong, its row says
def prove(recording: Recording, port: Adapter, *, partial: bool = False) -> Findings:
    """Hold a port against a recording in every precision that it must hold.

    Args:
        recording: of the official code.
        port: the subject.
        partial: whether the port may offer less than all: what it lacks is untested then, else it is a failure.

    Raises:
        BadInput: when the recording is of an unknown kind or lacks something.
    """
    if recording.kind not in PRECISIONS:
        raise BadInput(f"recording {recording.name}: of an unknown kind {recording.kind!r}; record it anew")
    for group in PRECISIONS[recording.kind]:
        if group not in recording.groups:
            raise BadInput(f"recording {recording.name}: lacks the {group} run; record it anew")
    for group in GIVEN[recording.kind]:
        if group not in recording.groups:
            raise BadInput(f"recording {recording.name}: lacks its {group}; record it anew")
    if not recording.hparams:
        raise BadInput(f"recording {recording.name}: lacks its hyperparameters; record it anew")
    missing = "untested" if partial else "not compared"
    if recording.kind == "training":
        rows, curves = replay_training(recording, port)
        return Findings(_strict(rows, missing), [] if curves is None else [curves])
    if recording.kind == "initial":
        return Findings(_strict(compare_initial(recording, port, missing=missing), missing))
    findings = Findings()
    for precision in PRECISIONS[recording.kind]:
        if precision != "exact" and precision not in port.precisions:
            note = "the port does not offer this precision"
            findings.rows.append(_row(recording, "all", precision, missing, note))
            continue
        answers = replay(recording, precision, port)
        if recording.kind == "cell" and precision == "exact":
            _own_mask(findings, answers, recording, port)
        findings.rows += compare(answers.arrays, recording, precision, missing=missing)
        findings.rows += [
            _row(recording, method, precision, "different", f"{method} failed: {error}")
            for method, error in answers.broken.items()
        ]
        if recording.kind == "model":
            left = sorted(fed_names(recording, precision) - set(answers.arrays))
            findings.rows += [_row(recording, n, precision, missing, "missing on the port") for n in left]
            _mixtures(findings, answers.arrays, recording, precision)
        if recording.kind == "model" and precision == "float32":
            findings.rows.append(_gradients_together(recording, port, missing))
    return findings


def _strict(rows: list[Row], missing: str) -> list[Row]:
    """Where a port must offer all, what is untested is a failure."""
    return [dataclasses.replace(row, verdict=missing) if row.verdict == "untested" else row for row in rows]


def _row(recording: Recording, quantity: str, precision: str, verdict: str, note: str) -> Row:
    return Row(recording.name, quantity, precision, verdict, float("inf"), 0.0, note=note)


def _own_mask(findings: Findings, answers: Answers, recording: Recording, port: Adapter) -> None:
    """A dropout mask of the port's own making; all other masks are given to it.

    Its values must be the official ones, and the share of those kept what chance allows (Hoeffding's bound).
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
    verdict = "equal" if mask.shape == (MASK_SIZE,) and error <= allowed else "different"
    findings.rows.append(Row(recording.name, "dropout_share", "distribution", verdict, error, allowed))


def _gradients_together(recording: Recording, port: Adapter, missing: str) -> Row:
    """All gradients as one vector, in L2, over several runs.

    What a single variable or a single run may make of luck, all of them together may not. Each run starts from weights
    nudged by one rounding of float32, and is judged against the port's own float64 run of the same weights, which is
    held against the official one elsewhere. The factor between the two sides is the geometric mean over the runs: where
    weights are ill-conditioned, errors of single runs are spread over a decade, and the root of their mean square is
    that of the largest. Its own uncertainty is measured too: a port departs when it lies beyond the allowed factor by
    more than :data:`STANDARD_ERRORS` of it.
    """
    official = recording["official_error"].get(TOGETHER)
    if official is None or official.shape != (1 + GRADIENT_NUDGES,) or not np.isfinite(official).all():
        note = f"its official error is {official}, expected {1 + GRADIENT_NUDGES} measured numbers"
        return _row(recording, TOGETHER, "float32", "not compared", note)
    if not set(port.precisions) >= {"float64", "float32"}:
        return _row(recording, TOGETHER, "float32", missing, "the port does not offer both precisions")
    trainable = {n.removeprefix("gradient/") for n in recording["float64"] if n.startswith("gradient/")}
    errors = []
    try:
        for seed in (None, *range(GRADIENT_NUDGES)):
            weights = recording["weights"]
            weights = weights if seed is None else nudged(weights, trainable, "float32", seed)
            single, double = (gradients(recording, weights, precision, port) for precision in ("float32", "float64"))
            if not double:
                return _row(recording, TOGETHER, "float32", missing, "the port does not offer gradients")
            errors.append(together(single, double, trainable))
    except NotImplementedError as error:
        return _row(recording, TOGETHER, "float32", missing, str(error) or "the port does not offer it")
    except FAILURES as error:
        return _row(recording, TOGETHER, "float32", "different", told(error))
    logs = [np.log(np.maximum(side, np.finfo(np.float64).tiny)) for side in (errors, official)]
    ours, theirs = (float(np.exp(np.mean(side))) for side in logs)
    uncertain = np.exp(STANDARD_ERRORS * np.std(logs[0] - logs[1], ddof=1) / np.sqrt(len(errors)))
    uncertain = uncertain if np.isfinite(uncertain) else 1.0
    allowed = min(max(RMS_FACTOR * uncertain * theirs, FLOAT32_FLOOR * EPSILON32), FLOAT32_CEILING)
    verdict = "equal" if ours <= allowed else "different"
    ours = ours if np.isfinite(ours) else float("inf")
    return Row(recording.name, TOGETHER, "float32", verdict, ours, allowed, official_error=theirs, measure="rms")


def _mixtures(findings: Findings, ours: Arrays, recording: Recording, precision: str) -> None:
    """Likelihoods and divergences of the training step's mixtures, and a row for the divergence."""
    truth, theirs = recording["float64"], recording[precision]
    names = {name: f"train/{name}" for name in mixtures.NAMES}
    if "train/nll" not in ours or any(not np.isfinite(ours[quantity]).all() for quantity in names.values()):
        return  # the rows of the parameters say so
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
    # a divergence is quadratic in the error of the parameters
    allowed = max(LARGEST_FACTOR**2 * kl_official, FLOAT32_FLOOR * EPSILON32)
    if precision == "float64":
        allowed = DIVERGENCE_ALLOWED
    row = Row(
        recording.name,
        "kl_of_mixtures",
        precision,
        "equal" if kl_ours <= allowed else "different",
        error=abs(kl_ours),
        allowed=allowed,
        official_error=abs(kl_official) if precision == "float32" else None,
    )
    findings.rows.append(row)
