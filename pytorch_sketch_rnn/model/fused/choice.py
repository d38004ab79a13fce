"""Which fused path a machine uses."""

import functools
import importlib.util
import os

import torch

from pytorch_sketch_rnn.errors import BadInput
from pytorch_sketch_rnn.model.fused import build
from pytorch_sketch_rnn.model.fused.aten import ATen
from pytorch_sketch_rnn.model.fused.native import Native
from pytorch_sketch_rnn.model.fused.pointwise import Pointwise
from pytorch_sketch_rnn.model.fused.self_check import disagreement
from pytorch_sketch_rnn.model.fused.sequence import PREFIX, Fused

ATEN = f"{PREFIX}aten"
TRITON = f"{PREFIX}triton"


class Unusable(Exception):
    """A fused path cannot be used here; the message says why."""


def names(device: torch.device) -> tuple[str, ...]:
    """The fused paths that a device has, the fastest first."""
    if device.type == "cuda":
        return (TRITON,)
    if device.type != "cpu":
        return ()
    interpreted = (TRITON,) if _interprets_triton() and importlib.util.find_spec("triton") else ()
    return (*(PREFIX + level for level in build.levels()), ATEN, *interpreted)


@functools.cache
def proven(name: str, device: torch.device) -> Fused:
    """A fused path that agrees with the reference on this machine; it is checked once in a process.

    Raises:
        Unusable: when this machine does not have it, it cannot be compiled, or it does not agree.
    """
    if name not in names(device):
        raise Unusable(f"{device} has {', '.join(names(device)) or 'no fused path'}")
    fused = Fused(name, pointwise(name))
    try:
        wrong = disagreement(fused, device)
    except Exception as error:  # Triton compiles its kernels when they first run, which can fail in many ways
        if name != TRITON:
            raise
        raise Unusable(f"it cannot be run: {type(error).__name__}: {error}") from error
    if wrong is not None:
        raise Unusable(f"it does not agree with the reference on this machine: {wrong}")
    return fused


def pointwise(name: str) -> Pointwise:
    """The element-wise part of a fused path of that name, not compared with anything yet.

    Raises:
        Unusable: when it cannot be compiled, or what it needs is not installed.
    """
    if name == ATEN:
        return ATen()
    if name == TRITON:
        try:
            from pytorch_sketch_rnn.model.fused.triton_pointwise import Triton
        except ImportError as error:
            raise Unusable(f"triton cannot be imported: {error}") from None
        return Triton()
    try:
        return Native(build.library(name.removeprefix(PREFIX)))
    except (build.CannotBuild, BadInput) as error:
        raise Unusable(str(error)) from None


def _interprets_triton() -> bool:
    return os.environ.get("TRITON_INTERPRET") == "1"


def fastest(device: torch.device) -> tuple[Fused | None, list[str]]:
    """The fastest fused path of a device, and why those that are faster cannot be used."""
    reasons: list[str] = []
    for name in names(device):
        try:
            return proven(name, device), reasons
        except Unusable as error:
            reasons.append(f"{name}: {error}")
    return None, reasons
