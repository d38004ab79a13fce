"""Patterns that even few or repeated numbers show."""

from collections.abc import Iterator, Mapping

import numpy as np

from parity_tests.judge.patterns.case import WEIGHTS, Case, is_numeric
from parity_tests.judge.patterns.numbers import fraction_of
from parity_tests.record.quantities import GATES

TWINS = {"train/": "eval/", "eval/": "train/", "clipped/": "gradient/", "gradient/": "clipped/"}
EPSILON32 = float(np.finfo(np.float32).eps)


def zero_everywhere(case: Case) -> str | None:
    """One side is zero everywhere."""
    if not case.ours.any():
        return "ours is zero everywhere, theirs is not"
    return None if case.theirs.any() else "theirs is zero everywhere, ours is not"


def rounded_to_float32(case: Case) -> str | None:
    """Ours was computed or rounded in float32: all its numbers are float32 numbers, and most of theirs are not."""
    inexact = (case.theirs.astype(np.float32) != case.theirs).mean()
    round_numbers = (case.ours.astype(np.float16) == case.ours).mean()  # round numbers such as 0.5 prove nothing
    is_single = (case.ours.astype(np.float32) == case.ours).all()
    is_near = np.abs(case.ours - case.theirs).max() < 1e-4 * case.scale
    if case.tolerance > EPSILON32 or not (is_single and is_near and inexact > 0.5 > round_numbers):
        return None
    if (case.theirs.astype(np.float32) == case.ours).all():
        return "ours is theirs rounded to float32"
    return "ours looks rounded to float32: all its numbers are numbers that float32 holds"


def another_quantity(case: Case) -> str | None:
    """Ours is a related official quantity, such as another gate."""
    if np.unique(case.ours).size < min(3, case.ours.size):  # constants and masks equal many others by chance
        return None
    for other in _relatives(case.name, case.others):
        values = np.asarray(case.others[other])
        if not (is_numeric(values) and values.shape == case.ours.shape and case.explains(values.astype(np.float64))):
            continue
        (our_folder, _, ours), (their_folder, _, theirs) = case.name.rpartition("/"), other.rpartition("/")
        if our_folder != their_folder:
            return f"our {case.name} is their {other}"
        return f"our {ours} is their {theirs}{': two gates swapped' if {ours, theirs} <= set(GATES) else ''}"
    return None


def _relatives(name: str, others: Mapping[str, np.ndarray]) -> Iterator[str]:
    """Quantities with the same prefix (for a weight, those of all weights), and the same quantity of another pass."""
    folder, kind = name.rpartition("/")[0], name.partition("/")[0] + "/"
    yield from (other for other in others if other != name and other.rpartition("/")[0] == folder)
    if kind in WEIGHTS:
        yield from (other for other in others if other.startswith(kind) and other.rpartition("/")[0] != folder)
    if kind in TWINS and (twin := TWINS[kind] + name.removeprefix(kind)) in others:
        yield twin


def one_number(case: Case) -> str | None:
    """A single number: off by one, the other sign, or a simple fraction."""
    if case.ours.size != 1 or not case.is_sane:
        return None
    ours, theirs = case.ours.item(), case.theirs.item()
    if ours.is_integer() and theirs.is_integer():
        return f"ours is theirs {'+' if ours > theirs else '-'} 1" if abs(ours - theirs) == 1 else None
    if case.explains(-case.theirs):
        return "ours is theirs with the other sign"
    fraction = fraction_of(ours / theirs, case.tolerance)
    return f"ours is {ours / theirs:#.6g} times theirs ({fraction})" if fraction else None


def two_constants(case: Case) -> str | None:
    """Both sides are constant, with different values."""
    if case.ours.size == 1 or np.ptp(case.ours) or np.ptp(case.theirs):
        return None
    return f"ours is {case.ours.flat[0]:.6g} everywhere, theirs {case.theirs.flat[0]:.6g}: another constant"


def only_after_the_end(case: Case) -> str | None:
    """All differences lie in the padding."""
    if case.differs.sum() < 3 or case.differs[case.before_end].any():
        return None
    return "differs only after the end of the sketches: length handling or padding"
