"""Where in a tensor an element stands, and where a departure begins."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from parity_tests.judge.pools import GATES, axes_of
from parity_tests.record.error_norms import step_axis


def place(name: str, index: tuple[int, ...], shape: tuple[int, ...]) -> dict[str, Any]:
    """What each axis of a quantity counts; where the last one holds four gates, the gate and the unit within it."""
    axes, split = axes_of(name, shape)
    if len(split) > len(shape):
        index = (*index[:-1], *divmod(index[-1], split[-1]))
    found = dict(zip(axes, index, strict=True))
    return found | {"gate": GATES[found["gate"]]} if "gate" in found else found


def within(name: str, shape: tuple[int, ...], fixed: Mapping[str, int]) -> np.ndarray:
    """Which elements of a quantity stand at these indices of these axes, by what an axis counts."""
    axes, split = axes_of(name, shape)
    mask = np.ones(split, bool)
    for kind, index in fixed.items():
        axis = axes.index(kind)
        mask &= (np.arange(split[axis]) == index).reshape([-1 if other == axis else 1 for other in range(len(split))])
    return mask.reshape(shape)


def first_of(name: str, difference: np.ndarray, bad: np.ndarray) -> tuple[int, ...] | None:
    """Index of the largest difference among the bad elements of the first step that has any; None without any."""
    if not bad.any():
        return None
    axis = step_axis(name, difference.ndim)
    if axis is not None:
        steps = np.moveaxis(bad, axis, 0).reshape(bad.shape[axis], -1).any(axis=1)
        at = np.arange(bad.shape[axis]).reshape([-1 if index == axis else 1 for index in range(bad.ndim)])
        bad = bad & (at == int(steps.argmax()))
    return tuple(map(int, np.unravel_index(int(np.where(bad, difference, -1.0).argmax()), difference.shape)))


def as_shaped(name: str, flat: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """[steps, all the rest] in the shape of the quantity again."""
    axis = step_axis(name, len(shape))
    if axis is None:
        return flat.reshape(shape)
    rest = tuple(size for index, size in enumerate(shape) if index != axis)
    return np.moveaxis(flat.reshape(shape[axis], *rest), 0, axis)
