"""Checkpoints of a training: folders that exist whole or not at all.

``<save_dir>/checkpoints/step-00000500`` holds ``config.json`` and ``model.safetensors``, so that it is a model like any
other; ``optimizer.safetensors``, under the names that ``weight_port`` gives the slots of a Magenta checkpoint;
``training.json``; and ``SHA256SUMS``, the checksums of these files, which are verified when they are read.

The random numbers of a step are a function of seed and step (see :mod:`batches` and :class:`draws.KeyedDraws`), so
these two numbers are the whole state of all generators. The schedules are functions of the step.
"""

import json
import os
import re
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from pytorch_sketch_rnn.checksums import write_checksums
from pytorch_sketch_rnn.errors import BadInput
from pytorch_sketch_rnn.json_file import read_json
from pytorch_sketch_rnn.model.saved_model import CONFIG_FILE, WEIGHTS_FILE
from pytorch_sketch_rnn.model.sketch_rnn import SketchRNN
from pytorch_sketch_rnn.regular_file import check_regular
from pytorch_sketch_rnn.training.optim import TF1Adam
from pytorch_sketch_rnn.training.optimizer_file import OPTIMIZER_FILE, POWERS, SLOTS, STEP, array_shapes, slot_key

STATE_FILE = "training.json"
CHECKPOINTS = "checkpoints"
_NAME = re.compile(r"step-(\d{8,})")


def checkpoint_path(save_dir: Path, step: int) -> Path:
    """The folder of the checkpoint of a step."""
    return save_dir / CHECKPOINTS / f"step-{step:08}"


def checkpoints(save_dir: Path) -> dict[int, Path]:
    """The checkpoints of a training by step, the earliest first."""
    folder = save_dir / CHECKPOINTS
    names = [_NAME.fullmatch(entry.name) for entry in folder.iterdir()] if folder.is_dir() else []
    found = {int(match[1]): folder / match[0] for match in names if match}
    return dict(sorted(found.items()))


def last_checkpoint(save_dir: Path) -> tuple[int, Path]:
    """The step and folder of the last checkpoint of a training.

    Raises:
        BadInput: when there is none.
    """
    found = checkpoints(save_dir)
    if not found:
        raise BadInput(f"{save_dir}: holds no checkpoint; expected one in {save_dir / CHECKPOINTS}")
    step = max(found)
    return step, found[step]


def write_folder(folder: Path, model: SketchRNN, optimizer: TF1Adam, state: Mapping[str, Any]) -> None:
    """Write a checkpoint, replacing one of the same name.

    Args:
        folder: of the checkpoint.
        model: the model.
        optimizer: its optimizer.
        state: written to ``training.json``; ``step`` (steps done) is required.

    Raises:
        BadInput: when it cannot be written; then nothing of it is left.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = _new_folder(folder, ".tmp")
    except OSError as error:
        raise BadInput(f"{folder}: cannot be written ({error.strerror})") from None
    try:
        model.save_pretrained(temporary)
        arrays = optimizer_arrays(model, optimizer, state["step"])
        safetensors.torch.save_file(arrays, temporary / OPTIMIZER_FILE)
        (temporary / STATE_FILE).write_text(json.dumps(state, indent=1) + "\n", encoding="utf-8")
        shutil.copymode(temporary / CONFIG_FILE, temporary / OPTIMIZER_FILE)  # safetensors writes private files
        write_checksums(temporary)
        for path in temporary.iterdir():
            _to_disk(path)
        replace_folder(temporary, folder)
        _to_disk(folder.parent)
    except (OSError, safetensors.SafetensorError) as error:
        raise BadInput(f"{folder}: cannot be written ({error})") from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def replace_folder(new: Path, folder: Path) -> None:
    """Rename ``new`` to ``folder``, removing an older folder of that name."""
    if folder.exists():
        old = _put_aside(folder)
        os.replace(new, folder)
        shutil.rmtree(old, ignore_errors=True)
    else:
        os.replace(new, folder)


def _put_aside(folder: Path) -> Path:
    """Rename a folder before it is deleted, so that it is never seen half deleted; returns the folder to delete."""
    old = _new_folder(folder, ".old")
    os.replace(folder, old / folder.name)  # into it: Windows has no rename to an existing folder
    return old


@contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """Yield a folder to write into: ``folder`` if it exists, else a temporary one that is renamed to it at the end."""
    if folder.exists():
        yield folder
        return
    new = _new_folder(folder, ".tmp")
    try:
        yield new
        os.replace(new, folder)
    finally:
        shutil.rmtree(new, ignore_errors=True)


def _new_folder(beside: Path, suffix: str) -> Path:
    """Make a hidden folder beside another one; its permissions follow the umask, which those of mkdtemp do not."""
    folder = beside.with_name(f".{beside.name}.{secrets.token_hex(8)}{suffix}")
    folder.mkdir()
    return folder


def remove_older(save_dir: Path, keep: int) -> None:
    """Remove all checkpoints but the last ``keep``, and the temporary files and folders of a killed process."""
    for path in list(checkpoints(save_dir).values())[:-keep]:
        shutil.rmtree(_put_aside(path), ignore_errors=True)
    for folder in (save_dir, *(save_dir / name for name in (CHECKPOINTS, "best", "samples"))):
        for path in [*folder.glob(".*.tmp"), *folder.glob(".*.old")]:
            shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)


def read_state(folder: Path, *, finite: bool = True) -> dict[str, Any]:
    """Read the ``state`` of a checkpoint.

    Args:
        folder: of the checkpoint.
        finite: whether a number that is not finite is refused.

    Raises:
        BadInput: when it is missing or broken.
    """
    path = folder / STATE_FILE
    state = read_json(path, "a checkpoint of a training", finite=finite)
    if not isinstance(state, dict) or not isinstance(state.get("step"), int) or state["step"] < 0:
        raise BadInput(f"{path}: expected the state of a training with its step; remove this checkpoint")
    return state


def optimizer_arrays(model: SketchRNN, optimizer: TF1Adam, steps_done: int) -> dict[str, Tensor]:
    """Adam's state: ``m.<parameter>``, ``v.<parameter>``, the beta powers, and ``global_step``."""
    slots = {
        slot_key(slot, name): optimizer.state[parameter][slot].clone()  # it shares memory with the others
        for name, parameter in model.named_parameters()
        for slot in SLOTS
    }
    powers = {name: torch.tensor(power, dtype=torch.float32) for name, power in optimizer.powers().items()}
    return slots | powers | {STEP: torch.tensor(steps_done)}


