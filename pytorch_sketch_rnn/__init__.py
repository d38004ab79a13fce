"""Sketch-RNN (Ha & Eck 2017) in PyTorch, equal to Google Magenta's."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # the same names as in _EXPORTS
    from pytorch_sketch_rnn.data.magenta_loader import DataLoader as DataLoader
    from pytorch_sketch_rnn.data.magenta_loader import load_dataset as load_dataset
    from pytorch_sketch_rnn.data.npz import read_npz as read_npz
    from pytorch_sketch_rnn.data.saving import save_drawing as save_drawing
    from pytorch_sketch_rnn.download import fetch_sets as fetch_sets
    from pytorch_sketch_rnn.errors import BadInput as BadInput
    from pytorch_sketch_rnn.hparams import HParams as HParams
    from pytorch_sketch_rnn.model.mixture import Mixture as Mixture
    from pytorch_sketch_rnn.model.redrawing import complete as complete
    from pytorch_sketch_rnn.model.redrawing import encode_sketches as encode_sketches
    from pytorch_sketch_rnn.model.redrawing import interpolate as interpolate
    from pytorch_sketch_rnn.model.redrawing import reconstruct as reconstruct
    from pytorch_sketch_rnn.model.redrawing import slerp as slerp
    from pytorch_sketch_rnn.model.sampling import sample as sample
    from pytorch_sketch_rnn.model.sampling import sample_batch as sample_batch
    from pytorch_sketch_rnn.model.sketch_rnn import SketchRNN as SketchRNN
    from pytorch_sketch_rnn.model.tape import Tape as Tape

_EXPORTS = {
    "SketchRNN": "model.sketch_rnn",
    "HParams": "hparams",
    "Mixture": "model.mixture",
    "Tape": "model.tape",
    "DataLoader": "data.magenta_loader",
    "load_dataset": "data.magenta_loader",
    "read_npz": "data.npz",
    "complete": "model.redrawing",
    "encode_sketches": "model.redrawing",
    "interpolate": "model.redrawing",
    "reconstruct": "model.redrawing",
    "slerp": "model.redrawing",
    "sample": "model.sampling",
    "sample_batch": "model.sampling",
    "save_drawing": "data.saving",
    "BadInput": "errors",
    "fetch_sets": "download",
}
__all__ = sorted(_EXPORTS)


if not TYPE_CHECKING:  # otherwise every name would exist for a type checker

    def __getattr__(name: str) -> Any:
        """Import on first use: what needs no tensors must not wait for torch, nor bring it beside TensorFlow."""
        if name not in _EXPORTS:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(importlib.import_module(f"{__name__}.{_EXPORTS[name]}"), name)
