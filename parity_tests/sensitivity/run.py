"""``python -m parity_tests mutants --scaled``: how small a change of each part the harness finds, measured.

Each part of the port is multiplied by 1 + size, in float64 alone and in float32 alone, and the smallest size is
searched for that makes any comparison fail. The search halves the list of sizes: it takes it that a larger change is
found wherever a smaller one is. What it reports was seen: a size that was found, and the next smaller one, missed.
"""

import dataclasses
import json
import math
import signal
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch

from parity_tests.judge.proof import prove
from parity_tests.judge.row import Row, failures
from parity_tests.ours import Adapter
from parity_tests.record.recording import Recording
from parity_tests.record.shipped import fixture_paths
from parity_tests.report.markdown import markdown_table
from parity_tests.report.out_folder import start_folder, write_results
from parity_tests.report.parts import part_of
from parity_tests.report.sentences import describe
from parity_tests.sensitivity.scaled import SCALED_BUGS
from parity_tests.sensitivity.scaling import EVERYWHERE, ScaledBug

FILE, TABLE = "sensitivity.json", "sensitivity.md"
PROCESSES = 2
SIZES = tuple(float(f"{digit}e{power}") for power in range(-12, 0) for digit in (1, 2, 5))
PRECISIONS = ("float64", "float32", EVERYWHERE)


@dataclasses.dataclass(frozen=True)
class Sensitivity:
    """How small a change of one part is found in one precision."""

    name: str
    part: str
    precision: str
    found: float | None = None  # the smallest size that was found; None where none was
    missed: float | None = None  # the largest size below it, which was not; None where even the smallest was found
    by: str = ""  # recording: quantity, of the row that departed furthest at the size found
    error: float | None = None  # of that row; None where it is no number
    allowed: float | None = None
    touched: dict[str, float] = dataclasses.field(default_factory=dict)  # part of the report -> its largest error

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {name: value for name, value in dataclasses.asdict(self).items() if name != "touched"}


def departures(bug: ScaledBug, size: float, precision: str, recordings: Mapping[str, Recording]) -> list[Row]:
    """What fails with a bug of a size, in the first of its recordings in which anything does.

    Args:
        bug: of the catalogue.
        size: the relative change.
        precision: in which it acts, and which is judged; with :data:`.scaling.EVERYWHERE` float64 is.
        recordings: by name.
    """
    with bug.planting.planted_at(size, precision):
        for name in bug.recordings:
            if bad := departures_of(recordings[name], precision):
                return bad
    return []


def departures_of(recording: Recording, precision: str) -> list[Row]:
    """What fails of a recording as the port stands, judged in one precision; a training has float64 alone."""
    if recording.kind == "training" and precision == "float32":
        return []
    port = Adapter()
    port.precisions = ("float64",) if precision == EVERYWHERE else (precision,)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        return failures(prove(recording, port).rows)


def measure(bug: ScaledBug, precision: str, recordings: Mapping[str, Recording]) -> Sensitivity:
    """Search for the smallest of :data:`SIZES`, up to the bug's largest, that is found."""
    sizes = [size for size in SIZES if size <= bug.largest]
    missed, found, rows = -1, len(sizes), []
    while found - missed > 1:
        middle = (missed + found) // 2
        if bad := departures(bug, sizes[middle], precision, recordings):
            found, rows = middle, bad
        else:
            missed = middle
    below = sizes[missed] if missed >= 0 else None
    if not rows:
        return Sensitivity(bug.name, bug.part, precision, missed=below)
    worst = max(rows, key=lambda row: (math.isfinite(row.used), row.used))
    touched: dict[str, float] = {}
    for row in rows:
        if math.isfinite(row.error):
            touched[part_of(row)] = max(touched.get(part_of(row), 0.0), row.error)
    error = worst.error if math.isfinite(worst.error) else None
    by = f"{worst.recording}: {worst.quantity}"
    return Sensitivity(bug.name, bug.part, precision, sizes[found], below, by, error, worst.allowed, touched)


def run_sensitivity(
    out: Path,
    *,
    bugs: Sequence[ScaledBug] = SCALED_BUGS,
    processes: int = PROCESSES,
    say: Callable[[str], None] = print,
) -> int:
    """Measure every scaled bug, and write ``sensitivity.json`` and ``sensitivity.md``.

    Args:
        out: folder for both.
        bugs: with several processes of :data:`~parity_tests.sensitivity.scaled.SCALED_BUGS`.
        processes: how many work at a time.
        say: where progress goes.

    Returns:
        0; 1 where something differs without any bug, or a bug of the largest size is not found.

    Raises:
        BadInput: when the folder cannot be written, or the recordings are not there.
    """
    start_folder(out, (FILE, TABLE))
    started = time.monotonic()
    recordings = _recordings(bugs)
    sound = [row for each in recordings.values() for p in PRECISIONS[:2] for row in departures_of(each, p)]
    if sound:
        say("without any bug planted the port departs already:")
        say("\n".join(describe(row) for row in sound[:20]))
        return 1
    jobs = [(bug.name, precision) for bug in bugs for precision in bug.precisions]
    say(f"sound in {len(recordings)} recordings; now {len(bugs)} parts are scaled")
    results = []
    for result in _measured(bugs, jobs, recordings, processes):
        results.append(result)
        say(f"[{len(results)}/{len(jobs)}] {_told(result)}")
    content = _content(results)
    write_results(out, {FILE: json.dumps(content, indent=1, allow_nan=False) + "\n", TABLE: markdown(content)})
    say(f"wrote {out / FILE}, {out / TABLE} ({time.monotonic() - started:.0f} s)")
    return 0 if all(result.found is not None for result in results) else 1


