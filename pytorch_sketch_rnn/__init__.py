"""Sketch-RNN (Ha & Eck 2017) in PyTorch, equal to Google Magenta's."""

import importlib
from typing import Any

_EXPORTS = {
    "SketchRNN": "model.sketch_rnn",
    "HParams": "hparams",
    "Mixture": "model.mixture",
    "Tape": "model.tape",
    "DataLoader": "data.magenta_loader",
    "load_dataset": "data.magenta_loader",
    "read_npz": "data.npz",
    "sample": "model.sampling",
    "sample_batch": "model.sampling",
    "save_drawing": "data.drawing",
    "BadInput": "errors",
}
__all__ = sorted(_EXPORTS)


def __getattr__(name: str) -> Any:
    """Import on first use: what needs no tensors must not wait for torch, nor bring it beside TensorFlow."""
    if name not in _EXPORTS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_EXPORTS[name]}"), name)
