"""How large a tensor's error is: at each step, as root of the mean square and as largest element. NumPy alone.

Both sides of the harness measure with this, so that their numbers can be compared.
"""

import numpy as np


def step_axis(name: str, ndim: int) -> int | None:
    """Which axis of a quantity counts the steps of a recurrence; None where it has none.

    Inside a layer and for the mixtures [B, T, n]; for sampling [T, n]; per step and row [B, T].
    """
    if name.startswith(("gradient/", "clipped/", "after/", "converted/", "initial/", "variables/", "optimizer/")):
        return None
    if name.startswith("vjp/") and (not name.endswith(("/x", "/state")) or "super_linear" in name):
        return None
    if name.startswith("sample/"):
        return 0 if ndim == 2 else None
    if name.endswith("/nll"):
        return 1 if ndim == 2 else None
    return 1 if ndim == 3 else None


def by_step(name: str, values: np.ndarray) -> np.ndarray:
    """Values as [steps, all the rest]; one step where there are none."""
    axis = step_axis(name, values.ndim)
    if axis is None:
        return values.reshape(1, -1)
    return np.moveaxis(values, axis, 0).reshape(values.shape[axis], -1)


def sizes(name: str, difference: np.ndarray) -> np.ndarray:
    """[2, steps]: the root of the mean square of a difference at each step, and its largest element."""
    flat = np.abs(by_step(name, difference.astype(np.float64)))
    return np.stack([np.sqrt(np.mean(flat**2, axis=1)), flat.max(axis=1, initial=0.0)])
