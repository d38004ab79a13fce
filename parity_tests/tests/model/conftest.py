"""Fixtures of the tests of models."""

import pytest
import sampling_models

from pytorch_sketch_rnn.model import sampling


@pytest.fixture(params=["reference", "auto"])
def every_sampler(request, monkeypatch):
    """A test draws by the loop and by the machine's fastest backend, in several blocks of steps."""
    monkeypatch.setattr(sampling_models, "backend", request.param)
    monkeypatch.setattr(sampling, "BLOCK", sampling_models.BLOCK)
