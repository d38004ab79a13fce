"""Errors of a tensor pooled over many elements: over all of it, and over each row, step, gate and unit of its own.

One unlucky element decides nothing in a root of a mean square; a bug in one unit, gate, step or row still stands out in
the pool that is its own.
"""

from typing import NamedTuple

import numpy as np

GATES = "ijfo"
WEIGHTS = ("gradient/", "clipped/", "after/", "converted/", "initial/", "variables/", "optimizer/", "vjp/")
FOUR_GATES = ("W_xh", "W_hh", "bias", "total", "ln_all/ln_gamma", "ln_all/ln_beta")


class Pools(NamedTuple):
    """Some pools of one tensor, one entry each."""

    axes: list[str]  # what the axis counts whose index is fixed; "" for the whole tensor
    indices: np.ndarray  # that index
    sizes: np.ndarray  # elements in each pool that are not zero in every tensor, at least 1
    values: np.ndarray  # root of the mean square [tensors, pools]


def axes_of(name: str, shape: tuple[int, ...]) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """What each axis of a quantity counts, and its shape with the four gates as an axis of their own.

    Args:
        name: of the quantity, without ``fed/``.
        shape: of the tensor.
    """
    ndim = len(shape)
    bare = name.removesuffix("/Adam_1").removesuffix("/Adam")
    if name.startswith(WEIGHTS) and not (name.startswith("vjp/") and bare.endswith(("/x", "/state"))):
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


def pooled(name: str, *tensors: np.ndarray) -> Pools:
    """Pool several tensors of one shape, each in the same pools.

    Args:
        name: of the quantity, which tells what its axes count.
        tensors: errors or values, float64.
    """
    axes, shape = axes_of(name, tensors[0].shape)
    squares = np.stack([np.square(tensor).reshape(shape) for tensor in tensors])
    alive = (squares != 0).any(axis=0)
    names, indices = [""], [np.zeros(1, int)]
    sizes, values = [np.array([alive.sum()])], [squares.reshape(len(tensors), -1).mean(axis=1)[:, None]]
    for axis, kind in enumerate(axes):
        length = shape[axis]
        if length < 2 or len(axes) < 2:
            continue  # the same pool again, or single elements
        rest = tuple(other + 1 for other in range(len(axes)) if other != axis)
        names += [kind] * length
        indices.append(np.arange(length))
        sizes.append(alive.sum(axis=tuple(other - 1 for other in rest)))
        values.append(squares.mean(axis=rest))
    return Pools(
        names, np.concatenate(indices), np.maximum(np.concatenate(sizes), 1), np.sqrt(np.concatenate(values, axis=1))
    )
