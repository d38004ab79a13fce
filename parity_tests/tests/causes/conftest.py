"""The recordings that ship, and references to them that keep what they have computed."""

import pytest
from answers import FREE, LOCAL, LOSS, MODEL, SHOWN, SLOT, TRAINED
from shipped import shipped

from parity_tests.causes.explain import answers_of
from parity_tests.causes.reference import Reference
from parity_tests.examples import numpy_port


@pytest.fixture(scope="session")
def fixtures():
    return shipped()


@pytest.fixture(scope="session")
def references(fixtures):
    """What was replayed for one test is there for the next."""
    wanted = {MODEL: (*TRAINED, SLOT, "sample/sampled/strokes", FREE, LOCAL, LOSS), "lstm/moved": ("eval/mu", "eval/z")}
    return {
        name: Reference(recording, answers_of(recording, numpy_port.Adapter())[0], wanted.get(name, SHOWN))
        for name, recording in fixtures.items()
        if name.startswith("cell/") or name in wanted
    }
