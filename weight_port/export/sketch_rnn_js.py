"""Writes the JSON models of sketch-rnn-js; the inverse of :mod:`weight_port.sketch_rnn_js`, which describes the format.

Weights become 16-bit numbers. A model that was read from such a file gives back the same numbers, since each of them
is the nearest to its own weight.
"""

import base64
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from pytorch_sketch_rnn.errors import BadInput, Refused, enumerated, naming
from pytorch_sketch_rnn.files import atomic_path
from pytorch_sketch_rnn.hparams import SCALE_FACTOR, HParams
from pytorch_sketch_rnn.regular_file import open_regular
from weight_port.export.stored import Stored
from weight_port.export.variables import check_loadable
from weight_port.names import table
from weight_port.sketch_rnn_js import (
    DECODER_ORDER,
    MAX_WEIGHT,
    NUM_MIXTURE,
    QUANTISATION_STEPS,
    VAE_ORDER,
    dequantise,
)

VERSION = 6  # that of the official models
MODES = {True: 1, False: 2}  # conditional or not -> info.mode
_RANGE = np.iinfo(np.int16)
_START_BYTES = 4096


class Quantised(NamedTuple):
    """A model in 16-bit numbers."""

    numbers: dict[str, np.ndarray]  # int16 by our names, in the order of a file
    clipped: int  # weights that lay beyond the range

    def weights(self) -> dict[str, np.ndarray]:
        """The float32 weights that a reader of the file gets."""
        return {name: dequantise(value) for name, value in self.numbers.items()}


def check_holds(hparams: HParams) -> None:
    """Check that the format can hold a model of this kind.

    Raises:
        BadInput: when it cannot, with every reason.
    """
    others = [(name, cell) for name, cell in hparams.cells.items() if cell != "lstm"]
    reasons = [f"{name} is {cell}, and its cells are always plain LSTMs" for name, cell in others]
    if hparams.num_mixture != NUM_MIXTURE:
        reasons.append(f"num_mixture is {hparams.num_mixture}, and it always has {NUM_MIXTURE}")
    if reasons:
        raise Refused(f"sketch-rnn-js cannot hold this model: {'; '.join(reasons)}{_advice(hparams)}")


def _advice(hparams: HParams) -> str:
    """The other format, where it can hold the model."""
    try:
        check_loadable(hparams, {})
    except Refused:
        return ""
    return "; use --format tf"


def quantise(hparams: HParams, weights: Mapping[str, np.ndarray], *, clip: bool = False) -> Quantised:
    """The weights as 16-bit numbers, to the nearest; ties to even.

    Args:
        hparams: of the model.
        weights: by parameter name.
        clip: whether weights beyond +-10 become +-10.

    Raises:
        BadInput: when a weight lies beyond +-10 and ``clip`` is not given, or the format cannot hold the model.
    """
    check_holds(hparams)
    names = table(hparams)
    numbers, beyond, clipped = {}, [], 0
    for name in VAE_ORDER if hparams.conditional else DECODER_ORDER:
        scaled = np.rint(weights[name].astype(np.float64) * QUANTISATION_STEPS / MAX_WEIGHT)
        outside = (scaled < _RANGE.min) | (scaled > _RANGE.max)
        if outside.any():
            clipped += int(outside.sum())
            largest = float(np.abs(weights[name]).max())
            beyond.append(f"{names.official(name)} ({int(outside.sum())}, up to {largest:.4g} in magnitude)")
            scaled = np.where(outside, np.sign(scaled) * QUANTISATION_STEPS, scaled)
        numbers[name] = scaled.astype("<i2")
    if beyond and not clip:
        raise Refused(
            f"{clipped} weights lie beyond +-{MAX_WEIGHT}, which the format cannot hold: {enumerated(beyond, 5)}; "
            "clip them with --clip, and look at what it costs"
        )
    return Quantised(numbers, clipped)


def make_info(stored: Stored, name: str | None, scale_factor: float | None) -> dict[str, Any]:
    """What the file says of the model: what it was converted from, completed, and overridden by the arguments.

    Raises:
        BadInput: when the scale factor is not known: without it readers draw nothing.
    """
    hparams = stored.hparams
    if scale_factor is None:
        scale_factor = stored.scale_factor
    if scale_factor is None:
        raise Refused(
            "its scale factor is not known, and readers of sketch-rnn-js draw nothing without one; give the stroke set "
            "that the model was trained on with --data"
        )
    now = {"max_seq_len": hparams.max_seq_len, SCALE_FACTOR: scale_factor} | ({} if name is None else {"name": name})
    changed = {key: value for key, value in now.items() if key in stored.info and stored.info[key] != value}
    known: dict[str, Any] = {"mode": MODES[hparams.conditional], "version": VERSION, "max_seq_len": hparams.max_seq_len}
    known |= {"name": name or stored.folder.resolve().name, SCALE_FACTOR: scale_factor}
    kept = dict(stored.info) | changed  # in the order of the file that it was read from
    return kept | {key: value for key, value in known.items() if key not in kept}


def write_model(path: Path, info: Mapping[str, Any], quantised: Quantised, *, integers: bool = False) -> None:
    """Write a model file.

    Args:
        path: of the file; a file that exists is replaced.
        info: its first item.
        quantised: the weights.
        integers: whether blobs are lists of integers, as in the official exporter's intermediate files, not base64.

    Raises:
        BadInput: when the file cannot be written.
    """
    numbers = quantised.numbers.values()
    blobs = [each.ravel().tolist() if integers else base64.b64encode(each.tobytes()).decode() for each in numbers]
    document = [dict(info), [list(each.shape) for each in numbers], blobs]
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(document, separators=(",", ":")), encoding="utf-8")


def _is_model(path: Path) -> bool:
    """Whether a file begins as models do; it need not be whole."""
    try:
        with open_regular(path) as file:
            return re.match(rb'\s*\[\s*\{[^{}]*"mode"', file.read(_START_BYTES)) is not None
    except OSError:
        return False


def export_js(
    stored: Stored,
    out: Path,
    *,
    name: str | None = None,
    scale_factor: float | None = None,
    integers: bool = False,
    clip: bool = False,
    force: bool = False,
) -> tuple[dict[str, Any], Quantised]:
    """Write a model as a file of sketch-rnn-js.

    Args:
        stored: the model.
        out: the file to write, ``.json``.
        name: of the model; None: as it was, or the name of its folder.
        scale_factor: of its training data; None: as it was saved.
        integers: whether blobs are lists of integers instead of base64.
        clip: whether weights beyond +-10 become +-10.
        force: whether to replace a file.

    Returns:
        The file's info, and its weights.

    Raises:
        BadInput: when the format cannot hold the model, ``out`` is no ``.json`` file, exists and must not be replaced,
            or cannot be written. Then ``out`` is as it was.
    """
    if out.suffix.lower() != ".json":
        raise BadInput(f"{out}: expected the name of a .json file, such as {out.name}.gen.json")
    if out.is_dir():
        raise BadInput(f"{out}: is a folder, expected the name of a file; choose another name")
    if os.path.lexists(out):
        if not force:
            raise BadInput(f"{out}: exists already; choose another name, or replace it with --force")
        if not _is_model(out):
            raise BadInput(f"{out}: is not a sketch-rnn-js model; --force will not replace it")
    with naming(stored.folder):
        quantised = quantise(stored.hparams, stored.weights, clip=clip)
        info = make_info(stored, name, scale_factor)
    write_model(out, info, quantised, integers=integers)
    return info, quantised
