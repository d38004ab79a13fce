"""Bugs that unit tests must catch: each is planted in a process of its own, which runs tests until the first failure.

The processes are forked from one that has imported everything already: importing takes longer than most of the tests.
"""

import contextlib
import os
import re
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

from parity_tests.mutation.bugs import HarnessMutant, ProductMutant
from parity_tests.mutation.catalogue.harness import HARNESS_MUTANTS
from parity_tests.mutation.catalogue.kernels.every import KERNEL_MUTANTS
from parity_tests.mutation.catalogue.product import PRODUCT_MUTANTS
from parity_tests.mutation.workers import shut_down
from pytorch_sketch_rnn.errors import BadInput

TESTS = Path(__file__).parents[1] / "tests"
# several processes share the cores; NumPy and torch read these variables when they are imported
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
PRELOADED = ["pytest", "parity_tests.mutation.unit_tests", "parity_tests.mutation.run"]


class TestsFailError(Exception):
    """The tests fail without any bug planted."""

    __test__ = False  # not a class of tests


class Finished(NamedTuple):
    """A finished run of pytest."""

    returncode: int
    output: str


def run_against_tests(mutants: Sequence[HarnessMutant | ProductMutant], processes: int) -> Iterator[dict[str, Any]]:
    """Plant each bug, run its tests, and yield for each bug whether a test failed, and which.

    Args:
        mutants: the bugs.
        processes: how many run at a time.

    Raises:
        BadInput: when the tests are missing.
        TestsFailError: when the tests fail without any bug.
    """
    if not TESTS.is_dir():
        raise BadInput(f"{TESTS}: the self-tests are missing; run this in a checkout of the repository")
    everything = sorted({test for mutant in mutants for test in mutant.tests})
    with _processes(processes) as pool:
        sound = pool.submit(in_this_process, "", everything).result()
        if sound.returncode != 0:
            raise TestsFailError(sound.output[-3000:])
        finished = pool.map(in_this_process, [m.name for m in mutants], [m.tests for m in mutants])
        yield from map(_result, mutants, finished)


def _result(mutant: HarnessMutant | ProductMutant, finished: Finished) -> dict[str, Any]:
    """For ``mutants.json``."""
    first = re.search(r"^FAILED \S*?(\w+\.py::\w+)", finished.output, flags=re.MULTILINE)
    killed = finished.returncode == 1 and first is not None
    by = (
        first[1]
        if killed and first is not None
        else "no self-test fails"
        if finished.returncode == 0
        else finished.output[-500:]
    )
    family = {"family": mutant.family} if isinstance(mutant, ProductMutant) else {}
    broken = not killed and finished.returncode != 0  # pytest itself failed, which says nothing of the bug
    return {"name": mutant.name, **family, "killed": killed, "by": by, "broken": broken}


@contextlib.contextmanager
def _processes(count: int) -> Iterator[ProcessPoolExecutor]:
    """A pool in which each process does one task."""
    context = get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    before = dict(os.environ)
    os.environ.update(ONE_THREAD)
    try:
        with shut_down(ProcessPoolExecutor(count, context, max_tasks_per_child=1)) as pool:
            yield pool
    finally:
        os.environ.clear()
        os.environ.update(before)


def in_this_process(name: str, tests: Iterable[str]) -> Finished:
    """Run tests with a bug planted; capture what is written to standard output and error."""
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as output:
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
        os.chdir(TESTS.parents[1])
        code = run_tests(name, [str(TESTS / test) for test in tests])
        sys.stdout.flush()
        sys.stderr.flush()
        output.seek(0)
        return Finished(code, output.read())


def run_tests(name: str, tests: list[str]) -> int:
    """Run tests until the first failure, with the bug of this name planted, or none if the name is empty.

    Raises:
        LookupError: when no bug has that name.
    """
    import pytest

    known = {mutant.name: mutant for mutant in (*HARNESS_MUTANTS, *PRODUCT_MUTANTS, *KERNEL_MUTANTS)}
    if name and name not in known:
        raise LookupError(f"no planted bug is called {name!r}")
    with known[name].planting.planted() if name else contextlib.nullcontext():
        return int(pytest.main(["-x", "-p", "no:cacheprovider", "-p", "no:xdist", *tests]))
