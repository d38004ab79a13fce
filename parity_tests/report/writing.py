"""Presents a report as text, Markdown and JSON, and writes it to a folder together with its HTML page."""

import json
from pathlib import Path
from typing import Any

from parity_tests.judge.first_departure import first_departure
from parity_tests.judge.row import failures
from parity_tests.report.json_values import json_ready
from parity_tests.report.markdown import markdown_table
from parity_tests.report.out_folder import write_results
from parity_tests.report.part_lines import HEAD, aligned, cells_of
from parity_tests.report.parts import kind_of, part_of
from parity_tests.report.profiles import profiles
from parity_tests.report.report import MARGIN, Report
from parity_tests.report.sentences import describe, explain

FILES = ("parity.json", "parity.md", "report.html")
STALE = (*FILES, "certificate.json")  # files of an earlier run, which a new run removes before it starts
_SHOWN_FAILURES = 20


def table_of(report: Report) -> list[tuple[str, ...]]:
    """The head of the table and one line for each part, as text."""
    return [HEAD, *(cells_of(line) for line in report.lines())]


def text_of(report: Report) -> str:
    """The report for a terminal: table, conditions, first departure and other failures, both scores, the verdict."""
    lines = [report.title, f"subject: {report.subject}"]
    lines += [f"{side}: {words}" for side, words in report.sides().items() if words]
    lines += ["", *aligned(table_of(report)), ""]
    lines += [f"{'seen' if met else 'NOT SEEN'}: {condition}" for condition, met in report.conditions.items()]
    if not report.conditions.get(MARGIN, True):
        lines.append(f"  without that margin: {', '.join(report.without_margin())}")
    first, failed = first_departure(report.rows), failures(report.rows)
    if first is not None:
        lines += ["", f"first departure: {describe(first)}", *explain(first, report.rows), ""]
    lines += [describe(row) for row in failed[:_SHOWN_FAILURES]]
    if len(failed) > _SHOWN_FAILURES:
        lines.append(f"... and {len(failed) - _SHOWN_FAILURES} more, all in the JSON file")
    return "\n".join([*lines, "", *report.remarks(), *report.scores().values(), report.verdict()])


def markdown_of(report: Report) -> str:
    """The verdict, the remarks, the table and the conditions in Markdown."""
    head, *lines = table_of(report)
    conditions = "\n".join(f"- {'seen' if met else '**not seen**'}: {name}" for name, met in report.conditions.items())
    paragraphs = [report.verdict(), *report.remarks(), *report.scores().values(), markdown_table(head, lines)]
    return "\n\n".join([f"# {report.title}", *paragraphs, conditions]) + "\n"


def content_of(report: Report) -> dict[str, Any]:
    """Everything, ready for strict JSON; the HTML page is made from it."""
    first = first_departure(report.rows)
    departure = None
    if first is not None:
        departure = {"text": describe(first), "explanation": explain(first, report.rows), "row": first.to_dict()}
    return json_ready(
        {
            "title": report.title,
            "subject": report.subject,
            "verdict": report.verdict(),
            "passed": report.passed,
            "counts": report.counts(),
            "kinds": report.kinds(),
            "remarks": report.remarks(),
            "scores": report.scores(),
            "score": None if report.score is None else report.score.summary(),
            "false_alarms": None if report.false_alarms is None else report.false_alarms.summary(),
            "conditions": report.conditions,
            "first_departure": departure,
            "untested": report.untested_parts(),
            "parts": report.lines(),
            "profiles": profiles(report.rows),
            "training": [curves.to_dict() for curves in report.training],
            "mixtures": list(report.mixtures),
            "coverage": list(report.coverage),
            "sides": report.sides(),
            "provenance": report.provenances(),
            "rows": [row.to_dict() | {"part": part_of(row), "kind": kind_of(row)} for row in report.rows],
        }
    )


def save_report(report: Report, folder: Path) -> list[Path]:
    """Write ``parity.json``, ``parity.md`` and ``report.html``.

    Args:
        report: the report.
        folder: must exist.

    Returns:
        The paths of the three files.

    Raises:
        BadInput: when a file cannot be written.
    """
    from parity_tests.report import html  # loads matplotlib, which takes a while

    content = content_of(report)
    texts = (json.dumps(content, indent=1, allow_nan=False), markdown_of(report), html.page(content))
    return write_results(folder, dict(zip(FILES, texts, strict=True)))
