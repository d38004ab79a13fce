"""The folder that a conversion writes: ``config.json``, ``model.safetensors``, ``optimizer.safetensors`` where there
is optimizer state, and ``conversion.json``, which says where it all came from."""

import json
import os
import platform
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy

from pytorch_sketch_rnn.errors import BadInput
from pytorch_sketch_rnn.model.saved_model import CONFIG_FILE, WEIGHTS_FILE
from weight_port.convert import Plan, convert_variables, make_plan
from weight_port.infer import Inferred, infer_hparams
from weight_port.source import Source

OPTIMIZER_FILE = "optimizer.safetensors"
PROVENANCE_FILE = "conversion.json"


class _Reading(Mapping[str, np.ndarray]):
    """The variables of a source as a mapping that reads each when asked for."""

    def __init__(self, source: Source) -> None:
        self.variables = source.variables

    def __getitem__(self, name: str) -> np.ndarray:
        return self.variables.read(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self.variables.names())

    def __len__(self) -> int:
        return len(self.variables.names())


def examine(source: Source, flags: Mapping[str, Any] | None = None) -> tuple[Inferred, Plan]:
    """Hyperparameters of a source, and which of its variables goes where; reads no values.

    Raises:
        BadInput: when the source is not a Sketch-RNN of Magenta's.
    """
    shapes = {name: source.variables.shape(name) for name in source.variables.names()}
    inferred = infer_hparams(
        shapes,
        source.config,
        config_path=source.config_path or "model_config.json",
        flags=flags,
        info=source.info,
        location=source.location,
    )
    return inferred, make_plan(shapes, inferred.hparams, source.location)


def convert_source(
    source: Source, out: Path, flags: Mapping[str, Any] | None = None, *, force: bool = False
) -> tuple[Inferred, Plan]:
    """Write a source as a folder that ``SketchRNN.from_pretrained`` reads.

    Raises:
        BadInput: when the source cannot be converted, or ``out`` exists and ``force`` is not given. Nothing is left
            half written.
    """
    inferred, plan = examine(source, flags)
    if source.missing:
        raise BadInput(
            f"{source.location}: the data file {', '.join(source.missing)} is missing, expected beside the index; "
            "the weights are in it"
        )
    for name in plan.skipped:  # a damaged file is refused wherever the damage lies
        source.variables.read(name)
    converted = convert_variables(_Reading(source), plan, source.location)
    with new_folder(out, force=force) as folder:
        inferred.hparams.save(folder / CONFIG_FILE)
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
    except safetensors.SafetensorError as error:  # what it makes of a full disk
        raise OSError(str(error)) from None
    shutil.copymode(path.with_name(CONFIG_FILE), path)  # safetensors makes its files private


def provenance(source: Source, inferred: Inferred, plan: Plan) -> dict[str, Any]:
    """Where a converted model comes from."""
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
        "versions": {name: _version(name) for name in ("pytorch-sketch-rnn", "torch", "numpy", "safetensors")}
        | {"python": platform.python_version()},
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


@contextmanager
def new_folder(out: Path, *, force: bool) -> Iterator[Path]:
    """Yield an empty folder that becomes ``out`` on success and vanishes on failure.

    Raises:
        BadInput: when ``out`` exists and ``force`` is not given, or cannot be written. With ``force`` the old folder
            is replaced, at the very end; a file, or a folder that no conversion wrote, is not.
    """
    out = Path(out)
    if os.path.lexists(out):
        if not force:
            raise BadInput(f"{out}: exists already; choose another name, or replace it with --force")
        if not (out / PROVENANCE_FILE).is_file():
            raise BadInput(
                f"{out}: is not a converted model (it holds no {PROVENANCE_FILE}); --force will not replace it"
            )
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
