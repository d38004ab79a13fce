"""Bugs of a port: each is planted, the harness judges the recordings, and its first departure is looked at.

Everything but float32 is judged; the allowances of float32 are wider by their nature. The checkpoint with Adam's state
and the resumed training are taken from the recordings, so TensorFlow is not needed.
"""

import contextlib
import dataclasses
import math
import re
import signal
import tempfile
import warnings
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch

from parity_tests.judge.conversion import compare_converted, compare_exported
from parity_tests.judge.first_departure import first_departure
from parity_tests.judge.proof import prove
from parity_tests.judge.row import Row, failures
from parity_tests.judge.training import judge_resumed
from parity_tests.mutation.bugs import Mutant
from parity_tests.mutation.catalogue.port import MUTANTS
from parity_tests.mutation.workers import one_thread, shut_down
from parity_tests.ours import Adapter
from parity_tests.record.recording import Recording
from parity_tests.record.shipped import fixture_paths
from parity_tests.replay.training import state_before, with_step
from parity_tests.report.parts import part_of
from weight_port.names import ROOT
from weight_port.source import ArrayVariables, Source

# Recordings whose names begin so come first and in this order: other recordings contain what they record. Then come
# whole models, then trainings.
_FIRST = ("cell/lstm", "cell/layer_norm", "cell/", "data", "initial/")


@dataclasses.dataclass(frozen=True)
class Result:
    """What the harness found of one planted bug."""

    name: str
    family: str
    killed: bool
    by: str = ""  # "recording: quantity" of the first departure; for a survivor, why
    part: str = ""  # the part of the report that the first departure is in
    located: bool = False  # whether that is the part where the bug is
    effect: float | None = None  # error of the first departure; None where it is not a finite number
    cause: str | None = None  # the cause that the harness suggests
    touched: dict[str, float | None] = dataclasses.field(default_factory=dict)  # part -> largest finite error, if any

    def to_dict(self) -> dict[str, Any]:
        """For ``mutants.json``."""
        return {name: value for name, value in dataclasses.asdict(self).items() if name != "touched"}

    def line(self) -> str:
        """One line of progress."""
        if not self.killed:
            return f"SURVIVED: {self.name} ({self.by})"
        return f"caught: {self.name}, by {self.by} ({self.part}{'' if self.located else ', NOT THE RIGHT PART'})"


def load_recordings(only: str = "") -> list[Recording]:
    """The recordings that ship, in the order in which they are judged.

    Args:
        only: a regular expression that the beginning of a file's name must match.
    """

    def place(recording: Recording) -> int:
        starts = [index for index, start in enumerate(_FIRST) if recording.name.startswith(start)]
        return starts[0] if starts else len(_FIRST) + (recording.kind == "training")

    paths = [path for path in fixture_paths() if re.match(only, path.stem)]
    return sorted(map(Recording.load, paths), key=place)


def judged_rows(recordings: Iterable[Recording]) -> list[Row]:
    """All rows of our port as it stands, without float32."""
    port = Adapter()
    port.precisions = ("float64",)
    rows = []
    with warnings.catch_warnings(), np.errstate(all="ignore"):  # a bug may divide by zero
        warnings.simplefilter("ignore")
        for recording in recordings:
            if recording.kind == "model" and recording.name.endswith("/as_is"):
                rows += _converted(recording)
            rows += prove(recording, port).rows + resumed_rows(recording, port)
    return [row for row in rows if row.precision != "float32"]


def resumed_rows(recording: Recording, port: Adapter) -> list[Row]:
    """The rows of the step after a training's checkpoint, from the recorded variables; none of other recordings."""
    if recording.kind != "training":
        return []
    step = recording.hparams["save_every"]
    return judge_resumed(recording, port, with_step(state_before(recording, step), step), step)


def _converted(recording: Recording) -> list[Row]:
    """Convert the weights of a checkpoint, as the official side has read them, and back, and compare the files."""
    saved = {name: value for name, value in recording["weights"].items() if name.startswith(ROOT)}
    source = Source("tensor bundle", recording.name, ArrayVariables(saved, recording.name))
    with tempfile.TemporaryDirectory() as folder:
        converted = Path(folder) / "converted"
        rows = compare_converted(source, converted, recording)
        return rows + compare_exported(source, converted, Path(folder) / "exported", recording)


def judge(mutant: Mutant, recordings: Iterable[Recording]) -> Result:
    """Plant a bug and run the harness.

    Raises:
        LookupError: when the bug does not fit the code.
    """
    with contextlib.ExitStack() as stack:
        stack.enter_context(mutant.planted())
        try:
            rows = judged_rows(recordings)
        except Exception as error:  # a bug that breaks the harness itself has not been caught by it
            return Result(mutant.name, mutant.family, killed=False, by=f"the harness itself failed: {error!r}")
    first = first_departure(rows)
    if first is None:
        return Result(mutant.name, mutant.family, killed=False, by="nothing differs")
    part = part_of(first)
    return Result(
        mutant.name,
        mutant.family,
        killed=True,
        by=f"{first.recording}: {first.quantity}",
        part=part,
        located=part in mutant.parts and re.fullmatch(mutant.quantity, first.quantity) is not None,
        effect=first.error if math.isfinite(first.error) else None,
        cause=first.cause,
        touched=_touched(rows),
    )


def _touched(rows: Iterable[Row]) -> dict[str, float | None]:
    """The parts that failed, each with its largest finite error."""
    result: dict[str, float | None] = {}
    for row in failures(rows):
        part, error = part_of(row), row.error if math.isfinite(row.error) else None
        result[part] = max((e for e in (result.get(part), error) if e is not None), default=None)
    return result


def judge_all(
    mutants: Sequence[Mutant], recordings: Sequence[Recording], only: str, processes: int
) -> Iterator[dict[str, Any]]:
    """Judge each bug in turn, in several processes if asked; yields the fields of each :class:`Result`."""
    if processes == 1:
        with one_thread():
            yield from (dataclasses.asdict(judge(mutant, recordings)) for mutant in mutants)
        return
    names = [mutant.name for mutant in mutants]
    with shut_down(ProcessPoolExecutor(processes, get_context("spawn"), _Worker.start, (only,))) as pool:
        yield from map(dataclasses.asdict, pool.map(_Worker.judge, names))


class _Worker:
    """A process that judges one bug after another."""

    recordings: Sequence[Recording]

    @classmethod
    def start(cls, only: str) -> None:
        """Read the recordings once."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent stops it
        torch.set_num_threads(1)
        cls.recordings = load_recordings(only)

    @classmethod
    def judge(cls, name: str) -> Result:
        """Judge the bug of this name: the bug itself cannot be pickled."""
        return judge(next(mutant for mutant in MUTANTS if mutant.name == name), cls.recordings)
