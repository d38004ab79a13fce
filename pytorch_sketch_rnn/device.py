"""The device that a model is put on, checked before it is used."""

import os

import torch

from pytorch_sketch_rnn.errors import BadInput


def usable_device(device: torch.device | str, name: str = "device") -> torch.device:
    """The device, after a number has been put on it and read back.

    Args:
        device: such as ``cpu``, ``cuda`` or ``cuda:1``.
        name: what the caller calls it, for the message.

    Raises:
        BadInput: where torch does not know it or cannot use it here.
    """
    try:
        found = torch.device(device)
    except (RuntimeError, TypeError):
        raise BadInput(f"{name} {device} cannot be used: expected such as cpu, cuda or cuda:1") from None
    if found.type == "cuda" and not torch.cuda.is_available():
        why = "this torch has no CUDA" if torch.version.cuda is None else "torch finds no GPU"
        raise BadInput(f"{name} {device} cannot be used: {why}")
    try:
        torch.zeros(1, device=found).cpu()
    except (RuntimeError, AssertionError, ImportError):
        raise BadInput(f"{name} {device} cannot be used: torch cannot put numbers on it here") from None
    return found


def on_device(values: torch.Tensor, device: torch.device) -> torch.Tensor:
    """The tensor on a device; going to a GPU, it is copied while both sides work on."""
    if values.device.type == "cpu" and device.type == "cuda":
        return values.pin_memory().to(device, non_blocking=True)
    return values.to(device)


def device_name(device: torch.device) -> str:
    """The device, and what its maker calls it where torch knows that."""
    return f"{device} ({torch.cuda.get_device_name(device)})" if device.type == "cuda" else str(device)


def physical_memory() -> int:
    """Bytes of memory that this machine has."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
