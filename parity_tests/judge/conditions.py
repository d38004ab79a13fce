"""Conditions under which some bugs show only: each must occur in the recordings, or the proof has a hole."""

import re
from collections.abc import Iterable

import numpy as np

from parity_tests.judge.limits import FLOAT64_ALLOWED
from parity_tests.judge.row import EQUAL, Row
from parity_tests.record.recording import Recording

BELOW_FLOOR = "the KL cost below its floor, in every conditional model"
ABOVE_FLOOR = "the KL cost above a floor that is not zero, in every conditional model"
CLIPPED = "gradients that the clip cuts, in every model"
SPARED = "gradients that the clip leaves alone, in every model"
STRICTLY = f"every float64 quantity judged at {FLOAT64_ALLOWED:g} in at least one recording"

_ROUNDED = 1 + 1e-9  # an allowance is multiplied by the scale of a tensor and divided by it again
_SAME_QUANTITY = re.compile(r"^(steps|fresh|resumed|continued|fed/optimizer)/")


def conditions(recordings: Iterable[Recording]) -> dict[str, bool]:
    """For each condition, whether every model that it concerns met it in at least one of its recordings."""
    met: dict[str, set[str]] = {name: set() for name in (BELOW_FLOOR, ABOVE_FLOOR, CLIPPED, SPARED)}
    models, conditional = set(), set()
    for recording in recordings:
        if recording.kind != "model":
            continue
        official, model = recording["float64"], recording.name.split("/")[0]
        models.add(model)
        if recording.hparams["conditional"]:
            conditional.add(model)
            at_floor = float(official["train/kl_cost"]) == recording.hparams["kl_tolerance"] > 0
            met[BELOW_FLOOR if at_floor else ABOVE_FLOOR].add(model)
        for name in official:
            if name.startswith("gradient/"):
                same = official[name] == official[name.replace("gradient/", "clipped/", 1)]
                if not same.all():
                    met[CLIPPED].add(model)
                if same.any():
                    met[SPARED].add(model)
    concerned = {BELOW_FLOOR: conditional, ABOVE_FLOOR: conditional, CLIPPED: models, SPARED: models}
    return {name: met[name] == concerned[name] for name in concerned if concerned[name]}


def without_large_arrays(recording: Recording) -> Recording:
    """A recording reduced to what :func:`conditions` and the coverage table read, so that it can stay in memory."""
    if recording.kind != "model":
        return Recording(recording.kind, recording.name, recording.hparams, recording.provenance, {})
    needed = ("train/kl_cost", "gradient/", "clipped/")
    empty = np.empty(0)
    double = {name: value if name.startswith(needed) else empty for name, value in recording["float64"].items()}
    groups = {"float64": double, "float32": dict.fromkeys(recording["float32"], empty)}
    return Recording(recording.kind, recording.name, recording.hparams, recording.provenance, groups)


def is_strict(allowed: float) -> bool:
    """Whether an allowance is the strict one for float64, up to rounding."""
    return allowed <= FLOAT64_ALLOWED * _ROUNDED


def never_strict(rows: Iterable[Row]) -> list[str]:
    """Quantities that no recording judged at the strict allowance; a wider one proves less.

    A step of a training run, and the optimizer alone on official gradients, compute what a single training step does:
    if one of them is judged strictly, so is the quantity.
    """
    wanted: dict[str, None] = {}  # in order
    strict: set[str] = set()
    for row in rows:
        is_quantity = not row.quantity.startswith("free run: ") and not row.quantity.endswith("/")
        if row.precision == "float64" and row.compared and is_quantity:
            quantity = _SAME_QUANTITY.sub("", row.quantity)
            wanted[quantity] = None
            if row.verdict == EQUAL and is_strict(row.allowed):
                strict.add(quantity)
    return [name for name in wanted if name not in strict]
