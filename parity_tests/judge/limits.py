"""Every bound of the harness, with the measurement that it rests on.

Where the measurements are described and can be repeated: ``docs/false_alarms.md`` and ``make false-alarms``.
"""

import numpy as np

EPSILON32 = float(np.finfo(np.float32).eps)

# --- local quantities: one step or one function, from official values ---

# float64, the largest element, relative to the largest magnitude of the tensor. Seen: at most 5e-15.
FLOAT64_ALLOWED = 1e-10
# float32: our root mean square error over the official one, both against float64 from the same float32 values; of the
# whole tensor, and of the pools within it. By family, see `family`.
# A pool of n elements may scatter further, by 1 + a third number / sqrt(n): the elements of a sum over all rows and
# steps (the gradient of a weight) often carry the error of a single row.
LOCAL_FACTORS = {
    "forward": (1.5, 3.0, 4.0),
    "product": (1.5, 4.0, 4.0),
    "sum": (2.5, 30.0, 40.0),
    "optimizer": (2.0, 10.0, 8.0),
    "cost": (2.0, 2.0, 4.0),
}
# The official error of a pool is luck where it has few elements: its expected size, from that of the whole tensor, is
# added in squares; and so is this many units in the last place, for what both sides round once.
LOCAL_FLOOR = 0.25

# --- accumulated quantities: what many steps make of rounding ---

# Our drift over the largest drift of any official run of the ensemble so far.
SPREAD_FACTOR64 = 10.0
SPREAD_FACTOR32 = 10.0
# A float32 quantity may be off by this many units in the last place of its largest magnitude however small the spread.
FLOAT32_FLOOR = 8
# Where the official runs drift further apart than this, relative to the largest magnitude, nothing is proven.
CHAOTIC64, CHAOTIC32 = 1e-6, 1e-2

# --- initial weights ---

# Orthogonal blocks come from LAPACK, whose rounding differs between processors.
INITIAL_FLOOR = 4

# --- trainings ---

# Each official step was run a second time; so many steps before and after it give the ensemble of a step.
WINDOW = 8
# The drift of a run that goes on by itself, over that of official runs from perturbed weights; or this much relative to
# the largest weight, which is rounding before anything was amplified.
DRIFT_FACTOR, DRIFT_FLOOR = 10.0, 1e-13


def family(name: str) -> str:
    """To which family of local quantities a name belongs; it is that of the official quantity."""
    if name.endswith("cost"):
        return "cost"
    if name.startswith("optimizer/"):
        return "optimizer"
    if name.startswith("loss/gradient/"):
        return "product"
    if name.startswith("vjp/"):
        return "product" if name.endswith(("/x", "/state")) and "super_linear" not in name else "sum"
    return "forward"
