"""The recordings that ship, read once for all tests of a process, since that takes seconds. No test may change one."""

import functools

from parity_tests.record.recording import Recording
from parity_tests.record.shipped import load_fixtures


@functools.cache
def shipped() -> dict[str, Recording]:
    """All of them by name."""
    return load_fixtures()
