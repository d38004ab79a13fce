"""Which fused path a machine uses."""

import functools

import torch

from pytorch_sketch_rnn.errors import BadInput
from pytorch_sketch_rnn.model.fused import build
from pytorch_sketch_rnn.model.fused.aten import ATen
from pytorch_sketch_rnn.model.fused.faster_products import own_products_are_faster
from pytorch_sketch_rnn.model.fused.kernels import Kernels
from pytorch_sketch_rnn.model.fused.native import Native
from pytorch_sketch_rnn.model.fused.self_check import disagreement
from pytorch_sketch_rnn.model.fused.sequence import PREFIX, Fused

ATEN = f"{PREFIX}aten"
LIBRARY = "+library"  # with the matrix products of torch's library


class Unusable(Exception):
    """A fused path cannot be used here; the message says why."""


def names(device: torch.device) -> tuple[str, ...]:
    """The fused paths that a device has, such as ``fused:avx2``, ``fused:avx2+library`` and ``fused:aten``."""
    if device.type != "cpu":
        return ()
    return (*(f"{PREFIX}{level}{products}" for level in build.levels() for products in ("", LIBRARY)), ATEN)


@functools.cache
def proven(name: str, device: torch.device) -> Fused:
    """A fused path that agrees with the reference on this machine; it is checked once in a process.

    Raises:
        Unusable: when this machine does not have it, it cannot be compiled, or it does not agree.
    """
    if name not in names(device):
        raise Unusable(f"{device} has {', '.join(names(device)) or 'no fused path'}")
    try:
        fused = Fused(name, kernels(name))
    except (build.CannotBuild, BadInput) as error:
        raise Unusable(str(error)) from None
    wrong = disagreement(fused, device)
    if wrong is not None:
        raise Unusable(f"it does not agree with the reference on this machine: {wrong}")
    return fused


def kernels(name: str) -> Kernels:
    """The kernels of a fused path, which may have to be compiled.

    Raises:
        CannotBuild: when they cannot be.
        BadInput: when the cache cannot be written.
    """
    if name == ATEN:
        return ATen()
    level = name.removeprefix(PREFIX).removesuffix(LIBRARY)
    products = None if name.endswith(LIBRARY) else build.library("products.cpp", level)
    return Native(build.library("kernels.cpp", level), products)


def fastest(device: torch.device) -> tuple[Fused | None, list[str]]:
    """The fastest fused path of a device, and why those that are faster cannot be used."""
    reasons: list[str] = []
    for name in _by_speed(device):
        try:
            return proven(name, device), reasons
        except Unusable as error:
            reasons.append(f"{name}: {error}")
    return None, reasons


def _by_speed(device: torch.device) -> tuple[str, ...]:
    """One fused path of each vector level, with the faster products there, then the one that needs no compiler."""
    if device.type != "cpu":
        return ()
    best = []
    for level in build.levels():
        try:
            own = own_products_are_faster(level)
        except (build.CannotBuild, BadInput):
            own = True  # why it cannot be used is said where it is tried
        best.append(f"{PREFIX}{level}" + ("" if own else LIBRARY))
        if own is not None:
            break
    return (*best, *(f"{PREFIX}{level}" for level in build.levels()[len(best) :]), ATEN)
