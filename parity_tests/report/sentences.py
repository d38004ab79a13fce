"""Sentences of the report: about one row, about the first departure, and about rows that are not judged."""

from collections import Counter
from collections.abc import Iterable, Sequence

from parity_tests.judge.row import DIFFERENT, EQUAL, NOT_JUDGED, OVERFLOW, UNTESTED, Row, failures
from parity_tests.record.quantities import FED
from parity_tests.report.parts import LOCAL, kind_of, part_of

VERDICT_WORDS = {UNTESTED: "not proven", OVERFLOW: "official float32 overflow"}
_EXAMPLES = 3  # rows named in a sentence


def describe(row: Row) -> str:
    """One row in full: verdict, numbers, and the place with its values."""
    head = f"{row.verdict.upper()} {row.recording} {row.quantity} ({row.precision})"
    if row.note:
        return f"{head}: {row.note}"
    numbers = f"error {row.error:.1e}, allowed {row.allowed:.1e}"
    if row.official_error is not None:
        whose = "the official one is off by" if kind_of(row) == LOCAL else "official runs drift by"
        numbers += f" ({row.measure}; {whose} {row.official_error:.1e})"
    place = f", at {place_of(row)}: ours {row.ours}, theirs {row.theirs}" if row.where is not None else ""
    truth = f", truth {row.truth}" if row.precision == "float32" and row.truth is not None else ""
    return f"{head}: {numbers}{place}{truth}"


def place_of(row: Row) -> str:
    """The place in its tensor that a row points to, such as "row 3, unit 7"; a dash if there is none."""
    return ", ".join(f"{axis} {index}" for axis, index in (row.where or {}).items()) or "-"


def explain(first: Row, rows: Sequence[Row]) -> list[str]:
    """What is known about the first departure: its likely cause, and whether this step or an earlier one made it."""
    lines = []
    if first.cause:
        lines.append(f"  likely cause: {first.cause}")
    same = [row for row in rows if (row.recording, row.precision) == (first.recording, first.precision)]
    # steps from the official state are recorded in training mode alone
    twins = (FED + first.quantity, FED + first.quantity.replace("eval/", "train/", 1))
    fed = [row for twin in twins for row in same if row.quantity == twin]
    if fed and fed[0].verdict == DIFFERENT:
        lines.append("  the same step departs from the official state as well: the error is made in this step")
    elif fed and fed[0].verdict == EQUAL:
        lines.append("  the same step is equal from the official state: the error comes from the step's inputs")
    return lines


def remarks(rows: Sequence[Row]) -> list[str]:
    """Sentences on rows that are neither equal nor different: not judged, with reason and examples; overflow; untested.

    The order is fixed: chaotic models, undecided sampling, other reasons, overflow, what the port does not offer.
    """
    lines = []
    not_judged = [row for row in rows if row.verdict == NOT_JUDGED]
    undecided = [row for row in not_judged if "a decision" in row.note]
    others = [row for row in not_judged if "not finite" in row.note or "sampling fails" in row.note]
    chaotic = [row for row in not_judged if row not in undecided and row not in others]
    if chaotic:
        if (equal := _equal_local_rows(rows)) and not failures(rows):
            lines.append(
                f"The algorithm is equal: all {equal} tensors that were computed from official values, one step or one "
                "function at a time, are equal."
            )
        lines.append(
            f"{_models(chaotic)} chaotic{_only_single(chaotic)}: rounding alone drives official runs apart, so "
            f"{_tensors(len(chaotic))} not judged: {_examples(chaotic)}."
        )
    if undecided:
        lines.append(
            f"In sampling, {_tensors(len(undecided))} not judged from some step on: the choice made there depends on "
            f"less than the drift between official runs: {_examples(undecided)}."
        )
    if others:
        lines.append(f"For another reason, {_tensors(len(others))} not judged: {_examples(others)}.")
    if overflow := [row for row in rows if row.verdict == OVERFLOW]:
        lines.append(
            f"The official float32 run overflows: {_tensors(len(overflow))} not finite in it, or computed from values "
            f"that are not ({_examples(overflow, notes=False)}). There the port is compared with float64 and must be "
            "finite."
        )
    if parts := untested_parts(rows):
        lines.append(f"Not proven, because the port does not offer it: {', '.join(parts)}")
    return lines


def untested_parts(rows: Iterable[Row]) -> list[str]:
    """The parts that have untested rows, each with their number."""
    counts = Counter(part_of(row) for row in rows if row.verdict == UNTESTED)
    return [f"{part} ({count})" for part, count in counts.items()]


def _equal_local_rows(rows: Iterable[Row]) -> int:
    """The number of local rows if all that could be judged are equal, else 0."""
    verdicts = Counter(row.verdict for row in rows if kind_of(row) == LOCAL)
    return verdicts[EQUAL] if set(verdicts) <= {EQUAL, OVERFLOW} else 0


def _models(rows: Iterable[Row]) -> str:
    """The models of some recordings as a subject with its verb; the single model of `verify` has no name."""
    names = list(dict.fromkeys(row.recording.rpartition("/")[0] or row.recording for row in rows))
    if set(names) <= {"model", "model-own"}:
        return "The model is"
    return f"{', '.join(names)} {'is' if len(names) == 1 else 'are'}"


def _only_single(rows: Iterable[Row]) -> str:
    return " in float32" if {row.precision for row in rows} == {"float32"} else ""


def _tensors(count: int) -> str:
    return f"{count} tensor{' is' if count == 1 else 's are'}"


def _examples(rows: Sequence[Row], *, notes: bool = True) -> str:
    """The first few rows, and the number of the others."""
    some = [f"{row.recording} {row.quantity} ({row.precision})" for row in rows[:_EXAMPLES]]
    if notes:
        some = [f"{name}: {row.note}" for name, row in zip(some, rows, strict=False)]
    more = [f"and {len(rows) - _EXAMPLES} more"] if len(rows) > _EXAMPLES else []
    return "; ".join([*some, *more])
