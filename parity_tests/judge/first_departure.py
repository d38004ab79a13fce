"""Which departure to report first: the one that was computed before all others, and may have caused them."""

from collections.abc import Iterable

from parity_tests.judge.row import NOT_COMPARED, Row, failures
from parity_tests.record.quantities import FED, PREFIX, VARIABLES

# What models are built from: prefixes of quantities or recordings, in this order. A hyper cell contains a layer-norm
# cell, and that an LSTM.
BEFORE_MODELS = ("converted/", "exported/", VARIABLES, "cell/lstm", "cell/layer_norm", "cell/", "data", "initial/")


def first_departure(rows: Iterable[Row]) -> Row | None:
    """The failed row that was computed first; None if nothing failed.

    - Between recordings: what a model is built from comes first (converted weights, weights as loaded, single cells,
      data, initial weights), then models, then trainings; float32 comes after float64.
    - Between layers: the order of computation.
    - Within a layer: the earliest step, because a later step reads the state that an earlier one left, and within the
      step the quantity that is computed first.
    - Rows of the first points alone (``prefix/``) repeat a whole run, cut short. They count if no whole run departs.
    - Rows computed from the official state (``fed/``) say whether an error is local. They come last.
    """
    failed = sorted(failures(rows), key=_rank)  # a stable sort keeps the order of computation
    free = [row for row in failed if not row.quantity.startswith(FED) and not _is_prefix(row)]
    own = free or [row for row in failed if _is_prefix(row)] or failed
    if not own:
        return None
    first = own[0]
    recurrence = _recurrence(first)
    same = [row for row in own if _recurrence(row) == recurrence] if recurrence is not None else []
    return min(same, key=_step) if same else first


def _is_prefix(row: Row) -> bool:
    """Whether a row is of the first points alone; if a method failed there, the row has the method's name."""
    return row.quantity.startswith(PREFIX) or " (first " in row.quantity


def _step(row: Row) -> float:
    """The step of a departure; what is drawn from a mixture comes half a step after it."""
    drawn = row.quantity.startswith("sample/") and row.quantity.endswith("/strokes")
    return (row.where or {}).get("step", 0) + 0.5 * drawn


def _rank(row: Row) -> tuple[int, bool, bool]:
    """Sort key: what is built from other things comes after them."""
    name = row.quantity if row.quantity.startswith(("converted/", "exported/", VARIABLES)) else row.recording
    before = [index for index, kind in enumerate(BEFORE_MODELS) if name.startswith(kind)]
    rank = before[0] if before else len(BEFORE_MODELS) + name.startswith("training/")
    # a missing name says less than a number that differs or a method that failed
    return rank, row.precision == "float32", row.verdict == NOT_COMPARED


def _recurrence(row: Row) -> tuple[str, str, str] | None:
    """The recurrent layer, or mode of sampling, that a row belongs to; None if it belongs to none."""
    for layer in ("encoder/fw/", "encoder/bw/", "decoder/", "sample/greedy/", "sample/sampled/"):
        head, found, _ = row.quantity.partition(layer)
        if found and not row.quantity.endswith("_state"):
            return row.recording, row.precision, head + found
    return None
