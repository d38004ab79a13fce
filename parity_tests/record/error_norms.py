"""Norms of an error tensor at each step: root mean square and largest element. NumPy alone.

The official process and the judge both use them, so their numbers can be compared.
"""

import numpy as np

from parity_tests.record.quantities import is_weight_vjp


def step_axis(name: str, ndim: int) -> int | None:
    """The axis of a quantity that counts the steps of a recurrence; None if it has none.

    Layers and mixtures have [B, T, n], samples [T, n], likelihoods [B, T].
    """
    if name.startswith(
        ("gradient/", "clipped/", "after/", "converted/", "exported/", "initial/", "variables/", "optimizer/")
    ):
        return None
    if is_weight_vjp(name):
        return None
    if name.startswith("sample/"):
        return 0 if ndim == 2 else None
    if name.endswith("/nll"):
        return 1 if ndim == 2 else None
    return 1 if ndim == 3 else None


def by_step(name: str, values: np.ndarray) -> np.ndarray:
    """Values as [steps, rest]; a single step if the quantity has no step axis."""
    axis = step_axis(name, values.ndim)
    if axis is None:
        return values.reshape(1, -1)
    return np.moveaxis(values, axis, 0).reshape(values.shape[axis], -1)


def sizes(name: str, difference: np.ndarray) -> np.ndarray:
    """Root mean square and largest element of a difference at each step [2, steps]."""
    flat = np.abs(by_step(name, difference.astype(np.float64)))
    return np.stack([np.sqrt(np.mean(flat**2, axis=1)), flat.max(axis=1, initial=0.0)])
