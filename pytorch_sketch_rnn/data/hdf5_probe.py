"""Opens a stranger's HDF5 file in a process of its own first.

libhdf5 trusts the structure of a file: one that was made to harm can crash it, and this process with it. Checksums do
not help, because whoever made the file also made them. Nothing is taken from the other process but that it survived.
"""

import subprocess
import sys
from pathlib import Path

from pytorch_sketch_rnn.errors import BadInput

SECONDS = 60  # seen for a file of 10 MB: 0.5, most of it the start of Python
_CODE_OF_PYTHON = range(3)  # that of an exception is 1, and the reader itself meets the same one
# Reads what the readers may read: all attributes, and all numbers that the file's own bytes can hold.
_PROBE = """
import sys, h5py
def read(name, found):
    dict(found.attrs)
    if isinstance(found, h5py.Dataset):
        properties = found.id.get_create_plist()
        if not properties.get_external_count() and found.nbytes <= 1032 * found.id.get_storage_size():
            if sys.argv[2] == "all":
                found[()]
with h5py.File(sys.argv[1], "r", locking=False) as file:
    read("/", file)
    file.visititems(read)
"""


def probe_hdf5(path: Path, *, numbers: bool) -> None:
    """Check that a file does not crash libhdf5, or keep it busy without end. It may be damaged nevertheless.

    Args:
        path: the file.
        numbers: whether the numbers are read as well; a packed set's are not read by libhdf5.

    Raises:
        BadInput: when the file crashes the other process, or takes more than ``SECONDS``.
    """
    # -P: a module of this name in the working folder, which may be a stranger's, is not imported
    command = [sys.executable, "-P", "-c", _PROBE, str(path.absolute()), "all" if numbers else "structure"]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            timeout=SECONDS, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise BadInput(
            f"{path}: expected an HDF5 file that can be opened, got one that keeps libhdf5 busy for more than "
            f"{SECONDS} seconds: it is damaged, or made to harm"
        ) from None
    if done.returncode not in _CODE_OF_PYTHON:
        raise BadInput(
            f"{path}: expected an HDF5 file that can be opened, got one that crashes libhdf5 (exit code "
            f"{done.returncode}): it is damaged, or made to harm"
        )
