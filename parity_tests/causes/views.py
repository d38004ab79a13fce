"""Parts of a quantity that a search explains one after another: the fields of a packed state."""

import re
from typing import NamedTuple

import numpy as np

from parity_tests.mutation.bugs import Mutant
from parity_tests.mutation.catalogue.port.parts import HYPER, LAYER_NORM, LSTM
from parity_tests.record.recording import Recording
from weight_port.names import CELLS

_CELL_PARTS = {"lstm": LSTM, "layer_norm": LAYER_NORM, "hyper": HYPER}
_PACKED = {"lstm": ("c", "h"), "layer_norm": ("h", "c"), "hyper": ("h", "hyper_h", "c", "hyper_c")}
_COMPUTED = ("hyper_c", "hyper_h", "c", "h")  # the order in which a step computes the fields


class View(NamedTuple):
    """A quantity, or the units of one field of a packed state: [..., units]."""

    quantity: str
    start: int = 0
    stop: int | None = None

    def of(self, values: np.ndarray) -> np.ndarray:
        """Its numbers."""
        return values if self.stop is None else values[..., self.start : self.stop]


def views_of(recording: Recording, quantity: str, official: np.ndarray | None, ours: np.ndarray) -> list[View]:
    """The fields of a state in the order in which they are computed, then the whole state; else the quantity alone."""
    whole, kind = View(quantity), cell_of(recording, quantity)
    is_state = re.search(r"(^|/)(final_)?state$", quantity) is not None
    if kind is None or not is_state or official is None or official.shape != ours.shape:
        return [whole]
    units = _units(recording, quantity, kind)
    inner_units = official.shape[-1] // 2 - units
    fields, start = {}, 0
    for field in _PACKED[kind]:
        size = inner_units if field.startswith("hyper_") else units
        fields[field] = View(quantity, start, start + size)
        start += size
    return [*(fields[field] for field in _COMPUTED if field in fields), whole]


def cell_of(recording: Recording, quantity: str) -> str | None:
    """The kind of cell that computes a quantity; None if it is not one cell."""
    hparams = recording.hparams
    if recording.kind == "cell":
        return hparams["cell"]
    layer = next((layer for layer in ("encoder", "decoder") if f"/{layer}/" in quantity), None)
    return None if layer is None else hparams[f"{layer[:3]}_model"]


def _units(recording: Recording, quantity: str, kind: str) -> int:
    if recording.kind == "cell":
        return len(recording["weights"][f"{CELLS[kind][0]}/W_hh"])
    return recording.hparams["enc_rnn_size" if "/encoder/" in quantity else "dec_rnn_size"]


def is_of_its_cells(recording: Recording, bug: Mutant) -> bool:
    """Whether a bug is one of the cells in this recording.

    A bug of a HyperLSTM's inner cell changes the code of the layer-norm LSTM; without a HyperLSTM it is another bug.
    """
    hparams = recording.hparams
    models = ("dec_model", "enc_model") if hparams.get("conditional") else ("dec_model",)
    kinds = {hparams[name] for name in ("cell", *models) if name in hparams}
    return bug.parts != HYPER or not kinds or "hyper" in kinds


def is_expected(recording: Recording, bug: Mutant, quantity: str) -> bool:
    """Whether the catalogue expects a bug to show in a quantity."""
    kind = cell_of(recording, quantity)
    cell = () if kind is None else _CELL_PARTS.get(kind, ())
    return not set(bug.parts).isdisjoint(cell) or quantity.rpartition("/")[2] in bug.parts
