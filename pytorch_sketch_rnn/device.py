"""Choosing and checking the device of a model."""

import os
from typing import NamedTuple

import torch

from pytorch_sketch_rnn.errors import BadInput

AUTO = "auto"  # the best device that is there


class Devices(NamedTuple):
    """The devices of this machine, beside the CPU, that this torch can use."""

    gpus: int = 0  # CUDA devices
    mps: bool = False  # the GPU of an Apple computer

    @classmethod
    def here(cls) -> "Devices":
        """What torch finds on this machine."""
        return cls(torch.cuda.device_count() if torch.cuda.is_available() else 0, torch.backends.mps.is_available())


class Place(NamedTuple):
    """The place of a process among those that ``torchrun`` started on its machine."""

    rank: int = 0
    size: int = 1

    @classmethod
    def here(cls) -> "Place":
        """From torchrun's environment variables; a process that it did not start is alone."""
        rank, size = (os.environ.get(name, "") for name in ("LOCAL_RANK", "LOCAL_WORLD_SIZE"))
        return cls(int(rank), int(size)) if rank.isdecimal() and size.isdecimal() else cls()


def chosen_device(requested: str, there: Devices, place: Place = Place(), before: str | None = None) -> str:  # noqa: B008
    """The name of the device that a request means on a machine.

    Args:
        requested: a device as torch names it, or :data:`AUTO`.
        there: the devices of the machine.
        place: of this process on the machine. If there are several, ``cuda`` means the GPU whose number is the
            process's local rank, and AUTO chooses GPUs only if each process gets one.
        before: the type of device that AUTO prefers, such as the one that a resumed run was trained on.

    Returns:
        A name for ``torch.device``; AUTO becomes ``cuda``, else ``mps``, else ``cpu``.
    """
    if requested == AUTO:
        found = [name for name, fits in (
            ("cuda", there.gpus >= place.size), ("mps", there.mps and place.size == 1), ("cpu", True),
        ) if fits]  # fmt: skip
        requested = before if before in found else found[0]
    return f"cuda:{place.rank}" if requested == "cuda" and place.size > 1 else requested


def usable_device(device: torch.device | str, name: str = "device", *, before: str | None = None) -> torch.device:
    """The device, checked by copying a number to it and back; a CUDA device has its index.

    Args:
        device: such as ``cpu``, ``cuda``, ``cuda:1`` or ``mps``; ``auto`` for the best one that is there.
        name: the setting or flag that the error message names.
        before: the type of device that ``auto`` prefers; see :func:`chosen_device`.

    Raises:
        BadInput: when torch does not know the device or cannot use it on this machine.
    """
    there, place = Devices.here(), Place.here()
    try:
        found = torch.device(chosen_device(str(device), there, place, before))
    except (RuntimeError, TypeError):
        raise BadInput(
            f"{name} {device} cannot be used: expected auto, or a device such as cpu, cuda or cuda:1"
        ) from None
    if found.type == "cuda" and not there.gpus:
        why = "this torch has no CUDA" if torch.version.cuda is None else "torch finds no GPU"
        raise BadInput(f"{name} {device} cannot be used: {why}")
    if found.type == "mps" and not there.mps:
        raise BadInput(f"{name} {device} cannot be used: torch finds no GPU of an Apple computer")
    if found.type == "cuda" and found.index is None:
        found = torch.device("cuda", torch.cuda.current_device())
    try:
        torch.zeros(1, device=found).cpu()
    except (RuntimeError, AssertionError, ImportError):
        raise BadInput(f"{name} {device} cannot be used: torch cannot place tensors on it") from None
    return found


def check_dtype(device: torch.device, dtype: str) -> None:
    """Refuse a dtype that a device does not have.

    Raises:
        BadInput: for float64 on mps.
    """
    if device.type == "mps" and dtype == "float64":
        raise BadInput("dtype is float64, but mps has none; expected float32, or --device=cpu", name="dtype")


def use_products(form: str, device: torch.device) -> None:
    """Let this process compute float32 products as ``form`` says, ``float32`` or ``tf32``.

    Raises:
        BadInput: for tf32 on a device that is no GPU with CUDA.
    """
    if form == "tf32" and device.type != "cuda":
        raise BadInput(
            f"products is tf32, which a GPU with CUDA computes, but the device is {device.type}; expected float32",
            name="products",
        )
    torch.set_float32_matmul_precision("high" if form == "tf32" else "highest")


def on_device(values: torch.Tensor, device: torch.device) -> torch.Tensor:
    """Copy a tensor to a device; a copy from CPU to GPU is asynchronous, so neither side waits for it."""
    if values.device.type == "cpu" and device.type == "cuda":
        return values.pin_memory().to(device, non_blocking=True)
    return values.to(device)


def device_name(device: torch.device) -> str:
    """The device, and for a GPU its product name."""
    return f"{device} ({torch.cuda.get_device_name(device)})" if device.type == "cuda" else str(device)


def memory(device: torch.device) -> int | None:
    """The memory in bytes of a GPU, or of this machine; None where the system does not say."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[1])
    if not hasattr(os, "sysconf"):  # Windows has none
        return None
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
