"""``make curves``: official Magenta and ours train on the same strokes from the same weights; are their curves equal?

*Replayed*: both are given the same batches, masks and noise, in float64, so that the curves lie on each other; this is
the proof of :mod:`parity_tests.judge.training`. *Independent*: each side draws random numbers of its own, in float32,
as in real use, several times over; then the means are compared (:mod:`parity_tests.curves.permutation_test`). The same
run shows what that test can catch: ours trains again with planted departures, each of which must be found.
"""

import dataclasses
import json
import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from multiprocessing import active_children, get_context, parent_process
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import torch

from parity_tests.commands.live import SEED, fresh_folder
from parity_tests.curves.permutation_test import COSTS, allowed_partitions, halves, judge
from parity_tests.curves.plots import independent_picture, replayed_picture
from parity_tests.curves.report import (
    FIRST_SEED,
    WEIGHTS_SEED,
    Departure,
    Independent,
    Plan,
    Replayed,
    Result,
    content,
    markdown,
)
from parity_tests.judge.training import judge_training
from parity_tests.ours import Adapter
from parity_tests.record.configurations import (
    CURVE_RUNS,
    CURVE_SKETCHES,
    CURVES,
    TRAINING_SKETCHES,
    TRAININGS,
    TrainingRun,
)
from parity_tests.record.launch import require_oracle, run_official, short_kanji, training_task
from parity_tests.record.recording import Recording
from pytorch_sketch_rnn.data.batches import Sets
from pytorch_sketch_rnn.data.npz import read_npz, write_npz
from pytorch_sketch_rnn.errors import BadInput
from pytorch_sketch_rnn.files import atomic_path
from pytorch_sketch_rnn.hparams import HParams
from pytorch_sketch_rnn.model.sketch_rnn import SketchRNN
from pytorch_sketch_rnn.training.trainer import NotFinite, Options, Trainer
from weight_port.convert import convert_variables, make_plan

PROCESSES = 2
DATA, TABLE = "curves.json", "curves.md"
NO_DROPOUT = Departure("the recurrent dropout is missing", "lstm", {"use_recurrent_dropout": False})
NO_DECAY = Departure("the learning rate does not decay", "lstm", {"decay_rate": 1.0})
FULL = Plan(TRAININGS, CURVES, (NO_DROPOUT, NO_DECAY), CURVE_RUNS)
QUICK_RUNS = 6  # the fewest that can show a difference at the level of the test: 462 ways to part 12 runs


def quick() -> Plan:
    """The same in small: a look at whether everything works."""

    def shorter(run: TrainingRun, steps: int, save_every: int) -> TrainingRun:
        return dataclasses.replace(run, hparams=run.hparams | {"num_steps": steps, "save_every": save_every})

    return Plan(
        replayed=tuple(shorter(run, 20, 10) for run in TRAININGS),
        independent=tuple(shorter(run, 101, 50) for run in CURVES),
        departures=(NO_DECAY,),  # what a missing dropout does takes more steps to show
        runs=QUICK_RUNS,
    )


def run_curves(out: Path, plan: Plan = FULL, *, say: Callable[[str], None] = print) -> int:
    """Train both sides, compare, and write ``curves.json``, ``curves.md`` and the pictures.

    Args:
        out: folder for all of it; what both sides recorded goes into folders below it.
        plan: what is run.
        say: where progress goes.

    Returns:
        0 where the curves are equal and every planted departure was found, else 1.

    Raises:
        BadInput: when the official code is not installed, its process fails, or the folder cannot be written.
    """
    require_oracle()
    allowed_partitions(plan.alpha, len(halves(plan.runs)))  # a plan that could show nothing is told now
    _start(out)
    started = time.monotonic()
    strokes = {"replayed": out / "kanji-replayed.npz", "independent": out / "kanji-independent.npz"}
    for kind, sketches in (("replayed", TRAINING_SKETCHES), ("independent", CURVE_SKETCHES)):
        say(f"drawing {sketches['sketches']} short kanji from the package kanjivg into {strokes[kind]}")
        write_npz(strokes[kind], short_kanji(**sketches, seed=SEED))
    with _workers(say) as each:
        official = each(_official_work(plan, out, strokes))
        ours = each(_our_work(plan, out, strokes["independent"]))
    replays = [official[f"replayed {run.name}"] for run in plan.replayed]
    result = _judged(plan, out, replays, ours)
    result.seconds = time.monotonic() - started
    _write(out, result)
    say(f"\n{markdown(result)}\nwrote {', '.join(map(str, _files(out, plan)))}")
    return 0 if result.passed else 1


