"""``python -m benchmarks.packed``: pack millions of sketches, read random batches of them, and train on them.

The sketches are random, have 15 to 80 points like those of QuickDraw, and are deleted afterwards. Resident memory does
not include what the system caches of the file.
"""

import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch

from pytorch_sketch_rnn.command_line import Parser
from pytorch_sketch_rnn.data.batches import Sets
from pytorch_sketch_rnn.data.packed import open_packed
from pytorch_sketch_rnn.data.packed_writer import PackedWriter
from pytorch_sketch_rnn.errors import BadInput, run_command
from pytorch_sketch_rnn.hparams import HParams
from pytorch_sketch_rnn.model.sketch_rnn import SketchRNN
from pytorch_sketch_rnn.training.trainer import Trainer

OUT = Path("out/bench")
BATCH = 100
HELD_OUT = 50  # one sketch in this many goes to validation, and one to test
BLOCK = 10_000  # sketches generated at once
STEPS = 5  # timed training steps


def main(argv: list[str]) -> int:
    """Run the command line; returns the exit code."""
    parser = Parser(prog="python -m benchmarks.packed")
    parser.add_argument("--sketches", type=int, default=2_000_000, help="default 2,000,000")
    parser.add_argument("--batches", type=int, default=2_000, help=f"random batches of {BATCH} (default 2,000)")
    arguments = parser.parse_args(argv)
    for name in ("sketches", "batches"):
        if getattr(arguments, name) < 1:
            raise BadInput(f"--{name} is {getattr(arguments, name)}, expected at least 1")
    OUT.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=OUT) as folder:
        path = Path(folder) / "set.h5"
        _report("packing", lambda: _pack(path, arguments.sketches))
        print(f"the file: {arguments.sketches} sketches, {path.stat().st_size / 1e6:.1f} MB")
        _report("reading", lambda: _read(path, arguments.batches))
        _report("training", lambda: _train(path, arguments.batches))
    return 0


def _report(title: str, work: Callable[[], str]) -> None:
    Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here
    before = _status("VmRSS")
    done = work()
    after, peak = _status("VmRSS"), _status("VmHWM")
    print(f"{title}: {done}; {before:.0f} MB resident before, {after:.0f} after, {peak:.0f} at most", flush=True)


def _pack(path: Path, count: int) -> str:
    drawing = packing = 0.0
    start = time.perf_counter()
    with PackedWriter(path) as writer:
        for number, sketch in enumerate(_sketches(count)):
            made = time.perf_counter()
            drawing += made - start
            writer.add({1: "valid", 2: "test"}.get(number % HELD_OUT, "train"), sketch)
            start = time.perf_counter()
            packing += start - made
    written = time.perf_counter() - start
    seconds = packing + written
    return (
        f"{seconds:.1f} s, {count / seconds:.0f} sketches a second, {written:.1f} s of it for the file at the end "
        f"(and {drawing:.1f} s to draw them)"
    )


def _sketches(count: int) -> Iterator[np.ndarray]:
    """Random sketches, int16 [15 to 80, 3]; the pen is lifted after a tenth of the points."""
    rng = np.random.RandomState(0)
    for begin in range(0, count, BLOCK):
        ends = np.cumsum(rng.randint(15, 81, size=min(BLOCK, count - begin)))
        points = np.empty((ends[-1], 3), np.int16)
        points[:, :2] = rng.normal(scale=30, size=(ends[-1], 2))
        points[:, 2] = rng.random_sample(ends[-1]) < 0.1
        points[ends - 1, 2] = 1
        yield from np.split(points, ends[:-1])


def _read(path: Path, batches: int) -> str:
    rng = np.random.RandomState(1)
    with open_packed(path) as opened:
        start = time.perf_counter()
        points = sum(
            len(opened.train[index]) for _ in range(batches) for index in rng.randint(len(opened.train), size=BATCH)
        )
        seconds = time.perf_counter() - start
    return (
        f"{batches * BATCH / seconds:.0f} sketches a second, {1e3 * seconds / batches:.2f} ms a batch of {BATCH} "
        f"({points} points)"
    )


def _train(path: Path, batches: int) -> str:
    """How fast augmented batches are made, and how fast training steps of the default model use them."""
    with open_packed(path) as opened:
        sets = Sets.from_packed(opened, HParams(dec_model="layer_norm", batch_size=BATCH))
        start = time.perf_counter()
        for step in range(batches):
            sets.train.random_rows(BATCH, 0, step, range(BATCH))
        made = batches * BATCH / (time.perf_counter() - start)
        trainer = Trainer(SketchRNN(sets.hparams, 0), sets)
        trainer.step()
        start = time.perf_counter()
        for _ in range(STEPS):
            trainer.step()
        trained = STEPS * BATCH / (time.perf_counter() - start)
    return (
        f"{made:.0f} sketches a second made into batches, {trained:.0f} trained on by the default model with "
        f"{torch.get_num_threads()} threads: {made / trained:.0f} times as many"
    )


def _status(field: str) -> float:
    """A field of this process's status, in MB."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith(field):
            return int(line.split()[1]) * 1024 / 1e6
    raise LookupError(field)


if __name__ == "__main__":
    sys.exit(run_command(main))
