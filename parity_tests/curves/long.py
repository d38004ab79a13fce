"""``long-curves``: one training of each side at default sizes, on a stroke set of one's own, from the same weights.

Both sides draw their own random numbers, in float32. One run a side allows no test of their means
(:mod:`parity_tests.curves.permutation_test` is one); it shows the costs at the size at which people train. Each side
is run as its users run it: the official trainer with its loop, ours with ``train.py``. Whatever is interrupted goes on
from its last checkpoint.
"""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from parity_tests.curves.long_report import content, markdown
from parity_tests.curves.plan import FIRST_SEED, WEIGHTS_SEED
from parity_tests.curves.plots import long_picture
from parity_tests.record.launch import require_oracle, run_official
from parity_tests.record.long_run import COSTS_FILE, INITIAL, PROVENANCE, read_costs
from parity_tests.record.machine import cores
from parity_tests.record.quantities import COSTS
from parity_tests.report.out_folder import start_folder, write_results
from pytorch_sketch_rnn.data.npz import read_npz
from pytorch_sketch_rnn.errors import BadInput
from pytorch_sketch_rnn.training.run_log import CURVES_FILE, read_curves
from weight_port.folder import convert_source
from weight_port.source import open_source

DECODER = "layer_norm"
VALIDATIONS = 10  # in a run
FEWEST_STEPS = 3 * VALIDATIONS  # between two validations, for a straight line and a scatter around it
MAGENTA, OURS, CONVERTED = "magenta", "ours", "initial"  # folders below the output folder
PLAN = "plan.json"  # what the folder was begun for
PROGRESS = 30  # seconds between two lines


def run_long(out: Path, strokes: Path, steps: int, *, say: Callable[[str], None] = print) -> int:
    """Train both sides once, or go on with it, and write ``<name>.json``, ``<name>.md`` and ``<name>.png``.

    Args:
        out: folder for the results and both runs.
        strokes: the stroke set, an ``.npz`` file; the results have its name.
        steps: length of a run; a validation at its end and at every tenth part of it.
        say: where progress goes.

    Returns:
        0; the curves are shown, not judged.

    Raises:
        BadInput: when the official code is not installed, the stroke set cannot be read, the folder belongs to another
            comparison, or one of the two processes fails.
    """
    require_oracle()
    if steps < FEWEST_STEPS or steps % VALIDATIONS:
        raise BadInput(f"--steps is {steps}, expected a multiple of {VALIDATIONS}, at least {FEWEST_STEPS}")
    read_npz(strokes)
    name = strokes.stem
    start_folder(out, [f"{name}.json", f"{name}.md", f"{name}.png"])
    _begin(out, {"strokes": str(strokes.resolve()), "steps": steps})
    _train_official(out / MAGENTA, strokes, steps, say)
    _train_ours(out, strokes, steps, say)
    theirs, ours = read_costs(out / MAGENTA / COSTS_FILE), our_curves(out / OURS / CURVES_FILE)
    official = json.loads((out / MAGENTA / PROVENANCE).read_text(encoding="utf-8"))
    result = content(strokes.name, theirs, ours, official)
    long_picture(out / f"{name}.png", f"{strokes.name}: one run of each side, each with its own random numbers", result)
    texts = {f"{name}.json": json.dumps(result, allow_nan=False) + "\n", f"{name}.md": markdown(result, name)}
    paths = [*write_results(out, texts), out / f"{name}.png"]
    say(f"\n{markdown(result, name)}\nwrote {', '.join(map(str, paths))}")
    return 0


def our_curves(path: Path) -> dict[str, np.ndarray]:
    """The costs of one of our runs, in the form of :func:`parity_tests.record.long_run.read_costs`."""
    curves = read_curves(path)
    columns = ("step", *COSTS, "seconds")
    return {f"{split}/{name}": curves[split][name] for split in ("train", "valid") for name in columns}


def _begin(out: Path, plan: dict[str, Any]) -> None:
    """Record what a folder is for, or check that it was begun for the same."""
    path = out / PLAN
    if not path.is_file():
        write_results(out, {PLAN: json.dumps(plan) + "\n"})
    elif (found := json.loads(path.read_text(encoding="utf-8"))) != plan:
        raise BadInput(f"{out}: was begun with {found['steps']} steps on {found['strokes']}; choose another --out")


def _sizes(strokes: Path, steps: int) -> dict[str, Any]:
    # the last step is one that a validation follows: Magenta validates after step 0, save_every, 2 save_every, ...
    sizes = {"num_steps": steps + 1, "save_every": steps // VALIDATIONS}
    return {"data_set": [strokes.name], "dec_model": DECODER, **sizes}


def _train_official(folder: Path, strokes: Path, steps: int, say: Callable[[str], None]) -> None:
    if (folder / PROVENANCE).is_file():
        return
    folder.mkdir(exist_ok=True)
    task = {
        "do": "long",
        "hparams": _sizes(strokes, steps),
        "data_dir": str(strokes.resolve().parent),
        "out": str(folder.resolve()),
        "weights_seed": WEIGHTS_SEED,
        "seed": FIRST_SEED["Magenta"],
    }
    with _progress(folder / COSTS_FILE, steps, say):
        run_official([task], folder, "magenta", {"OFFICIAL_THREADS": str(cores())})


@contextmanager
def _progress(path: Path, steps: int, say: Callable[[str], None]) -> Iterator[None]:
    """Say now and then how far the official process is."""
    done = threading.Event()

    def watch() -> None:
        started = time.monotonic()
        while not done.wait(PROGRESS):
            if path.is_file() and len(count := read_costs(path)["train/step"]):
                say(f"Magenta: step {count[-1]} of {steps} ({time.monotonic() - started:.0f} s)")

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        done.set()
        watcher.join()


def _train_ours(out: Path, strokes: Path, steps: int, say: Callable[[str], None]) -> None:
    """Train with our program, from the converted initial weights of the official run."""
    if not (out / CONVERTED).is_dir():
        with open_source(out / MAGENTA / INITIAL) as source:
            convert_source(source, out / CONVERTED, {})
    flags = ["--resume"]
    if not (out / OURS).is_dir():
        sizes = _sizes(strokes, steps)
        flags = [f"--{name}={sizes[name]}" for name in ("num_steps", "save_every", "dec_model")]
        flags += ["--preset=magenta", f"--data_dir={strokes.resolve().parent}", f"--data_set={strokes.name}"]
        flags += [f"--init_from={out / CONVERTED}", f"--seed={FIRST_SEED['ours']}", "--device=cpu"]
    command = [sys.executable, "-m", "pytorch_sketch_rnn", "train", f"--save_dir={out / OURS}", *flags]
    say(f"ours: {' '.join(command[1:])}")
    environment = os.environ | {"OMP_NUM_THREADS": str(cores())}
    if (code := subprocess.run(command, env=environment, check=False).returncode) != 0:
        raise BadInput(f"our training ended with exit code {code}; its message is above")
