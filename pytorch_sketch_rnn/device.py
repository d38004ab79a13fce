"""Choosing and checking the device of a model."""

import os

import torch

from pytorch_sketch_rnn.errors import BadInput


def usable_device(device: torch.device | str, name: str = "device") -> torch.device:
    """The device, checked by copying a number to it and back.

    Args:
        device: such as ``cpu``, ``cuda`` or ``cuda:1``.
        name: the setting or flag that the error message names.

    Raises:
        BadInput: when torch does not know the device or cannot use it on this machine.
    """
    try:
        found = torch.device(device)
    except (RuntimeError, TypeError):
        raise BadInput(f"{name} {device} cannot be used: expected a device such as cpu, cuda or cuda:1") from None
    if found.type == "cuda" and not torch.cuda.is_available():
        why = "this torch has no CUDA" if torch.version.cuda is None else "torch finds no GPU"
        raise BadInput(f"{name} {device} cannot be used: {why}")
    try:
        torch.zeros(1, device=found).cpu()
    except (RuntimeError, AssertionError, ImportError):
        raise BadInput(f"{name} {device} cannot be used: torch cannot place tensors on it") from None
    return found


def on_device(values: torch.Tensor, device: torch.device) -> torch.Tensor:
    """Copy a tensor to a device; a copy from CPU to GPU is asynchronous, so neither side waits for it."""
    if values.device.type == "cpu" and device.type == "cuda":
        return values.pin_memory().to(device, non_blocking=True)
    return values.to(device)


def device_name(device: torch.device) -> str:
    """The device, and for a GPU its product name."""
    return f"{device} ({torch.cuda.get_device_name(device)})" if device.type == "cuda" else str(device)


def physical_memory() -> int:
    """This machine's memory in bytes."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
