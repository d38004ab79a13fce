"""Judges recordings in a process of its own, whose environment sets the vector instructions and threads.

``python -m parity_tests.false_alarms.judging JOB.json`` writes its results as JSON.
"""

import dataclasses
import json
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from parity_tests.adapter import EVERYTHING
from parity_tests.judge.proof import judge, prove
from parity_tests.judge.row import DIFFERENT, EQUAL, OVERFLOW, Row, failures
from parity_tests.record.quantities import FED
from parity_tests.record.recording import Recording
from parity_tests.replay.answers import Answers


def judged(job: dict[str, Any]) -> list[dict[str, Any]]:
    """Judge recordings, and summarise each.

    Args:
        job: ``recordings`` (paths), ``answers`` (a folder of official answers, or None: ours answers), and the
            ``backend`` of ours.

    Returns:
        For each recording its :func:`summary`, and the linear algebra library that it was ``recorded_with``.
    """
    results = []
    for path in map(Path, job["recordings"]):
        recording = Recording.load(path)
        if job["answers"] is None:
            from parity_tests.ours import Adapter

            rows = prove(recording, Adapter(backend=job["backend"])).rows
        else:
            rows = _official_rows(recording, Recording.load(Path(job["answers"]) / path.name))
        official = str(recording.provenance.get("linear algebra", "an unknown library"))
        results.append(summary(recording.name, rows) | {"recorded_with": official})
        print(f"judged {recording.name}", flush=True)
    return results


@np.errstate(all="ignore")
def _official_rows(recording: Recording, answers: Recording) -> list[Row]:
    rows = []
    for precision in ("float64", "float32"):
        rows += judge(recording, precision, Answers(answers[precision]), EVERYTHING).rows
    return [without_overflow_alarm(row, recording) for row in rows]


def without_overflow_alarm(row: Row, recording: Recording) -> Row:
    """Where the recorded official run is not finite, a port must be finite, but another official run need not be."""
    name = row.quantity.removeprefix(FED)
    groups = [recording.groups.get(group, {}) for group in (row.precision, f"{row.precision}_local")]
    official = next((group[name] for group in groups if name in group), None)
    if row.verdict == DIFFERENT and official is not None and not np.isfinite(official).all():
        return dataclasses.replace(row, verdict=OVERFLOW)
    return row


def summary(name: str, rows: Iterable[Row]) -> dict[str, Any]:
    """Counts of verdicts, alarms, and for each kind of row the one closest to its allowance; ready for JSON."""
    rows = list(rows)
    closest: dict[str, dict[str, Any]] = {}
    for row in rows:
        kind = kind_of(row)
        if row.verdict == EQUAL and row.used > closest.get(kind, {"used": -1.0})["used"]:
            closest[kind] = {"used": row.used, "quantity": row.quantity, "measure": row.measure}
    alarms = [
        {
            "quantity": r.quantity,
            "precision": r.precision,
            "measure": r.measure,
            "used": _finite(r.used),
            "note": r.note,
        }
        for r in failures(rows)
    ]
    return {"recording": name, "counts": dict(Counter(r.verdict for r in rows)), "alarms": alarms, "closest": closest}


def kind_of(row: Row) -> str:
    """The rule by which a row was judged: local or accumulated with its precision, or exact, or distribution."""
    if row.precision not in ("float64", "float32"):
        return row.precision
    return f"{'local' if row.quantity.startswith(FED) else 'accumulated'} {row.precision}"


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None


if __name__ == "__main__":
    import torch

    job = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    torch.set_num_threads(job["threads"])
    Path(job["out"]).write_text(json.dumps(judged(job)), encoding="utf-8")
