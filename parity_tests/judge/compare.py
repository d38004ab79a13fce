"""Compares what a port computed with a recording: which quantities are compared, and what a missing one means.

How one quantity is judged is in :mod:`parity_tests.judge.tensor.comparison`.
"""

import re

import numpy as np

from parity_tests.adapter import INTERMEDIATES
from parity_tests.judge.row import NOT_COMPARED, UNTESTED, Row, failures
from parity_tests.judge.tensor.comparison import Comparison
from parity_tests.record.quantities import FED, VARIABLES
from parity_tests.record.recording import Recording

Arrays = dict[str, np.ndarray]
EXPLAINED = 12  # departures of a recording for which a likely cause is sought; later ones follow from these
# Which methods of a port answer a quantity; the first pattern that matches counts.
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
    (r"train/keep_prob/.*", ("train_step",)),  # needs INTERMEDIATES as well, see `missing_verdict`
    (r"eval/(mu|presig|z)", ("encode",)),
    (r"eval/(r_cost|kl_cost)", ("loss",)),
    (r"eval/.*", ("decode",)),
    (r"train/cost", ("train_step",)),
    (r"train/(r_cost|kl_cost)", ("train_step", "loss")),
    (r"train/(mu|presig|z)", ("train_step", "encode")),
    (r"train/.*", ("train_step", "decode")),
    (r"(gradient|clipped|after)/.*", ("train_step",)),
    (r"dropout_.*", ("dropout_mask",)),
    (r".*", (INTERMEDIATES,)),  # intermediates of a cell on its own
)


def compare(ours: Arrays, recording: Recording, precision: str, *, offers: frozenset[str] | None = None) -> list[Row]:
    """Rows for everything, in the order in which ours was computed; a name that one side lacks has a row too.

    Args:
        ours: what the port computed.
        recording: of the official code.
        precision: group of the recording to compare with.
        offers: what the port offers; a quantity that it offers and lacks is a failure. None: everything.
    """
    official = official_names(recording, precision)
    rows: list[Row] = []
    for name in ours:
        if name in official:
            explain = len(failures(rows)) < EXPLAINED
            rows.append(Comparison(recording, precision, name, ours[name], explain=explain).row())
        else:
            note = "missing on the official side"
            rows.append(Row.failed(recording.name, name, precision, NOT_COMPARED, note))
    for name in official:
        if name not in ours:
            verdict = missing_verdict(recording, name, offers)
            rows.append(Row.failed(recording.name, name, precision, verdict, "missing on the port"))
    return rows


def missing_verdict(recording: Recording, name: str, offers: frozenset[str] | None) -> str:
    """The verdict on a missing quantity: a failure if the port offers a method that answers it, else untested."""
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
    """The names of all quantities that a port is compared with in a precision."""
    if recording.kind == "cell" and precision != "exact":
        return list(recording["float32_truth"])
    names = list(recording[precision])
    if recording.kind != "model" or precision == "exact":
        return names
    if precision == "float64":
        trainable = [name.removeprefix("gradient/") for name in names if name.startswith("gradient/")]
        names += [VARIABLES + name for name in trainable]
    return names + [FED + name for name in recording["float32_truth"]]
