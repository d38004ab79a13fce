"""Starts the official process and waits for it; torch and TensorFlow must not share a process."""

import hashlib
import importlib.metadata
import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from parity_tests.record.configurations import NOISE, Configuration, TrainingRun
from pytorch_sketch_rnn.data.kanji import kanji_splits
from pytorch_sketch_rnn.errors import BadInput

HOW_TO_INSTALL = 'pip install "pytorch-sketch-rnn[oracle,kanji]" and then pip install --no-deps magenta==2.1.4'
OFFICIAL_FOLDER = "magenta/models/sketch_rnn"
# of magenta 2.1.4; any other version is not the official code
OFFICIAL_SHA256 = {
    "__init__.py": "0bd665ec5f7f6f18c873b7bb8863f1e8afce13884c7e517a92fd618c01d68af2",
    "model.py": "957c7ed4073cb3ca72d374bf95d2ac7b64f9cf3f85fd0994b76a81dcb1d5f8f5",
    "rnn.py": "1dc1dd2380535cd0dab21d40edf22ea38eac7eb1108cf049db007912a88c975a",
    "sketch_rnn_train.py": "fc7611e94179fe97f99f4f8b555b777b5c55a0d5b293d941aa9f55be53d9464a",
    "utils.py": "6fd3d53fe39dded2090ce33a8048d7b38ca8b891c7f77b7f96fb2fb8a01266d1",
}


def require_oracle() -> None:
    """Check that TensorFlow and the official Magenta 2.1.4 are installed.

    Raises:
        BadInput: when a package is missing, or Magenta's files are others.
    """
    needed = ("tensorflow", "tf_keras", "six", "requests")
    missing = [name for name in needed if importlib.util.find_spec(name) is None]
    try:
        magenta = importlib.metadata.distribution("magenta")
    except importlib.metadata.PackageNotFoundError:
        missing.append("magenta")
    if missing:
        raise BadInput(f"the official code needs {', '.join(missing)}, not installed here; {HOW_TO_INSTALL}")
    folder = Path(str(magenta.locate_file(OFFICIAL_FOLDER)))
    found = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in folder.glob("*.py")}
    if found != OFFICIAL_SHA256:
        wrong = sorted(n for n in found | OFFICIAL_SHA256 if found.get(n) != OFFICIAL_SHA256.get(n))
        raise BadInput(f"{folder}: {', '.join(wrong)} are not those of magenta 2.1.4; {HOW_TO_INSTALL}")


def run_official(
    tasks: Sequence[dict[str, Any]], folder: Path, name: str, environment: Mapping[str, str] | None = None
) -> None:
    """Run tasks one after the other in one official process; see :mod:`parity_tests.official.__main__`.

    Args:
        tasks: the tasks.
        folder: for the job file and the log.
        name: of both files.
        environment: variables that override those of this process.

    Raises:
        BadInput: when the process fails; the message holds its last line and where its log is.
    """
    job, log = folder / f"{name}.job.json", folder / f"{name}.log"
    command = ["python", "-m", "parity_tests", *sys.argv[1:]]
    job.write_text(json.dumps({"command": command, "tasks": list(tasks)}, indent=1), encoding="utf-8")
    variables = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONUNBUFFERED": "1"} | dict(environment or {})
    with log.open("w", encoding="utf-8") as output:
        command = [sys.executable, "-m", "parity_tests.official", str(job)]
        code = subprocess.run(command, stdout=output, stderr=subprocess.STDOUT, env=variables, check=False).returncode
    if code != 0:
        lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines() or ["no output"]
        end = f"ended with exit code {code}" if code > 0 else f"was killed by signal {-code}"
        raise BadInput(f"the official process {name!r} {end}: {lines[-1]} (log: {log})")


def train_task(configuration: Configuration, strokes: Path, log_root: Path, seed: int) -> dict[str, Any]:
    """Task: train a configuration with official Magenta and save a checkpoint below ``log_root``."""
    hparams = configuration.hparams | {
        "data_set": f"[{strokes.name}]",
        "batch_size": configuration.train_batch,
        "num_steps": configuration.train_steps + 1,
        "save_every": configuration.train_steps,
    }
    return {
        "do": "train",
        "seed": seed,
        "data_dir": str(strokes.parent),
        "log_root": str(log_root),
        "hparams": ",".join(f"{name}={value}" for name, value in hparams.items()),
        "hyper": configuration.hyper,
    }


def record_task(
    configuration: Configuration, weights: str, strokes: Path, out: Path, seed: int, *, own: bool = False
) -> dict[str, Any]:
    """Task: record a model.

    Args:
        configuration: of the model.
        weights: prefix of a checkpoint, or path of a recording that holds them.
        strokes: the stroke set, an .npz file.
        out: folder of the recordings.
        seed: of the batch, the draws and the noise.
        own: record it also on sketches that it draws itself.
    """
    hparams = configuration.hparams | {"batch_size": configuration.batch, "max_seq_len": configuration.steps}
    model = {
        "name": configuration.name,
        "hyper": configuration.hyper,
        "hparams": hparams,
        "weights": weights,
        "noise": NOISE,
        "sample_len": configuration.sample_len,
        "padding": configuration.padding,
        "own": own,
    }
    return {"do": "record", "seed": seed, "out": str(out), "strokes": str(strokes), "models": [model]}


def training_task(run: TrainingRun, strokes: Path, out: Path, seed: int) -> dict[str, Any]:
    """Task: run the official trainer and record it."""
    training = {"name": run.name, "hparams": run.hparams | {"data_set": [strokes.name]}, "hyper": run.hyper}
    return {"do": "record", "seed": seed, "out": str(out), "strokes": str(strokes), "trainings": [training]}


def short_kanji(sketches: int, longest: int, seed: int) -> dict[str, list[np.ndarray]]:
    """Kanji with few points: three fifths for training, one fifth each for validation and test.

    Raises:
        BadInput: when there are not enough.
    """
    drawn = kanji_splits(12 * sketches, seed=seed, valid_fraction=0.2, test_fraction=0.2)
    wanted = {"train": 3 * sketches // 5, "valid": sketches // 5, "test": sketches // 5}
    short = {split: [s for s in drawn[split] if len(s) <= longest][:count] for split, count in wanted.items()}
    if found := {split: len(short[split]) for split, count in wanted.items() if len(short[split]) < count}:
        raise BadInput(f"kanji of at most {longest} points: found {found}, expected {wanted}; allow more points")
    return short
