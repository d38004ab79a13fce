"""``long-curves``: one training of each side at default sizes, on a stroke set of one's own, from the same weights.

Both sides draw their own random numbers, in float32. One run a side allows no test of their means
(:mod:`parity_tests.curves.permutation_test` is one); it shows the costs at the size at which people train. Each side
is run by its own trainer, ours by ``train.py``. Whatever is interrupted goes on from its last checkpoint.
"""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout

from parity_tests.curves.long_report import content, markdown
from parity_tests.curves.plan import FIRST_SEED, WEIGHTS_SEED
from parity_tests.curves.plots import long_picture
from parity_tests.record.launch import require_oracle, run_official
from parity_tests.record.long_run import COSTS_FILE, INITIAL, PROVENANCE, read_costs
from parity_tests.record.machine import cores
from parity_tests.record.quantities import COSTS
from parity_tests.report.out_folder import remove_results, start_folder, write_results
from pytorch_sketch_rnn.data.npz import read_npz
from pytorch_sketch_rnn.errors import BadInput
from pytorch_sketch_rnn.hparams import HParams
from pytorch_sketch_rnn.json_file import read_json
from pytorch_sketch_rnn.training.run_log import CURVES_FILE, read_curves
from weight_port.folder import convert_source
from weight_port.source import open_source

DECODER = "layer_norm"
VALIDATIONS = 10  # in a run
FEWEST_STEPS = 3 * VALIDATIONS  # three between two validations: a straight line, and a scatter around it
MAGENTA, OURS, CONVERTED = "magenta", "ours", "initial"  # folders below the output folder
PLAN, LOCK = "plan.json", ".lock"  # what the folder was begun for
DATA, TABLE, PICTURE = "long-curves.json", "long-curves.md", "long-curves.png"
PROGRESS = 30  # seconds between two lines


def run_long(out: Path, strokes: Path, steps: int, *, say: Callable[[str], None] = print) -> int:
    """Train both sides once, or go on with it, and write ``long-curves.json``, ``.md`` and ``.png``.

    Args:
        out: folder for the results and both runs.
        strokes: the stroke set, an ``.npz`` file.
        steps: length of a run; a validation at its end and at every tenth part of it.
        say: where progress goes.

    Returns:
        0; the curves are shown, not judged.

    Raises:
        BadInput: when the official code is not installed, the stroke set cannot be used, the folder belongs to
            something else, or one of the two processes fails.
    """
    require_oracle()
    if steps < FEWEST_STEPS or steps % VALIDATIONS:
        raise BadInput(f"--steps is {steps}, expected a multiple of {VALIDATIONS}, at least {FEWEST_STEPS}")
    strokes = strokes.resolve()
    _check_set(strokes)
    plan = {"strokes": str(strokes), "sha256": sha256(strokes.read_bytes()).hexdigest(), "steps": steps}
    with _folder(out, plan):
        _train_official(out / MAGENTA, strokes, steps, say)
        theirs = whole(read_costs(out / MAGENTA / COSTS_FILE), steps, out / MAGENTA / COSTS_FILE)
        _train_ours(out, strokes, steps, say)
        ours = whole(our_curves(out / OURS / CURVES_FILE), steps, out / OURS / CURVES_FILE)
        official = read_json(out / MAGENTA / PROVENANCE, "what the official process wrote at its end")
        result = content(strokes.name, theirs, ours, official)
        title = f"{strokes.name}: one run of each side, each with its own random numbers"
        long_picture(out / PICTURE, title, result)
        text = markdown(result, PICTURE)
        paths = write_results(out, {DATA: json.dumps(result, allow_nan=False) + "\n", TABLE: text})
    say(f"\n{text}\nwrote {', '.join(map(str, [*paths, out / PICTURE]))}")
    return 0


def our_curves(path: Path) -> dict[str, np.ndarray]:
    """The costs of one of our runs, in the form of :func:`parity_tests.record.long_run.read_costs`."""
    curves = read_curves(path)
    columns = ("step", *COSTS, "seconds")
    return {f"{split}/{name}": curves[split][name] for split in ("train", "valid") for name in columns}


