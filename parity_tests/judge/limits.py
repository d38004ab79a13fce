"""Every bound of the harness, with the measurement that it rests on.

Where the measurements are described and can be repeated: ``docs/false_alarms.md`` and ``make false-alarms``.
"""

import numpy as np

EPSILON32 = float(np.finfo(np.float32).eps)

# --- local quantities: one step or one function, from official values ---

# float64, the largest element, relative to the largest magnitude of the tensor. Seen in `make parity`: at most 6e-14. A
# function that makes much of rounding is allowed more, see `_conditioned` in compare.py.
FLOAT64_ALLOWED = 1e-10
# float32: our root mean square error over the official one, both against float64 from the same float32 values; of the
# whole tensor, and of the pools within it. Two such errors of n independent elements are as F(n, n) apart: close to 1
# for many, without bound for few. For each `family`: a, b and c of a (1 + b / sqrt(n) + c / n^2), where n is the number
# of elements that carry the error. Measured in 860,000 pools of 164 recordings: of functions the largest ratio was 12.9
# for n below 1.5, 2.0 for n of 12 to 40, and 0.9 above 80; of sums 4.6, 4.3 and 2.1; of the optimizer 1.3, 2.4 and 0.9;
# of costs 2.8.
LOCAL_FACTORS = {
    "function": (1.3, 12.0, 30.0),  # a step, or a product of it with a vector
    "sum": (1.2, 40.0, 0.0),  # over all rows and steps, such as the gradient of a weight
    "optimizer": (1.2, 18.0, 0.0),
    "cost": (2.0, 4.0, 0.0),
}
# The official error of a pool is luck where it has few elements: its expected size, from that of the whole tensor, is
# added in squares; and so is this many units in the last place, for what both sides round once.
LOCAL_FLOOR = 0.25
# In these a pool's values may be what is left of much larger numbers that cancel. The error tells how large they were,
# not the values; so the error of the whole tensor is added as well.
CANCELLING = ("sum", "optimizer")

# --- accumulated quantities: what many steps make of rounding ---

# Our drift over the largest drift of any official run of the ensemble so far. In the 218 recordings of
# docs/false_alarms.md the closest row used 30 % of its allowance in float64, and 60 % in float32.
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

# Each official step was run a second time. The drifts of this number of steps on either side are a step's ensemble.
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
    if name.startswith("vjp/") and (not name.endswith(("/x", "/state")) or "super_linear" in name):
        return "sum"
    return "function"


def factors(kind: str, sizes: np.ndarray) -> np.ndarray:
    """By how much our error may exceed the official one, for pools of a family and their sizes."""
    base, root, square = LOCAL_FACTORS[kind]
    return base * (1 + root / np.sqrt(sizes) + square / np.square(sizes))
