"""Where a recording comes from: versions, hashes, machine, command and seed."""

import hashlib
import platform
from importlib.metadata import version
from typing import Any

from parity_tests.official.magenta import THREADS, official_folder
from parity_tests.record.machine import machine

COMMAND: list[str] = []  # what the user typed, from the job


def provenance(seed: int) -> dict[str, Any]:
    """Versions, SHA-256 of the official source files, the machine, the libraries, the command and the seed."""
    files = sorted(official_folder().glob("*.py"))
    return {
        "official": "magenta/models/sketch_rnn, its files as they are, behind a stand-in for the tf that they see; "
        "only the default sizes of HyperLSTMCell's inner cell may be set",
        "versions": {name: version(name) for name in ("magenta", "tensorflow", "tf_keras", "numpy", "h5py")}
        | {"python": platform.python_version()},
        "sha256": {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files},
        **machine(),
        "threads": THREADS,
        "linear algebra": f"Eigen, oneDNN {'on' if onednn() else 'off'}",
        "command": list(COMMAND),
        "seed": seed,
    }


def onednn() -> bool:
    """Whether TensorFlow uses oneDNN, as the environment says or as TensorFlow chose for this processor."""
    from tensorflow.python.util import _pywrap_util_port

    return bool(_pywrap_util_port.IsMklEnabled())
