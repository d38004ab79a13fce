"""Every backend of this machine against the committed recordings of the official code."""

import pytest
from fused_cases import EVERY, backend, every_backend
from shipped import shipped

from parity_tests.adapter import EVERYTHING, INTERMEDIATES
from parity_tests.commands.backends import BY_BACKEND
from parity_tests.judge.conditions import never_strict
from parity_tests.judge.proof import prove
from parity_tests.judge.row import EQUAL, UNTESTED, failures
from parity_tests.mutation.port_bugs import resumed_rows
from parity_tests.ours import Adapter
from parity_tests.record.recording import Recording
from parity_tests.record.shipped import fixture_paths
from parity_tests.report.sentences import describe
from pytorch_sketch_rnn.errors import BadInput


def rows_of(name, recordings):
    """All rows of these recordings by a backend."""
    backend(name)  # or the test is skipped
    port = Adapter(backend=name)
    assert port.about["backend"] == port.backend == name
    assert port.offers == EVERYTHING - {INTERMEDIATES}
    rows = []
    for recording in recordings:
        rows += prove(recording, port).rows + resumed_rows(recording, port)
    return rows


def assert_equal(rows):
    assert [describe(row) for row in failures(rows)] == []
    assert {row.verdict for row in rows} == {EQUAL, UNTESTED}


@every_backend
def test_cells_alone_against_official(name):
    rows = rows_of(name, [Recording.load(path) for path in fixture_paths() if path.stem.startswith("cell-")])
    assert_equal(rows)
    judged = {row.quantity for row in rows if row.verdict == EQUAL and row.precision == "float64"}
    ends = {"x", "state", "W_xh", "W_hh", "ln_all/ln_gamma", "ln_c/ln_beta", "hyper_ix/zw/super_linear_w"}
    assert {"output", "state", *(f"vjp/{end}" for end in ends)} <= judged


# make parity judges all of them, by recordings of its own
@pytest.mark.parametrize("name", [EVERY[0], *(pytest.param(name, marks=pytest.mark.slow) for name in EVERY[1:])])
def test_all_recordings_that_ship_against_official(name):
    rows = rows_of(name, [r for r in shipped().values() if r.kind in BY_BACKEND])
    assert_equal(rows)
    assert never_strict(rows) == []  # each quantity is judged at 1e-10 in some recording
    untested = {row.quantity.removeprefix("fed/") for row in rows if row.verdict == UNTESTED}
    assert untested
    assert not [quantity for quantity in untested if "vjp/" in quantity or quantity.endswith(("cost", "mu", "pi"))]
    equal = {row.quantity for row in rows if row.verdict == EQUAL}
    layers = ("encoder/fw", "encoder/bw", "decoder")
    assert {f"fed/train/{layer}/{what}" for layer in layers for what in ("state", "output")} <= equal


def test_a_backend_that_is_not_there_is_refused():
    with pytest.raises(BadInput, match="backend is 'fused:owl', which cannot be used on cpu"):
        Adapter(backend="fused:owl")
