"""A saved model: a folder with ``config.json`` and ``model.safetensors``.

``config.json`` holds the hyperparameters under Magenta's names and, if it is known, ``scale_factor``. Where the folder
also holds ``SHA256SUMS``, as a training writes it, both files are verified when they are read.
"""

import math
import os
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from pytorch_sketch_rnn.checksums import CHECKSUMS_FILE, complaint, damaged_file, remove_checksums
from pytorch_sketch_rnn.errors import BadInput, Refused, enumerated, excerpt, naming
from pytorch_sketch_rnn.files import atomic_path
from pytorch_sketch_rnn.hparams import SCALE_FACTOR, HParams, read_config
from pytorch_sketch_rnn.regular_file import check_regular, is_no_folder, refuse_special
from pytorch_sketch_rnn.training.optimizer_file import OPTIMIZER_FILE

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"
FILES = (CONFIG_FILE, WEIGHTS_FILE)
# Suffixes of what weight_port converts: a model of sketch-rnn-js, an archive, the files of a TensorFlow checkpoint.
_MODELS_OF_MAGENTA = (".json", ".zip", ".index", ".data-")


class SavedModel(NamedTuple):
    """The contents of a model folder."""

    hparams: HParams
    weights: dict[str, Tensor]  # by parameter name
    scale_factor: float | None = None  # offsets in data units = normalised offsets * scale_factor; None: unknown


def check_scale_factor(value: Any) -> float | None:
    """The value as a float, or None.

    Raises:
        BadInput: when it is neither None nor a positive, finite number.
    """
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        raise Refused(f"scale_factor is {excerpt(value)}, expected a positive, finite number")
    try:
        return float(value)
    except OverflowError:
        raise Refused("scale_factor is too large, expected a positive, finite number") from None


def write_config(path: Path, hparams: HParams, scale_factor: float | None) -> None:
    """Write ``config.json``; it has no ``scale_factor`` if that is None.

    Raises:
        BadInput: when the scale factor is not a positive, finite number.
    """
    scale_factor = check_scale_factor(scale_factor)
    hparams.save(path, {} if scale_factor is None else {SCALE_FACTOR: scale_factor})


def write_folder(folder: Path, model: SavedModel) -> None:
    """Write a model into a folder, which is created if it does not exist.

    Both files are first written under temporary names, then renamed, the config first. If writing fails, for instance
    on a full disk, the old files are kept. The new config is left with the old weights only if the second rename fails
    or the process dies between the two renames. Checksums of older files are removed before the renames, since they
    would not fit the new ones. None are recorded: the folder is its owner's, who may edit the config.

    Raises:
        BadInput: when the folder or a file cannot be written, the scale factor is not a positive, finite number, or the
            folder holds the optimizer's state of other weights.
    """
    check_scale_factor(model.scale_factor)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(f"{folder}: cannot be made ({error.strerror})") from None
    weights = {name: value.contiguous() for name, value in model.weights.items()}
    _refuse_slots_of_others(folder, weights)
    # the path that is opened last is renamed first
    with atomic_path(folder / WEIGHTS_FILE) as weights_path, atomic_path(folder / CONFIG_FILE) as config_path:
        write_config(config_path, model.hparams, model.scale_factor)
        try:
            safetensors.torch.save_file(weights, weights_path)
        except (OSError, safetensors.SafetensorError) as error:  # a full disk may raise either
            raise BadInput(f"{folder / WEIGHTS_FILE}: cannot be written ({error})") from None
        remove_checksums(folder)


def _refuse_slots_of_others(folder: Path, weights: Mapping[str, Tensor]) -> None:
    """An export, or a training that goes on, would take the state that lies beside the weights for theirs."""
    if not os.path.lexists(folder / OPTIMIZER_FILE):
        return
    try:
        there = safetensors.torch.load_file(folder / WEIGHTS_FILE)
    except (OSError, safetensors.SafetensorError):
        there = {}
    same = there.keys() == weights.keys() and all(
        value.dtype == weights[name].dtype and torch.equal(value, weights[name].cpu()) for name, value in there.items()
    )
    if not same:
        raise BadInput(
            f"{folder}: holds {OPTIMIZER_FILE}, which belongs to other weights; "
            "save into another folder, or remove that file"
        )


