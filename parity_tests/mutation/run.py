"""``make mutants``: how small a bug the proof would catch. Bugs are planted, one at a time, and each must be found.

First in the port: the harness must find each, and name the part where a maintainer would have to look. Then in the
harness and in what surrounds the model: unit tests must fail. In a port everything is judged but float32, whose
allowances are wider by their nature; Adam's checkpoint and a continued training are taken from the recordings, without
TensorFlow.
"""

import contextlib
import dataclasses
import json
import math
import re
import signal
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch

from parity_tests.judge.compare import first_departure
from parity_tests.judge.conversion import compare_converted
from parity_tests.judge.proof import prove
from parity_tests.judge.row import Row, failures
from parity_tests.judge.training import resumed, state_before, with_step
from parity_tests.mutation.catalogue import MUTANTS, HarnessMutant, Mutant, ProductMutant
from parity_tests.mutation.catalogue_harness import HARNESS_MUTANTS
from parity_tests.mutation.catalogue_product import PRODUCT_MUTANTS
from parity_tests.mutation.table import markdown, score_line
from parity_tests.mutation.unit_tests import run_tests, tested
from parity_tests.ours import Adapter
from parity_tests.record.recording import Recording
from parity_tests.record.shipped import fixture_paths
from parity_tests.report.out_folder import start_folder, write_results
from parity_tests.report.parts import PARTS, part_of
from parity_tests.report.score import FILE
from parity_tests.report.sentences import describe
from weight_port.source import ArrayVariables, Source

TABLE = "mutants.md"
PROCESSES = 2
LOCATED = 0.9  # the share of the bugs found whose part must be named
# how the names of recordings begin, what others are made from first; all else (whole models) stands in between
ORDER = ("cell/lstm", "cell/layer_norm", "cell/", "data", "initial/")


@dataclasses.dataclass(frozen=True)
class Result:
    """What became of one planted bug."""

    name: str
    family: str
    killed: bool
    by: str = ""  # recording: quantity; where it was not killed, why
    part: str = ""  # that the harness named
    located: bool = False  # whether that is the right one
    effect: float | None = None  # the error there; None where it is no number
    cause: str | None = None  # that the harness suggests
    touched: dict[str, float | None] = dataclasses.field(default_factory=dict)  # part -> largest finite error, if any

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {name: value for name, value in dataclasses.asdict(self).items() if name != "touched"}


def run_mutants(
    out: Path,
    *,
    mutants: Sequence[Mutant] = MUTANTS,
    harness: Sequence[HarnessMutant] = HARNESS_MUTANTS,
    product: Sequence[ProductMutant] = PRODUCT_MUTANTS,
    only: str = "",
    processes: int = PROCESSES,
    say: Callable[[str], None] = print,
) -> int:
    """Plant every bug, and write ``mutants.json`` and ``mutants.md``.

    Args:
        out: folder for both.
        mutants: bugs of the port; with several processes of :data:`~parity_tests.mutation.catalogue.MUTANTS`.
        harness: bugs of the harness.
        product: bugs of what surrounds the model.
        only: a regular expression for the names of the files of the recordings to be used.
        processes: how many work at a time.
        say: where progress goes.

    Returns:
        0 where every bug was found and in 9 of 10 cases its part named; 1 where not, or where even without a bug
        something differs or fails.

    Raises:
        BadInput: when the folder cannot be written, or the self-tests or recordings are not there.
    """
    for planting in (mutant.planting for mutant in (*mutants, *harness, *product)):
        with planting.planted():  # a catalogue that does not fit the code is told now, not after minutes
            pass
    start_folder(out, (FILE, TABLE))
    started = time.monotonic()
    recordings = _recordings(only)
    sound = judged_rows(recordings)
    if failures(sound):
        say("without any bug planted the port departs already:")
        say("\n".join(describe(row) for row in failures(sound)[:20]))
        return 1
    say(f"sound: {len(sound)} tensors equal in {len(recordings)} recordings; now with {len(mutants)} bugs, one by one")
    results = []
    for result in _judged(mutants, recordings, only, processes):
        results.append(result)
        say(f"[{len(results)}/{len(mutants)}] {_told(result)}")
    caught = tested("the harness itself", harness, processes, say)
    if caught is None:
        return 1
    found = tested("what surrounds the model", product, processes, say)
    if found is None:
        return 1
    content = _content(results, caught, found, sound)
    write_results(out, {FILE: json.dumps(content, indent=1, allow_nan=False) + "\n", TABLE: markdown(content)})
    say(f"{score_line(content)} ({time.monotonic() - started:.0f} s)")
    say(f"wrote {out / FILE}, {out / TABLE}")
    all_found = all(result.killed for result in results) and all(row["killed"] for row in (*caught, *found))
    return 0 if all_found and content["located"] >= LOCATED * content["killed"] else 1


# --- bugs of the port ---


