"""The flag that chooses how a model computes."""

import argparse
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pytorch_sketch_rnn.errors import BadInput, one_line

if TYPE_CHECKING:
    import torch

BACKEND_HELP = "how the model computes: reference, fused, auto (the faster one), or one by its name, such as fused:avx2"


def add_backend(parser: argparse.ArgumentParser) -> None:
    """Add ``--backend`` to a command that uses a trained model."""
    parser.add_argument("--backend", metavar="X", default="auto", help=f"{BACKEND_HELP} (default auto)")


def chosen_backend(request: str, device: "torch.device") -> str:
    """The name of the backend that a flag means on a device.

    Raises:
        BadInput: when this machine does not have it.
    """
    from pytorch_sketch_rnn.model.backend import backend_for

    with notices_as_notes():
        try:
            return backend_for(request, device).name
        except BadInput as error:
            raise BadInput(f"--{error}") from None


@contextmanager
def notices_as_notes() -> Iterator[None]:
    """Print each notice of a backend as one line to standard error; other warnings stay what they are."""
    from pytorch_sketch_rnn.model.backend import BackendNotice

    found: list[warnings.WarningMessage] = []
    try:
        with warnings.catch_warnings(record=True) as found:
            warnings.simplefilter("always", BackendNotice)
            yield
    finally:
        for warning in found:
            if issubclass(warning.category, BackendNotice):
                print(f"note: {one_line(warning.message)}", file=sys.stderr, flush=True)
    for warning in found:  # not after an error, in whose place they might be raised
        if not issubclass(warning.category, BackendNotice):
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
