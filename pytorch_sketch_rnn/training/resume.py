"""Resuming a run from its last checkpoint. Nothing here writes: a refused resume leaves the run as it was."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch

from pytorch_sketch_rnn.checksums import CHECKSUMS_FILE, complaint, damaged_file, has_checksums
from pytorch_sketch_rnn.errors import BadInput
from pytorch_sketch_rnn.hparams import HParams
from pytorch_sketch_rnn.model.backend import REFERENCE
from pytorch_sketch_rnn.model.draws import DRAWS
from pytorch_sketch_rnn.model.saved_model import CONFIG_FILE
from pytorch_sketch_rnn.training.checkpoint import (
    STATE_FILE,
    checkpoints,
    last_checkpoint,
    load_optimizer,
    load_weights,
    read_state,
)
from pytorch_sketch_rnn.training.optimizer_file import OPTIMIZER_FILE
from pytorch_sketch_rnn.training.run_state import Best, environment, fingerprint
from pytorch_sketch_rnn.training.settings import FREE, SETTINGS_FILE
from pytorch_sketch_rnn.training.trainer import NotFinite, Trainer


class Checked(NamedTuple):
    """A checkpoint that was found to be whole."""

    path: Path
    files: dict[str, tuple[int, int, int]]  # size, time of the last change, and inode, from before they were read


def check_checkpoint(folder: Path) -> Checked:
    """Check that a run's last checkpoint is as it was written, and was begun with the random draws of this version.

    Returns:
        What spares :func:`resume` to read all files for this once more.

    Raises:
        BadInput: when a file is damaged, the draws differ, so that the run cannot continue bit for bit, or there is no
            checkpoint.
    """
    _, path = last_checkpoint(folder)
    checked = Checked(path, _states(path))
    damaged = damaged_file(path)
    if damaged is not None:
        raise BadInput(f"{complaint(damaged)}; {_advice(folder)}")
    found = read_state(path, finite=False).get("draws")  # before draws had a version, an unknown cost was Infinity
    if found != DRAWS:
        raise BadInput(
            f"{path / STATE_FILE}: expected random draws of version {DRAWS}, found "
            f"{'no version' if found is None else f'version {found}'}; finish this run with the version of this "
            f"program that began it, or start a new run with --init_from={path}"
        )
    return checked


def _states(checkpoint: Path) -> dict[str, tuple[int, int, int]]:
    try:
        found = {path.name: path.lstat() for path in checkpoint.iterdir()}
    except OSError:  # such as a file in place of the folder: what reads it says so
        return {}
    return {name: (status.st_size, status.st_mtime_ns, status.st_ino) for name, status in found.items()}


def _advice(folder: Path) -> str:
    """Which state of a run can be resumed from after its last checkpoint was damaged."""
    for path in reversed(checkpoints(folder).values()):
        if _is_whole(path):
            return f"{path} is whole: remove the checkpoints after it, and --resume goes on from there"
    return "none of its checkpoints is whole: restore one from a copy, or start another run"


def _is_whole(checkpoint: Path) -> bool:
    try:
        return has_checksums(checkpoint) and damaged_file(checkpoint) is None
    except BadInput:  # something else in the place of a file
        return False


def resume(folder: Path, trainer: Trainer, checked: Checked | None = None) -> Best:
    """Set a trainer to the last checkpoint of a run.

    Args:
        folder: of the run.
        trainer: to be set.
        checked: from :func:`check_checkpoint`. Without it, or if there is another checkpoint by now, or one of its
            files has changed since, the checkpoint is checked here.

    Returns:
        The best model so far.

    Raises:
        BadInput: when there is no checkpoint, it is broken or damaged, or the run has other data, settings or random
            draws.
    """
    step, path = last_checkpoint(folder)
    if checked is None or checked != Checked(path, _states(path)):
        check_checkpoint(folder)
    state = read_state(path)
    if state["step"] != step:
        raise BadInput(f"{path}: records step {state['step']}; remove it to resume from the checkpoint before it")
    now, then = fingerprint(trainer.sets), state.get("data")
    if then != now:
        raise BadInput(
            f"the data are not those of the run in {folder}: they were {then}, now they are {now}; give its data by "
            "--data_dir, or start another run with --init_from"
        )
    try:
        best = Best.from_dict(state.get("best"))
    except ValueError:
        raise BadInput(
            f"{path}: does not record which model is best; remove it to resume from the checkpoint before it"
        ) from None
    dtype = load_weights(path, trainer.model)
    _check_settings(folder, path, trainer, state, dtype)
    if load_optimizer(path / OPTIMIZER_FILE, trainer.model, trainer.optimizer) != step:
        raise BadInput(
            f"{path / OPTIMIZER_FILE}: is of another step; remove {path} to resume from the checkpoint before it"
        )
    trainer.steps_done = step
    try:
        trainer.check_weights()
    except NotFinite as error:
        raise BadInput(f"{path}: {error}; remove it to resume from the checkpoint before it") from None
    return best


def _check_settings(folder: Path, path: Path, trainer: Trainer, state: Mapping[str, Any], dtype: torch.dtype) -> None:
    """Check that the run's settings are those with which its checkpoint was made."""
    seed, of_model = trainer.options.seed, trainer.model.decoder.output_w.dtype
    now = trainer.hparams.to_dict() | {"seed": seed, "dtype": _name(of_model)}
    then = HParams.load(path / CONFIG_FILE).to_dict() | {"seed": state.get("seed", seed), "dtype": _name(dtype)}
    for name, value in now.items():
        if value != then[name] and name not in FREE:
            raise BadInput(
                f"{folder / SETTINGS_FILE}: {name} is {value}, but the checkpoint {path} was made with {then[name]}; "
                "restore the one that was changed"
            )


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def environment_changes(folder: Path, trainer: Trainer) -> list[str]:
    """What keeps a resumed run from repeating its losses bit for bit, or from being checked: a line for each."""
    _, path = last_checkpoint(folder)
    before = {"backend": REFERENCE} | read_state(path)  # older versions had no other
    why = f"{path}: not verified; it has no {CHECKSUMS_FILE}, since an older version wrote it or its model was replaced"
    return ([] if has_checksums(path) else [why]) + [
        f"{name} was {before.get(name)}, now {value}: losses will differ"
        + (", because the random numbers do" if name == "device" else " by rounding")
        for name, value in environment(trainer).items()
        if name in before and before[name] != value
    ]
