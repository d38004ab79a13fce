"""Runs a piece of the official code in a process of its own, which alone may import TensorFlow."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from parity_tests.record.launch import require_oracle
from pytorch_sketch_rnn.errors import BadInput

ROOT = Path(__file__).resolve().parents[2]

_FRAME = """
import sys
import numpy as np
with np.load(sys.argv[1]) as archive:
    inputs = dict(archive)
result = {}
exec(sys.argv[3])
np.savez(sys.argv[2], **result)
"""


def run_script(script: str, folder: Path, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Run Python code that finds ``inputs`` and fills ``result``, both dicts of arrays; nothing else comes back.

    The code may import ``parity_tests.official.magenta``. Skips the test where TensorFlow or Magenta is missing.
    """
    try:
        require_oracle()
    except BadInput as error:
        pytest.skip(str(error))
    given, taken = folder / "inputs.npz", folder / "result.npz"
    np.savez(given, **inputs)
    command = [sys.executable, "-c", _FRAME, str(given), str(taken), script]
    done = subprocess.run(command, cwd=ROOT, env=os.environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    with np.load(taken) as archive:
        return dict(archive)
