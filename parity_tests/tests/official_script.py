"""Runs official code in a separate process, since the tests' process must not import TensorFlow."""

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
    """Run Python code that reads the dict ``inputs`` and fills the dict ``result``, both of arrays; return ``result``.

    The code may import ``parity_tests.official.magenta``. If TensorFlow or Magenta is missing, the test is skipped.
    """
    try:
        require_oracle()
    except BadInput as error:
        pytest.skip(str(error))
    inputs_path, result_path = folder / "inputs.npz", folder / "result.npz"
    np.savez(inputs_path, **inputs)
    command = [sys.executable, "-c", _FRAME, str(inputs_path), str(result_path), script]
    done = subprocess.run(command, cwd=ROOT, env=os.environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    with np.load(result_path) as archive:
        return dict(archive)
