"""The search for the smallest size at which a scaled bug is found.

A bug acts in float64 alone or in float32 alone, and the size is the smallest that makes any comparison fail. The search
is a bisection of the list of sizes: it assumes that whatever is found at one size is found at every larger one. Both
ends of its result were tried: a size that was found, and the next smaller one, which was missed.
"""

import dataclasses
import math
import signal
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any, NamedTuple

import numpy as np
import torch

from parity_tests.judge.proof import prove
from parity_tests.judge.row import Row, failures
from parity_tests.mutation.workers import shut_down
from parity_tests.ours import Adapter
from parity_tests.record.recording import Recording
from parity_tests.record.shipped import fixture_paths
from parity_tests.report.parts import part_of
from parity_tests.sensitivity.catalogue import SCALED_BUGS
from parity_tests.sensitivity.scaling import EVERYWHERE, ScaledBug

SIZES = tuple(float(f"{digit}e{power}") for power in range(-12, 0) for digit in (1, 2, 5))


class Job(NamedTuple):
    """One search."""

    bug: str
    precision: str

    @property
    def name(self) -> str:
        """For messages and as a key."""
        return f"{self.bug} ({self.precision})"


@dataclasses.dataclass(frozen=True)
class Sensitivity:
    """How small a change of one part is found in one precision."""

    name: str
    part: str
    precision: str
    found: float | None = None  # the smallest size that was found; None where none was
    missed: float | None = None  # the next smaller size, which was missed; None where the smallest of all was found
    by: str = ""  # "recording: quantity" of the row that departed furthest at the size found
    error: float | None = None  # of that row; None where it is not a finite number
    allowed: float | None = None
    touched: dict[str, float] = dataclasses.field(default_factory=dict)  # part of the report -> its largest error

    def to_dict(self) -> dict[str, Any]:
        """For ``sensitivity.json``."""
        return {name: value for name, value in dataclasses.asdict(self).items() if name != "touched"}

    def line(self) -> str:
        """One line of progress."""
        if self.found is None:
            return f"NOT FOUND at {self.missed:.0e}: {self.name} ({self.precision})"
        missed = "" if self.missed is None else f", not at {self.missed:.0e}"
        return f"found at {self.found:.0e}{missed}: {self.name} ({self.precision}), by {self.by}"


def departures(bug: ScaledBug, size: float, precision: str, recordings: Mapping[str, Recording]) -> list[Row]:
    """The rows that fail with a bug of a size, of the first recording in which any does.

    Args:
        bug: of the catalogue.
        size: the relative change.
        precision: in which the bug acts, and which is judged; with :data:`.scaling.EVERYWHERE` float64 is.
        recordings: by name.
    """
    with bug.planting.planted_at(size, precision):
        for name in bug.recordings:
            if failed := departures_of(recordings[name], precision):
                return failed
    return []


def departures_of(recording: Recording, precision: str) -> list[Row]:
    """The rows of a recording that fail in one precision as the port stands; a training is judged in float64 alone."""
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
        if failed := departures(bug, sizes[middle], precision, recordings):
            found, rows = middle, failed
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


def recordings_of(bugs: Iterable[ScaledBug]) -> dict[str, Recording]:
    """The recordings that the bugs need, by name."""
    paths = {path.stem: path for path in fixture_paths()}
    names = dict.fromkeys(name for bug in bugs for name in bug.recordings)
    return {name: Recording.load(paths[name.replace("/", "-")]) for name in names}


def measure_all(
    jobs: Sequence[Job], bugs: Sequence[ScaledBug], recordings: Mapping[str, Recording], processes: int
) -> Iterator[dict[str, Any]]:
    """Run each search in turn, in several processes if asked; yields the fields of each :class:`Sensitivity`."""
    if processes == 1:
        by_name = {bug.name: bug for bug in bugs}
        yield from (dataclasses.asdict(measure(by_name[job.bug], job.precision, recordings)) for job in jobs)
        return
    with shut_down(ProcessPoolExecutor(processes, get_context("spawn"), _Worker.start)) as pool:
        yield from map(dataclasses.asdict, pool.map(_Worker.measure, jobs))


class _Worker:
    """A process that runs one search after another."""

    recordings: Mapping[str, Recording]

    @classmethod
    def start(cls) -> None:
        """Read the recordings once."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent stops it
        torch.set_num_threads(1)
        cls.recordings = recordings_of(SCALED_BUGS)

    @classmethod
    def measure(cls, job: Job) -> Sensitivity:
        """Find the bug by its name: the bug itself cannot be pickled."""
        bug = next(bug for bug in SCALED_BUGS if bug.name == job.bug)
        return measure(bug, job.precision, cls.recordings)
