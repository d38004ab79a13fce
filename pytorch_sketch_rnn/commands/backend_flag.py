"""The flag that chooses how a model computes."""

import argparse
import warnings
from typing import TYPE_CHECKING

from pytorch_sketch_rnn.errors import BadInput, one_line

if TYPE_CHECKING:
    import torch

BACKEND_HELP = "how the model computes: reference, fused, auto (the faster one), or one by its name, such as fused:avx2"


def add_backend(parser: argparse.ArgumentParser) -> None:
    """Add ``--backend`` to a command that uses a trained model."""
    parser.add_argument("--backend", metavar="X", default="auto", help=f"{BACKEND_HELP} (default auto)")


def chosen_backend(request: str, device: "torch.device") -> str:
    """The name of the backend that a flag means on a device; what a user should know of the choice is printed.

    Raises:
        BadInput: when this machine does not have it.
    """
    from pytorch_sketch_rnn.model.backend import backend_for

    with warnings.catch_warnings(record=True) as notices:
        warnings.simplefilter("always")
        try:
            name = backend_for(request, device).name
        except BadInput as error:
            raise BadInput(f"--{error}") from None
    for notice in notices:
        print(f"note: {one_line(notice.message)}", flush=True)
    return name
