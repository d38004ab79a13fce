"""Reads the model that a command was given, and checks that it can compute anything."""

from pathlib import Path

import torch

from pytorch_sketch_rnn.errors import BadInput
from pytorch_sketch_rnn.model.sketch_rnn import SketchRNN


def usable_model(folder: Path, device: torch.device, backend: str) -> SketchRNN:
    """The model in a folder, in eval mode.

    Args:
        folder: of the model.
        device: where it computes.
        backend: the name of one that this device has.

    Raises:
        BadInput: when a file is missing or invalid, or a weight is NaN or infinite.
    """
    model = SketchRNN.from_pretrained(folder, device=device, backend=backend)
    for name, weight in model.named_parameters():
        if not bool(torch.isfinite(weight).all()):
            raise BadInput(f"{folder}: the weight {name} holds NaN or infinity, so the model cannot be used")
    return model
