"""What only POSIX systems have is not needed: every module is imported, and a model trained, without it."""

import os
import subprocess
import sys
from pathlib import Path

from training_sets import random_splits

from pytorch_sketch_rnn.data.packed_writer import PackedWriter
from pytorch_sketch_rnn.training.checkpoint import CHECKPOINTS, checkpoint_path

ROOT = Path(__file__).parents[3]
# The official code runs in a process of its own under TensorFlow, which is not part of what users install.
SCRIPT = r"""
import importlib, os, pkgutil, signal, sys, types, warnings

for name in list(sys.modules):  # modules that the standard library imports if they are there
    assert name not in ("fcntl", "resource", "termios", "pty"), name
sys.modules["tensorboard.compat.notf"] = types.ModuleType("tensorboard.compat.notf")  # TensorFlow takes long
import matplotlib.figure, torch.utils.tensorboard, tqdm  # these take care of themselves

class Refuse:
    names = {"fcntl", "termios", "resource", "pwd", "grp", "pty", "tty", "syslog", "crypt", "nis"}
    def find_spec(self, name, path=None, target=None):
        if name in self.names:
            raise ModuleNotFoundError(f"no {name} on this system", name=name)

for name in Refuse.names:
    sys.modules.pop(name, None)
sys.meta_path.insert(0, Refuse())
for module, names in ((os, ("sysconf", "pread", "pwrite", "sched_getaffinity", "getuid", "geteuid", "fork", "killpg",
                            "getpgid", "setsid", "mkfifo", "fchmod", "O_NOFOLLOW")),
                      (signal, ("SIGHUP", "SIGKILL", "SIGALRM", "alarm", "setitimer", "SIGUSR1"))):
    for name in names:
        delattr(module, name)
import filelock
imported = 0
for package in ("pytorch_sketch_rnn", "weight_port", "parity_tests"):
    for found in pkgutil.walk_packages(importlib.import_module(package).__path__, f"{package}."):
        if not found.name.startswith(("parity_tests.official", "parity_tests.tests", "parity_tests.fixtures")):
            importlib.import_module(found.name)
            imported += 1
from pytorch_sketch_rnn.__main__ import main
from pytorch_sketch_rnn.errors import run_command
warnings.simplefilter("ignore")  # filelock says that it uses a file as a lock where there is no other
flags = ["--enc_rnn_size=4", "--dec_rnn_size=5", "--z_size=2", "--num_mixture=2", "--batch_size=4", "--save_every=2",
         "--data_dir=.", f"--data_set={sys.argv[1]}", "--save_dir=run"]
assert run_command(main, ["train", *flags, "--num_steps=3"]) == 0
assert run_command(main, ["train", "--save_dir=run", "--resume", "--num_steps=4"]) == 0
print(imported, "modules")
"""


def test_every_module_is_imported_and_a_model_trained_without_what_only_posix_has(tmp_path):
    with PackedWriter(tmp_path / "set.h5") as writer:  # its reader prefers what only POSIX has
        for split, sketches in random_splits(train=20).items():
            for sketch in sketches:
                writer.add(split, sketch)
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, "set.h5"],
        cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]
    assert "resuming run at step 3" in done.stdout
    assert int(done.stdout.split()[-2]) > 150


def test_the_names_in_a_runs_folder_are_names_on_windows():
    reserved = set('<>:"|?*')
    devices = {"CON", "PRN", "AUX", "NUL", *(f"{port}{number}" for port in ("COM", "LPT") for number in range(10))}
    for path in (checkpoint_path(Path("run"), 500), Path("run") / CHECKPOINTS):
        assert not reserved & set(str(path))
        parts = path.parts
        assert not any(part.partition(".")[0].upper() in devices or part.endswith((".", " ")) for part in parts)
