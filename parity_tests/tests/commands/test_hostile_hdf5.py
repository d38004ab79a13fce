"""Every command that opens a stranger's HDF5 file lets another process open it first."""

import os
import shutil
import signal

import numpy as np
import pytest
from sample_models import checkpoint, tiny

import parity_tests.__main__
import pytorch_sketch_rnn.__main__
import weight_port.__main__
from parity_tests.record.recording import FOLDER
from pytorch_sketch_rnn.data import hdf5_probe
from pytorch_sketch_rnn.data.npz import SPLITS
from pytorch_sketch_rnn.data.packed_writer import PackedWriter
from pytorch_sketch_rnn.errors import run_command
from pytorch_sketch_rnn.hparams import HParams
from pytorch_sketch_rnn.model.sketch_rnn import SketchRNN
from weight_port.tensor_bundle_writer import write_bundle

pytestmark = pytest.mark.skipif(os.name == "nt", reason="this system has no signals")
CRASH = "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)"
OURS = pytorch_sketch_rnn.__main__.main
COMMANDS = {
    "train": (OURS, ["train", "--data_dir=.", "--data_set=set.h5", "--save_dir=out"], "set.h5"),
    "sample": (OURS, ["sample", "model", "--like", "set.h5", "-o", "out.svg"], "set.h5"),
    "evaluate": (OURS, ["evaluate", "model", "set.h5"], "set.h5"),
    "convert": (weight_port.__main__.main, ["convert", "magenta", "out", "--data", "set.h5"], "set.h5"),
    "verify": (parity_tests.__main__.main, ["verify", "--recording", "a.h5", "--out", "out"], "a.h5"),
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    SketchRNN(HParams(enc_rnn_size=2, dec_rnn_size=2, z_size=2, num_mixture=1), seed=1).save_pretrained("model")
    write_bundle(tmp_path / "magenta/vector-1000", checkpoint(tiny()))
    shutil.copy(FOLDER / "cell-lstm.h5", "a.h5")
    with PackedWriter(tmp_path / "set.h5") as writer:
        for split in SPLITS:
            writer.add(split, np.int16([[3, 4, 0], [-5, 6, 1]]))
    return tmp_path


@pytest.mark.parametrize("name", COMMANDS)
def test_a_file_that_crashes_libhdf5_is_one_line(name, folder, monkeypatch, capsys):
    monkeypatch.setattr(hdf5_probe, "_PROBE", CRASH)
    main, arguments, file = COMMANDS[name]
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert run_command(main, arguments) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert f"{file}: expected an HDF5 file that can be opened" in line
    assert f"crashes libhdf5 (exit code -{int(signal.SIGSEGV)})" in line
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_a_module_in_the_working_folder_is_not_imported(folder):
    (folder / "h5py.py").write_text("open('sentinel', 'w')")
    hdf5_probe.probe_hdf5(folder / "set.h5", numbers=False)
    assert not (folder / "sentinel").exists()
