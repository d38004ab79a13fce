"""``make parity``: official Magenta trains, saves and is recorded; each model is converted and compared."""

import shutil
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import safetensors.numpy

from parity_tests.compare import Row, compare
from parity_tests.configurations import DATA_HPARAMS, HYPER_DEFAULT, LIVE, Configuration, cell_jobs
from parity_tests.oracle import record_task, require_oracle, run_official, train_task
from parity_tests.port import replay
from parity_tests.recording import Recording
from parity_tests.report import Report, start_report
from pytorch_sketch_rnn.errors import BadInput
from pytorch_sketch_rnn.kanji import kanji_splits
from pytorch_sketch_rnn.model import WEIGHTS_FILE
from pytorch_sketch_rnn.npz import write_npz
from weight_port.convert import optimizer_names
from weight_port.folder import OPTIMIZER_FILE, convert_source
from weight_port.names import weight_names
from weight_port.source import Source, open_source

SEED = 1
# what a recording of each kind must hold
PRECISIONS = {"model": ("float64", "float32"), "cell": ("float64", "float32", "exact"), "data": ("exact",)}
SKETCHES = 400  # kanji; enough for a batch of every split
PROCESSES = 2
BELOW_FLOOR = "the KL cost below its floor, in every conditional model"
ABOVE_FLOOR = "the KL cost above a floor that is not zero, in every conditional model"
CLIPPED = "gradients that the clip cuts, in every model"
SPARED = "gradients that the clip leaves alone, in every model"


def run_parity(out: Path, say: Callable[[str], None] = print) -> Report:
    """Train, record, convert and compare every configuration; everything lands below ``out``.

    Raises:
        BadInput: when the official code is not installed, or its process fails.
    """
    require_oracle()
    start_report(out)
    strokes = out / "kanji.npz"
    say(f"drawing {SKETCHES} kanji from the package kanjivg into {strokes}")
    write_npz(strokes, kanji_splits(SKETCHES, seed=SEED, valid_fraction=0.1, test_fraction=0.1))
    rows: list[Row] = []
    recordings: list[Recording] = []
    converted: set[str] = set()
    for name, paths in _recorded(out, strokes, say):
        for path in paths:
            recording = Recording.load(path)
            rows += compare_recording(recording)
            recordings.append(_small_part(recording))
            if recording.name == f"{name}/as_is":
                with open_source(out / name / "magenta") as source:
                    rows += compare_converted(source, out / name / "pytorch", recording)
                converted.add(name)
    seen = conditions(recordings) | {
        "every checkpoint converted": converted == {configuration.name for configuration in LIVE},
        "every cell alone, and the data loader": {"cell/lstm", "cell/layer_norm", "cell/hyper", "data"}
        <= {recording.name for recording in recordings},
    }
    return Report("Parity with official Magenta 2.1.4", rows, seen, recordings[0].provenance)


def compare_recording(recording: Recording) -> list[Row]:
    """Replay a recording in every precision that its kind must hold.

    Raises:
        BadInput: when it lacks one.
    """
    rows = []
    for precision in PRECISIONS[recording.kind]:
        if precision not in recording.groups:
            raise BadInput(f"recording {recording.name}: lacks the {precision} run; record it anew")
        rows += compare(replay(recording, precision), recording, precision)
    return rows


def conditions(recordings: Iterable[Recording]) -> dict[str, bool]:
    """What every model that it concerns must have met in one of its recordings, lest a bug hide."""
    seen: dict[str, set[str]] = {name: set() for name in (BELOW_FLOOR, ABOVE_FLOOR, CLIPPED, SPARED)}
    models, conditional = set(), set()
    for recording in recordings:
        if recording.kind != "model":
            continue
        official, model = recording["float64"], recording.name.split("/")[0]
        models.add(model)
        if recording.hparams["conditional"]:
            conditional.add(model)
            at_floor = float(official["train/kl_cost"]) == recording.hparams["kl_tolerance"] > 0
            seen[BELOW_FLOOR if at_floor else ABOVE_FLOOR].add(model)
        for name in official:
            if name.startswith("gradient/"):
                same = official[name] == official[name.replace("gradient/", "clipped/", 1)]
                if not same.all():
                    seen[CLIPPED].add(model)
                if same.any():
                    seen[SPARED].add(model)
    wanted = {BELOW_FLOOR: conditional, ABOVE_FLOOR: conditional, CLIPPED: models, SPARED: models}
    return {name: seen[name] == wanted[name] for name in wanted if wanted[name]}


