"""The small recordings in ``fixtures/``, made by the official process and locked by their SHA-256."""

import hashlib
import tempfile
from pathlib import Path

from parity_tests.record.configurations import (
    DATA_HPARAMS,
    FIXTURES,
    HYPER_SMALL,
    INITIALS,
    TRAINING_FIXTURE_SKETCHES,
    TRAINING_FIXTURES,
    cell_jobs,
)
from parity_tests.record.launch import record_task, require_oracle, run_official, short_kanji, train_task, training_task
from parity_tests.record.recording import FOLDER, Recording
from pytorch_sketch_rnn.data.kanji import kanji_splits
from pytorch_sketch_rnn.data.npz import write_npz
from pytorch_sketch_rnn.errors import BadInput
from pytorch_sketch_rnn.files import atomic_path

LOCK = "SHA256SUMS"
SEED = 1
SKETCHES = 120


def record_fixtures(out: Path) -> list[Path]:
    """Train and record every small configuration with official Magenta, and lock the result.

    Raises:
        BadInput: when the official code is not installed, or its process fails; then nothing is changed.
    """
    require_oracle()
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(f"{out}: cannot be created ({error.strerror}); choose another --out") from None
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        recorded = scratch / "recorded"
        recorded.mkdir()
        strokes = scratch / "kanji.npz"
        write_npz(strokes, kanji_splits(SKETCHES, seed=SEED, valid_fraction=0.2, test_fraction=0.2))
        tasks = [{"do": "record", "seed": SEED, "out": str(recorded), "strokes": str(strokes), "data": DATA_HPARAMS}]
        tasks[0]["cells"] = cell_jobs(units=8, batch=3, steps=6, hyper=HYPER_SMALL)
        tasks[0]["initial"] = list(INITIALS)
        run_official(tasks, scratch, "cells")
        short = scratch / "kanji-short.npz"
        write_npz(short, short_kanji(**TRAINING_FIXTURE_SKETCHES, seed=SEED))
        for run in TRAINING_FIXTURES:
            run_official([training_task(run, short, recorded, SEED)], scratch, f"training-{run.name}")
        for configuration in FIXTURES:
            prefix = scratch / configuration.name / f"vector-{configuration.train_steps}"
            tasks = [
                train_task(configuration, strokes, prefix.parent, SEED),
                record_task(configuration, str(prefix), strokes, recorded, SEED),
            ]
            run_official(tasks, scratch, configuration.name)
        return _publish(sorted(recorded.glob("*.h5")), out)


def _publish(recorded: list[Path], out: Path) -> list[Path]:
    """Move the recordings into place, delete locked ones that are no longer recorded, and lock the new ones."""
    before = _locked(out / LOCK) if (out / LOCK).is_file() else {}
    sums = []
    for path in recorded:
        content = path.read_bytes()
        with atomic_path(out / path.name) as temporary:
            temporary.write_bytes(content)
        sums.append(f"{hashlib.sha256(content).hexdigest()}  {path.name}\n")
    for name in set(before) - {path.name for path in recorded}:
        (out / name).unlink(missing_ok=True)
    with atomic_path(out / LOCK) as temporary:
        temporary.write_text("".join(sums), encoding="utf-8")
    return [out / path.name for path in recorded]


def _locked(lock: Path) -> dict[str, str]:
    """The SHA-256 of each recording in the lock, by name."""
    lines = [line.split("  ") for line in lock.read_text(encoding="utf-8").splitlines()]
    if not lines or any(len(line) != 2 for line in lines):
        raise BadInput(f"{lock}: expected lines of a SHA-256, two spaces and a name; record with `make fixtures`")
    return {name: sha256 for sha256, name in lines}


def fixture_paths(folder: Path = FOLDER) -> list[Path]:
    """Paths of the locked recordings, each checked against its SHA-256.

    Raises:
        BadInput: when the lock is missing, or a recording is missing, unknown or has another SHA-256.
    """
    lock = folder / LOCK
    if not lock.is_file():
        raise BadInput(f"{lock}: is missing; record the fixtures with `make fixtures`")
    locked = _locked(lock)
    found = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.glob("*.h5"))}
    if found != locked:
        wrong = sorted(name for name in found | locked if found.get(name) != locked.get(name))
        raise BadInput(
            f"{folder}: {', '.join(wrong)} do not match {lock.name}; record the fixtures with `make fixtures`"
        )
    return [folder / name for name in sorted(found)]


def load_fixtures(folder: Path = FOLDER) -> dict[str, Recording]:
    """The locked recordings by name."""
    recordings = {path.stem: Recording.load(path) for path in fixture_paths(folder)}
    for stem, recording in recordings.items():
        if stem != recording.name.replace("/", "-"):
            raise BadInput(f"{folder / stem}.h5: holds the recording {recording.name}; record with `make fixtures`")
    return {recording.name: recording for recording in recordings.values()}
