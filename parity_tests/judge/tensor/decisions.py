"""Which decisions of sampling rounding could change: a uniform number lies close to a boundary.

The boundaries are those of mixture components and pen states. If such a decision changes, the rest of the sketch is a
different one. Source: Magenta ``model.py`` (``sample``, ``get_pi_idx``): the first index whose cumulative weight
reaches the uniform number.
"""

import random
from collections.abc import Mapping

import numpy as np

from parity_tests.judge.limits import SPREAD_FACTOR32, SPREAD_FACTOR64
from parity_tests.record.configurations import SAMPLING_MODES, SAMPLING_SEEDS

Arrays = Mapping[str, np.ndarray]


def margins(mode: str, pdfs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """How far each step's decision is from changing, in probability.

    Args:
        mode: of :data:`~parity_tests.record.configurations.SAMPLING_MODES`.
        pdfs: ``pi`` and ``pen`` of the official float64 run [steps, ...].

    Returns:
        ``pi`` and ``pen``, [steps] each.
    """
    options = SAMPLING_MODES[mode]
    if options["greedy_mode"]:
        ordered = {name: np.sort(pdf, axis=1) for name, pdf in pdfs.items()}
        return {
            name: pdf[:, -1] - pdf[:, -2] if pdf.shape[1] > 1 else np.ones(len(pdf)) for name, pdf in ordered.items()
        }
    uniform = random.Random(SAMPLING_SEEDS["uniform"])
    drawn = np.array([[uniform.random(), uniform.random()] for _ in pdfs["pi"]])
    result = {}
    for column, name in enumerate(("pi", "pen")):
        with np.errstate(divide="ignore"):
            logs = np.log(pdfs[name].astype(np.float64)) / options["temperature"]
        weights = np.exp(logs - logs.max(axis=1, keepdims=True))
        reached = np.cumsum(weights / weights.sum(axis=1, keepdims=True), axis=1)
        result[name] = np.abs(reached[:, :-1] - drawn[:, column : column + 1]).min(axis=1, initial=1.0)
    return result


def last_certain_step(mode: str, precision: str, official: Arrays, ensemble: Arrays) -> int:
    """The last step up to which every decision is certain, given how far official runs drift from each other.

    The mixture of the step after it is still the same; what is drawn from that mixture may not be.
    """
    pdfs = {name: official[f"sample/{mode}/{name}"] for name in ("pi", "pen")}
    factor = SPREAD_FACTOR64 if precision == "float64" else SPREAD_FACTOR32
    steps = len(pdfs["pi"])
    certain = np.ones(steps, bool)
    for name, margin in margins(mode, pdfs).items():
        sizes = np.nan_to_num(ensemble[f"sample/{mode}/{name}"], nan=np.inf, posinf=np.inf).max(axis=0)[1]
        spread = np.maximum.accumulate(sizes.astype(np.float64))
        # a cumulative weight is off by at most the error of all weights; a temperature below 1 sharpens the weights
        certain &= margin > factor * spread * pdfs[name].shape[1] / SAMPLING_MODES[mode]["temperature"]
    return int(np.logical_and.accumulate(certain).sum()) - 1
