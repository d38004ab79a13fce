"""``make mutants``: how small a bug the proof would catch. Bugs are planted one at a time, and each must be caught.

First come the bugs of a port: the harness must catch each, and name the part of the model that has it. Then come the
bugs of the harness, of what surrounds the model, and of the fused paths: unit tests must fail.
"""

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from parity_tests.judge.row import failures
from parity_tests.mutation.bugs import HarnessMutant, Mutant, ProductMutant
from parity_tests.mutation.catalogue.harness import HARNESS_MUTANTS
from parity_tests.mutation.catalogue.kernels.every import KERNEL_MUTANTS, runnable
from parity_tests.mutation.catalogue.port import MUTANTS
from parity_tests.mutation.catalogue.product import PRODUCT_MUTANTS
from parity_tests.mutation.port_bugs import Result, judge_all, judged_rows, load_recordings
from parity_tests.mutation.progress import Progress, fingerprint
from parity_tests.mutation.summary import all_caught, summary
from parity_tests.mutation.table import markdown, score_line
from parity_tests.mutation.unit_tests import TestsFailError, run_against_tests
from parity_tests.record.recording import Recording
from parity_tests.report.out_folder import start_folder, write_results
from parity_tests.report.score import FILE
from parity_tests.report.sentences import describe

TABLE = "mutants.md"
UNFINISHED = "unfinished.json"  # results of an interrupted run
PROCESSES = 2
LOCATED = 0.9  # the share of the caught bugs whose part must be named

Log = Callable[[str], None]


def run_mutants(
    out: Path,
    *,
    mutants: Sequence[Mutant] = MUTANTS,
    harness: Sequence[HarnessMutant] = HARNESS_MUTANTS,
    product: Sequence[ProductMutant] = PRODUCT_MUTANTS,
    kernels: Sequence[ProductMutant] = KERNEL_MUTANTS,
    only: str = "",
    processes: int = PROCESSES,
    fresh: bool = False,
    log: Log = print,
) -> int:
    """Plant every bug, and write ``mutants.json`` and ``mutants.md``.

    An interrupted run leaves its results in ``unfinished.json``. The next run continues from there if the code, the
    recordings and the versions are the same.

    Args:
        out: folder for all of these.
        mutants: bugs of a port; with several processes they must be in :data:`.catalogue.port.MUTANTS`.
        harness: bugs of the harness.
        product: bugs of what surrounds the model.
        kernels: bugs of the fused paths.
        only: a regular expression for the names of the recordings that are used.
        processes: how many work at a time.
        fresh: do not continue an interrupted run.
        log: takes each line of progress.

    Returns:
        0 if every bug was caught and in 9 of 10 cases its part named; 1 if not, or if something differs or fails
        without any bug planted.

    Raises:
        BadInput: when the folder cannot be written, or the self-tests or recordings are missing.
    """
    planted: list[Mutant | HarnessMutant | ProductMutant] = [*mutants, *harness, *product, *kernels]
    for mutant in planted:
        with mutant.planting.planted():  # a bug that does not fit the code is noticed now, not after minutes
            pass
    kernels, left_out = runnable(kernels)
    if left_out:
        log(left_out)
    started = time.monotonic()
    start_folder(out, (FILE, TABLE))
    progress = Progress(out / UNFINISHED, fingerprint("mutants", only), fresh=fresh)
    if progress.note:
        log(progress.note)
    recordings = load_recordings(only)
    sound = judged_rows(recordings)
    if failures(sound):
        log("without any bug planted the port departs already:")
        log("\n".join(describe(row) for row in failures(sound)[:20]))
        return 1
    log(f"sound: {len(sound)} tensors equal in {len(recordings)} recordings; now with {len(mutants)} bugs, one by one")
    results = _port(mutants, recordings, only, processes, progress, log)
    try:
        caught = _by_tests("harness", "the harness itself", harness, processes, progress, log)
        found = _by_tests("product", "what surrounds the model", product, processes, progress, log)
        fused = _by_tests("kernels", "the fused paths", kernels, processes, progress, log)
    except TestsFailError as error:
        log(f"without any bug planted the self-tests fail already:\n{error}")
        return 1
    content = summary(results, caught, found, fused, sound) | {"left_out": left_out}
    write_results(out, {FILE: json.dumps(content, indent=1, allow_nan=False) + "\n", TABLE: markdown(content)})
    progress.finish()
    log(f"{score_line(content)} ({time.monotonic() - started:.0f} s)")
    log(f"wrote {out / FILE}, {out / TABLE}")
    return 0 if all_caught(content) and content["located"] >= LOCATED * content["killed"] else 1


def _port(
    mutants: Sequence[Mutant],
    recordings: Sequence[Recording],
    only: str,
    processes: int,
    progress: Progress,
    log: Log,
) -> list[Result]:
    """The results of the bugs of a port, in their order."""
    judged = progress.continued("port", mutants, lambda missing: judge_all(missing, recordings, only, processes))
    for done, result in judged:
        log(f"[{done}/{len(mutants)}] {Result(**result).line()}")
    kept = progress.kept("port")
    return [Result(**kept[mutant.name]) for mutant in mutants]


def _by_tests(
    kind: str,
    where: str,
    mutants: Sequence[HarnessMutant | ProductMutant],
    processes: int,
    progress: Progress,
    log: Log,
) -> list[dict[str, Any]]:
    """The results of bugs that unit tests must catch, in their order.

    Raises:
        TestsFailError: when the tests fail without any bug.
    """
    if mutants:
        log(f"now {len(mutants)} bugs of {where}, against the tests")
    tested = progress.continued(kind, mutants, lambda missing: run_against_tests(missing, processes))
    for done, result in tested:
        verdict = "caught" if result["killed"] else "SURVIVED"
        log(f"[{done}/{len(mutants)}] {verdict}: {result['name']}, by {result['by']}")
    kept = progress.kept(kind)
    return [kept[mutant.name] for mutant in mutants]
