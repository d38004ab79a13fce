"""Converts a model with weight_port, and back, and compares every array it writes with the official one."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy

from parity_tests.judge.compare import compare
from parity_tests.judge.row import Row
from parity_tests.record.recording import Recording
from pytorch_sketch_rnn.model.saved_model import WEIGHTS_FILE
from pytorch_sketch_rnn.training.optimizer_file import OPTIMIZER_FILE
from weight_port.export.checkpoint import export_checkpoint
from weight_port.export.stored import read_stored
from weight_port.folder import convert_source
from weight_port.names import EVALUATION_ROOT, table
from weight_port.source import Source, Variables, open_source


def compare_converted(
    source: Source, converted: Path, recording: Recording, flags: Mapping[str, Any] | None = None
) -> list[Row]:
    """Convert a model, and compare the files bit for bit with the variables that a recording holds.

    Args:
        source: the model in an official form.
        converted: the folder that the conversion writes; an earlier conversion in it is replaced.
        recording: what the official side read from the same source.
        flags: hyperparameters that the weights do not determine.

    Returns:
        One row for each weight and each variable of the optimizer, named ``converted/<official name>``.
    """
    inferred, plan = convert_source(source, converted, flags, force=converted.exists())
    ours = safetensors.numpy.load_file(converted / WEIGHTS_FILE)
    if plan.optimizer:
        ours |= safetensors.numpy.load_file(converted / OPTIMIZER_FILE)
    names = table(inferred.hparams)
    ours = {f"converted/{names.official(name)}": value for name, value in ours.items()}
    held = set(source.variables.names()) - set(plan.skipped)  # the official graph also has what it made itself
    theirs = {f"converted/{name}": value for name, value in recording["weights"].items() if name in held}
    bare = Recording("model", recording.name, recording.hparams, recording.provenance, {"exact": theirs})
    return compare(ours, bare, "exact")


def compare_exported(source: Source, converted: Path, exported: Path, recording: Recording) -> list[Row]:
    """Export a converted checkpoint, and compare what the export holds bit for bit with the checkpoint itself.

    Args:
        source: the checkpoint.
        converted: the folder that its conversion wrote.
        exported: the folder that the export writes; an earlier export in it is replaced.
        recording: whose name the rows have.

    Returns:
        One row for each variable, named ``exported/<official name>``.
    """
    prefix = export_checkpoint(read_stored(converted), exported, force=exported.exists())
    theirs = _all_of(source.variables)
    with open_source(prefix) as written:
        ours = _all_of(written.variables)
    # a source need not be a checkpoint of the trainer, which alone has scalars of an evaluation model
    ours = {name: value for name, value in ours.items() if name in theirs or f"exported/{EVALUATION_ROOT}" not in name}
    bare = Recording("model", recording.name, recording.hparams, recording.provenance, {"exact": theirs})
    return compare(ours, bare, "exact")


def _all_of(variables: Variables) -> dict[str, np.ndarray]:
    return {f"exported/{name}": variables.read(name) for name in variables.names()}