def _recordings(bugs: Iterable[ScaledBug]) -> dict[str, Recording]:
    """Those that the bugs need, by name."""
    paths = {path.stem: path for path in fixture_paths()}
    names = dict.fromkeys(name for bug in bugs for name in bug.recordings)
    return {name: Recording.load(paths[name.replace("/", "-")]) for name in names}


def _measured(
    bugs: Sequence[ScaledBug],
    jobs: Sequence[tuple[str, str]],
    recordings: Mapping[str, Recording],
    processes: int,
) -> Iterator[Sensitivity]:
    if processes == 1:
        by_name = {bug.name: bug for bug in bugs}
        yield from (measure(by_name[name], precision, recordings) for name, precision in jobs)
        return
    pool = ProcessPoolExecutor(processes, get_context("spawn"), _Worker.start)
    try:
        yield from pool.map(_Worker.measure, jobs)
    finally:
        pool.shutdown(cancel_futures=True)


class _Worker:
    """A process that measures one bug after the other."""

    recordings: Mapping[str, Recording]

    @classmethod
    def start(cls) -> None:
        """Read the recordings once."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends it
        torch.set_num_threads(1)
        cls.recordings = _recordings(SCALED_BUGS)

    @classmethod
    def measure(cls, job: tuple[str, str]) -> Sensitivity:
        """By name: the code of a bug does not travel between processes."""
        name, precision = job
        return measure(next(bug for bug in SCALED_BUGS if bug.name == name), precision, cls.recordings)


# --- what is written ---


def _content(results: Sequence[Sensitivity]) -> dict[str, Any]:
    """For JSON: each bug's own score, and for each part of the report the smallest one that showed in it."""
    parts: dict[str, dict[str, dict[str, Any]]] = {}
    for result in results:
        for part, error in result.touched.items():
            smallest = parts.setdefault(part, {}).setdefault(result.precision, {"size": math.inf})
            if result.found < smallest["size"]:
                smallest |= {"bug": result.name, "size": result.found, "effect": error}
    return {"sizes": SIZES, "rows": [result.to_dict() for result in results], "parts": dict(sorted(parts.items()))}


def _told(result: Sensitivity) -> str:
    if result.found is None:
        return f"NOT FOUND at {result.missed:.0e}: {result.name} ({result.precision})"
    missed = "" if result.missed is None else f", not at {result.missed:.0e}"
    return f"found at {result.found:.0e}{missed}: {result.name} ({result.precision}), by {result.by}"


def markdown(content: Mapping[str, Any]) -> str:
    """A few sentences, then one table with a line for each part.

    Args:
        content: what :data:`FILE` holds.
    """
    rows = content["rows"]
    head = ("part, multiplied by 1 + size", "float64: found", "missed", "by", "float32: found", "missed", "by")
    lines = []
    for name in dict.fromkeys(row["name"] for row in rows):
        here = {row["precision"]: row for row in rows if row["name"] == name}
        if EVERYWHERE in here:
            lines.append((name, *_cells(here[EVERYWHERE]), "the same", "", ""))
        else:
            lines.append((name, *_cells(here["float64"]), *_cells(here.get("float32"))))
    return "\n\n".join(
        [
            "# How small a change is found",
            "Each part of the port is multiplied by 1 + size, in one precision alone, and the harness is run. The "
            "table says the smallest size that it found, the next smaller one that it missed, and the comparison that "
            "departed furthest in the first recording that showed it. A part whose change is the same in both "
            "precisions has one size, and counts in neither line. Sizes go by 1, 2, 5 from 1e-12 on. Measured by "
            "`python -m parity_tests mutants --scaled`, on the recordings that ship; whole bugs stand in "
            "[mutants.md](mutants.md).",
            *(sentence for precision in PRECISIONS[:2] if (sentence := _summary(rows, precision))),
            markdown_table(head, lines),
        ]
    ) + "\n"  # fmt: skip


def _cells(row: Mapping[str, Any] | None) -> tuple[str, str, str]:
    if row is None:
        return "-", "", ""
    if row["found"] is None:
        return "**not found**", f"{row['missed']:.0e}", ""
    return f"{row['found']:.0e}", "" if row["missed"] is None else f"{row['missed']:.0e}", f"`{row['by']}`"


def _summary(rows: Iterable[Mapping[str, Any]], precision: str) -> str:
    """How many parts are found from which size on."""
    sizes = [row["found"] or math.inf for row in rows if row["precision"] == precision]
    if not sizes:
        return ""
    steps = (1e-10, 1e-9, 1e-8) if precision == "float64" else (1e-7, 1e-6, 1e-5)
    counts = ", ".join(f"{sum(size <= step for size in sizes)} at {step:.0e}" for step in steps)
    median = f"the median of the smallest sizes found is {np.median(sizes):.0e}"
    return f"**Parts found, of {len(sizes)} scaled in {precision}: {counts}; {median}.**"
