"""Writes a folder that official Magenta's ``load_model`` and ``load_checkpoint`` read.

It holds what Magenta's trainer leaves, except for the graph (``.meta``), which Magenta builds itself: ``checkpoint``,
``vector-N.index``, ``vector-N.data-00000-of-00001`` and ``model_config.json``. ``export.json``, at which Magenta does
not look, says where it comes from.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np

from pytorch_sketch_rnn.errors import BadInput, enumerated, naming
from pytorch_sketch_rnn.hparams import OURS_ALONE, SCALE_FACTOR
from pytorch_sketch_rnn.json_file import read_json
from weight_port.archive import CONFIG_NAME, EXPORT_NAME
from weight_port.export.stored import Stored
from weight_port.export.variables import official_variables
from weight_port.folder import new_folder, versions
from weight_port.names import GLOBAL_STEP
from weight_port.tensor_bundle_writer import write_bundle


def export_checkpoint(stored: Stored, out: Path, *, force: bool = False) -> Path:
    """Write a model as a checkpoint of Magenta's trainer.

    Args:
        stored: the model.
        out: the folder to write.
        force: whether to replace an earlier export in ``out``.

    Returns:
        The checkpoint's prefix.

    Raises:
        BadInput: when ``out`` exists and must not be replaced, or cannot be written. Then ``out`` is as it was.
    """
    with naming(stored.folder):
        variables = official_variables(stored.hparams, stored.weights, stored.optimizer)
    if force:
        _refuse_others(out)
    step = int(variables[GLOBAL_STEP])
    name = f"vector-{max(step - 1, 0)}"  # the trainer saves after a step, under its number; the first is 0
    with new_folder(out, force=force, marker=EXPORT_NAME) as folder:
        write_bundle(folder / name, variables)
        lines = (f'{key}: "{name}"\n' for key in ("model_checkpoint_path", "all_model_checkpoint_paths"))
        (folder / "checkpoint").write_text("".join(lines), encoding="utf-8")
        _write_json(folder / CONFIG_NAME, model_config(stored))
        files = sorted([EXPORT_NAME, *(path.name for path in folder.iterdir())])
        _write_json(folder / EXPORT_NAME, _record(stored, variables) | {"files": files})
    return out / name


def _refuse_others(out: Path) -> None:
    """Refuse to replace an export in which somebody else wrote, such as Magenta's trainer.

    Raises:
        BadInput: naming a file of theirs.
    """
    if not (out / EXPORT_NAME).is_file():
        return  # new_folder says what is wrong with it
    record = read_json(out / EXPORT_NAME, "the record of an export")
    files = record.get("files") if isinstance(record, dict) else None
    others = sorted(path.name for path in out.iterdir() if not isinstance(files, list) or path.name not in files)
    if others:
        raise BadInput(f"{out}: holds what no export wrote: {enumerated(others, 5)}; --force will not replace it")


def model_config(stored: Stored) -> dict[str, Any]:
    """``model_config.json`` with booleans as true and false, the only form that Magenta 2.1.4 loads.

    What Magenta has as numbers in its code is left out: it would refuse the names.
    """
    return {name: value for name, value in stored.hparams.to_dict().items() if name not in OURS_ALONE}


def _record(stored: Stored, variables: dict[str, np.ndarray]) -> dict[str, Any]:
    scale_factor = {} if stored.scale_factor is None else {SCALE_FACTOR: stored.scale_factor}
    return {
        "source": str(stored.folder),
        **scale_factor,
        "variables": len(variables),
        "optimizer_state": bool(stored.optimizer),
        "info": dict(stored.info),
        "versions": versions(),
    }


def _write_json(path: Path, value: dict[str, Any]) -> None:
    path.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")
