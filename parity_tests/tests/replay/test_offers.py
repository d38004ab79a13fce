"""What a port offers must be answered; what it does not offer is not proven, and never counts as equal."""

import pytest
from shipped import shipped

from parity_tests.adapter import EVERYTHING, INTERMEDIATES, Adapter
from parity_tests.judge.proof import prove
from parity_tests.judge.row import failures
from parity_tests.judge.tensor.together import TOGETHER
from parity_tests.ours import Adapter as Ours
from parity_tests.ours import WithoutTape
from parity_tests.report.report import Report

RECORDING = shipped()["lstm/as_is"]


@pytest.mark.parametrize("name", [n for n, recording in shipped().items() if recording.kind != "training"])
def test_of_our_port_nothing_is_untested_and_without_a_tape_only_what_is_inside(name):
    """Trainings are in test_training.py; they hold nothing from inside a layer."""
    whole, rows = (prove(shipped()[name], port).rows for port in (Ours(), WithoutTape()))
    assert {row.verdict for row in whole} == {"equal"}
    assert {row.verdict for row in rows} <= {"equal", "untested"}
    assert [row.quantity for row in rows if row.verdict == "equal"]
    untested = {row.quantity.removeprefix("fed/") for row in rows if row.verdict == "untested"}
    if name.startswith("cell/"):
        assert untested == {n for n in shipped()[name]["float64"] if n not in ("output", "state")}
    else:
        assert all("/encoder/" in n or "/decoder/" in n or n.endswith("/head") for n in untested)
    local = {row.quantity: row.verdict for row in rows if row.quantity.startswith("fed/")}
    assert {verdict for n, verdict in local.items() if n.endswith(("/state", "/output"))} <= {"equal"}


def test_ours_offers_everything_and_without_a_tape_all_but_what_is_inside():
    assert Ours().offers == EVERYTHING
    assert WithoutTape().offers == EVERYTHING - {INTERMEDIATES}


class NoCell(Ours):
    """Neither the cells alone nor those of a layer."""

    def step_cell(self, *arguments):
        raise NotImplementedError("no cell")

    step_layer = step_cell


def test_what_a_port_says_to_offer_and_does_not_answer_is_a_failure_and_else_it_is_untested():
    class Modest(NoCell):
        offers = EVERYTHING - {"step_cell", "step_layer", INTERMEDIATES}

    whole = {row.quantity for row in prove(RECORDING, Ours()).rows}
    assert {"fed/train/decoder/i", "fed/train/encoder/bw/state", "fed/eval/r_cost", "fed/vjp/decoder/W_hh"} <= whole
    for port, verdict in ((NoCell(), "not compared"), (Modest(), "untested")):
        rows = prove(RECORDING, port).rows
        assert {row.quantity for row in rows} == whole
        steps = [row for row in rows if row.quantity.startswith("fed/train/decoder/") and "initial" not in row.quantity]
        assert {row.verdict for row in steps} == {verdict}
    assert failures(prove(RECORDING, NoCell()).rows)
    assert not failures(prove(RECORDING, Modest()).rows)


def test_each_quantity_of_a_precision_that_a_port_lacks_is_untested_and_the_whole_never_equal():
    class Double(Ours):
        precisions = ("float64",)

    rows = prove(RECORDING, Double()).rows
    lacking = [row for row in rows if row.precision == "float32"]
    assert {(row.verdict, row.note) for row in lacking} == {("untested", "the port does not offer this precision")}
    answered = {row.quantity for row in prove(RECORDING, Ours()).rows if row.precision == "float32"}
    assert {row.quantity for row in lacking} == answered - {TOGETHER}
    assert not Report("", rows, {}, {}).passed
    assert Report("", rows, {}, {}, partial=True).verdict().startswith(f"EQUAL IN {len(rows) - len(lacking)} OF ")


def test_our_own_cells_are_asked_for_where_a_port_has_no_layers():
    class CellsAlone(Ours):
        offers = EVERYTHING - {"step_layer", "step_layer_vjp"}

        def step_layer(self, *arguments):
            raise AssertionError("not offered, and asked for all the same")

        step_layer_vjp = step_layer

    assert {row.verdict for row in prove(RECORDING, CellsAlone()).rows} == {"equal"}


def test_a_port_offers_what_its_class_overrides_and_nothing_else_unless_it_says_so():
    class Some(Adapter):
        def decode(self, inputs, z, draws):
            return {}

    class More(Some):
        offers = frozenset({"decode", INTERMEDIATES})

        def sample(self, *arguments):
            return {}

    assert Adapter().offers == frozenset()
    assert Some().offers == {"decode"}
    assert More().offers == {"decode", INTERMEDIATES}
