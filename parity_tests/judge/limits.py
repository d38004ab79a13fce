"""Every bound of the harness, and the measurement behind it.

The measurements are described in ``docs/false_alarms.md`` and repeated by ``make false-alarms``.
"""

import numpy as np

from parity_tests.record.quantities import is_weight_vjp

EPSILON32 = float(np.finfo(np.float32).eps)

# --- local quantities: one step or one function, from official values ---

# float64: the largest element, relative to the largest magnitude of the tensor. Seen in `make parity`: at most 6e-14. A
# function that amplifies rounding is allowed more, see `Comparison._conditioned`.
FLOAT64_ALLOWED = 1e-10
# float32: our root mean square error over the official one, both against float64 from the same float32 values, for the
# whole tensor and for the pools within it. The squared ratio of two such errors of n independent elements follows
# F(n, n): close to 1 for many elements, unbounded for few. For each `family`: a, b and c of
# a (1 + b / sqrt(n) + c / n^2), where n is the effective number of elements. Measured in 860,000 pools of 164
# recordings, the largest ratio of functions was 12.9 for n below 1.5, 2.0 for n of 12 to 40, and 0.9 above 80; of sums
# 4.6, 4.3 and 2.1; of the optimizer 1.3, 2.4 and 0.9; of costs 2.8.
LOCAL_FACTORS = {
    "function": (1.3, 12.0, 30.0),  # a step, or its vector-Jacobian product
    "sum": (1.2, 40.0, 0.0),  # over all rows and steps, such as the gradient of a weight
    "optimizer": (1.2, 18.0, 0.0),
    "cost": (2.0, 4.0, 0.0),
}
# In a pool of few elements the official error may be small by chance. So its expected size, taken from the whole
# tensor, is added in squares, and so are this many units in the last place, because both sides round at least once.
LOCAL_FLOOR = 0.25
# In these families a pool's values may be the remainder of much larger numbers that cancelled. Their size shows in the
# error, not in the values; so the error of the whole tensor is added as well. Early in training, all elements of a bias
# of HyperLSTM's eight embeddings have the same gradient. The official error of that one number may be small by luck, so
# that of the same bias in all eight is added, too. Seen: 18 times the official error, but 1.6 times that of all eight.
CANCELLING = ("sum", "optimizer")

# --- accumulated quantities: rounding errors of many steps ---

# Our drift over the largest drift of any official run of the ensemble up to that step. In the 218 recordings of
# docs/false_alarms.md the closest row used 30 % of its allowance in float64, and 60 % in float32.
SPREAD_FACTOR64 = 10.0
SPREAD_FACTOR32 = 10.0
# However small the spread, a float32 quantity may be off by this many units in the last place of its largest magnitude.
FLOAT32_FLOOR = 8
# Where the official runs are further apart than this, relative to the largest magnitude, agreement proves nothing.
CHAOTIC64, CHAOTIC32 = 1e-6, 1e-2

# --- initial weights ---

# Units in the last place. Orthogonal blocks come from LAPACK, whose rounding differs between processors.
INITIAL_FLOOR = 4

# --- trainings ---

# Each official step was run twice. The differences of this many steps on either side serve as the ensemble of a step.
WINDOW = 8
# The drift of a free run over that of official runs from perturbed weights; and a floor relative to the largest weight,
# for rounding that has not been amplified yet.
DRIFT_FACTOR, DRIFT_FLOOR = 10.0, 1e-13


def family(name: str) -> str:
    """The family of local quantities that an official name belongs to."""
    if name.endswith("cost"):
        return "cost"
    if name.startswith("optimizer/"):
        return "optimizer"
    if is_weight_vjp(name):
        return "sum"
    return "function"


def factors(kind: str, sizes: np.ndarray) -> np.ndarray:
    """The factor by which our error may exceed the official one, for pools of these effective sizes."""
    base, root, square = LOCAL_FACTORS[kind]
    return base * (1 + root / np.sqrt(sizes) + square / np.square(sizes))