def _judged(plan: Plan, out: Path, replays: list[Replayed], ours: Mapping[str, Any]) -> Result:
    result = Result(plan, replays, [], [], {}, 0.0)
    planted = {}
    for run in plan.independent:
        recording = Recording.load(_recording_path(out, run.name))
        result.provenance = recording.provenance
        theirs = recording["float32"]
        for departure in plan.variants(run):
            runs = [ours[_title(run.name, departure, index)] for index in range(plan.runs)]
            stacked = {name: np.stack([each[name] for each in runs]) for name in runs[0]}
            judgement = judge(theirs, stacked, plan.sizes(run), plan.alpha)
            if departure is None:
                result.independent.append(Independent(run.name, theirs, stacked, judgement))
            else:
                planted[departure.name] = Independent(departure.name, theirs, stacked, judgement)
    result.planted = [planted[departure.name] for departure in plan.departures]
    return result


def _files(out: Path, plan: Plan) -> list[Path]:
    pictures = [f"replayed-{run.name}.png" for run in plan.replayed]
    pictures += [f"independent-{run.name}.png" for run in plan.independent]
    return [out / name for name in (DATA, TABLE, *pictures)]


def _start(out: Path) -> None:
    """Make the folder, and remove earlier results from it, lest they be taken for the new."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        for path in _files(out, FULL):
            path.unlink(missing_ok=True)
    except OSError as error:
        raise BadInput(f"{out}: cannot be written ({error.strerror}); choose another --out") from None


def _write(out: Path, result: Result) -> None:
    for each in result.replayed:
        if each.curves is not None:
            title = f"{each.name}: training with the same random numbers, float64"
            replayed_picture(out / f"replayed-{each.name}.png", title, each.curves, each.official_drift)
    for run, each in zip(result.plan.independent, result.independent, strict=True):
        title = f"{each.name}: {result.plan.runs} runs of each side, each with random numbers of its own, float32"
        path = out / f"independent-{each.name}.png"
        independent_picture(path, title, each.theirs, each.ours, each.judgement, run.hparams["save_every"])
    texts = {DATA: json.dumps(content(result), allow_nan=False) + "\n", TABLE: markdown(result)}
    for name, text in texts.items():
        with atomic_path(out / name) as temporary:
            temporary.write_text(text, encoding="utf-8")


# --- the work, two pieces at a time ---

Work = dict[str, tuple[Callable[..., Any], tuple[Any, ...]]]  # by title


def _slowest_first(runs: tuple[TrainingRun, ...]) -> list[TrainingRun]:
    """So that both processes end together."""
    return sorted(runs, key=lambda run: run.name != "hyper")


def _official_work(plan: Plan, out: Path, strokes: Mapping[str, Path]) -> Work:
    work: Work = {}
    for run in _slowest_first(plan.independent):
        arguments = (run, plan.runs, out, strokes["independent"])
        work[f"Magenta {run.name}, {plan.runs} runs"] = (record_independent, arguments)
    for run in _slowest_first(plan.replayed):
        work[f"replayed {run.name}"] = (replay, (run, out / f"replayed-{run.name}", strokes["replayed"]))
    return work


def _our_work(plan: Plan, out: Path, strokes: Path) -> Work:
    work: Work = {}
    for run in _slowest_first(plan.independent):
        for departure in plan.variants(run):
            for index in range(plan.runs):
                changes = dict(departure.hparams) if departure else {}
                seed = _seed(plan, departure) + index
                arguments = (_recording_path(out, run.name), strokes, seed, changes)
                work[_title(run.name, departure, index)] = (train_ours, arguments)
    return work


def _seed(plan: Plan, departure: Departure | None) -> int:
    """Of the first of some runs of ours."""
    if departure is None:
        return FIRST_SEED["ours"]
    return FIRST_SEED["planted"] + plan.departures.index(departure) * plan.runs


def _title(cell: str, departure: Departure | None, index: int) -> str:
    return f"ours {cell}, run {index + 1}{f' ({departure.name})' if departure else ''}"


def _recording_path(out: Path, cell: str) -> Path:
    return out / f"independent-{cell}" / f"curves-{cell}.h5"


def replay(run: TrainingRun, folder: Path, strokes: Path) -> Replayed:
    """Record a run of the official trainer in a folder, replay it with ours, and compare."""
    fresh_folder(folder)
    run_official([training_task(run, strokes, folder, SEED)], folder, folder.name)
    return replayed(Recording.load(folder / f"training-{run.name}.h5"))


def replayed(recording: Recording) -> Replayed:
    """What ours makes of a recorded run."""
    rows, curves = judge_training(recording, Adapter())
    drift = {}
    for name in COSTS:
        theirs = recording["float64"][f"steps/{name}"]
        runs = [values for key, values in recording["official_drift"].items() if key.split("/")[1] == name]
        drift[name] = (np.abs(np.array(runs) - theirs).max(axis=0) / np.abs(theirs).max()).tolist()
    return Replayed(recording.name.removeprefix("training/"), rows, curves, drift)


def record_independent(run: TrainingRun, runs: int, out: Path, strokes: Path) -> None:
    """Let the official trainer run so many times; the recording goes below ``out``."""
    folder = _recording_path(out, run.name).parent
    fresh_folder(folder)
    curves = {
        "name": run.name,
        "hparams": run.hparams | {"data_set": [strokes.name]},
        "hyper": run.hyper,
        "seeds": [FIRST_SEED["Magenta"] + index for index in range(runs)],
        "weights_seed": WEIGHTS_SEED,
    }
    task = {"do": "record", "seed": WEIGHTS_SEED, "out": str(folder), "strokes": str(strokes), "curves": [curves]}
    run_official([task], folder, folder.name)


def train_ours(path: Path, strokes: Path, seed: int, changes: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Train ours once, with the official trainer's weights to begin with.

    Args:
        path: the recording of the official runs.
        strokes: the set that they trained on.
        seed: of all random numbers.
        changes: hyperparameters that are not Magenta's.

    Returns:
        ``train/cost`` [steps], ``valid/cost`` [validations] and the like; NaN from where the training went astray.
    """
    recording = Recording.load(path)
    hparams = HParams.from_dict(recording.hparams | changes)
    sets = Sets.from_splits(read_npz(strokes), hparams)
    model = SketchRNN(sets.hparams, seed)
    weights = recording["weights"]
    converted = convert_variables(weights, make_plan({name: v.shape for name, v in weights.items()}, hparams))
    model.load_state_dict({name: torch.tensor(value) for name, value in converted.weights.items()})
    trainer = Trainer(model, sets, Options(seed=seed, validate_as_magenta=True))
    train = np.full((hparams.num_steps, len(COSTS)), np.nan)
    valid = np.full(((hparams.num_steps - 1) // hparams.save_every, len(COSTS)), np.nan)
    try:
        for step in range(hparams.num_steps):
            result = trainer.step()
            train[step] = result.cost, result.r_cost, result.kl_cost
            if step > 0 and step % hparams.save_every == 0:
                valid[step // hparams.save_every - 1] = trainer.validate("valid")
    except NotFinite:
        pass  # the costs that are not there say it
    curves = {"train": train, "valid": valid}
    return {f"{split}/{name}": values[:, i] for split, values in curves.items() for i, name in enumerate(COSTS)}


@contextmanager
def _workers(say: Callable[[str], None]) -> Iterator[Callable[[Work], dict[str, Any]]]:
    """Processes that do pieces of work; should anything fail, or Ctrl-C come, none is left behind."""
    started, pool = time.monotonic(), ProcessPoolExecutor(PROCESSES, get_context("spawn"), _start_worker)

    def each(work: Work) -> dict[str, Any]:
        futures = {pool.submit(do, *arguments): title for title, (do, arguments) in work.items()}
        results = {}
        for future in as_completed(futures):
            results[futures[future]] = future.result()
            say(f"[{len(results)}/{len(work)}] {futures[future]} ({time.monotonic() - started:.0f} s)")
        return results

    try:
        yield each
    except BaseException as error:
        for process in active_children():
            process.terminate()  # one that has no group yet
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
        if isinstance(error, BrokenProcessPool):
            raise BadInput("a process that trained was killed: out of memory? run it again") from None
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def _start_worker() -> None:
    """Be a group with whatever this process starts, which ends as one: when told to, or when nobody is left to tell."""
    torch.set_num_threads(1)
    os.setpgid(0, 0)
    Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent_process().join()
    os.killpg(0, signal.SIGTERM)