def _recordings(only: str) -> list[Recording]:
    """The recordings that ship, in a fixed order, what others are made from first."""

    def place(recording: Recording) -> int:
        starts = [index for index, start in enumerate(ORDER) if recording.name.startswith(start)]
        return starts[0] if starts else len(ORDER) + (recording.kind == "training")

    paths = [path for path in fixture_paths() if re.match(only, path.stem)]
    return sorted(map(Recording.load, paths), key=place)


def judged_rows(recordings: Iterable[Recording]) -> list[Row]:
    """All that the harness has to say of our port in float64, as it stands."""
    port = Adapter()
    port.precisions = ("float64",)
    rows = []
    with warnings.catch_warnings(), np.errstate(all="ignore"):  # a bug may divide by zero
        warnings.simplefilter("ignore")
        for recording in recordings:
            if recording.kind == "model" and recording.name.endswith("/as_is"):
                rows += _converted(recording)
            rows += prove(recording, port).rows
            if recording.kind == "training":
                step = recording.hparams["save_every"]
                rows += resumed(recording, port, with_step(state_before(recording, step), step), step)
    return [row for row in rows if row.precision != "float32"]


def _converted(recording: Recording) -> list[Row]:
    """The weights of a checkpoint, which the recording holds as the official side read them, converted into files."""
    variables = ArrayVariables(recording["weights"], recording.name)
    with tempfile.TemporaryDirectory() as folder:
        source = Source("tensor bundle", recording.name, variables)
        return compare_converted(source, Path(folder) / "converted", recording)


def judge(mutant: Mutant, recordings: Iterable[Recording]) -> Result:
    """Plant a bug, run the harness, and see what it says."""
    try:
        with mutant.planted():
            rows = judged_rows(recordings)
    except LookupError:
        raise  # the code to be changed is not there: a mistake in the catalogue
    except Exception as error:  # a bug that the harness cannot turn into a failing row has escaped it
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
    """The largest error that is a number, of each part that failed."""
    result: dict[str, float | None] = {}
    for row in failures(rows):
        part, error = part_of(row), row.error if math.isfinite(row.error) else None
        result[part] = max((e for e in (result.get(part), error) if e is not None), default=None)
    return result


def _judged(mutants: Sequence[Mutant], recordings: Sequence[Recording], only: str, processes: int) -> Iterator[Result]:
    """Each in its turn; several processes at a time where that pays."""
    if processes == 1:
        with _one_thread():
            yield from (judge(mutant, recordings) for mutant in mutants)
        return
    names = [mutant.name for mutant in mutants]
    pool = ProcessPoolExecutor(processes, get_context("spawn"), _Worker.start, (only,))
    try:
        yield from pool.map(_Worker.judge, names)
    finally:
        pool.shutdown(cancel_futures=True)


class _Worker:
    """A process that judges one bug after the other."""

    recordings: Sequence[Recording]

    @classmethod
    def start(cls, only: str) -> None:
        """Read the recordings once."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends it
        torch.set_num_threads(1)
        cls.recordings = _recordings(only)

    @classmethod
    def judge(cls, name: str) -> Result:
        """By name: the code of a bug does not travel between processes."""
        return judge(next(mutant for mutant in MUTANTS if mutant.name == name), cls.recordings)


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """Small tensors are slower on several."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


# --- what is written ---


def _content(
    results: Sequence[Result], harness: list[dict[str, Any]], product: list[dict[str, Any]], sound: Iterable[Row]
) -> dict[str, Any]:
    """For JSON; the first four are what :class:`parity_tests.report.score.Score` reads."""
    killed = [result for result in results if result.killed]
    smallest: dict[str, dict[str, Any]] = {}
    for result in killed:
        for part, error in result.touched.items():
            if error is not None and (part not in smallest or error < smallest[part]["effect"]):
                smallest[part] = {"bug": result.name, "effect": error}
    parts = dict.fromkeys([*_parts(), *map(part_of, sound)])
    touched = {part for result in killed for part in result.touched}
    return {
        "planted": len(results),
        "killed": len(killed),
        "located": sum(result.located for result in killed),
        "smallest": {part: smallest[part] for part in sorted(smallest, key=[*parts, *smallest].index)},
        "never_touched": [part for part in parts if part not in touched],
        "rows": [result.to_dict() for result in results],
        "harness": harness,
        "product": product,
    }


def _parts() -> Iterator[str]:
    """All parts of the report; without a title of its own, a quantity is its own part."""
    for pattern, part in PARTS:
        yield from (part,) if part else pattern.rpartition("(")[2].rstrip(")").split("|")


def _told(result: Result) -> str:
    if not result.killed:
        return f"SURVIVED: {result.name} ({result.by})"
    where = "" if result.located else ", NOT THE RIGHT PART"
    return f"caught: {result.name}, by {result.by} ({result.part}{where})"


if __name__ == "__main__":
    sys.exit(run_tests(sys.argv[1], sys.argv[2:]))
