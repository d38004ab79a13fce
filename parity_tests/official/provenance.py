"""Where a recording comes from."""

import hashlib
import platform
from importlib.metadata import version
from typing import Any

from parity_tests.official.standin import official_folder

COMMAND: list[str] = []  # what the user typed; the job says it


def provenance(seed: int) -> dict[str, Any]:
    """Versions, SHA-256 of the official source files, the command and the seed."""
    files = sorted(official_folder().glob("*.py"))
    return {
        "official": "magenta/models/sketch_rnn, its files as they are, behind a stand-in for the tf that they see; "
        "only the default sizes of HyperLSTMCell's inner cell may be set",
        "versions": {name: version(name) for name in ("magenta", "tensorflow", "tf_keras", "numpy", "h5py")}
        | {"python": platform.python_version()},
        "sha256": {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files},
        "machine": platform.machine(),
        "command": list(COMMAND),
        "seed": seed,
    }