def read_folder(folder: Path, *, verify: bool = True) -> SavedModel:
    """Read a folder that :func:`write_folder` or ``weight_port`` wrote. The names and shapes of its weights are not
    checked.

    Args:
        folder: of the model.
        verify: whether the files are compared with their checksums, where the folder holds these.

    Raises:
        BadInput: when a file is missing, damaged or invalid; for a model of Magenta's, with the command that converts
            it.
    """
    _check_is_saved_model(folder)
    damaged = damaged_file(folder, FILES) if verify else None
    if damaged is not None:
        raise BadInput(
            f"{complaint(damaged)}; take another copy of the model, or remove {CHECKSUMS_FILE} if the file was changed "
            "on purpose"
        )
    values = read_config(folder / CONFIG_FILE)
    with naming(folder / CONFIG_FILE):
        scale_factor = check_scale_factor(values.pop(SCALE_FACTOR, None))
        hparams = HParams.from_dict(values)
    path = folder / WEIGHTS_FILE
    try:
        check_regular(path)
        weights = safetensors.torch.load_file(path)
    except (OSError, safetensors.SafetensorError) as error:
        raise BadInput(f"{path}: expected weights in safetensors form, but {error}") from None
    return SavedModel(hparams, weights, scale_factor)


def _check_is_saved_model(folder: Path) -> None:
    """Refuse a file, and a folder or prefix of a TensorFlow checkpoint, with what to do."""
    convert = f"convert it first: {shlex.join(['python', '-m', 'weight_port', 'convert', str(folder), 'DIR'])}"
    refuse_special(folder)
    if os.path.isfile(folder):
        if folder.suffix.lower().startswith(_MODELS_OF_MAGENTA):
            raise BadInput(f"{folder}: is a file, expected the folder of a saved model; {convert}")
        raise BadInput(
            f"{folder}: is a file, expected the folder of a saved model, which holds {CONFIG_FILE} and {WEIGHTS_FILE}"
        )
    is_prefix = is_no_folder(f"{folder}.index")
    if not os.path.lexists(folder / CONFIG_FILE) and (is_prefix or _holds_checkpoint(folder)):
        raise BadInput(f"{folder}: is a TensorFlow checkpoint, expected the folder of a saved model; {convert}")


def _holds_checkpoint(folder: Path) -> bool:
    return folder.is_dir() and any(path.suffix == ".index" for path in folder.iterdir())


def check_weights(path: Path, weights: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    """Check that a file's weights have the names, shapes and types of the parameters of the configured model.

    Raises:
        BadInput: when a name, shape or type does not match.
    """
    shapes = {name: value.shape for name, value in expected.items()}
    found = {name: value.shape for name, value in weights.items()}
    if shapes != found:
        raise BadInput(f"{path}: does not fit {CONFIG_FILE}: {_difference(shapes, found)}")
    types = {value.dtype for value in weights.values()}
    if types not in ({torch.float32}, {torch.float64}):
        names = " and ".join(sorted(str(dtype).removeprefix("torch.") for dtype in types))
        raise BadInput(f"{path}: expected all weights in float32 or all in float64, got {names}")


def _difference(expected: dict[str, torch.Size], found: dict[str, torch.Size]) -> str:
    missing = sorted(set(expected) - set(found))
    unknown = sorted(set(found) - set(expected))
    shapes = [
        f"{name} is {list(found[name])}, expected {list(expected[name])}"
        for name in sorted(set(expected) & set(found))
        if expected[name] != found[name]
    ]
    parts = []
    if missing:
        parts.append(f"missing {enumerated(missing)}")
    if unknown:
        parts.append(f"unknown {enumerated(unknown)}")
    if shapes:
        parts.append(enumerated(shapes))
    return "; ".join(parts)