def _recorded(out: Path, strokes: Path, say: Callable[[str], None]) -> Iterable[tuple[str, list[Path]]]:
    """Run the official side, two processes at a time; yield what each configuration left, as it comes."""
    work: dict[str, Callable[[], list[Path]]] = {
        configuration.name: lambda c=configuration: _train_and_record(c, out / c.name, strokes)
        for configuration in LIVE
    }
    work["cells"] = lambda: _record_cells(out / "cells", strokes)
    started = time.monotonic()
    with ThreadPoolExecutor(PROCESSES) as pool:
        # the longest first, so that the two processes end together
        running = {pool.submit(work[name]): name for name in sorted(work, key=lambda name: "hyper" not in name)}
        try:
            for done, future in enumerate(as_completed(running), start=1):
                name, paths = running[future], future.result()
                say(f"[{done}/{len(work)}] {name}: official run recorded ({time.monotonic() - started:.0f} s)")
                yield name, paths
        finally:
            pool.shutdown(cancel_futures=True)


def _fresh(folder: Path) -> None:
    """An empty folder: nothing that an earlier run left may be taken for this run's.

    Raises:
        BadInput: when there is something in it that no earlier run left.
    """
    if folder.exists() and not (folder / f"{folder.name}.job.json").is_file() and any(folder.iterdir()):
        raise BadInput(f"{folder}: holds something else than an earlier run; choose another --out")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)


def _train_and_record(configuration: Configuration, folder: Path, strokes: Path) -> list[Path]:
    _fresh(folder)
    prefix = folder / "magenta" / f"vector-{configuration.train_steps}"
    tasks = [
        train_task(configuration, strokes, prefix.parent, SEED),
        record_task(configuration, str(prefix), strokes, folder, SEED),
    ]
    run_official(tasks, folder, configuration.name)
    return [folder / f"{configuration.name}-{variant}.h5" for variant in ("as_is", "moved")]


def _record_cells(folder: Path, strokes: Path) -> list[Path]:
    _fresh(folder)
    task = {"do": "record", "seed": SEED, "out": str(folder), "strokes": str(strokes), "data": DATA_HPARAMS}
    task["cells"] = cell_jobs(units=48, batch=5, steps=20, hyper=HYPER_DEFAULT)
    run_official([task], folder, "cells")
    return sorted(folder.glob("*.h5"))


def compare_converted(
    source: Source, converted: Path, recording: Recording, flags: Mapping[str, Any] | None = None
) -> list[Row]:
    """Convert a model, and hold every array in the folder against what the official side read, bit for bit."""
    inferred, plan = convert_source(source, converted, flags, force=converted.exists())
    ours = safetensors.numpy.load_file(converted / WEIGHTS_FILE)
    if plan.optimizer:
        ours |= safetensors.numpy.load_file(converted / OPTIMIZER_FILE)
    weights = weight_names(inferred.hparams)
    official_names = {ours: official for official, ours in (weights | optimizer_names(weights)).items()}
    ours = {f"converted/{official_names[name]}": value for name, value in ours.items()}
    theirs = {f"converted/{name}": value for name, value in recording["weights"].items() if name not in plan.skipped}
    if not plan.optimizer:  # the official graph has slots of its own then
        theirs = {name: value for name, value in theirs.items() if name.removeprefix("converted/") in weights}
    bare = Recording("model", recording.name, recording.hparams, recording.provenance, {"exact": theirs})
    return compare(ours, bare, "exact")


def _small_part(recording: Recording) -> Recording:
    """What :func:`conditions` looks at, so that large recordings need not all stay in memory."""
    if recording.kind != "model":
        return recording
    names = ("train/kl_cost", "gradient/", "clipped/")
    kept = {name: value for name, value in recording["float64"].items() if name.startswith(names)}
    return Recording(recording.kind, recording.name, recording.hparams, recording.provenance, {"float64": kept})
