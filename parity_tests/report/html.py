"""The report as one HTML page that needs no network: tables made by Jinja2, plots made by matplotlib as inline SVG.

The page shows only what :func:`parity_tests.report.writing.content_of` returns. It works from disk and without
JavaScript, except for the searchable list of all tensors at its end.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2

from parity_tests.judge.conditions import is_strict
from parity_tests.judge.limits import (
    CHAOTIC32,
    CHAOTIC64,
    DRIFT_FACTOR,
    FLOAT32_FLOOR,
    FLOAT64_ALLOWED,
    LOCAL_FACTORS,
    SPREAD_FACTOR32,
    SPREAD_FACTOR64,
)
from parity_tests.judge.row import EQUAL, FAILED, NOT_COMPARED, UNTESTED
from parity_tests.record.draws import MEMBERS
from parity_tests.report.parts import ACCUMULATED, LOCAL
from parity_tests.report.plots import plots_of

TEMPLATE = "report.html.j2"

BAR = (24.0, 216.0)  # the two ends of a bar, 1e-17 and 1, in the units of its viewBox
BAR_DECADES = 17
KEY = {  # an ideal line of the table, for the explanation
    "float64": {"error": 2e-15, "noise": 5e-14, "allowed": FLOAT64_ALLOWED},
    "smallest_bug": {"effect": 3e-6},
}
RULES = {
    "allowed": FLOAT64_ALLOWED,
    # the official errors of a pool and of the tensor are added in squares, for sums a third one, see judge/local.py
    "local": round(LOCAL_FACTORS["function"][0] * 2**0.5, 1),
    "sum": round(LOCAL_FACTORS["sum"][0] * 3**0.5, 1),
    "spread64": SPREAD_FACTOR64,
    "spread32": SPREAD_FACTOR32,
    "floor32": FLOAT32_FLOOR,
    "chaotic64": CHAOTIC64,
    "chaotic32": CHAOTIC32,
    "drift": DRIFT_FACTOR,
    "members": MEMBERS,
}
# What the column of float64 errors holds for parts in which it is not the error of a float64 tensor.
OTHER_NUMBERS = {
    "distribution": "distance of distributions, 0 to 1",
    "initial": "the numbers themselves, in float32",
    "drift": "against the drift of official runs",
    "exact": "compared bit for bit",
}


def page(content: Mapping[str, Any]) -> str:
    """The whole page.

    Args:
        content: from :func:`parity_tests.report.writing.content_of`, or ``parity.json`` as ``json.load`` reads it.
    """
    rows = content.get("rows") or []
    failed = [row for row in rows if row["verdict"] in FAILED]
    other_numbers = _other_numbers(rows)
    lines = content.get("parts") or ()
    return _template().render(
        content,
        **{
            name: content.get(name)
            for name in ("first_departure", "score", "false_alarms", "coverage", "mixtures", "sides", "provenance")
        },
        state=_state(content),
        answer=_answer(content, rows, failed),
        recordings=len({row["recording"] for row in rows}),
        failed=failed,
        lines=[{**line, "bar": _bar(line), "kind": other_numbers.get(line["part"], "")} for line in lines],
        scale=[(_place(10.0**power), f"1e{power}" if power else "1") for power in (-15, -10, -5, 0)],
        key=_bar(KEY)[0],
        plots=plots_of(content.get("profiles") or {}, content.get("training") or ()),
        every_row=_every_row(rows),
        rules=RULES,
    )


def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": number, "ratio": ratio, "exactly": _exactly, "measured": _measured}
    environment.filters |= {"count": _count, "where": _where}
    environment.tests["plain"] = lambda value: not isinstance(value, dict | list | tuple)
    environment.globals |= {"times": times, "columns": _columns}
    return environment.get_template(TEMPLATE)


def number(value: float | None) -> str:
    """An error in two digits; a dash for None."""
    return "–" if value is None else "0" if value == 0 else f"{value:.1e}".replace("e-0", "e-").replace("e+0", "e")


def times(larger: float | None, smaller: float | None) -> str:
    """The factor between two numbers in two digits; empty if either is missing or zero."""
    if not larger or not smaller:
        return ""
    factor = larger / smaller
    if factor < 10:
        return f"{factor:.1f} ×"
    if factor >= 1e6:
        return f"{factor:.0e} ×".replace("e+0", "e").replace("e+", "e")
    digits = math.floor(math.log10(factor)) - 1
    return f"{round(factor, -digits):,.0f} ×"


def _exactly(value: Any) -> str:
    """A number with all its digits, a list in brackets; a dash for None."""
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_exactly, value))}]"
    return "–" if value is None else str(value)


def _measured(value: float) -> str:
    """A small number as an error, any other in six digits."""
    return number(value) if abs(value) < 1e-3 else f"{value:.6g}"


def _count(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def _where(row: Mapping[str, Any]) -> str:
    return ", ".join(f"{axis} {index}" for axis, index in (row.get("where") or {}).items())


def ratio(value: float | None) -> str:
    """Our error over the official one, in short."""
    return number(value) if value is None or value >= 1000 else f"{value:.2f}"


def _columns(table: Iterable[Mapping[str, Any]]) -> list[str]:
    """The keys that occur in any line of a table, in order of first appearance."""
    return list(dict.fromkeys(name for line in table for name in line))


def _other_numbers(rows: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """For each part, the entry of :data:`OTHER_NUMBERS` that applies to all its rows; empty if none does."""
    found: dict[str, set[str]] = {}
    for row in rows:
        if row["verdict"] != UNTESTED:
            found.setdefault(row["part"], set()).add(_kind(row))
    return {
        part: next((text for kind, text in OTHER_NUMBERS.items() if each == {kind}), "") for part, each in found.items()
    }


def _kind(row: Mapping[str, Any]) -> str:
    if row["precision"] == "distribution":
        return "distribution" if row["quantity"].startswith("distribution/") else "initial"
    return "drift" if row["quantity"].startswith("free run: ") else row["precision"]


def _state(content: Mapping[str, Any]) -> str:
    if not content["passed"]:
        return "failed"
    return "partly" if content.get("untested") else "passed"


def _answer(
    content: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], failed: Sequence[Mapping[str, Any]]
) -> list[str]:
    """Sentences on whether the differences are normal."""
    if failed:
        lost = sum(row["verdict"] == NOT_COMPARED for row in failed)
        differ, compared = len(failed) - lost, content["counts"]["compared"]
        found = f"{_count(differ)} of {_count(compared)} tensors {'differs' if differ == 1 else 'differ'} by more than "
        more = f", and {_count(lost)} {'was' if lost == 1 else 'were'} not compared" if lost else ""
        return [f"No: {found}rounding explains{more}."]
    if not content["passed"]:
        unmet = [condition for condition, met in content["conditions"].items() if not met]
        holes = [f"Not seen: {'; '.join(unmet)}."] if unmet else []
        holes += [f"Untested: {', '.join(content['untested'])}."] if content.get("untested") else []
        return ["Not proven. Nothing that was compared differs, but the proof has a hole.", *holes]
    sentences = [
        "Yes." if not content.get("untested") else "Yes, for what was tested; nothing is known about the rest."
    ]
    equal = [row for row in rows if row["verdict"] == EQUAL and row["allowed"]]
    if local := [row for row in equal if row["kind"] == LOCAL and row["precision"] == "float64"]:
        sentences += _local_sentences(local)
    for kind, words in ((LOCAL, "the official code's own rounding"), (ACCUMULATED, "the drift of official runs")):
        if share := _shares(row for row in equal if row["kind"] == kind):
            whole = "Single steps and functions" if kind == LOCAL else "Whole runs"
            sentences.append(f"{whole} use at most {share} of what {words} allows.")
    return sentences


def _local_sentences(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """Sentences on the local float64 errors, apart for those with the strict allowance and those with a wider one."""
    strict: list[Mapping[str, Any]] = []
    wider: list[Mapping[str, Any]] = []
    for row in rows:
        (strict if is_strict(row["allowed"]) else wider).append(row)
    sentences = []
    if strict:
        sentences.append(
            "Computed from official values, no step or function is off by more than "
            f"{number(max(row['error'] for row in strict))} of its size in float64; {FLOAT64_ALLOWED:g} is allowed."
        )
    if wider:
        share = math.ceil(100 * max(row["error"] / row["allowed"] for row in wider))
        tensors = "tensor, whose function amplifies" if len(wider) == 1 else "tensors, whose functions amplify"
        sentences.append(
            f"{_count(len(wider))} {tensors} rounding, may be off by more, up to "
            f"{number(max(row['allowed'] for row in wider))}: at most {share} % of the allowance is used."
        )
    return sentences


def _shares(rows: Iterable[Mapping[str, Any]]) -> str:
    """The largest used share of an allowance in each precision; local float64 has a fixed allowance and is left out."""
    shares: dict[str, float] = {}
    for row in rows:
        if row["precision"] == "float32" or row["kind"] == ACCUMULATED:
            shares[row["precision"]] = max(shares.get(row["precision"], 0.0), row["error"] / row["allowed"])
    return " and ".join(
        f"{math.ceil(100 * share)} % ({precision})" for precision, share in sorted(shares.items(), reverse=True)
    )


# --- the bar of a line: noise, error, allowance and smallest bug on a logarithmic scale from 1e-17 to 1


def _place(value: float | None) -> float:
    """The horizontal place of a value in a bar; None is an infinite error, at the right end."""
    share = 1.0 if value is None else 0.0 if value <= 0 else 1 + math.log10(value) / BAR_DECADES
    return round(BAR[0] + (BAR[1] - BAR[0]) * min(max(share, 0.0), 1.0), 1)


def _bar(line: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The places of all marks, one lane for each precision. Data, which must be exact, have no allowance to show."""
    lanes = []
    bug = (line.get("smallest_bug") or {}).get("effect")
    for precision, below in (("float64", "noise"), ("float32", "official")):
        numbers = line.get(precision)
        if not numbers:
            continue
        error, allowed = numbers.get("error"), numbers.get("allowed") or 0.0
        lanes.append(
            {
                "precision": precision,
                "error": _place(error),
                "over": error is None or error > allowed,
                "below": _place(numbers[below]) if numbers.get(below) else None,
                "allowed": _place(allowed) if allowed else None,
                "bug": _place(bug) if bug and precision == "float64" else None,
            }
        )
    return lanes


# --- all rows, for the page's script


def _every_row(rows: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """All rows in a compact form: each distinct text once, and the rows with indices into these texts."""
    texts: dict[str, int] = {}
    names = ("part", "recording", "quantity", "precision", "verdict")
    table = [
        [
            *(texts.setdefault(str(row.get(name, "")), len(texts)) for name in names),
            *(_two_digits(row.get(name)) for name in ("error", "allowed", "official_error", "noise")),
            texts.setdefault(_where(row), len(texts)),
        ]
        for row in rows
    ]
    return {"texts": list(texts), "rows": table}


def _two_digits(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.1e}")
