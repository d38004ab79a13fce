"""``make fuzz``: mutants of every kind of input through the commands that read it."""

import json
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from parity_tests.fuzz.forked import STDERR, WORK, Limits
from parity_tests.fuzz.kinds import KINDS, Kind
from parity_tests.fuzz.page import page, score_table
from parity_tests.fuzz.server import Job, Result, Server
from parity_tests.fuzz.tally import Tally
from parity_tests.report.out_folder import start_folder, write_results
from pytorch_sketch_rnn.errors import BadInput

FILE, TABLE, KEPT = "fuzz.json", "fuzz.md", "mutants"
COUNT = 2000  # mutants of each kind
WORKERS = 2
LIMITS = Limits()
KEPT_OF_EACH = 3  # mutants that are kept of each fault

Log = Callable[[str], None]


def run_fuzz(
    out: Path,
    *,
    kinds: Sequence[Kind] = tuple(KINDS.values()),
    seeds: Sequence[int] = range(COUNT),
    workers: int = WORKERS,
    limits: Limits = LIMITS,
    log: Log = print,
) -> int:
    """Run commands on mutants, and write ``fuzz.json``, ``fuzz.md`` and the mutants on which a command failed.

    Args:
        out: folder for all of these.
        kinds: of input.
        seeds: of the mutants of each kind.
        workers: commands at a time.
        limits: of each command.
        log: takes each line of progress.

    Returns:
        0 if nothing was wrong, 1 if something was, 130 if the run was interrupted.

    Raises:
        BadInput: when this is not Linux, or the folder cannot be written.
    """
    _require_linux()
    start_folder(out, (FILE, TABLE))
    shutil.rmtree(out / KEPT, ignore_errors=True)
    tallies = {kind.name: Tally() for kind in kinds}
    started, interrupted = time.monotonic(), False
    with tempfile.TemporaryDirectory(prefix="fuzz-", ignore_cleanup_errors=True) as scratch:
        server = Server(Path(scratch), limits, workers)
        jobs = [Job(kind, seed) for seed in seeds for kind in kinds]
        try:
            server.prepare(kinds)
            for result in tqdm(server.results(jobs), "mutants", len(jobs), disable=None):
                _note(result, tallies[result.job.kind.name], out, log)
        except KeyboardInterrupt:
            interrupted = True
    found = _content(tallies, time.monotonic() - started)
    paths = write_results(
        out, {FILE: json.dumps(found, indent=1) + "\n", TABLE: page(found["summary"], found["kinds"])}
    )
    log(f"\n{score_table(found['kinds'])}\n\n{found['summary']}\nwrote {', '.join(map(str, paths))}")
    return 130 if interrupted else 1 if found["faults"] else 0


def reproduce(out: Path, kind: Kind, seed: int, *, limits: Limits = LIMITS, log: Log = print) -> int:
    """Run one mutant again, and keep its files.

    Args:
        out: folder for a folder with the mutant and the output of the command.
        kind: of the mutant.
        seed: of the mutant.
        limits: of the command.
        log: takes what became of it.

    Returns:
        0 if nothing was wrong, else 1.

    Raises:
        BadInput: when this is not Linux, or the folder cannot be written.
    """
    _require_linux()
    start_folder(out, ())
    with tempfile.TemporaryDirectory(prefix="fuzz-", ignore_cleanup_errors=True) as scratch:
        server = Server(Path(scratch), limits, 1)
        server.prepare([kind])
        for result in server.results([Job(kind, seed)]):
            kept = _keep(result, out)
            log((kept / STDERR).read_text(encoding="utf-8", errors="replace").rstrip("\n"))
            log(f"{_described(result)}: {result.fault or 'nothing is wrong'}; exit code {result.ended.code}")
            log(f"kept in {kept}; in its folder {WORK}: {_command_line(result)}")
            return 1 if result.fault else 0
    raise AssertionError("a job has a result")


def _require_linux() -> None:
    if sys.platform != "linux":
        raise BadInput(f"fuzz: expected Linux, whose fork, /proc and resource limits it needs, got {sys.platform}")


def _note(result: Result, tally: Tally, out: Path, log: Log) -> None:
    """Count a result; keep the mutant and say so if something is wrong."""
    tally.add(result)
    if result.fault is None or tally.faults[result.fault] > KEPT_OF_EACH:
        return
    kept = _keep(result, out / KEPT)
    tqdm.write(f"{_described(result)}: {result.fault}; kept in {kept}", file=sys.stderr)


def _keep(result: Result, folder: Path) -> Path:
    kept = folder / result.job.name
    shutil.rmtree(kept, ignore_errors=True)
    shutil.copytree(result.folder, kept, symlinks=True)
    return kept


def _described(result: Result) -> str:
    return f"--kind {result.job.kind.name} --seed {result.job.seed}"


def _command_line(result: Result) -> str:
    module = result.command.module.removesuffix(".__main__")
    return " ".join(("python -m", module, *result.command.arguments))


def _content(tallies: dict[str, Tally], seconds: float) -> dict[str, Any]:
    kinds = {name: tally.to_dict() for name, tally in tallies.items()}
    mutants = sum(kind["mutants"] for kind in kinds.values())
    faults = sum(sum(kind["faults"].values()) for kind in kinds.values())
    sites = {fault for kind in kinds.values() for fault in kind["faults"]}
    verdict = f"{faults} FAULTS of {len(sites)} sorts" if faults else "no fault"
    summary = f"{verdict} in {mutants:,} mutants of {len(kinds)} kinds of input, {seconds / 60:.0f} minutes"
    return {"summary": summary, "faults": faults, "kinds": kinds}
