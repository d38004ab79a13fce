"""``python -m parity_tests mutants --scaled``: how small a change of each part the harness finds, measured.

Each part of the port is multiplied by 1 + size, in float64 alone and in float32 alone; see
:mod:`parity_tests.sensitivity.measure`.
"""

import json
import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from parity_tests.mutation.progress import Progress, fingerprint
from parity_tests.report.out_folder import start_folder, write_results
from parity_tests.report.sentences import describe
from parity_tests.sensitivity.catalogue import SCALED_BUGS
from parity_tests.sensitivity.measure import SIZES, Job, Sensitivity, departures_of, measure_all, recordings_of
from parity_tests.sensitivity.scaling import ScaledBug
from parity_tests.sensitivity.table import markdown

FILE, TABLE = "sensitivity.json", "sensitivity.md"
UNFINISHED = "unfinished_scaled.json"  # results of an interrupted run
PROCESSES = 2


def run_sensitivity(
    out: Path,
    *,
    bugs: Sequence[ScaledBug] = SCALED_BUGS,
    processes: int = PROCESSES,
    fresh: bool = False,
    log: Callable[[str], None] = print,
) -> int:
    """Measure every scaled bug, and write ``sensitivity.json`` and ``sensitivity.md``.

    An interrupted run leaves its results in ``unfinished_scaled.json``. The next run continues from there if the code,
    the recordings and the versions are the same.

    Args:
        out: folder for all of these.
        bugs: with several processes they must be in :data:`~parity_tests.sensitivity.catalogue.SCALED_BUGS`.
        processes: how many work at a time.
        fresh: do not continue an interrupted run.
        log: takes each line of progress.

    Returns:
        0; 1 if something differs without any bug, or a bug of the largest size is not found.

    Raises:
        BadInput: when the folder cannot be written, or the recordings are missing.
    """
    started = time.monotonic()
    start_folder(out, (FILE, TABLE))
    progress = Progress(out / UNFINISHED, fingerprint("scaled"), fresh=fresh)
    if progress.note:
        log(progress.note)
    recordings = recordings_of(bugs)
    departed = [row for each in recordings.values() for p in ("float64", "float32") for row in departures_of(each, p)]
    if departed:
        log("without any bug planted the port departs already:")
        log("\n".join(describe(row) for row in departed[:20]))
        return 1
    jobs = [Job(bug.name, precision) for bug in bugs for precision in bug.precisions]
    log(f"sound in {len(recordings)} recordings; now {len(bugs)} parts are scaled")
    measured = progress.continued("scaled", jobs, lambda missing: measure_all(missing, bugs, recordings, processes))
    for done, result in measured:
        log(f"[{done}/{len(jobs)}] {Sensitivity(**result).line()}")
    kept = progress.kept("scaled")
    results = [Sensitivity(**kept[job.name]) for job in jobs]
    content = summary(results)
    write_results(out, {FILE: json.dumps(content, indent=1, allow_nan=False) + "\n", TABLE: markdown(content)})
    progress.finish()
    log(f"wrote {out / FILE}, {out / TABLE} ({time.monotonic() - started:.0f} s)")
    return 0 if all(result.found is not None for result in results) else 1


def summary(results: Sequence[Sensitivity]) -> dict[str, Any]:
    """The content of ``sensitivity.json``: each bug's result, and the smallest bug that showed in each part."""
    parts: dict[str, dict[str, dict[str, Any]]] = {}
    for result in results:
        for part, error in result.touched.items():
            smallest = parts.setdefault(part, {}).setdefault(result.precision, {"size": math.inf})
            if result.found < smallest["size"]:
                smallest |= {"bug": result.name, "size": result.found, "effect": error}
    return {"sizes": SIZES, "rows": [result.to_dict() for result in results], "parts": dict(sorted(parts.items()))}
