"""A file that crashes libhdf5, or keeps it busy, is one line; any other goes on to its reader."""

import os
import signal

import h5py
import numpy as np
import pytest

from pytorch_sketch_rnn.data import hdf5_probe
from pytorch_sketch_rnn.data.hdf5_probe import probe_hdf5
from pytorch_sketch_rnn.errors import BadInput

CRASH = "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)"
BUSY = "while True: pass"


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as made:
        made.attrs["name"] = "owl"
        made.create_group("group").create_dataset("numbers", data=np.arange(1000), compression="gzip")
    return path


@pytest.mark.parametrize("numbers", [False, True])
def test_a_sound_file_passes(file, numbers):
    probe_hdf5(file, numbers=numbers)


def test_what_python_itself_notices_is_left_to_the_reader(tmp_path):
    (tmp_path / "b.h5").write_bytes(b"owl")
    probe_hdf5(tmp_path / "b.h5", numbers=True)


@pytest.mark.skipif(os.name == "nt", reason="this system has no signals")
def test_a_crash_is_one_line(file, monkeypatch):
    monkeypatch.setattr(hdf5_probe, "_PROBE", CRASH)
    with pytest.raises(BadInput, match=rf"a\.h5: .* crashes libhdf5 \(exit code -{int(signal.SIGSEGV)}\)"):
        probe_hdf5(file, numbers=True)


def test_a_file_that_keeps_it_busy_is_one_line(file, monkeypatch):
    monkeypatch.setattr(hdf5_probe, "_PROBE", BUSY)
    monkeypatch.setattr(hdf5_probe, "SECONDS", 0.2)
    with pytest.raises(BadInput, match=r"a\.h5: .* busy for more than 0\.2 seconds"):
        probe_hdf5(file, numbers=True)
