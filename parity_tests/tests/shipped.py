"""The shipped recordings, loaded once per process, since loading takes seconds. Tests must not change them."""

import functools

from parity_tests.record.recording import Recording
from parity_tests.record.shipped import load_fixtures


@functools.cache
def shipped() -> dict[str, Recording]:
    """All shipped recordings by name."""
    return load_fixtures()
