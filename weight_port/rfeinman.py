"""Read the weights of rfeinman/Sketch-RNN, a port to PyTorch: a state dict in a file of ``torch.save``.

The port's mathematics is Magenta's up to a few constants, so its weights become Magenta's variables: columns change
places (``rfeinman_layout``), the two biases of its encoder are added up, and Magenta's forget bias of 1, which that
encoder has not, is taken off. A HyperLSTM has no bias there, and its inner cell does not read h: both are zeros here.
Its layer norms add 1e-5 to the variance, which the hyperparameter ``layer_norm_epsilon`` says.

Source: https://github.com/rfeinman/Sketch-RNN, commit 38e4d9b, ``sketch_rnn/{model,rnn,param_layer}.py``.
"""

import math
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pytorch_sketch_rnn.errors import BadInput, Refused, enumerated, excerpt, naming, printable
from pytorch_sketch_rnn.hparams import EPSILON, HParams
from pytorch_sketch_rnn.regular_file import open_regular
from weight_port.convert import expected_shapes
from weight_port.names import DECODER_CELL, weight_names
from weight_port.rfeinman_layout import model_layout
from weight_port.torch_layout import Layout

FORMAT = "rfeinman/Sketch-RNN"
SUFFIXES = (".pt", ".pth")
LAYER_NORM_EPSILON = 1e-5  # torch's default
_TWIN = "decoder."  # its decoder holds the cell a second time, under decoder.cell
_SCHEDULE = "loss_kl.factor"  # how far its KL weight has come
_WHAT = "expected a state dict that torch.save wrote: a dict of tensors by name"


@dataclass(frozen=True)
class PortModel:
    """A model of the port.

    Attributes:
        variables: under their official names.
        hparams: the hyperparameters that every model of the port has, as far as its weights do not show them.
        note: what was joined and what was left out.
    """

    variables: dict[str, np.ndarray]
    hparams: dict[str, Any]
    note: str


def read_model(path: Path) -> PortModel:
    """Read a file of the port's ``ModelCheckpoint``, such as ``model.pt``.

    Raises:
        BadInput: when it cannot be read, or is not the state dict of such a model.
    """
    with naming(path):
        return _converted(_read_state_dict(path))


def _read_state_dict(path: Path) -> dict[str, np.ndarray]:
    """The arrays in a file, read by torch's safe loading alone."""
    try:
        with open_regular(path) as file:
            size = path.stat().st_size
            _check_archive(file, size)
            file.seek(0)
            loaded = torch.load(file, map_location="cpu", weights_only=True)
    except BadInput:
        raise
    except OSError as error:
        raise Refused(f"cannot be read ({error.strerror or error})") from None
    except Exception as error:  # damage shows itself in many ways, by no documented rule
        reason = printable(error).strip().split(". ")[0]
        raise Refused(f"cannot be read safely ({type(error).__name__}: {excerpt(reason)}); {_WHAT}") from None
    if not isinstance(loaded, dict) or not all(isinstance(name, str) for name in loaded):
        raise Refused(f"holds {type(loaded).__name__}, {_WHAT}")
    if {"state", "param_groups"} <= set(loaded):
        raise Refused("is the state of an optimizer; give the file of the weights beside it, model.pt")
    for name, value in loaded.items():
        if not isinstance(value, Tensor):
            raise Refused(f"{excerpt(name)} is of type {type(value).__name__}, {_WHAT}")
        if value.layout != torch.strided or value.dtype not in (torch.float32, torch.float64):
            raise Refused(f"{excerpt(name)} holds {value.dtype}, expected a dense tensor of float32 or float64")
        if value.numel() * value.itemsize > size:
            raise Refused(f"{excerpt(name)} has more numbers than the file, {list(value.shape)}")
    return {name: value.detach().numpy() for name, value in loaded.items()}


def _check_archive(file: Any, size: int) -> None:
    """Check that the file is an archive of torch's, which compresses nothing, so that no member is larger than it."""
    if not zipfile.is_zipfile(file):
        raise Refused(f"is not in the form that torch.save writes since version 1.6, an archive; {_WHAT}")
    with zipfile.ZipFile(file) as archive:
        members = archive.infolist()
    if any(member.compress_type != zipfile.ZIP_STORED for member in members):
        raise Refused("holds compressed members, which torch.save does not write")
    if sum(member.file_size for member in members) > size:
        raise Refused("holds members that are larger than the file")


