"""The position of an element in a tensor, in the terms of the model, and where a departure begins."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from parity_tests.judge.tensor.pools import axes_of
from parity_tests.record.error_norms import step_axis
from parity_tests.record.quantities import GATES


def place(name: str, index: tuple[int, ...], shape: tuple[int, ...]) -> dict[str, Any]:
    """The index of an element along each axis, by what the axis counts; four gates give the gate and its unit."""
    axes, split = axes_of(name, shape)
    if len(split) > len(shape):
        index = (*index[:-1], *divmod(index[-1], split[-1]))
    found = dict(zip(axes, index, strict=True))
    return found | {"gate": GATES[found["gate"]]} if "gate" in found else found


def within(name: str, shape: tuple[int, ...], fixed: Mapping[str, int]) -> np.ndarray:
    """Mask of the elements at these indices, given by what each axis counts."""
    axes, split = axes_of(name, shape)
    mask = np.ones(split, bool)
    for kind, index in fixed.items():
        axis = axes.index(kind)
        mask &= (np.arange(split[axis]) == index).reshape([-1 if other == axis else 1 for other in range(len(split))])
    return mask.reshape(shape)


def first_of(name: str, difference: np.ndarray, bad: np.ndarray) -> tuple[int, ...] | None:
    """Index of the largest difference among the bad elements of the first step that has any; None if none is bad."""
    if not bad.any():
        return None
    axis = step_axis(name, difference.ndim)
    if axis is not None:
        steps = np.moveaxis(bad, axis, 0).reshape(bad.shape[axis], -1).any(axis=1)
        at = np.arange(bad.shape[axis]).reshape([-1 if index == axis else 1 for index in range(bad.ndim)])
        bad = bad & (at == int(steps.argmax()))
    return tuple(map(int, np.unravel_index(int(np.where(bad, difference, -1.0).argmax()), difference.shape)))


def unstepped(name: str, flat: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """[steps, rest] back in the shape of the quantity: the inverse of :func:`.error_norms.by_step`."""
    axis = step_axis(name, len(shape))
    if axis is None:
        return flat.reshape(shape)
    rest = tuple(size for index, size in enumerate(shape) if index != axis)
    return np.moveaxis(flat.reshape(shape[axis], *rest), 0, axis)
