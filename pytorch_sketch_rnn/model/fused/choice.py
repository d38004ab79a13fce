"""Which fused path a machine uses."""

import functools

import torch

from pytorch_sketch_rnn.errors import BadInput
from pytorch_sketch_rnn.model.fused import build
from pytorch_sketch_rnn.model.fused.aten import ATen
from pytorch_sketch_rnn.model.fused.native import Native
from pytorch_sketch_rnn.model.fused.self_check import disagreement
from pytorch_sketch_rnn.model.fused.sequence import PREFIX, Fused

ATEN = f"{PREFIX}aten"


class Unusable(Exception):
    """A fused path cannot be used here; the message says why."""


def names(device: torch.device) -> tuple[str, ...]:
    """The fused paths that a device has, the fastest first."""
    return (*(PREFIX + level for level in build.levels()), ATEN) if device.type == "cpu" else ()


@functools.cache
def proven(name: str, device: torch.device) -> Fused:
    """A fused path that agrees with the reference on this machine; it is checked once in a process.

    Raises:
        Unusable: when this machine does not have it, it cannot be compiled, or it does not agree.
    """
    if name not in names(device):
        raise Unusable(f"{device} has {', '.join(names(device)) or 'no fused path'}")
    try:
        pointwise = ATen() if name == ATEN else Native(build.library(name.removeprefix(PREFIX)))
    except (build.CannotBuild, BadInput) as error:
        raise Unusable(str(error)) from None
    fused = Fused(name, pointwise)
    wrong = disagreement(fused, device)
    if wrong is not None:
        raise Unusable(f"it does not agree with the reference on this machine: {wrong}")
    return fused


def fastest(device: torch.device) -> tuple[Fused | None, list[str]]:
    """The fastest fused path of a device, and why those that are faster cannot be used."""
    reasons: list[str] = []
    for name in names(device):
        try:
            return proven(name, device), reasons
        except Unusable as error:
            reasons.append(f"{name}: {error}")
    return None, reasons
