"""A training handed back: the port takes a step, its model is exported, and the official code takes the next step.

The port takes that step as well, from the state that was exported, so both must compute the same.
"""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
import torch

from parity_tests.adapter import Adapter, Arrays
from parity_tests.judge.row import Row
from parity_tests.judge.training import renamed
from parity_tests.judge.training_steps import StepComparison
from parity_tests.record.recording import Recording
from parity_tests.replay.training import StepAnswer, steps_after_checkpoint
from pytorch_sketch_rnn.hparams import HParams
from pytorch_sketch_rnn.model.saved_model import SavedModel, write_folder
from pytorch_sketch_rnn.training.optimizer_file import OPTIMIZER_FILE, STEP
from weight_port.export.checkpoint import export_checkpoint
from weight_port.export.stored import read_stored
from weight_port.names import GLOBAL_STEP, table

GIVEN = ("lr", "kl_weight", "sketches", "lengths")  # of a step; both sides get the recorded ones or compute the same


@dataclasses.dataclass(frozen=True)
class HandedBack:
    """A training that waits for the official code to take its next step."""

    recording: Recording
    answer: StepAnswer  # of the port, for that step
    task: dict[str, Any]  # of the official process
    result: Path  # what that task writes


def hand_back(recording: Recording, path: Path, port: Adapter, variables: Arrays, folder: Path) -> HandedBack:
    """Take two steps after an official checkpoint, and export the model as it is between them.

    Args:
        recording: of the run that saved the checkpoint.
        path: of the recording.
        port: the port.
        variables: of the checkpoint, by their official names.
        folder: for the model and its export.

    Raises:
        PortFailed: when a method of the port fails.
        NotImplementedError: when the port cannot load a model or take a training step.
    """
    step = int(variables[GLOBAL_STEP])
    answers = steps_after_checkpoint(recording, port, variables, step)
    after = {n.removeprefix("after/"): v.copy() for n, v in next(answers).answer.items() if n.startswith("after/")}
    _save(HParams.from_dict(recording.hparams), after, step + 1, folder / "stepped")
    export_checkpoint(read_stored(folder / "stepped"), folder / "exported", force=True)
    result = folder / "continued.h5"
    task = {"do": "continue", "checkpoint": str(folder / "exported"), "recording": str(path), "out": str(result)}
    return HandedBack(recording, next(answers), task, result)


def _save(hparams: HParams, variables: Arrays, step: int, folder: Path) -> None:
    """A model and its optimizer, as a training saves them."""
    names = table(hparams)
    arrays = {
        names.ours(official): np.ascontiguousarray(value).reshape(value.shape) for official, value in variables.items()
    }
    weights = {name: torch.from_numpy(arrays[name]) for name in names.weights.values()}
    write_folder(folder, SavedModel(hparams, weights))
    optimizer = {name: value for name, value in arrays.items() if name not in weights}
    safetensors.numpy.save_file(optimizer | {STEP: np.asarray(step)}, folder / OPTIMIZER_FILE)


def judge_continued(handed: HandedBack) -> list[Row]:
    """Rows ``continued/...`` for the step that both sides took from the same state."""
    recording, step = handed.recording, handed.answer.step
    given = {f"steps/{name}": recording["float64"][f"steps/{name}"] for name in GIVEN}
    found = Recording.load(handed.result)["float64"]
    steps = len(recording["float64"]["steps/cost"])
    theirs = {name: np.broadcast_to(value, (steps, *value.shape)) for name, value in found.items()}
    comparison = StepComparison(
        dataclasses.replace(recording, groups=recording.groups | {"float64": given | theirs}), times=1
    )
    comparison.compare(StepAnswer(step, handed.answer.own, handed.answer.answer))
    return renamed(comparison.rows(comparison.seen | set(comparison.official)), "continued/")
