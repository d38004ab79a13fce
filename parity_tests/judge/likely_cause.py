"""Suggests the cause of a departure from its numbers alone: one sentence if they show it, none if they do not.

A pattern counts only if it explains every element from far fewer numbers than there are elements. NumPy alone.
Source of the layouts (order of the gates, packed states): Magenta 2.1.4, ``rnn.py``; of the patterns: bugs of ports.
"""

from collections.abc import Callable, Mapping

import numpy as np

from parity_tests.judge.patterns.case import Case, case_of, is_numeric
from parity_tests.judge.patterns.extent import after_the_first_step, all_but_the_longest
from parity_tests.judge.patterns.malformed import not_finite, other_shape
from parity_tests.judge.patterns.normalisation import factor_or_shift_of_each_unit, normalisation
from parity_tests.judge.patterns.order import reordered, reversed_sketches, shifted_by_a_step, transposed
from parity_tests.judge.patterns.scale import bounded, clipped_by_norm, dropout_mask, one_factor, one_shift
from parity_tests.judge.patterns.simple import (
    another_quantity,
    one_number,
    only_after_the_end,
    rounded_to_float32,
    two_constants,
    zero_everywhere,
)

Pattern = Callable[[Case], str | None]
# Tried in this order: the most specific first.
ANY_NUMBERS: tuple[Pattern, ...] = (
    zero_everywhere,
    rounded_to_float32,
    another_quantity,
    one_number,
    two_constants,
    only_after_the_end,
)
# These need many distinct numbers; few numbers would match by chance.
MANY_NUMBERS: tuple[Pattern, ...] = (
    transposed,
    shifted_by_a_step,
    reversed_sketches,
    reordered,
    clipped_by_norm,
    bounded,
    dropout_mask,
    one_factor,
    one_shift,
    normalisation,
    factor_or_shift_of_each_unit,
    all_but_the_longest,
    after_the_first_step,
)


def likely_cause(
    name: str,
    ours: np.ndarray,
    theirs: np.ndarray,
    others: Mapping[str, np.ndarray],
    tolerance: float,
    lengths: np.ndarray | None = None,
) -> str | None:
    """The likely cause of a departure, in one sentence; None if the numbers do not show one.

    Args:
        name: of the quantity, such as ``train/decoder/i``; it determines what the axes count. A prefix
            ``steps/`` is ignored.
        ours: any shape; bool, integer or float.
        theirs: any shape and type; if the shapes differ, that difference is explained.
        others: official values of the recording by name; only related quantities are tried.
        tolerance: below this, relative to the largest magnitude of theirs, two numbers are equal.
        lengths: true lengths of the sketches [B], where known.
    """
    if not (is_numeric(ours) and is_numeric(theirs)):
        return None
    name = name.removeprefix("steps/")
    others = {other.removeprefix("steps/"): values for other, values in others.items()}
    with np.errstate(all="ignore"):
        if np.shape(ours) != np.shape(theirs):
            return other_shape(name, np.asarray(ours, np.float64), np.asarray(theirs, np.float64), tolerance)
        case = case_of(name, np.asarray(ours), np.asarray(theirs), others, tolerance, lengths)
        if not (np.isfinite(case.ours).all() and np.isfinite(case.theirs).all()):
            return not_finite(case)
        if not case.differs.any():
            return None
        patterns = ANY_NUMBERS + (MANY_NUMBERS if case.is_rich and case.is_sane else ())
        return next(filter(None, (pattern(case) for pattern in patterns)), None)
