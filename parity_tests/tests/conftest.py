"""Numerics use one thread, here and in the processes that tests start, since the tensors are small.

With pytest-xdist (``make test``), the slowest files run first, so that none of them starts last while other workers
are idle. The tests of a file run in one worker, because they share fixtures.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from local_server import Server, serving

# set before any test imports NumPy or torch, which read them once
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
# the processes that tests start, a hundred, would compile our modules each time
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# files that take 20 seconds or more of a processor, the slowest first
LONGEST = (
    "test_commands.py", "test_sensitivity.py", "test_curves.py", "test_distributed.py", "test_false_alarms.py",
    "test_fuzz.py", "test_parity_fixtures.py", "test_causes_models.py", "test_damaged_recordings.py",
    "test_mutants.py", "test_replay_model.py", "test_training_departures.py", "test_cli_verify.py", "test_kill.py",
    "test_wheel.py", "test_mutants_run.py", "test_causes.py", "test_mutators.py",
)  # fmt: skip


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Run the slowest files first if the tests are distributed over workers."""
    if hasattr(config, "workerinput"):
        place = {name: index for index, name in enumerate(LONGEST)}
        items.sort(key=lambda item: place.get(Path(item.path).name, len(LONGEST)))


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A web server on this machine."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with serving() as ours:
        yield ours
