"""The table of the report: one line for each part of the model, with its worst numbers and place."""

from collections.abc import Iterable
from typing import Any

from parity_tests.judge.row import EQUAL, NOT_JUDGED, OVERFLOW, UNTESTED, Row, failures
from parity_tests.report.score import Score
from parity_tests.report.sentences import VERDICT_WORDS, place_of

HEAD = (
    "quantity", "tensors", "float64", "noise", "allowed", "smallest bug",
    "float32", "official", "ratio", "allowed", "worst at", "verdict",
)  # fmt: skip
_ASIDE = (NOT_JUDGED, OVERFLOW)


def part_line(part: str, rows: list[Row], score: Score | None) -> dict[str, Any]:
    """Numbers, worst place and verdict of one part.

    Args:
        part: its name.
        rows: all rows of the part, at least one.
        score: of the planted bugs, for the smallest one that showed in the part.

    Returns:
        A line ready for JSON: ``part``, ``tensors``, ``untested``, ``worst_at`` and ``verdict``; where there are any,
        ``float64``, ``float32`` and ``smallest_bug``. Errors are relative to the largest magnitude of a tensor.
    """
    compared = [row for row in rows if row.verdict != UNTESTED]
    # the numbers of rows that were not judged prove nothing: they count only where there are no others
    judged = [row for row in compared if row.verdict not in _ASIDE] or compared
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
    line["verdict"] = _verdict(rows)
    return line


def _verdict(rows: list[Row]) -> str:
    """One part's verdict: the number of failures, else what is equal and how many rows say nothing."""
    if failed := failures(rows):
        return f"{len(failed)} DIFFERENT"
    counts = {verdict: sum(row.verdict == verdict for row in rows) for verdict in (EQUAL, *_ASIDE, UNTESTED)}
    aside = [f"{counts[v]} {VERDICT_WORDS.get(v, v)}" for v in (*_ASIDE, UNTESTED) if counts[v]]
    return ", ".join([*(["equal"] if counts[EQUAL] else []), *aside])


def cells_of(line: dict[str, Any]) -> tuple[str, ...]:
    """A line as text, one cell for each column of :data:`HEAD`."""
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


def _number(value: float | None) -> str:
    return "" if value is None else "0" if value == 0 else f"{value:.1e}"


def aligned(rows: Iterable[tuple[str, ...]]) -> list[str]:
    """Lines of a table in aligned columns, with a rule below the head."""
    rows = list(rows)
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return [lines[0], "-" * max(map(len, lines)), *lines[1:]]
