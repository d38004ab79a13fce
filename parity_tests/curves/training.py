"""The training runs of ``make curves``: replayed on both sides, independent on the official side and on ours."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from parity_tests.curves.permutation_test import COSTS
from parity_tests.curves.plan import FIRST_SEED, WEIGHTS_SEED
from parity_tests.curves.results import Replayed
from parity_tests.judge.training import judge_training
from parity_tests.ours import Adapter
from parity_tests.record.configurations import SEED, TrainingRun
from parity_tests.record.launch import run_official, training_task
from parity_tests.record.recording import Recording
from parity_tests.report.out_folder import empty_folder
from pytorch_sketch_rnn.data.batches import Sets
from pytorch_sketch_rnn.data.npz import read_npz
from pytorch_sketch_rnn.hparams import HParams
from pytorch_sketch_rnn.model.sketch_rnn import SketchRNN
from pytorch_sketch_rnn.training.trainer import NotFinite, Options, Trainer
from weight_port.convert import convert_variables, make_plan


def recording_path(out: Path, cell: str) -> Path:
    """The recording of the independent official runs of a cell."""
    return out / f"independent-{cell}" / f"curves-{cell}.h5"


def record_and_replay(run: TrainingRun, folder: Path, strokes: Path) -> Replayed:
    """Record a run of the official trainer in a folder, and replay it with ours."""
    empty_folder(folder)
    run_official([training_task(run, strokes, folder, SEED)], folder, folder.name)
    return replay(Recording.load(folder / f"training-{run.name}.h5"))


def replay(recording: Recording) -> Replayed:
    """Replay a recorded run with ours, and compare."""
    rows, curves = judge_training(recording, Adapter())
    drift = {}
    for name in COSTS:
        theirs = recording["float64"][f"steps/{name}"]
        runs = [values for key, values in recording["official_drift"].items() if key.split("/")[1] == name]
        drift[name] = (np.abs(np.array(runs) - theirs).max(axis=0) / np.abs(theirs).max()).tolist()
    return Replayed(recording.name.removeprefix("training/"), rows, curves, drift)


def record_independent(run: TrainingRun, runs: int, out: Path, strokes: Path) -> None:
    """Run the official trainer several times, each time with a seed of its own.

    Args:
        run: the training run.
        runs: how many times.
        out: the recording is written to :func:`recording_path` below this folder.
        strokes: the stroke set.
    """
    folder = recording_path(out, run.name).parent
    empty_folder(folder)
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
    """Train ours once, from the initial weights of the official runs.

    Args:
        path: the recording of the official runs.
        strokes: the stroke set that they trained on.
        seed: of all random numbers.
        changes: hyperparameters that differ from Magenta's.

    Returns:
        ``train/<cost>`` [steps] and ``valid/<cost>`` [validations] of each cost; NaN after a cost that is not finite.
    """
    recording = Recording.load(path)
    hparams = HParams.from_dict(recording.hparams | dict(changes))
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
        pass  # the costs that remain NaN say so
    curves = {"train": train, "valid": valid}
    return {f"{split}/{name}": values[:, i] for split, values in curves.items() for i, name in enumerate(COSTS)}
