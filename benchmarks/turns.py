"""Running both sides in turns, each in a process of its own, since TensorFlow and torch must not share one."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.cases import BACKENDS, Case
from pytorch_sketch_rnn.errors import BadInput

Turn = dict[str, Any]


def run_turns(
    case: Case, folder: Path, *, rounds: int, repeats: int, sample_batch: int, first: bool
) -> Iterator[tuple[str, Turn]]:
    """The results of each side in each round: ``official``, then our code with each backend.

    Args:
        case: what is timed.
        folder: for the checkpoint and the job; an empty one.
        rounds: turns of each side.
        repeats: timed training steps in a turn.
        sample_batch: sketches that are drawn at once.
        first: whether to time what is the same in all cases: conversion, batches, random numbers and saves.
    """
    (folder / "magenta").mkdir()
    np.savez(folder / "batch.npz", **_batch(case.hparams["batch_size"], case.hparams["max_seq_len"]))
    job = {
        "hparams": case.hparams,
        "batch": str(folder / "batch.npz"),
        "checkpoint": str(folder / "magenta" / "vector"),
        "converted": str(folder / "pytorch"),
        "warm_up": 3,  # until memory is used again from step to step
        "repeats": repeats,
        "sampling": case.sampling,
        "sample_len": 200,
        "sample_batch": sample_batch,
    }
    for number in range(rounds):
        yield "official", run_job("official_side", job, folder)
        for name in case.backends:
            fast = name == "fast"
            last = first and fast and number == rounds - 1
            yield (
                name,
                run_job(
                    "our_side",
                    job | {"backend": BACKENDS[name], "products": fast, "around": last, "convert": last},
                    folder,
                ),
            )


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


def run_job(side: str, job: dict[str, Any], folder: Path) -> Turn:
    """What ``benchmarks.SIDE`` measures in a process of its own.

    Raises:
        BadInput: when it fails.
    """
    path = folder / "job.json"
    path.write_text(json.dumps(job), encoding="utf-8")
    command = [sys.executable, "-m", f"benchmarks.{side}", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = [line for line in done.stdout.splitlines() if line.startswith("RESULT ")]
    if done.returncode != 0 or not lines:
        last = (done.stderr.strip().splitlines() or ["no output"])[-1]
        raise BadInput(f"benchmarks.{side} ended with exit code {done.returncode}: {last}")
    return json.loads(lines[-1].removeprefix("RESULT "))
