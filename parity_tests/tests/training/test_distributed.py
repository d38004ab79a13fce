"""Several processes train as one does; a process that dies ends the run with a state that resumes."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from training_sets import random_splits

from pytorch_sketch_rnn.data.npz import write_npz
from pytorch_sketch_rnn.distributed import Group
from pytorch_sketch_rnn.errors import BadInput
from pytorch_sketch_rnn.model.sketch_rnn import SketchRNN
from pytorch_sketch_rnn.training.checkpoint import checkpoints
from pytorch_sketch_rnn.training.run_log import read_curves

ROOT = Path(__file__).parents[3]
# seen 9e-16 for costs and 2e-14 for weights after 20 steps, in float64
ALLOWED = 1e-10
FLAGS = [
    "--enc_model=lstm", "--dec_model=layer_norm", "--enc_rnn_size=6", "--dec_rnn_size=8", "--z_size=3",
    "--num_mixture=2", "--batch_size=10", "--data_set=set.npz", "--dtype=float64", "--save_every=10",
    "--input_dropout=0.2", "--output_dropout=0.2", "--kl_weight_start=0.3",
]  # fmt: skip


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    write_npz(folder / "set.npz", random_splits(train=40, valid=27))
    return folder


def command(data, save_dir, processes, *flags):
    torchrun = ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={processes}"] if processes else []
    return [sys.executable, *torchrun, str(ROOT / "train.py"), f"--data_dir={data}", f"--save_dir={save_dir}",
            *FLAGS, *flags]  # fmt: skip


def train(data, save_dir, processes, *flags):
    done = subprocess.run(command(data, save_dir, processes, *flags), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module", params=["0.0001", "5"], ids=["KL above its floor", "KL below it"])
def single(request, data):
    flags = ["--num_steps=20", f"--kl_tolerance={request.param}"]
    folder = data / f"single-{request.param}"
    train(data, folder, 0, *flags)
    return folder, flags


@pytest.mark.parametrize("processes", [2, 3])
def test_several_processes_train_as_one_does(data, single, processes):
    folder, flags = single
    shared = folder.with_name(f"{folder.name}-{processes}")
    output = train(data, shared, processes, *flags)
    assert output.count("done. Draw with it") == 1  # one process talks
    ours, theirs = read_curves(shared / "curves.csv"), read_curves(folder / "curves.csv")
    for split, columns in theirs.items():
        for name, values in columns.items():
            if name != "seconds":
                np.testing.assert_allclose(ours[split][name], values, rtol=ALLOWED, atol=0, err_msg=f"{split} {name}")
    assert len(theirs["train"]["cost"]) == 20
    ours, theirs = (SketchRNN.from_pretrained(path).state_dict() for path in (shared, folder))
    for name, weight in theirs.items():
        assert (ours[name] - weight).abs().max() <= ALLOWED * weight.abs().max(), name


def test_batches_are_spread_over_all_processes_without_gap_or_overlap():
    for batch_size in range(1, 12):
        for size in range(1, batch_size + 1):
            rows = [Group(rank, size).rows(batch_size) for rank in range(size)]
            assert [row for part in rows for row in part] == list(range(batch_size))
            assert max(map(len, rows)) - min(map(len, rows)) <= 1
    with pytest.raises(BadInput, match="at least a row for each"):
        Group(0, 4).rows(3)


def test_alone_nothing_is_sent():
    value = torch.ones(3)
    assert Group().sum(value) is value
    assert Group().told("owl") == "owl"


def test_a_process_that_dies_ends_the_run_with_a_state_that_resumes(data, tmp_path):
    folder = tmp_path / "run"
    argv = command(data, folder, 2, "--num_steps=100000", "--save_every=5")
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        deadline = time.monotonic() + 120
        while not list(checkpoints(folder))[1:]:
            assert time.monotonic() < deadline
            assert process.poll() is None, process.stdout.read()
            time.sleep(0.2)
        os.kill(_worker(process.pid), signal.SIGKILL)
        output, _ = process.communicate(timeout=120)
    assert process.returncode != 0
    assert "lost another one (Connection closed by peer" in output, output
    done = max(checkpoints(folder))
    train(data, folder, 2, "--resume", f"--num_steps={done + 2}")
    assert len(read_curves(folder / "curves.csv")["train"]["step"]) == done + 2


def _worker(parent: int) -> int:
    """A process that torchrun started."""
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    return int(children[-1])


def test_an_error_of_the_leader_is_told_once(data, tmp_path):
    (tmp_path / "run").mkdir()
    done = subprocess.run(command(data, tmp_path / "run", 2), capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert done.stderr.count("exists already") == 1


def test_a_state_says_how_many_processes_there_were(data, single):
    folder, _ = single
    state = json.loads((checkpoints(folder)[20] / "training.json").read_text())
    assert (state["processes"], state["threads"]) == (1, 1)
