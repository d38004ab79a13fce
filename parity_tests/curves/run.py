"""``make curves``: official Magenta and ours train on the same strokes from the same weights; are their curves equal?

*Replayed*: both sides get the same batches, masks and noise, in float64, so their curves must coincide; this is the
proof of :mod:`parity_tests.judge.training`. *Independent*: each side draws its own random numbers, in float32 as in
real use, several times over, and the means are compared (:mod:`parity_tests.curves.permutation_test`). To show what
that test can catch, ours also trains with planted departures, each of which must be found.
"""

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from parity_tests.curves.permutation_test import all_partitions, compare_curves, rejection_limit
from parity_tests.curves.plan import FULL, CurvesPlan, Departure
from parity_tests.curves.plots import independent_picture, replayed_picture
from parity_tests.curves.report import content, markdown
from parity_tests.curves.results import CurvesResult, Independent, Replayed
from parity_tests.curves.training import record_and_replay, record_independent, recording_path, train_ours
from parity_tests.curves.workers import Calls, workers
from parity_tests.record.configurations import CURVE_SKETCHES, SEED, TRAINING_SKETCHES, TrainingRun
from parity_tests.record.launch import require_oracle, short_kanji
from parity_tests.record.recording import Recording
from parity_tests.report.out_folder import start_folder, write_results
from pytorch_sketch_rnn.data.npz import write_npz

DATA, TABLE = "curves.json", "curves.md"


def run_curves(out: Path, plan: CurvesPlan = FULL, *, say: Callable[[str], None] = print) -> int:
    """Train both sides, compare, and write ``curves.json``, ``curves.md`` and the pictures.

    Args:
        out: folder for the results; the recordings go into folders below it.
        plan: what is run.
        say: where progress goes.

    Returns:
        0 if the curves are equal and every planted departure was found, else 1.

    Raises:
        BadInput: when the official code is not installed, its process fails, or the folder cannot be written.
    """
    require_oracle()
    rejection_limit(plan.alpha, len(all_partitions(plan.runs)))  # fails now if the plan has too few runs
    start_folder(out, file_names(FULL))
    started = time.monotonic()
    strokes = {"replayed": out / "kanji-replayed.npz", "independent": out / "kanji-independent.npz"}
    for kind, sketches in (("replayed", TRAINING_SKETCHES), ("independent", CURVE_SKETCHES)):
        say(f"writing {sketches['sketches']} short kanji of the package kanjivg to {strokes[kind]}")
        write_npz(strokes[kind], short_kanji(**sketches, seed=SEED))
    with workers(say) as run_calls:
        official = run_calls(_official_calls(plan, out, strokes))
        ours = run_calls(_our_calls(plan, out, strokes["independent"]))
    replays = [official[f"replayed {run.name}"] for run in plan.replayed]
    result = _compared(plan, out, replays, ours)
    result.seconds = time.monotonic() - started
    _write(out, result)
    say(f"\n{markdown(result)}\nwrote {', '.join(str(out / name) for name in file_names(plan))}")
    return 0 if result.passed else 1


def file_names(plan: CurvesPlan) -> list[str]:
    """The names of all files that a comparison leaves for the reader."""
    pictures = [f"replayed-{run.name}.png" for run in plan.replayed]
    pictures += [f"independent-{run.name}.png" for run in plan.independent]
    return [DATA, TABLE, *pictures]


def _compared(plan: CurvesPlan, out: Path, replays: list[Replayed], ours: Mapping[str, Any]) -> CurvesResult:
    result = CurvesResult(plan, replays, [], [], {}, 0.0)
    planted = {}
    for run in plan.independent:
        recording = Recording.load(recording_path(out, run.name))
        result.provenance = recording.provenance
        theirs = recording["float32"]
        for departure in plan.variants(run):
            runs = [ours[_title(run.name, departure, index)] for index in range(plan.runs)]
            stacked = {name: np.stack([each[name] for each in runs]) for name in runs[0]}
            comparison = compare_curves(theirs, stacked, plan.sizes(run), plan.alpha)
            if departure is None:
                result.independent.append(Independent(run.name, theirs, stacked, comparison))
            else:
                planted[departure.name] = Independent(departure.name, theirs, stacked, comparison)
    result.planted = [planted[departure.name] for departure in plan.departures]
    return result


def _write(out: Path, result: CurvesResult) -> None:
    for each in result.replayed:
        if each.curves is not None:
            title = f"{each.name}: training with the same random numbers, float64"
            replayed_picture(out / f"replayed-{each.name}.png", title, each.curves, each.official_drift)
    for run, found in zip(result.plan.independent, result.independent, strict=True):
        title = f"{found.name}: {result.plan.runs} runs of each side, each with random numbers of its own, float32"
        path = out / f"independent-{found.name}.png"
        independent_picture(path, title, found.theirs, found.ours, found.comparison, run.hparams["save_every"])
    write_results(out, {DATA: json.dumps(content(result), allow_nan=False) + "\n", TABLE: markdown(result)})


# --- the training runs, each a call for a process of its own ---


def _slowest_first(runs: tuple[TrainingRun, ...]) -> list[TrainingRun]:
    """Runs in the order in which both processes end at about the same time."""
    return sorted(runs, key=lambda run: run.name != "hyper")


def _official_calls(plan: CurvesPlan, out: Path, strokes: Mapping[str, Path]) -> Calls:
    calls: Calls = {}
    for run in _slowest_first(plan.independent):
        arguments = (run, plan.runs, out, strokes["independent"])
        calls[f"Magenta {run.name}, {plan.runs} runs"] = (record_independent, arguments)
    for run in _slowest_first(plan.replayed):
        calls[f"replayed {run.name}"] = (record_and_replay, (run, out / f"replayed-{run.name}", strokes["replayed"]))
    return calls


def _our_calls(plan: CurvesPlan, out: Path, strokes: Path) -> Calls:
    calls: Calls = {}
    for run in _slowest_first(plan.independent):
        for departure in plan.variants(run):
            for index in range(plan.runs):
                changes = dict(departure.hparams) if departure else {}
                seed = plan.first_seed(departure) + index
                arguments = (recording_path(out, run.name), strokes, seed, changes)
                calls[_title(run.name, departure, index)] = (train_ours, arguments)
    return calls


def _title(cell: str, departure: Departure | None, index: int) -> str:
    return f"ours {cell}, run {index + 1}{f' ({departure.name})' if departure else ''}"
