"""What the report says of a row, of a part and of a departure, in words and numbers."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from parity_tests.judge.row import DIFFERENT, EQUAL, NOT_JUDGED, OVERFLOW, UNTESTED, Row, failures
from parity_tests.record.quantities import FED
from parity_tests.report.parts import LOCAL, kind_of, part_of
from parity_tests.report.score import Score

HEAD = (
    "quantity", "tensors", "float64", "noise", "allowed", "smallest bug",
    "float32", "official", "ratio", "allowed", "worst at", "verdict",
)  # fmt: skip
ASIDE = (NOT_JUDGED, OVERFLOW)
EXAMPLES = 3  # rows that are named of those that are not judged
WORDS = {UNTESTED: "not proven", OVERFLOW: "official float32 overflow"}


def explain(first: Row, rows: Sequence[Row]) -> list[str]:
    """What the first departure means: its likely cause, and whether it is local or came in from before."""
    lines = []
    if first.cause:
        lines.append(f"  likely cause: {first.cause}")
    same = [row for row in rows if (row.recording, row.precision) == (first.recording, first.precision)]
    # the layers are fed in the training step alone
    twins = (FED + first.quantity, FED + first.quantity.replace("eval/", "train/", 1))
    fed = [row for twin in twins for row in same if row.quantity == twin]
    if fed and fed[0].verdict == DIFFERENT:
        lines.append("  it departs from the official state as well: the error is made in this step")
    elif fed and fed[0].verdict == EQUAL:
        lines.append("  from the official state the same step is equal: the error comes from what the step is given")
    return lines


def remarks(rows: Sequence[Row]) -> list[str]:
    """What says neither equal nor different: not judged, with the reason and examples; overflow; not proven."""
    lines = []
    aside = [row for row in rows if row.verdict == NOT_JUDGED]
    tied = [row for row in aside if "a decision" in row.note]
    others = [row for row in aside if "not finite" in row.note or "sampling fails" in row.note]
    chaotic = [row for row in aside if row not in tied and row not in others]
    if chaotic:
        if (equal := _local_and_equal(rows)) and not failures(rows):
            lines.append(
                f"The algorithm is equal: all {equal} tensors that were computed from official values, one step or one "
                "function at a time, are equal."
            )
        lines.append(
            f"{_models(chaotic)} chaotic{_only_single(chaotic)}: rounding alone drives official runs apart, so "
            f"{_tensors(len(chaotic))} not judged: {_examples(chaotic)}."
        )
    if tied:
        lines.append(
            f"In sampling {_tensors(len(tied))} not judged from some step on: what is drawn there hangs on less than "
            f"the official code drifts from itself: {_examples(tied)}."
        )
    if others:
        lines.append(f"For another reason {_tensors(len(others))} not judged: {_examples(others)}.")
    if overflow := [row for row in rows if row.verdict == OVERFLOW]:
        lines.append(
            f"The official float32 run overflows: {_tensors(len(overflow))} not finite in it, or computed from what is "
            f"not ({_examples(overflow, notes=False)}). The port is held against float64 there and must be finite."
        )
    if parts := untested_parts(rows):
        lines.append(f"Not proven, since the port does not offer it: {', '.join(parts)}")
    return lines


def untested_parts(rows: Iterable[Row]) -> list[str]:
    """The parts of which something is untested, with how much."""
    counts = Counter(part_of(row) for row in rows if row.verdict == UNTESTED)
    return [f"{part} ({count})" for part, count in counts.items()]


def _local_and_equal(rows: Iterable[Row]) -> int:
    """How many local rows there are, where all that could be judged are equal; else 0."""
    verdicts = Counter(row.verdict for row in rows if kind_of(row) == LOCAL)
    return verdicts[EQUAL] if set(verdicts) <= {EQUAL, OVERFLOW} else 0


def _models(rows: Iterable[Row]) -> str:
    """The models of some recordings; where `verify` recorded but one, it has no name."""
    names = list(dict.fromkeys(row.recording.rpartition("/")[0] or row.recording for row in rows))
    if set(names) <= {"model", "model-own"}:
        return "The model is"
    return f"{', '.join(names)} {'is' if len(names) == 1 else 'are'}"


def _only_single(rows: Iterable[Row]) -> str:
    return " in float32" if {row.precision for row in rows} == {"float32"} else ""


def _tensors(count: int) -> str:
    return f"{count} tensor{' is' if count == 1 else 's are'}"


def _examples(rows: Sequence[Row], *, notes: bool = True) -> str:
    """The first of some rows, and how many more there are."""
    some = [f"{row.recording} {row.quantity} ({row.precision})" for row in rows[:EXAMPLES]]
    if notes:
        some = [f"{name}: {row.note}" for name, row in zip(some, rows, strict=False)]
    more = [f"and {len(rows) - EXAMPLES} more"] if len(rows) > EXAMPLES else []
    return "; ".join([*some, *more])


def describe(row: Row) -> str:
    """A failed row in full."""
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


def line_of(part: str, rows: list[Row], score: Score | None) -> dict[str, Any]:
    """What is said about a part: numbers, the worst place, the verdict."""
    compared = [row for row in rows if row.verdict != UNTESTED]
    # where nothing is judged, the numbers are of steps that prove nothing
    judged = [row for row in compared if row.verdict not in ASIDE] or compared
    double = [row for row in judged if row.precision != "float32"]
    single = [row for row in judged if row.precision == "float32"]
    worst = max(failures(rows) or double or single or rows, key=lambda row: row.used)
    line: dict[str, Any] = {"part": part, "tensors": len(compared), "untested": len(rows) - len(compared)}
    if double:
        noise = [row.noise for row in double if row.noise is not None]
        line["float64"] = {
            "error": max(row.error for row in double),
            "noise": max(noise) if noise else None,
            "allowed": max(row.allowed for row in double),
        }
    if score is not None and part in score.smallest:
        line["smallest_bug"] = score.smallest[part]
    if single:
        closest = max(single, key=lambda row: row.used)
        line["float32"] = {
            "error": closest.error,
            "official": closest.official_error,
            "ratio": closest.ratio,
            "allowed": closest.allowed,
            "measure": closest.measure,
        }
    line["worst_at"] = f"{worst.recording} {place_of(worst)}"
    aside = [f"{n} {WORDS.get(v, v)}" for v in (*ASIDE, UNTESTED) if (n := sum(row.verdict == v for row in rows))]
    equal = any(row.verdict == EQUAL for row in rows)
    line["verdict"] = ", ".join(["equal"] * equal + aside)
    if failures(rows):
        line["verdict"] = f"{len(failures(rows))} DIFFERENT"
    return line


def as_text(line: dict[str, Any]) -> tuple[str, ...]:
    """A line of the table."""
    double, single, bug = line.get("float64", {}), line.get("float32", {}), line.get("smallest_bug", {})
    ratio = single.get("ratio")
    return (
        line["part"],
        str(line["tensors"]),
        *(_number(double.get(name)) for name in ("error", "noise", "allowed")),
        _number(bug.get("effect")),
        *(_number(single.get(name)) for name in ("error", "official")),
        "" if ratio is None else f"{ratio:.2f}",
        _number(single.get("allowed")),
        line["worst_at"],
        line["verdict"],
    )


def place_of(row: Row) -> str:
    """Where in its tensor a row points to; a dash for nowhere."""
    return ", ".join(f"{axis} {index}" for axis, index in (row.where or {}).items()) or "-"


def _number(value: float | None) -> str:
    return "" if value is None else "0" if value == 0 else f"{value:.1e}"


def aligned(rows: Iterable[tuple[str, ...]]) -> list[str]:
    """A table in columns, a rule below its head."""
    rows = list(rows)
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return [lines[0], "-" * max(map(len, lines)), *lines[1:]]
