"""The quantities that no recording judged strictly."""

import pytest

from parity_tests.judge.conditions import never_strict
from parity_tests.judge.row import DIFFERENT, EQUAL, NOT_JUDGED, OVERFLOW, Row

WIDE, STRICT = 1e-9, 1e-10


def row(quantity, allowed, verdict=EQUAL, precision="float64"):
    return Row("some/as_is", quantity, precision, verdict, 0.0, allowed)


@pytest.mark.parametrize("quantity", ["train/mu", "gradient/w", "steps/after/w/Adam_1", "fed/vjp/decoder/x"])
def test_a_quantity_that_only_wide_bounds_judged_is_named(quantity):
    assert never_strict([row(quantity, WIDE), row(quantity, 2 * WIDE)]) != []
    assert never_strict([row(quantity, WIDE), row(quantity, STRICT)]) == []


def test_a_bound_that_was_rounded_is_the_same_bound():
    assert never_strict([row("train/mu", 0.7 * STRICT / 0.7 * (1 + 2e-16))]) == []
    assert never_strict([row("train/mu", 1.01 * STRICT)]) == ["train/mu"]


@pytest.mark.parametrize("verdict", [DIFFERENT, NOT_JUDGED, OVERFLOW])
def test_what_is_not_equal_is_not_judged_strictly(verdict):
    assert never_strict([row("train/mu", STRICT, verdict)]) == ["train/mu"]


def test_a_float32_row_neither_asks_nor_answers():
    assert never_strict([row("train/mu", WIDE, precision="float32")]) == []
    assert never_strict([row("train/mu", STRICT, precision="float32"), row("train/mu", WIDE)]) == ["train/mu"]


@pytest.mark.parametrize(
    "other", ["after/w", "steps/after/w", "fresh/after/w", "resumed/after/w", "fed/optimizer/after/w"]
)
def test_a_step_of_a_training_is_as_good_as_another(other):
    assert never_strict([row("steps/after/w", WIDE), row(other, STRICT)]) == []
    assert never_strict([row("steps/after/w", WIDE), row(f"{other}/Adam", STRICT)]) == ["after/w"]


def test_drift_has_a_bound_of_its_own():
    assert never_strict([row("free run: w", WIDE)]) == []