def _converted(arrays: dict[str, np.ndarray]) -> PortModel:
    again = {name for name in arrays if name.startswith(f"{_TWIN}cell.")}
    for name in sorted(again):
        if not np.array_equal(arrays[name], arrays.get(name.removeprefix(_TWIN), np.empty(0)), equal_nan=True):
            raise Refused(f"{excerpt(name)} is not the same as {excerpt(name.removeprefix(_TWIN))}, which it repeats")
    weights = {name: value for name, value in arrays.items() if name not in again and name != _SCHEDULE}
    hparams = _structure(weights)
    layout = model_layout(hparams.to_dict())
    ours = expected_shapes(hparams)
    shapes = {official: ours[name] for official, name in weight_names(hparams).items()}
    _check(weights, layout, shapes)
    variables = layout.to_official(weights)
    for name, shape in shapes.items():  # what the port has not
        variables[name] = _padded(variables.get(name), shape, weights["cell.weight_hh"].dtype)
    epsilon = HParams().layer_norm_epsilon if hparams.dec_model == "lstm" else LAYER_NORM_EPSILON
    note = _note(hparams, len(again), arrays)
    return PortModel({name: variables[name] for name in shapes}, {EPSILON: epsilon}, note)


def _padded(value: np.ndarray | None, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """A variable with zeros in the rows that are not there."""
    if value is not None and value.shape == shape:
        return value
    whole = np.zeros(shape, dtype)
    if value is not None:
        whole[: len(value)] = value
    return whole


def _structure(weights: Mapping[str, np.ndarray]) -> HParams:
    """The hyperparameters that the shapes show.

    Raises:
        BadInput: when a tensor is missing that shows one.
    """

    def size(name: str, axis: int) -> int:
        value = weights.get(name)
        if value is None or value.ndim != 2:
            came = "is missing" if value is None else f"has shape {list(value.shape)}"
            raise Refused(f"{name} {came}, expected the matrix of that name in a model of {FORMAT}")
        return int(value.shape[axis])

    kinds = {"cell.hyper_cell.weight_hh": "hyper", "cell.layernorm_h.weight": "layer_norm"}
    kind = next((kind for name, kind in kinds.items() if name in weights), "lstm")
    hyper: dict[str, Any] = {}
    if kind == "hyper":
        embedding = size("cell.norms_x.0.scale_net.0.weight", 0)
        hyper = {"hyper_num_units": size("cell.hyper_cell.weight_hh", 1), "hyper_embedding_size": embedding}
    return HParams(
        dec_model=kind,
        dec_rnn_size=size("cell.weight_hh", 1),
        enc_model="lstm",
        enc_rnn_size=size("encoder.rnn.weight_hh_l0", 1),
        z_size=size("init.weight", 1),
        num_mixture=size("param_layer.linear.weight", 0) // 6,
        **hyper,
    )


def _check(weights: Mapping[str, np.ndarray], layout: Layout, shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Check that the names and shapes are those of a model whose official variables have these shapes.

    Raises:
        BadInput: with the number and the first of those that are missing, unknown or of another shape.
    """
    needed = sum(math.prod(shape) for shape in shapes.values())
    if needed > 2 * sum(value.size for value in weights.values()) + 10**6:  # then the sizes contradict each other
        raise Refused(f"its matrices do not fit each other; a model of their sizes has {needed} numbers")
    official = {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}
    expected = {name: value.shape for name, value in layout.to_port(official).items()}
    shown = {
        "missing": [name for name in expected if name not in weights],
        "unknown": [printable(name) for name in weights if name not in expected],
        "of another shape": [
            f"{name} is {list(weights[name].shape)}, expected {list(shape)}"
            for name, shape in expected.items()
            if name in weights and weights[name].shape != shape
        ],
    }
    problems = [f"{title} ({len(found)}): {enumerated(found)}" for title, found in shown.items() if found]
    if problems:
        raise Refused(f"the tensors do not make a model of {FORMAT}. {'; '.join(problems)}")


def _note(hparams: HParams, repeated: int, arrays: Mapping[str, np.ndarray]) -> str:
    parts = ["the two biases of each encoder direction are added up, less the forget bias of 1 that Magenta adds"]
    if hparams.dec_model == "hyper":
        bias = f"{DECODER_CELL[1]}.bias"
        parts.append(f"{bias} and the rows of the inner W_xh that read h are zeros, since the port has none")
    if repeated:
        parts.append(f"{repeated} tensors under {_TWIN}cell repeat those under cell")
    if _SCHEDULE in arrays:
        parts.append(f"{_SCHEDULE}, the state of its KL weight, is left out")
    return "; ".join(parts)