def load_optimizer(path: Path, model: SketchRNN, optimizer: TF1Adam) -> int:
    """Read Adam's state, written by :func:`write_folder` or ``weight_port``, into an optimizer.

    Returns:
        The steps done.

    Raises:
        BadInput: when the file is broken or does not fit the model; then the optimizer is unchanged.
    """
    try:
        check_regular(path)
        arrays = safetensors.torch.load_file(path)
    except (OSError, safetensors.SafetensorError) as error:
        raise BadInput(f"{path}: expected Adam's state in safetensors form, but {error}") from None
    expected = array_shapes({name: tuple(parameter.shape) for name, parameter in model.named_parameters()})
    found = {name: tuple(value.shape) for name, value in arrays.items()}
    if found != expected:
        wrong = sorted(n for n in found | expected if found.get(n) != expected.get(n))
        raise BadInput(f"{path}: does not fit the model: {', '.join(wrong[:5])}{' ...' if len(wrong) > 5 else ''}")
    set_optimizer(arrays, model, optimizer)
    return int(arrays[STEP])


def set_optimizer(arrays: Mapping[str, Tensor], model: SketchRNN, optimizer: TF1Adam) -> None:
    """Set Adam's slots and powers from arrays by the names in :mod:`optimizer_file`."""
    for name, parameter in model.named_parameters():
        for slot in SLOTS:
            optimizer.state[parameter][slot].copy_(arrays[slot_key(slot, name)])
    optimizer.set_powers({name: float(arrays[name]) for name in POWERS})


def load_weights(folder: Path, model: SketchRNN) -> torch.dtype:
    """Read the weights of a checkpoint into a model of the same shape; its caller has verified the checksums.

    Returns:
        The dtype in which they are stored; they are converted to that of the model.

    Raises:
        BadInput: when they cannot be read, or have other shapes.
    """
    read = SketchRNN.from_pretrained(folder, device=model.decoder.output_w.device, verify=False)
    expected = {name: value.shape for name, value in model.state_dict().items()}
    if {name: value.shape for name, value in read.state_dict().items()} != expected:
        raise BadInput(f"{folder / WEIGHTS_FILE}: is a model of other cells or sizes than this training's")
    model.load_state_dict(read.state_dict())
    return read.decoder.output_w.dtype


def _to_disk(path: Path) -> None:
    """Wait until a file's content, or a folder's list of names, is on the disk."""
    windows = os.name == "nt"
    if windows and path.is_dir():
        return  # it opens no folders
    descriptor = os.open(path, os.O_RDWR if windows else os.O_RDONLY)  # it flushes only what may be written
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
