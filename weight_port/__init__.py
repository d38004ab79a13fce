"""Magenta's Sketch-RNN models into PyTorch, and back, without TensorFlow."""

from pathlib import Path
from typing import Any


def convert_model(
    source: str | Path, out: str | Path, *, member: str | None = None, force: bool = False, **hparams: Any
) -> None:
    """Convert a model of Magenta's into a folder that ``SketchRNN.from_pretrained`` reads.

    Args:
        source: a path, a URL, or the name of an official model; see ``weight_port.source.ACCEPTED_FORMS``.
        out: the folder to write.
        member: which model of a ``.zip`` archive.
        force: whether to replace a converted model in ``out``.
        hparams: hyperparameters that the weights do not determine.

    Raises:
        BadInput: when the model cannot be converted, or ``out`` exists and ``force`` is not given.
    """
    from weight_port.folder import convert_source
    from weight_port.source import open_source

    with open_source(source, member) as opened:
        convert_source(opened, Path(out), hparams, force=force)
