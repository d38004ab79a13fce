"""Shape and number type of everything that the official side records of a model, by name.

The shapes come from the tables in :mod:`parity_tests.record.shuffle`, which the official process uses on the same
arrays while it records them.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from parity_tests.record.shuffle import STEPS, Axes, block_sizes, draw_axes, quantity_axes, weight_axes
from weight_port.names import CONSTANTS

Shapes = dict[str, tuple[int, ...]]
WHOLE_NUMBERS = ("lengths", "offsets", "order", "global_step")  # the last part of a name


def variable_shapes(hparams: Mapping[str, Any]) -> Shapes:
    """Shapes of all variables that a checkpoint of a model holds."""
    return _shapes(weight_axes(hparams), block_sizes(hparams, 0)) | dict.fromkeys(CONSTANTS, ())


def draw_shapes(hparams: Mapping[str, Any], batch: int, steps: int) -> Shapes:
    """Shapes of the latent noise [B, z] and of each mask that a model may have [T, B, n]."""
    return _shapes(draw_axes(hparams), block_sizes(hparams, batch) | {STEPS: steps})


def quantity_shapes(hparams: Mapping[str, Any], batch: int, steps: int) -> Shapes:
    """Shapes of what a forward pass computes, by name without ``train/`` or ``eval/``."""
    return _shapes(quantity_axes(hparams), block_sizes(hparams, batch) | {STEPS: steps})


def _shapes(table: Mapping[str, Axes], sizes: Mapping[str, int]) -> Shapes:
    return {name: tuple(sum(sizes[block] for block in axis.split()) for axis in axes) for name, axes in table.items()}


def expected_numbers(name: str, dtype: np.dtype) -> str | None:
    """What an array should hold if its type is not one that is recorded; None if it is."""
    last = name.rpartition("/")[2]
    if last == "points":  # of a stroke set, in the type of its file
        return None if dtype.kind in "iuf" else "numbers"
    if last in WHOLE_NUMBERS:
        return None if dtype.kind in "iu" else "whole numbers"
    return None if dtype.kind == "f" and dtype.itemsize in (4, 8) else "float32 or float64"
