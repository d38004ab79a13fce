"""Train, kill the training repeatedly with SIGKILL, resume it, and compare it with an undisturbed run.

``python kill_script.py FOLDER KILLS`` runs as a process of its own because it forks. Half of the kills come at a random
time; the others right before or after a file or folder is renamed, when a state could be half written.
"""

import os
import random
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from training_sets import random_splits

from pytorch_sketch_rnn.data.npz import write_npz
from pytorch_sketch_rnn.errors import run_command
from pytorch_sketch_rnn.model.sketch_rnn import SketchRNN
from pytorch_sketch_rnn.training.command import main
from pytorch_sketch_rnn.training.run_log import read_curves

FLAGS = [
    "--enc_model=lstm", "--dec_model=hyper", "--enc_rnn_size=4", "--dec_rnn_size=5", "--z_size=3", "--num_mixture=2",
    "--batch_size=5", "--input_dropout=0.1", "--data_set=set.npz", "--save_every=3", "--keep=2",
]  # fmt: skip


def started(argv: list[str], before: Callable[[], None] = lambda: None) -> int:
    """Fork a process that trains; returns its process id."""
    pid = os.fork()
    if pid:
        return pid
    code = 70
    try:
        before()
        log = os.open(os.devnull, os.O_WRONLY)
        os.dup2(log, 1)
        code = run_command(main, argv)
    finally:
        os._exit(code)


def die_at_move(number: int, *, after: bool) -> None:
    """Kill this process right before or after rename ``number``, counted from 1."""
    rename, count = os.replace, [0]

    def replace(*arguments: object) -> None:
        count[0] += 1
        if count[0] == number and not after:
            os.kill(os.getpid(), signal.SIGKILL)
        rename(*arguments)
        if count[0] == number:
            os.kill(os.getpid(), signal.SIGKILL)

    os.replace = replace


def killed(status: int) -> bool:
    """Whether the process was killed; an exit code other than 0 is a failure."""
    if os.WIFSIGNALED(status):
        return os.WTERMSIG(status) == signal.SIGKILL
    assert os.WEXITSTATUS(status) == 0, f"the training ended with exit code {os.WEXITSTATUS(status)}"
    return False


def contents(folder: Path) -> dict[str, object]:
    """Everything in a run's folder that must not depend on whether it was killed."""
    curves = read_curves(folder / "curves.csv")
    numbers = {(s, n): v.tolist() for s, by_name in curves.items() for n, v in by_name.items() if n != "seconds"}
    files = [folder / name for name in ("config.json", "model.safetensors", "settings.json")]
    files += [*(folder / "best").iterdir(), *(folder / "samples").iterdir(), *(folder / "checkpoints").rglob("*.*")]
    rest = {str(p.relative_to(folder)): p.read_bytes() for p in files if p.is_file()}
    return numbers | rest


def run(folder: Path, kills: int) -> None:
    """Raises AssertionError when a resumed run differs from the undisturbed one."""
    rng = random.Random(0)
    write_npz(folder / "set.npz", random_splits(train=30, longest=9))
    steps = 30
    flags = [*FLAGS, f"--data_dir={folder}"]
    undisturbed, disturbed = folder / "undisturbed", folder / "disturbed"
    begun = time.monotonic()
    _, status = os.waitpid(started([*flags, f"--save_dir={undisturbed}", f"--num_steps={steps}"]), 0)
    assert not killed(status)
    duration = time.monotonic() - begun
    expected = contents(undisturbed)
    happened = rounds = 0
    while happened < kills:
        rounds += 1
        finished = False
        while not finished:
            argv = [*flags, f"--save_dir={disturbed}", f"--num_steps={steps}"]
            if disturbed.exists():
                argv.append("--resume")
                SketchRNN.from_pretrained(disturbed)  # can be read at any moment
            if happened >= kills:
                _, status = os.waitpid(started(argv), 0)
            elif happened % 2:
                move, after = rng.randint(1, 20), bool(rng.getrandbits(1))
                pid = started(argv, lambda m=move, a=after: die_at_move(m, after=a))
                _, status = os.waitpid(pid, 0)
            else:
                pid = started(argv)
                time.sleep(rng.uniform(0.05, 0.4) * duration)
                os.kill(pid, signal.SIGKILL)
                _, status = os.waitpid(pid, 0)
            if killed(status):
                happened += 1
                print(f"kill {happened}", flush=True)
            else:
                finished = True
        found = contents(disturbed)
        assert found.keys() == expected.keys(), sorted(found.keys() ^ expected.keys())
        different = [name for name in expected if found[name] != expected[name]]
        assert not different, different
        assert [p.name for p in folder.rglob(".*") if p.name != ".lock"] == []
        disturbed.rename(folder / f"disturbed-{rounds}")
    print(f"{happened} kills in {rounds} runs of {steps} steps: every loss, weight and picture is the same, bit by bit")


if __name__ == "__main__":
    torch.set_num_threads(1)
    np.seterr(all="raise")
    run(Path(sys.argv[1]), int(sys.argv[2]))
