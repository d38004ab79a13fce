"""Which fused path a machine uses."""

import functools
import importlib.util
import os
from collections.abc import Callable
from ctypes import CDLL
from functools import partial

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
TRITON = f"{PREFIX}triton"
LIBRARY = "+library"  # with the matrix products of torch's library
_ADDING = ("avx512",)  # levels whose own products are faster at the weights' gradients, too; see docs/backends.md


class Unusable(Exception):
    """A fused path cannot be used here; the message says why."""


def names(device: torch.device) -> tuple[str, ...]:
    """The fused paths that a device has.

    On a CPU such as ``fused:avx2``, with our own products; ``fused:avx2+library``, with those of torch's library, for
    the best vector level alone; ``fused:scalar``; and ``fused:aten``, which needs no compiler.
    """
    if device.type == "cuda":
        return (TRITON,)
    if device.type != "cpu":
        return ()
    best, *others = (f"{PREFIX}{level}" for level in build.levels())
    return (best, best + LIBRARY, *others, ATEN, *((TRITON,) if _interprets_triton() else ()))


def proven(name: str, device: torch.device) -> Fused:
    """A fused path that agrees with the reference on this machine; it is checked once in a process.

    Raises:
        Unusable: when this machine does not have it, it cannot be compiled, or it does not agree.
    """
    found = _proven_or_why_not(name, device)
    if isinstance(found, str):
        raise Unusable(found)
    return found


def forget() -> None:
    """Check everything again when it is used next."""
    _proven_or_why_not.cache_clear()
    fastest.cache_clear()


@functools.cache
def _proven_or_why_not(name: str, device: torch.device) -> Fused | str:
    try:
        return _proven(name, device)
    except Unusable as error:
        return str(error)


def _proven(name: str, device: torch.device) -> Fused:
    if name not in names(device):
        raise Unusable(f"{device} has {', '.join(names(device)) or 'no fused path'}")
    try:
        fused = Fused(name, kernels(name), _sampling(name))
    except (build.CannotBuild, BadInput) as error:
        raise Unusable(str(error)) from None
    try:
        with torch.device("cpu"):  # whatever the default device is
            wrong = disagreement(fused, device)
    except Exception as error:  # Triton compiles its kernels when they first run, which can fail in many ways
        if name != TRITON:
            raise
        raise Unusable(f"it cannot be run: {type(error).__name__}: {error}") from error
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
    if name == TRITON:
        try:
            from pytorch_sketch_rnn.model.fused.triton_pointwise import Triton
        except ImportError as error:
            raise build.CannotBuild(f"triton cannot be imported: {error}") from None
        return Triton()
    level = _level(name)
    products = None if name.endswith(LIBRARY) else build.library("products.cpp", level)
    return Native(build.library("kernels.cpp", level), products, adds=level in _ADDING)


def _sampling(name: str) -> Callable[[], CDLL] | None:
    """What compiles the sampling of a fused path, at its first use; None for a path that has none of its own."""
    if name in (ATEN, TRITON):
        return None
    return partial(build.library, "sampling.cpp", _level(name))


def _level(name: str) -> str:
    return name.removeprefix(PREFIX).removesuffix(LIBRARY)


def _interprets_triton() -> bool:
    return os.environ.get("TRITON_INTERPRET") == "1" and importlib.util.find_spec("triton") is not None


@functools.cache
def fastest(device: torch.device) -> tuple[Fused | None, tuple[str, ...]]:
    """The fastest fused path of a device, and why those that are faster cannot be used; it stays so in a process."""
    names_by_reason: dict[str, list[str]] = {}
    found = None
    for name in _by_speed(device):
        try:
            found = proven(name, device)
            break
        except Unusable as error:
            names_by_reason.setdefault(str(error), []).append(name)
    return found, tuple(f"{', '.join(names)}: {reason}" for reason, names in names_by_reason.items())


def _by_speed(device: torch.device) -> tuple[str, ...]:
    """The fused paths to try, the fastest first."""
    known = names(device)
    if device.type != "cpu":
        return known
    best, with_library, *others = known
    try:
        level = build.levels()[0]
        with torch.device("cpu"):
            own = own_products_are_faster(level, adds=level in _ADDING)
    except (build.CannotBuild, BadInput):
        own = True  # why it cannot be used is said where it is tried
    of_best = (best, with_library) if own else (with_library, best)
    return (*of_best, *(name for name in others if name != TRITON))
