"""Errors of a tensor pooled over many elements: over the whole tensor, and over each row, step, gate and unit.

In a root mean square, one unlucky element decides nothing. A bug in a single unit, gate, step or row still stands out
in the pool of that unit, gate, step or row.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from parity_tests.record.quantities import FOUR_GATES, is_weight_vjp

WEIGHTS = ("gradient/", "clipped/", "after/", "converted/", "exported/", "initial/", "variables/", "optimizer/")


class Pools(NamedTuple):
    """The pools of one tensor, one entry each."""

    axes: list[str]  # what the fixed axis counts; "" for the whole tensor
    indices: np.ndarray  # index along the fixed axis
    sizes: np.ndarray  # effective number of elements that carry each pool's error, at least 1
    values: np.ndarray  # root of the mean square [tensors, pools]


def axes_of(name: str, shape: tuple[int, ...]) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """What each axis of a quantity counts, and its shape with the four gates split off as an axis of their own.

    Args:
        name: of the quantity, without ``fed/``.
        shape: of the tensor.
    """
    ndim = len(shape)
    bare = name.removesuffix("/Adam_1").removesuffix("/Adam")
    if name.startswith(WEIGHTS) or is_weight_vjp(name):
        axes: tuple[str, ...] = ("in", "unit") if ndim == 2 else ("unit",)
    elif name.startswith("sample/"):
        axes = ("step", "unit")
    elif name.endswith("nll"):
        axes = ("row", "step")
    else:
        axes = ("row", "step", "unit") if ndim == 3 else ("row", "unit") if ndim == 2 else ("row",)
    axes = axes[:ndim]
    if axes and axes[-1] == "unit" and bare.endswith(FOUR_GATES) and shape[-1] % 4 == 0:
        return (*axes[:-1], "gate", "unit"), (*shape[:-1], 4, shape[-1] // 4)
    return axes, shape


def pooled(name: str, errors: Sequence[np.ndarray], *others: np.ndarray) -> Pools:
    """Pool several tensors of one shape over the same pools.

    If a few elements of a pool are much larger than the rest, they alone carry its error. The effective number of
    elements is Kish's effective sample size of the squared errors: (sum of squares)^2 / sum of fourth powers.

    Args:
        name: of the quantity; it determines what the axes count.
        errors: float64, of each side; their effective number of elements counts.
        others: values to pool in the same way.
    """
    axes, shape = axes_of(name, errors[0].shape)
    squares = np.stack([np.square(tensor).reshape(shape) for tensor in (*errors, *others)])
    weight = squares[: len(errors)].sum(axis=0)
    weight = weight / (weight.max(initial=0.0) or 1.0)  # so that its square does not underflow
    names, indices = [""], [np.zeros(1, int)]
    sizes, values = [_effective(weight, None)], [squares.reshape(len(squares), -1).mean(axis=1)[:, None]]
    for axis, kind in enumerate(axes):
        length = shape[axis]
        if length < 2 or len(axes) < 2:
            continue  # the whole tensor again, or single elements
        rest = tuple(other + 1 for other in range(len(axes)) if other != axis)
        names += [kind] * length
        indices.append(np.arange(length))
        sizes.append(_effective(weight, tuple(other - 1 for other in rest)))
        values.append(squares.mean(axis=rest))
    return Pools(names, np.concatenate(indices), np.concatenate(sizes), np.sqrt(np.concatenate(values, axis=1)))


def _effective(weight: np.ndarray, axis: tuple[int, ...] | None) -> np.ndarray:
    squares = np.square(weight).sum(axis=axis)
    return np.atleast_1d(
        np.where(squares > 0, np.square(weight.sum(axis=axis)) / np.where(squares > 0, squares, 1.0), 1.0)
    )