def whole(curves: dict[str, np.ndarray], steps: int, path: Path) -> dict[str, np.ndarray]:
    """The curves of a file.

    Raises:
        BadInput: when a step or a validation is missing, or a cost is not finite.
    """
    for split, expected in (("train", range(steps + 1)), ("valid", range(0, steps + 1, steps // VALIDATIONS)[1:])):
        if curves[f"{split}/step"].tolist() != list(expected):
            raise BadInput(f"{path}: expected each {split} step from {expected[0]} to {expected[-1]}; start again")
        for name in COSTS:
            wrong = np.flatnonzero(~np.isfinite(curves[f"{split}/{name}"]))
            if len(wrong):
                raise BadInput(f"{path}: {name} of {split} step {expected[wrong[0]]} is not finite; there is no curve")
    return curves


def _check_set(strokes: Path) -> None:
    """Raise BadInput unless both trainers can train and validate on a stroke set."""
    batch_size = HParams().batch_size
    counts = {split: len(sketches) for split, sketches in read_npz(strokes).items()}
    few = [f"{counts.get(split, 0)} in {split}" for split in ("train", "valid", "test")]
    if any(counts.get(split, 0) < batch_size for split in ("train", "valid", "test")):
        raise BadInput(f"{strokes}: expected a batch of {batch_size} sketches in each split, got {', '.join(few)}")
    if "," in strokes.name:
        raise BadInput(f"{strokes}: --data_set separates names by commas; rename the file")


@contextmanager
def _folder(out: Path, plan: Mapping[str, Any]) -> Iterator[None]:
    """Keep a folder for one process, begun for this plan, and without earlier results."""
    path, new = out / PLAN, not out.is_dir() or all(file.name == LOCK for file in out.iterdir())
    if not new and not path.is_file():
        raise BadInput(f"{out}: holds files and no {PLAN}: long-curves did not begin it; choose another --out")
    if not new and (found := read_json(path, "what a folder of long-curves was begun for")) != plan:
        begun = found if isinstance(found, dict) else {}
        what = f"{begun.get('steps')} steps on {begun.get('strokes')}, SHA-256 {begun.get('sha256')}"
        raise BadInput(f"{out}: was begun with {what}; now it is {plan['steps']} on {plan['strokes']}, "
                       f"{plan['sha256']}; choose another --out")  # fmt: skip
    start_folder(out, ())
    lock = FileLock(out / LOCK, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise BadInput(f"{out}: another process trains there; wait for it, or stop it first") from None
    try:
        if new:
            write_results(out, {PLAN: json.dumps(plan) + "\n"})
        remove_results(out, (DATA, TABLE, PICTURE))
        yield
    finally:
        lock.release()


def _sizes(strokes: Path, steps: int) -> dict[str, Any]:
    # the last step is one that a validation follows: Magenta validates after step save_every, 2 save_every, ...
    sizes = {"num_steps": steps + 1, "save_every": steps // VALIDATIONS}
    return {"data_set": [strokes.name], "dec_model": DECODER, **sizes}


def _train_official(folder: Path, strokes: Path, steps: int, say: Callable[[str], None]) -> None:
    if (folder / PROVENANCE).is_file():
        return
    folder.mkdir(exist_ok=True)
    task = {
        "do": "long",
        "hparams": _sizes(strokes, steps),
        "data_dir": str(strokes.parent),
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
            try:
                found = read_costs(path)["train/step"]
            except BadInput:  # it has not begun, or is being replaced
                continue
            if len(found):
                say(f"Magenta: step {found[-1]} of {steps} ({time.monotonic() - started:.0f} s since this start)")

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
        flags += ["--preset=magenta", f"--data_dir={strokes.parent}", f"--data_set={strokes.name}"]
        flags += [f"--init_from={out / CONVERTED}", f"--seed={FIRST_SEED['ours']}", "--device=cpu"]
    command = [sys.executable, "-m", "pytorch_sketch_rnn", "train", f"--save_dir={out / OURS}", *flags]
    say(f"ours: {' '.join(command[1:])}")
    process = subprocess.Popen(command, env=os.environ | {"OMP_NUM_THREADS": str(cores())})
    try:
        code = process.wait()
    except KeyboardInterrupt:
        process.wait()  # the terminal interrupts it too, and it saves its state
        raise
    if code == 130:
        raise KeyboardInterrupt
    if code:
        ended = f"ended with exit code {code}; its message is above" if code > 0 else f"was killed by signal {-code}"
        raise BadInput(f"our training {ended}")
