"""The official runs of ``make parity``: Magenta trains, saves its checkpoints, and is recorded."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from functools import partial
from pathlib import Path

from parity_tests.record.configurations import (
    DATA_HPARAMS,
    HYPER_DEFAULT,
    INITIALS,
    LIVE,
    LIVE_SKETCHES,
    TRAINING_SKETCHES,
    TRAININGS,
    Configuration,
    TrainingRun,
    cell_jobs,
)
from parity_tests.record.launch import record_task, run_official, short_kanji, train_task, training_task
from parity_tests.report.out_folder import empty_folder
from pytorch_sketch_rnn.data.kanji import kanji_splits
from pytorch_sketch_rnn.data.npz import write_npz

PROCESSES = 2
_SLOW = ("default-sizes", "hyper", "hyper-unconditional")  # started first, so that the two processes end together

OfficialRuns = dict[str, Callable[[], list[Path]]]  # name -> what runs it and returns the paths of its recordings


def official_runs(
    out: Path, seed: int, *, models: bool, trainings: bool, say: Callable[[str], None] = print
) -> OfficialRuns:
    """Prepare the official runs, the longest first.

    Args:
        out: folder for the stroke sets; each run writes to a folder of its own below it.
        seed: of the strokes, the weights, the batches and all random numbers.
        models: whether single steps of every kind of model are recorded.
        trainings: whether whole training runs are recorded.
        say: where progress goes.
    """
    runs: OfficialRuns = {}
    if trainings:
        strokes = out / "kanji-short.npz"
        say(f"writing {TRAINING_SKETCHES['sketches']} short kanji of the package kanjivg to {strokes}")
        write_npz(strokes, short_kanji(**TRAINING_SKETCHES, seed=seed))
        for run in sorted(TRAININGS, key=lambda run: run.name != "hyper"):
            runs[f"training-{run.name}"] = partial(_record_training, run, out / f"training-{run.name}", strokes, seed)
    if models:
        strokes_of_models = out / "kanji.npz"
        say(f"writing {LIVE_SKETCHES} kanji of the package kanjivg to {strokes_of_models}")
        write_npz(strokes_of_models, kanji_splits(LIVE_SKETCHES, seed=seed, valid_fraction=0.1, test_fraction=0.1))
        for configuration in sorted(LIVE, key=lambda configuration: configuration.name not in _SLOW):
            runs[configuration.name] = partial(
                _train_and_record, configuration, out / configuration.name, strokes_of_models, seed
            )
        runs["cells"] = lambda: _record_cells(out / "cells", strokes_of_models, seed)
    return runs


def recorded(runs: OfficialRuns, say: Callable[[str], None] = print) -> Iterator[tuple[str, list[Path]]]:
    """Run everything, two processes at a time, and yield the name and the recordings of each run as it ends.

    Raises:
        BadInput: when an official process fails.
    """
    started = time.monotonic()
    with ThreadPoolExecutor(PROCESSES) as pool:
        running = {pool.submit(run): name for name, run in runs.items()}
        try:
            for done, future in enumerate(as_completed(running), start=1):
                name, paths = running[future], future.result()
                say(f"[{done}/{len(runs)}] {name}: official run recorded ({time.monotonic() - started:.0f} s)")
                yield name, paths
        finally:
            pool.shutdown(cancel_futures=True)


def _train_and_record(configuration: Configuration, folder: Path, strokes: Path, seed: int) -> list[Path]:
    empty_folder(folder)
    prefix = folder / "magenta" / f"vector-{configuration.train_steps}"
    tasks = [
        train_task(configuration, strokes, prefix.parent, seed),
        record_task(configuration, str(prefix), strokes, folder, seed),
    ]
    run_official(tasks, folder, configuration.name)
    return [folder / f"{configuration.name}-{variant}.h5" for variant in ("as_is", "moved")]


def _record_training(run: TrainingRun, folder: Path, strokes: Path, seed: int) -> list[Path]:
    empty_folder(folder)
    run_official([training_task(run, strokes, folder, seed)], folder, folder.name)
    return [folder / f"training-{run.name}.h5"]


def _record_cells(folder: Path, strokes: Path, seed: int) -> list[Path]:
    empty_folder(folder)
    task = {"do": "record", "seed": seed, "out": str(folder), "strokes": str(strokes), "data": DATA_HPARAMS}
    task["cells"] = cell_jobs(units=48, batch=5, steps=20, hyper=HYPER_DEFAULT)
    task["initial"] = list(INITIALS)
    run_official([task], folder, "cells")
    return sorted(folder.glob("*.h5"))
