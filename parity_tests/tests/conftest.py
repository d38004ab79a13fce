"""One thread for all numerics, here and in the processes that tests start: what is computed here is small.

Where pytest-xdist spreads the files over processes (``make test``), those that take longest come first, so that no
process is left with one of them at the end. A file stays together: its tests share what its fixtures made.
"""

import os
from pathlib import Path

import pytest

# before any test imports NumPy or torch, which read it once
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# half a minute and more, the longest first
LONGEST = (
    "test_distributed.py", "test_parity_fixtures.py", "test_commands.py", "test_replay_model.py",
    "test_replay_departures.py", "test_curves.py", "test_mutants.py", "test_mutants_run.py",
    "test_train_resume_errors.py", "test_kill.py", "test_false_alarms.py",
)  # fmt: skip


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put the files that take longest first, where the tests run in several processes."""
    if hasattr(config, "workerinput"):
        place = {name: index for index, name in enumerate(LONGEST)}
        items.sort(key=lambda item: place.get(Path(item.path).name, len(LONGEST)))
