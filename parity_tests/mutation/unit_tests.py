"""Bugs that unit tests must find: each is planted in a process of its own, which runs tests up to the first failure.

The processes are forked from one that has imported everything, which takes longer than most of the tests.
"""

import contextlib
import os
import re
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

from parity_tests.mutation.bugs import HarnessMutant, ProductMutant
from parity_tests.mutation.catalogue.harness import HARNESS_MUTANTS
from parity_tests.mutation.catalogue.product import PRODUCT_MUTANTS
from pytorch_sketch_rnn.errors import BadInput

TESTS = Path(__file__).parents[1] / "tests"
# several processes share the cores; the libraries read this when they are imported
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
PRELOADED = ["pytest", "parity_tests.mutation.unit_tests", "parity_tests.mutation.run"]


class Done(NamedTuple):
    """What pytest said."""

    returncode: int
    output: str


def tested(
    what: str, mutants: Sequence[HarnessMutant | ProductMutant], processes: int, say: Callable[[str], None]
) -> list[dict[str, Any]] | None:
    """What the tests say of each bug; None where they fail even without one.

    Args:
        what: holds the bugs, for the messages.
        mutants: the bugs.
        processes: how many run at a time.
        say: where progress goes.

    Raises:
        BadInput: when the tests are not there.
    """
    if not mutants:
        return []
    if not TESTS.is_dir():
        raise BadInput(f"{TESTS}: the self-tests are missing; run this in a checkout of the repository")
    everything = sorted({test for mutant in mutants for test in mutant.tests})
    say(f"now {len(mutants)} bugs of {what}, against its self-tests")
    results: list[dict[str, Any]] = []
    with _processes(processes) as pool:
        sound = pool.submit(in_this_process, "", everything).result()
        if sound.returncode != 0:
            say(f"without any bug planted the self-tests fail already:\n{sound.output[-3000:]}")
            return None
        found = pool.map(in_this_process, [m.name for m in mutants], [m.tests for m in mutants])
        for mutant, done in zip(mutants, found, strict=True):
            first = re.search(r"^FAILED \S*?(\w+\.py::\w+)", done.output, flags=re.MULTILINE)
            killed = done.returncode == 1 and first is not None
            by = first[1] if killed else "no self-test fails" if done.returncode == 0 else done.output[-500:]
            family = {"family": mutant.family} if isinstance(mutant, ProductMutant) else {}
            results.append({"name": mutant.name, **family, "killed": killed, "by": by})
            say(f"[{len(results)}/{len(mutants)}] {'caught' if killed else 'SURVIVED'}: {mutant.name}, by {by}")
    return results


@contextlib.contextmanager
def _processes(count: int) -> Iterator[ProcessPoolExecutor]:
    """Each process does one task."""
    context = get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    before = dict(os.environ)
    os.environ.update(ONE_THREAD)
    pool = ProcessPoolExecutor(count, context, max_tasks_per_child=1)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)
        os.environ.clear()
        os.environ.update(before)


def in_this_process(name: str, tests: Iterable[str]) -> Done:
    """Run tests with a bug planted, and take down what is written to the standard streams."""
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as output:
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
        os.chdir(TESTS.parents[1])
        code = run_tests(name, [str(TESTS / test) for test in tests])
        sys.stdout.flush()
        sys.stderr.flush()
        output.seek(0)
        return Done(code, output.read())


def run_tests(name: str, tests: list[str]) -> int:
    """Run tests, up to the first that fails, with the bug of that name planted; without a name none is.

    Raises:
        LookupError: when no bug has that name.
    """
    import pytest

    known = {mutant.name: mutant for mutant in (*HARNESS_MUTANTS, *PRODUCT_MUTANTS)}
    if name and name not in known:
        raise LookupError(f"no planted bug is called {name!r}")
    with known[name].planting.planted() if name else contextlib.nullcontext():
        return int(pytest.main(["-x", "-p", "no:cacheprovider", "-p", "no:xdist", *tests]))
