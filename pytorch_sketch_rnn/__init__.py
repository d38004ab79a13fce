"""Sketch-RNN (Ha & Eck 2017) in PyTorch, equal to Google Magenta's."""

import importlib
from typing import Any

_EXPORTS = {
    "SketchRNN": "model",
    "HParams": "hparams",
    "Mixture": "mixture",
    "Tape": "tape",
    "DataLoader": "data",
    "load_dataset": "data",
    "read_npz": "npz",
    "sample": "sampling",
    "sample_batch": "sampling",
    "save_drawing": "drawing",
    "BadInput": "errors",
}
__all__ = sorted(_EXPORTS)


def __getattr__(name: str) -> Any:
    """Import on first use: what needs no tensors must not wait for torch, nor bring it beside TensorFlow."""
    if name not in _EXPORTS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_EXPORTS[name]}"), name)
