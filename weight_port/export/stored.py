"""Reads a saved model for an export, with what a conversion or a training left beside it."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy

from pytorch_sketch_rnn.errors import BadInput, enumerated
from pytorch_sketch_rnn.hparams import HParams
from pytorch_sketch_rnn.json_file import read_json
from pytorch_sketch_rnn.model.saved_model import CONFIG_FILE, WEIGHTS_FILE, check_weights, read_folder
from pytorch_sketch_rnn.regular_file import check_regular, is_no_folder
from pytorch_sketch_rnn.training.optimizer_file import OPTIMIZER_FILE, STEP, array_shapes
from weight_port.convert import empty_model
from weight_port.folder import PROVENANCE_FILE


@dataclasses.dataclass(frozen=True)
class Stored:
    """A saved model; arrays by our names."""

    folder: Path
    hparams: HParams
    weights: Mapping[str, np.ndarray]
    optimizer: Mapping[str, np.ndarray]  # empty if none was saved
    scale_factor: float | None
    info: Mapping[str, Any]  # of the sketch-rnn-js model that it was converted from; else empty


def read_stored(folder: Path) -> Stored:
    """Read a folder that a training, ``SketchRNN.save_pretrained`` or a conversion wrote.

    Raises:
        BadInput: when a file is missing, damaged or does not fit the others, or a number is NaN or infinite.
    """
    saved = read_folder(folder)
    check_weights(folder / WEIGHTS_FILE, saved.weights, empty_model(saved.hparams).state_dict())
    weights = {name: value.numpy() for name, value in saved.weights.items()}
    optimizer = _read_optimizer(folder / OPTIMIZER_FILE, weights)
    for path, arrays in ((folder / WEIGHTS_FILE, weights), (folder / OPTIMIZER_FILE, optimizer)):
        for name, value in arrays.items():
            if not np.isfinite(value).all():
                raise BadInput(f"{path}: {name} holds NaN or infinity; the training diverged before it was saved")
    return Stored(folder, saved.hparams, weights, optimizer, saved.scale_factor, _read_info(folder))


def _read_optimizer(path: Path, weights: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    if not is_no_folder(path):
        return {}
    try:
        check_regular(path)
        arrays = safetensors.numpy.load_file(path)
    except (OSError, safetensors.SafetensorError) as error:
        raise BadInput(f"{path}: expected Adam's state in safetensors form, but {error}") from None
    expected = array_shapes({name: value.shape for name, value in weights.items()})
    wrong = sorted(name for name, value in arrays.items() if expected.get(name) != value.shape)
    slots = {name for name in expected if "." in name}
    if not wrong and slots & set(arrays):  # all of them, or none: so does a conversion
        wrong = sorted(slots - set(arrays))
    if wrong:
        raise BadInput(f"{path}: does not fit {CONFIG_FILE}: {enumerated(wrong, 5)}")
    for name, value in arrays.items():
        if value.dtype.kind not in ("iu" if name == STEP else "f"):
            raise BadInput(f"{path}: {name} holds {value.dtype}, expected {'an integer' if name == STEP else 'floats'}")
    return arrays


def _read_info(folder: Path) -> dict[str, Any]:
    """The ``info`` that a conversion kept."""
    path = folder / PROVENANCE_FILE
    if not is_no_folder(path):
        return {}
    record = read_json(path, "the record of a conversion")
    info = record.get("info") if isinstance(record, dict) else None
    return info if isinstance(info, dict) else {}
