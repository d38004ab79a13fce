"""Resuming a run from its last checkpoint. Nothing here writes: a refused resume leaves the run as it was."""

from pathlib import Path

from pytorch_sketch_rnn.errors import BadInput
from pytorch_sketch_rnn.model.draws import DRAWS
from pytorch_sketch_rnn.training.checkpoint import (
    STATE_FILE,
    last_checkpoint,
    load_optimizer,
    load_weights,
    read_state,
)
from pytorch_sketch_rnn.training.optimizer_file import OPTIMIZER_FILE
from pytorch_sketch_rnn.training.run_state import Best, environment, fingerprint
from pytorch_sketch_rnn.training.trainer import Trainer


def check_draws(folder: Path) -> None:
    """Check that the run in a folder was begun with the random draws of this version.

    Raises:
        BadInput: when it was not, so that it cannot continue bit for bit; or when it has no intact checkpoint.
    """
    _, path = last_checkpoint(folder)
    found = read_state(path, finite=False).get("draws")  # before draws had a version, an unknown cost was Infinity
    if found != DRAWS:
        raise BadInput(
            f"{path / STATE_FILE}: expected random draws of version {DRAWS}, found "
            f"{'no version' if found is None else f'version {found}'}; finish this run with the version of train.py "
            f"that began it, or start a new run with --init_from={path}"
        )


def resume(folder: Path, trainer: Trainer) -> Best:
    """Set a trainer to the last checkpoint of a run.

    Returns:
        The best model so far.

    Raises:
        BadInput: when there is no checkpoint, it is broken, or the run has other data or random draws.
    """
    check_draws(folder)
    step, path = last_checkpoint(folder)
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
    load_weights(path, trainer.model)
    if load_optimizer(path / OPTIMIZER_FILE, trainer.model, trainer.optimizer) != step:
        raise BadInput(
            f"{path / OPTIMIZER_FILE}: is of another step; remove {path} to resume from the checkpoint before it"
        )
    trainer.steps_done = step
    return best


def environment_changes(folder: Path, trainer: Trainer) -> list[str]:
    """Describe each change of the environment that keeps a resumed run from repeating its losses bit for bit."""
    _, path = last_checkpoint(folder)
    before = read_state(path)
    return [
        f"{name} was {before.get(name)}, now {value}: losses will differ"
        + (", because the random numbers do" if name == "device" else " by rounding")
        for name, value in environment(trainer).items()
        if before.get(name) != value
    ]
