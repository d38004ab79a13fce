"""Recordings of a few numbers, and what is judged of them: every number of the official side can be set."""

import numpy as np

from parity_tests.judge.compare import compare
from parity_tests.judge.row import Row
from parity_tests.record.quantities import FED
from parity_tests.record.recording import Recording

INF, NAN = float("inf"), float("nan")
NUMBERS = {"float64": np.float64, "float32": np.float32, "exact": None}
MEMBERS = 10


def recording_of(name: str = "lstm/as_is", **groups) -> Recording:
    """A model of which these groups were recorded; groups that are always there are empty."""
    return Recording("model", name, {}, {}, {"float32_truth": {}, "weights": {}} | groups)


def changed(recording: Recording, **groups) -> Recording:
    """A copy of a recording with some arrays of some groups replaced."""
    merged = {name: recording[name] | arrays for name, arrays in groups.items()}
    return Recording(recording.kind, recording.name, recording.hparams, recording.provenance, recording.groups | merged)


def steps_in(values: np.ndarray, name: str) -> int:
    """How many steps a quantity of that name has."""
    if name.startswith("sample/"):
        return len(values)
    return values.shape[1] if values.ndim == 3 or (values.ndim == 2 and name.endswith("/nll")) else 1


def free(ours, truth, precision="float64", *, name="train/q", theirs=None, drift=0.0, **groups) -> Row:
    """The row of one quantity of a free run.

    Args:
        drift: of the official runs, [members, 2, steps] or what broadcasts to it.
    """
    truth = np.asarray(truth, np.float64)
    theirs = np.asarray(truth if theirs is None else theirs, NUMBERS[precision])
    ensemble = np.broadcast_to(np.asarray(drift, np.float64), (MEMBERS, 2, steps_in(truth, name)))
    given = {"float64": {name: truth}, precision: {name: theirs}, f"{precision}_ensemble": {name: ensemble}}
    if name.startswith("sample/"):  # no decision hangs by a thread
        for pdf in ("pi", "pen"):
            given["float64"].setdefault(f"{name.rpartition('/')[0]}/{pdf}", np.tile([1.0, 0.0], (len(truth), 1)))
            given[f"{precision}_ensemble"].setdefault(f"{name.rpartition('/')[0]}/{pdf}", 0 * ensemble)
    rows = compare({name: np.asarray(ours, NUMBERS[precision])}, recording_of(**given | groups), precision)
    (row,) = [row for row in rows if row.quantity == name]
    return row


def local(ours, truth, theirs, *, name="train/decoder/q", precision="float32", **groups) -> Row:
    """The row of one quantity that was computed from official values; the free run's own float64 is far from it."""
    given = {
        "float64": {name: np.asarray(truth, np.float64)},
        "float32": {name: np.asarray(theirs, np.float32)},
        "float32_truth": {name: np.asarray(truth, np.float64)},
    }
    if precision == "float32":
        given["float64"] = {name: np.asarray(truth, np.float64) + 1.0}
    rows = compare({FED + name: np.asarray(ours, NUMBERS[precision])}, recording_of(**given | groups), precision)
    (row,) = [row for row in rows if row.quantity == FED + name]
    return row


def exact(ours, theirs, name="train/q") -> Row:
    """The row of a quantity that must be the same bits."""
    (row,) = compare({name: np.asarray(ours)}, recording_of(exact={name: np.asarray(theirs)}), "exact")
    return row


def held(ours, theirs, precision="float64", name="train/q") -> Row:
    """The row of a quantity in any precision; the official side makes no error and does not drift."""
    if precision == "exact":
        return exact(ours, theirs, name)
    return free(np.asarray(ours, NUMBERS[precision]), np.asarray(theirs, NUMBERS[precision]), precision, name=name)


def with_item(values: np.ndarray, index: tuple, item: float) -> np.ndarray:
    """A copy with one other element."""
    copy = values.copy()
    copy[index] = item
    return copy


def names_of(*names: str) -> dict[str, dict[str, np.ndarray]]:
    """Groups in which these were recorded as ones that do not drift."""
    return {
        "float64": {name: np.ones(1) for name in names},
        "float64_ensemble": {name: np.zeros((3, 2, 1)) for name in names},
    }
