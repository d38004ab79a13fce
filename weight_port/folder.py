"""The folder that a conversion writes: a saved model, ``optimizer.safetensors`` if the source has optimizer state, and
``conversion.json``, which says where it comes from."""

import json
import os
import platform
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy

from pytorch_sketch_rnn.errors import BadInput, naming
from pytorch_sketch_rnn.model.saved_model import CONFIG_FILE, WEIGHTS_FILE, check_scale_factor, write_config
from pytorch_sketch_rnn.training.optimizer_file import OPTIMIZER_FILE
from weight_port.convert import Plan, convert_variables, make_plan
from weight_port.infer import Inferred, infer_hparams
from weight_port.names import CONSTANTS
from weight_port.source import Source

PROVENANCE_FILE = "conversion.json"


class _Reading(Mapping[str, np.ndarray]):
    """The variables of a source as a mapping that reads each one when it is looked up."""

    def __init__(self, source: Source) -> None:
        self.variables = source.variables

    def __getitem__(self, name: str) -> np.ndarray:
        return self.variables.read(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self.variables.names())

    def __len__(self) -> int:
        return len(self.variables.names())


def examine(source: Source, flags: Mapping[str, Any] | None = None) -> tuple[Inferred, Plan]:
    """Hyperparameters of a source, and what becomes of each of its variables; reads no values but two scalars.

    Args:
        source: the model.
        flags: hyperparameters that the weights do not determine.

    Raises:
        BadInput: when the source is not a Sketch-RNN of Magenta's.
    """
    shapes = {name: source.variables.shape(name) for name in source.variables.names()}
    with naming(source.location):
        inferred = infer_hparams(
            shapes,
            source.config,
            config_path=source.config_path or "model_config.json",
            flags=flags,
            info=source.info,
            first_values=_first_values(source),
            fixed=source.fixed,
        )
        return inferred, make_plan(shapes, inferred.hparams)


def _first_values(source: Source) -> dict[str, float]:
    """The first learning rate and KL weight, where the source has them; the decimals are those of a config."""
    found = {}
    for official, name in CONSTANTS.items():
        if official not in source.variables.names() or source.variables.shape(official):
            continue
        with suppress(BadInput):  # damage is reported where the variable is converted
            value = source.variables.read(official)[()]
            found[name] = float(str(value)) if value.dtype.kind == "f" else float(value)
    return found


def scale_factor_of(source: Source) -> float | None:
    """The scale factor that the source itself gives: a sketch-rnn-js model mostly does, a checkpoint never.

    Raises:
        BadInput: when it is not a positive, finite number.
    """
    with naming(f"{source.location}: info"):
        return check_scale_factor(source.info.get("scale_factor"))


def convert_source(
    source: Source,
    out: Path,
    flags: Mapping[str, Any] | None = None,
    *,
    scale_factor: float | None = None,
    force: bool = False,
) -> tuple[Inferred, Plan]:
    """Write a source as a folder that ``SketchRNN.from_pretrained`` reads.

    Args:
        source: the model.
        out: the folder to write.
        flags: hyperparameters that the weights do not determine.
        scale_factor: of the data that the model was trained on; None: as the source says, if it does.
        force: whether to replace a converted model in ``out``.

    Raises:
        BadInput: when the source cannot be converted, or ``out`` exists and ``force`` is not given. Then ``out`` is
            as it was.
    """
    inferred, plan = examine(source, flags)
    if source.missing:
        raise BadInput(
            f"{source.location}: the data file {', '.join(source.missing)} is missing, expected beside the index; "
            "the weights are in it"
        )
    if scale_factor is None:
        scale_factor = scale_factor_of(source)
    for name in plan.skipped:  # a damaged file is refused, even if the damage is in a variable that is skipped
        source.variables.read(name)
    with naming(source.location):
        converted = convert_variables(_Reading(source), plan)
    with new_folder(out, force=force) as folder:
        write_config(folder / CONFIG_FILE, inferred.hparams, scale_factor)
        _save_arrays(converted.weights, folder / WEIGHTS_FILE)
        if converted.optimizer:
            _save_arrays(converted.optimizer, folder / OPTIMIZER_FILE)
        record = json.dumps(provenance(source, inferred, plan), indent=1)
        (folder / PROVENANCE_FILE).write_text(record + "\n", encoding="utf-8")
    return inferred, plan


def _save_arrays(arrays: Mapping[str, np.ndarray], path: Path) -> None:
    contiguous = {name: np.ascontiguousarray(value).reshape(value.shape) for name, value in arrays.items()}
    try:
        safetensors.numpy.save_file(contiguous, path)
    except safetensors.SafetensorError as error:  # such as a full disk
        raise OSError(str(error)) from None
    shutil.copymode(path.with_name(CONFIG_FILE), path)  # safetensors makes its files private


def provenance(source: Source, inferred: Inferred, plan: Plan) -> dict[str, Any]:
    """Where a converted model comes from, for ``conversion.json``."""
    return {
        "source": source.location,
        "format": source.format,
        "files": [{"name": file.label, "sha256": file.sha256()} for file in source.files],
        "info": source.info,
        "hyperparameters": inferred.origin,
        "ignored_in_config": inferred.ignored,
        "converted": len(plan.weights),
        "optimizer_state": len(plan.optimizer),
        "skipped": plan.skipped,
        "versions": versions(),
    }


def versions() -> dict[str, str]:
    """The versions of what converts a model."""
    packages = ("pytorch-sketch-rnn", "torch", "numpy", "safetensors")
    return {name: _version(name) for name in packages} | {"python": platform.python_version()}


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


@contextmanager
def new_folder(out: Path, *, force: bool, marker: str = PROVENANCE_FILE) -> Iterator[Path]:
    """Yield an empty folder that becomes ``out`` on success and is removed on failure.

    Args:
        out: the folder to write.
        force: whether to replace a converted model in ``out``, which happens at the very end. A file, or a folder
            without ``marker``, is never replaced.
        marker: the file by which a folder is known that this program wrote.

    Raises:
        BadInput: when ``out`` exists and must not be replaced, or cannot be written.
    """
    out = Path(out)
    if os.path.lexists(out):
        if not force:
            raise BadInput(f"{out}: exists already; choose another name, or replace it with --force")
        if not (out / marker).is_file():
            what = "a converted model" if marker == PROVENANCE_FILE else "an exported model"
            raise BadInput(f"{out}: is not {what} (it holds no {marker}); --force will not replace it")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=f".{out.name}.", suffix=".tmp", dir=out.parent))
    except OSError as error:
        raise BadInput(f"{out}: cannot be written ({error.strerror})") from None
    fresh, old = scratch / "new", scratch / "old"
    try:
        fresh.mkdir()
        yield fresh
        if force and os.path.lexists(out):
            out.rename(old)
        fresh.rename(out)
    except OSError as error:
        raise BadInput(f"{out}: cannot be written ({error.strerror or error})") from None
    finally:
        if os.path.lexists(old) and not os.path.lexists(out):
            old.rename(out)
        shutil.rmtree(scratch, ignore_errors=True)
