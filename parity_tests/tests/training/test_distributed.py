"""Training in several processes equals training in one; if a process dies, the run ends and can be resumed."""

import json
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from training_sets import random_splits

from pytorch_sketch_rnn.data.npz import write_npz
from pytorch_sketch_rnn.distributed import Group, join
from pytorch_sketch_rnn.errors import BadInput, run_command
from pytorch_sketch_rnn.model.sketch_rnn import SketchRNN
from pytorch_sketch_rnn.training.checkpoint import checkpoints
from pytorch_sketch_rnn.training.command import main
from pytorch_sketch_rnn.training.run_log import read_curves

ROOT = Path(__file__).parents[3]
# largest difference seen after 20 steps in float64: 9e-16 for costs, 2e-14 for weights
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


def arguments(data, save_dir, *flags):
    return [f"--data_dir={data}", f"--save_dir={save_dir}", *FLAGS, *flags]


def command(data, save_dir, processes, *flags):
    torchrun = ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={processes}"]
    return [sys.executable, *torchrun, str(ROOT / "train.py"), *arguments(data, save_dir, *flags)]


def train(data, save_dir, processes, *flags):
    done = subprocess.run(command(data, save_dir, processes, *flags), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module", params=["0.0001", "5"], ids=["KL above its floor", "KL below it"])
def single(request, data):
    flags = ["--num_steps=20", f"--kl_tolerance={request.param}"]
    folder = data / f"single-{request.param}"
    assert run_command(main, arguments(data, folder, *flags)) == 0
    return folder, flags


@pytest.mark.parametrize("processes", [2, pytest.param(3, marks=pytest.mark.slow)])
def test_training_in_several_processes_equals_training_in_one(data, single, processes):
    folder, flags = single
    shared = folder.with_name(f"{folder.name}-{processes}")
    output = train(data, shared, processes, *flags)
    assert output.count("done. Draw with it") == 1  # only rank 0 prints
    ours, theirs = read_curves(shared / "curves.csv"), read_curves(folder / "curves.csv")
    for split, columns in theirs.items():
        for name, values in columns.items():
            if name != "seconds":
                np.testing.assert_allclose(ours[split][name], values, rtol=ALLOWED, atol=0, err_msg=f"{split} {name}")
    assert len(theirs["train"]["cost"]) == 20
    ours, theirs = (SketchRNN.from_pretrained(path).state_dict() for path in (shared, folder))
    for name, weight in theirs.items():
        assert (ours[name] - weight).abs().max() <= ALLOWED * weight.abs().max(), name


def test_every_row_of_a_batch_belongs_to_exactly_one_process():
    for batch_size in range(1, 12):
        for size in range(1, batch_size + 1):
            rows = [Group(rank, size).rows(batch_size) for rank in range(size)]
            assert [row for part in rows for row in part] == list(range(batch_size))
            assert max(map(len, rows)) - min(map(len, rows)) <= 1
    with pytest.raises(BadInput, match="at least a row for each"):
        Group(0, 4).rows(3)


def test_a_group_of_one_sends_nothing():
    value = torch.ones(3)
    assert Group().sum(value) is value
    assert Group().broadcast("owl") == "owl"
    Group().broadcast_tensors([value])
    Group().wait()


OPERATIONS = {
    "sum": lambda group: group.sum(torch.ones(2)),
    "any": lambda group: group.any(True, torch.device("cpu")),
    "broadcast": lambda group: group.broadcast("owl"),
    "broadcast_tensors": lambda group: group.broadcast_tensors([torch.ones(2)]),
    "wait": lambda group: group.wait(),
}


def lose_rank_1(rank, port, operation, errors):
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    group = join(torch.device("cpu"))
    group.wait()
    if rank == 1:
        os._exit(0)
    try:
        OPERATIONS[operation](group)
        OPERATIONS[operation](group)  # a broadcast may leave before it learns that its receiver has ended
    except BaseException as error:
        errors.put((type(error).__name__, str(error)))
    else:
        errors.put(("no error", ""))


@pytest.mark.parametrize("operation", OPERATIONS)
def test_every_operation_reports_a_process_that_has_ended(operation):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    context = multiprocessing.get_context("fork")
    errors = context.Queue()
    processes = [
        context.Process(target=lose_rank_1, args=(rank, port, operation, errors), daemon=True) for rank in range(2)
    ]
    for each in processes:
        each.start()
    try:
        kind, message = errors.get(timeout=60)
    finally:
        for each in processes:
            each.kill()
            each.join()
    assert kind == "LostProcess", message
    assert "\n" not in message


def test_if_a_process_dies_the_run_ends_and_can_be_resumed(data, tmp_path):
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


def test_an_error_on_rank_0_is_reported_once(data, tmp_path):
    (tmp_path / "run").mkdir()
    done = subprocess.run(command(data, tmp_path / "run", 2), capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert done.stderr.count("exists already") == 1


def test_a_checkpoint_records_the_number_of_processes(data, single):
    folder, _ = single
    state = json.loads((checkpoints(folder)[20] / "training.json").read_text())
    assert (state["processes"], state["threads"]) == (1, 1)
