"""A state that loses a little at each step is found: in float32 alone, below the local bound, in whole runs alone."""

import pytest
import torch
from shipped import shipped

from parity_tests import ours
from parity_tests.adapter import EVERYTHING
from parity_tests.judge.first_departure import first_departure
from parity_tests.judge.proof import prove
from parity_tests.judge.row import failures
from parity_tests.record.quantities import FED, PREFIX
from parity_tests.report.report import Report

LOCAL_METHODS = (
    "step_cell", "step_cell_vjp", "step_layer", "step_layer_vjp", "posterior", "latent", "initial_state",
    "output_layer", "costs", "optimize", "variables",
)  # fmt: skip


class Losing(ours.Adapter):
    """The decoder's state shrinks by a relative size at each step, in one precision.

    Args:
        by: how much is lost.
        part: of the state, ``c`` or ``h``.
        dtype: the precision in which it is.
    """

    def __init__(self, by: float, part: str, dtype: torch.dtype) -> None:
        super().__init__()
        self.by, self.part, self.dtype = by, part, dtype
        self.precisions = ("float32",) if dtype == torch.float32 else ("float64",)

    def load(self, hparams, variables):
        super().load(hparams, variables)
        self.model.decoder.cell.register_forward_hook(self._lose)

    def _lose(self, _cell, _args, answer):
        output, state = answer
        value = getattr(state, self.part)
        if value.dtype != self.dtype:
            return answer
        return output, state._replace(**{self.part: value * (1 - self.by)})


class WithoutSteps(Losing):
    """The same port as one that offers whole runs alone."""

    offers = EVERYTHING - {*LOCAL_METHODS, "intermediates"}


def _nothing(self, *_args, **_kwargs):
    raise NotImplementedError


for _name in LOCAL_METHODS:
    setattr(WithoutSteps, _name, _nothing)


def rows_of(port, name):
    """Rows of the precisions that the port has; it offers more, which others test."""
    rows = prove(shipped()[name], port).rows
    return [row for row in rows if row.note != "the port does not offer this precision"]


@pytest.mark.parametrize("part", ["c", "h"])
@pytest.mark.parametrize("name", ["lstm/moved", "layer_norm/moved"])
def test_a_state_scaled_by_less_than_1e_5_in_float32_alone_is_found_in_the_step_itself(name, part):
    rows = rows_of(Losing(1e-5, part, torch.float32), name)
    local = {row.quantity for row in failures(rows) if row.quantity.startswith(FED)}
    assert f"{FED}train/decoder/state" in local
    assert all("decoder" in quantity for quantity in local)
    state = next(row for row in rows if row.quantity == f"{FED}train/decoder/state")
    assert state.ratio > 5  # against the same step in float64, from the same float32 values


@pytest.mark.parametrize("part", ["c", "h"])
def test_a_state_that_loses_less_than_the_local_bound_is_found_by_the_drift_of_a_free_run(part):
    lossy = Losing(1e-11, part, torch.float64)
    assert not [row for row in failures(rows_of(lossy, "layer_norm/moved")) if row.quantity.startswith(FED)]
    failed = {row.quantity for row in failures(rows_of(lossy, "training/layer_norm"))}
    assert "free run: drift of the weights" in failed


def test_a_state_that_loses_nothing_is_equal():
    for dtype in (torch.float64, torch.float32):
        assert not failures(rows_of(Losing(0.0, "c", dtype), "layer_norm/moved"))


@pytest.mark.parametrize("part", ["c", "h"])
@pytest.mark.parametrize("name", ["lstm/moved", "layer_norm/moved", "layer_norm-unconditional/moved"])
def test_a_port_without_local_steps_that_loses_1e_9_a_step_is_found(name, part):
    rows = rows_of(WithoutSteps(1e-9, part, torch.float64), name)
    local = {row.quantity for row in rows if row.quantity.startswith(FED) and row.verdict != "untested"}
    assert local <= {f"{FED}eval/r_cost", f"{FED}eval/kl_cost"}  # the loss alone is offered as a function
    failed = {row.quantity for row in failures(rows)}
    assert any(quantity.startswith(PREFIX) for quantity in failed)
    assert not {name for name in failed if name.endswith(("/mu", "/presig", "/z"))}  # the encoder is sound
    first = first_departure(rows)
    assert first.quantity.startswith(("eval/", "train/"))
    assert first.error < 1e-7


def test_a_port_without_local_steps_that_loses_nothing_is_equal_in_part_and_never_equal():
    rows = rows_of(WithoutSteps(0.0, "c", torch.float64), "lstm/moved")
    assert {row.verdict for row in rows} == {"equal", "untested"}
    verdict = Report("", rows, {}, {}, partial=True).verdict()
    equal = sum(row.verdict == "equal" for row in rows)
    assert verdict.startswith(f"EQUAL IN {equal} OF {len(rows)}: ")
