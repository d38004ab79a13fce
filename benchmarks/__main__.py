"""``make bench``: time a training step, sampling and conversion at default sizes, with our code and the official code.

The two sides run in turns, each in its own processes, because TensorFlow and torch must not share one. The table shows
medians. Machines are noisy: read the ratios.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from pytorch_sketch_rnn.command_line import Parser
from pytorch_sketch_rnn.errors import BadInput, run_command

CELLS = ("lstm", "layer_norm", "hyper")
OUT = Path("out/bench/bench.md")


def main(argv: list[str]) -> int:
    """Run the command line; returns the exit code."""
    parser = Parser(prog="python -m benchmarks")
    parser.add_argument("--decoder", choices=CELLS, action="append", help="default: all three")
    parser.add_argument("--steps", type=int, default=128, help="points of the longest sketch (default 128)")
    parser.add_argument("--batch", type=int, default=100, help="sketches in a batch (default 100)")
    parser.add_argument("--rounds", type=int, default=2, help="turns of each side (default 2)")
    parser.add_argument("--repeats", type=int, default=3, help="timed training steps in a turn (default 3)")
    arguments = parser.parse_args(argv)
    for name, least in (("steps", 1), ("batch", 1), ("rounds", 1), ("repeats", 1)):
        if getattr(arguments, name) < least:
            raise BadInput(f"--{name} is {getattr(arguments, name)}, expected at least {least}")
    lines = [
        f"Batch {arguments.batch}, lengths 20 to {arguments.steps}, default sizes, float32; medians.",
        "",
        "| decoder | | official | ours | official / ours |",
        "|---|---|---|---|---|",
    ]
    print("\n".join(lines), flush=True)
    for decoder in arguments.decoder or CELLS:
        with tempfile.TemporaryDirectory() as folder:
            official, ours = _both_sides(decoder, Path(folder), arguments)
        rows = _rows(decoder, official, ours)
        print("\n".join(rows), flush=True)
        lines += rows
    grown = f"{ours['ratio']:.1f} times the checkpoint's {ours['checkpoint_mb']:.0f} MB of memory"
    rows = [
        f"| {decoder} | converting a checkpoint with its optimizer state | | {ours['convert']:.2f} s, {grown} | |",
        f"| any | of a training step: random numbers, ms | | {1e3 * ours['draws']:.1f} | |",
        f"| any | of a training step: its batch, ms | | {1e3 * ours['batch']:.1f} | |",
    ]
    print("\n".join(rows), flush=True)
    lines += rows
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"wrote {OUT}")
    return 0


def _both_sides(decoder: str, folder: Path, arguments: argparse.Namespace) -> tuple[dict[str, Any], dict[str, Any]]:
    hparams = {"dec_model": decoder, "batch_size": arguments.batch, "max_seq_len": arguments.steps}
    job = {
        "hparams": hparams,
        "batch": str(folder / "batch.npz"),
        "checkpoint": str(folder / "magenta" / "vector"),
        "converted": str(folder / "pytorch"),
        "warm_up": 1,
        "repeats": arguments.repeats,
        "sample_len": 200,
        "sample_batch": 100,
    }
    (folder / "magenta").mkdir()
    np.savez(job["batch"], **_batch(arguments.batch, arguments.steps))
    path = folder / "job.json"
    path.write_text(json.dumps(job), encoding="utf-8")
    turns = [[_turn(side, path) for side in ("official_side", "our_side")] for _ in range(arguments.rounds)]
    return _merged([turn[0] for turn in turns]), _merged([turn[1] for turn in turns])


def _batch(batch: int, steps: int) -> dict[str, np.ndarray]:
    """Random sketches, stroke-5 after the start token, with lengths uniform in 20 to ``steps``."""
    rng = np.random.RandomState(0)
    lengths = rng.randint(min(20, steps), steps + 1, size=batch)
    sketches = np.zeros((batch, steps + 1, 5), np.float32)
    sketches[:, 1:, :2] = rng.normal(size=(batch, steps, 2))
    ended = np.arange(1, steps + 1) > lengths[:, None]
    lifted = (rng.random_sample((batch, steps)) < 0.1) & ~ended
    sketches[:, 1:, 4], sketches[:, 1:, 3], sketches[:, 1:, 2] = ended, lifted, ~ended & ~lifted
    sketches[:, 0, 2] = 1
    return {"sketches": sketches, "lengths": lengths}


def _turn(side: str, job: Path) -> dict[str, Any]:
    command = [sys.executable, "-m", f"benchmarks.{side}", str(job)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = [line for line in done.stdout.splitlines() if line.startswith("RESULT ")]
    if done.returncode != 0 or not lines:
        last = (done.stderr.strip().splitlines() or ["no output"])[-1]
        raise BadInput(f"benchmarks.{side} ended with exit code {done.returncode}: {last}")
    return json.loads(lines[-1].removeprefix("RESULT "))


def _merged(turns: list[dict[str, Any]]) -> dict[str, float]:
    """The median of each quantity over all turns; lists of steps are joined first."""
    merged = {}
    for name in turns[0]:
        values = [turn[name] for turn in turns]
        flat = [item for value in values for item in value] if isinstance(values[0], list) else values
        merged[name] = statistics.median(flat)
    return merged


def _rows(decoder: str, official: dict[str, float], ours: dict[str, float]) -> list[str]:
    pairs = (
        ("training step, s", official["step"], ours["step"]),
        ("sampling one sketch, ms a point", 1e3 * official["sample"], 1e3 * ours["sample"]),
        ("sampling 100 at once, ms a point", 1e3 * official["sample"], 1e3 * ours["sample_batch"]),
    )
    return [f"| {decoder} | {title} | {a:#.3g} | {b:#.3g} | {a / b:.1f} |" for title, a, b in pairs]


if __name__ == "__main__":
    sys.exit(run_command(main))
