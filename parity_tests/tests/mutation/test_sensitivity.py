"""How small a bug is found: every scaled bug plants, is found when it is large, and changes nothing at size 0."""

import dataclasses
import json
import sys

import numpy as np
import pytest
import torch
from shipped import shipped

from parity_tests import __main__
from parity_tests.mutation.bugs import Text
from parity_tests.ours import Adapter
from parity_tests.record.recording import FOLDER
from parity_tests.replay.model import replay
from parity_tests.sensitivity import measure as measuring
from parity_tests.sensitivity import run as running
from parity_tests.sensitivity.catalogue import SCALED_BUGS
from parity_tests.sensitivity.measure import SIZES, departures, departures_of, measure
from parity_tests.sensitivity.run import FILE, TABLE, UNFINISHED, run_sensitivity
from parity_tests.sensitivity.scaling import EVERYWHERE, ScaledBug, Scaling
from parity_tests.sensitivity.table import markdown
from pytorch_sketch_rnn.errors import BadInput
from pytorch_sketch_rnn.model import cells

BY_NAME = {bug.name: bug for bug in SCALED_BUGS}
TRAINED = [bug for bug in SCALED_BUGS if bug.recordings[0].startswith("training/")]  # the slowest: only one is run
JOBS = [(bug.name, p) for bug in SCALED_BUGS for p in bug.precisions if bug not in TRAINED[1:]]
SOME = [pytest.param(*job, marks=[pytest.mark.slow] if at % 4 else []) for at, job in enumerate(JOBS)]
STATE = BY_NAME["LSTM cell: c in the state alone"]
EACH_STEP = BY_NAME["decoder: state at every step, outside the cell"]
SAME = ScaledBug(
    "nothing", "LSTM cell", Scaling(cells.LSTMCell, "forward", ("c, h = state", "c, h = state")), STATE.recordings[:1]
)


@pytest.fixture(scope="module")
def recordings():
    return shipped()


def within(bug: ScaledBug, *names: str) -> ScaledBug:
    """The same bug, searched in these recordings."""
    return dataclasses.replace(bug, recordings=names)


# The catalogue -------------------------------------------------------------------------------------------------------


def test_names_are_unique_and_recordings_exist(recordings):
    assert len(BY_NAME) == len(SCALED_BUGS) >= 100
    assert {name for bug in SCALED_BUGS for name in bug.recordings} <= set(recordings)


@pytest.mark.parametrize("bug", SCALED_BUGS, ids=BY_NAME)
def test_every_bug_can_be_planted_and_removed_again(bug):
    planting = bug.planting
    function, module = planting.target, vars(sys.modules[planting.target.__module__])
    code, names = function.__code__, set(module)
    with planting.planted_at(1e-3, bug.precisions[0]):
        assert function.__code__ is not code
        assert "scaled" in module
    assert function.__code__ is code
    assert set(module) == names


@pytest.mark.parametrize(("name", "precision"), SOME)
def test_every_bug_is_found_at_its_largest_size(name, precision, recordings):
    assert departures(BY_NAME[name], BY_NAME[name].largest, precision, recordings)


def test_a_missing_text_or_a_name_in_use_is_refused(monkeypatch):
    with (
        pytest.raises(LookupError),
        Scaling(cells.LSTMCell, "forward", ("no such text", "")).planted_at(0.0, "float64"),
    ):
        pass
    monkeypatch.setattr(cells, "scaled", None, raising=False)
    with pytest.raises(LookupError, match="scaled"), STATE.planting.planted_at(0.0, "float64"):
        pass


# What a size means ---------------------------------------------------------------------------------------------------


@pytest.fixture
def functions():
    from parity_tests.sensitivity.scaling import _functions

    return _functions


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_change_acts_only_in_its_precision_and_not_at_size_0(dtype, functions):
    values = torch.randn(50, 4, dtype=dtype, generator=torch.Generator().manual_seed(0))
    own, other = ("float32", "float64") if dtype == torch.float32 else ("float64", "float32")
    for name, function in functions(0.0, own).items():
        assert torch.equal(function(values), values), name
    assert torch.equal(functions(1e-2, other)["scaled"](values), values)
    for precision in (own, EVERYWHERE):
        torch.testing.assert_close(functions(1e-2, precision)["scaled"](values), values * 1.01, rtol=1e-6, atol=0)


def test_float32_moves_between_a_quarter_and_half_of_its_epsilon(functions):
    values = torch.rand(1000, generator=torch.Generator().manual_seed(0)) + 1
    shares = [(functions(size, "float32")["scaled"](values) != values).double().mean() for size in (2e-8, 5e-8, 1e-7)]
    assert shares[0] == 0 < shares[1] < 1 == shares[2]


def test_numpy_and_python_numbers_are_scaled(functions):
    scaled = functions(0.5, "float32")["scaled"]
    assert scaled(np.float32(2)) == 3
    assert isinstance(scaled(np.float32(2)), np.float32)
    np.testing.assert_array_equal(scaled(np.float32([2, 4])), np.float32([3, 6]))
    assert scaled(2.0) == 2.0
    assert scaled(2.0, torch.zeros(1)) == 3.0


def test_units_rows_and_gradients(functions):
    planted = functions(0.5, "float64")
    values = torch.ones(2, 3, dtype=torch.float64, requires_grad=True)
    assert planted["scaled_unit"](values).tolist() == [[1.5, 1, 1], [1.5, 1, 1]]
    assert planted["scaled_row"](values).tolist() == [[1.5, 1.5, 1.5], [1, 1, 1]]
    result = planted["scaled_gradient"](values)
    assert torch.equal(result, values)
    result.sum().backward()
    assert torch.equal(values.grad, torch.full((2, 3), 1.5, dtype=torch.float64))


@pytest.mark.parametrize("name", ["cell/lstm", "cell/layer_norm", "lstm/moved"])
def test_at_size_0_every_bit_is_the_same(name, recordings):
    cell = "layer-norm LSTM cell" if "layer_norm" in name else "LSTM cell"
    for precision in ("float64", "float32"):
        sound = replay(recordings[name], precision, Adapter()).arrays
        for bug in (BY_NAME[f"{cell}: c"], BY_NAME[f"{cell}: gradient to c"]):
            with bug.planting.planted_at(0.0, precision):
                found = replay(recordings[name], precision, Adapter()).arrays
            assert found.keys() == sound.keys()
            assert all(found[n].tobytes() == value.tobytes() for n, value in sound.items())


# How small a bug is found --------------------------------------------------------------------------------------------


def test_a_decoder_state_scaled_by_1_minus_1e_5_in_float32_alone_is_found_and_leaves_float64_alone(recordings):
    found = departures(within(STATE, "lstm/moved"), -1e-5, "float32", recordings)
    assert {"fed/train/decoder/state"} <= {row.quantity for row in found}
    assert {row.precision for row in found} == {"float32"}
    with STATE.planting.planted_at(-1e-5, "float32"):
        assert departures_of(recordings["lstm/moved"], "float64") == []


def test_a_state_that_loses_1e_9_a_step_is_found_where_no_local_step_shows_it(recordings):
    found = departures(within(EACH_STEP, "lstm/moved"), -1e-9, "float64", recordings)
    assert "train/decoder/state" in {row.quantity for row in found}
    assert not any(row.quantity.startswith("fed/") for row in found)


def test_a_state_that_loses_1e_11_a_step_is_found_by_an_accumulated_row(recordings):
    assert departures(within(STATE, "cell/lstm"), -1e-11, "float64", recordings) == []
    assert departures(within(EACH_STEP, "lstm/moved", "training/layer_norm"), -1e-11, "float64", recordings)


# The search, and what it writes --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("threshold", "found", "missed"),
    [(3e-7, 5e-7, 2e-7), (1e-12, 1e-12, None), (1e-2, 1e-2, 5e-3), (1.1e-2, None, 1e-2)],
)
def test_the_search_ends_between_the_sizes_found_and_missed(threshold, found, missed, monkeypatch, recordings):
    rows = departures(STATE, 1e-2, "float64", recordings)
    asked = []

    def stand_in(bug, size, precision, recordings):
        asked.append(size)
        return rows if size >= threshold else []

    monkeypatch.setattr(measuring, "departures", stand_in)
    result = measure(STATE, "float64", {})
    assert (result.found, result.missed) == (found, missed)
    assert len(asked) == len(set(asked)) <= 5
    assert set(asked) >= {size for size in (found, missed) if size is not None}
    assert bool(result.by) == (found is not None)


def test_a_run_writes_its_results_and_fails_if_a_bug_is_not_found(tmp_path):
    said = []
    assert run_sensitivity(tmp_path, bugs=[within(STATE, "cell/lstm"), SAME], processes=1, log=said.append) == 1
    content = json.loads((tmp_path / FILE).read_text())
    assert [(row["name"], row["precision"]) for row in content["rows"]] == [
        (bug.name, precision) for bug in (STATE, SAME) for precision in ("float64", "float32")
    ]
    double, single, nothing, _ = content["rows"]
    assert double["by"].startswith("cell/lstm: ")
    assert double["error"] > double["allowed"]
    assert SIZES.index(double["found"]) == SIZES.index(double["missed"]) + 1
    assert double["found"] <= 2e-10
    assert single["found"] <= 1e-6
    assert (nothing["found"], nothing["missed"]) == (None, 1e-2)
    assert set(content["parts"]) == {"LSTM cell alone"}
    for row in (double, single):
        smallest = content["parts"]["LSTM cell alone"][row["precision"]]
        assert (smallest["bug"], smallest["size"]) == (STATE.name, row["found"])
        assert smallest["effect"] >= row["error"] > 0
    table = (tmp_path / TABLE).read_text()
    assert f"| {STATE.name} | {double['found']:.0e} | {double['missed']:.0e} | `{double['by']}` |" in table
    assert "| nothing | **not found** | 1e-02 |" in table
    assert any("NOT FOUND at 1e-02: nothing" in line for line in said)


def test_an_interrupted_run_is_continued_with_the_same_result(tmp_path, monkeypatch):
    bugs = [within(STATE, "cell/lstm"), SAME]
    measured = []

    def interrupted(bug, precision, recordings):
        measured.append((bug.name, precision))
        if len(measured) == 3:
            raise KeyboardInterrupt
        return measure(bug, precision, recordings)

    monkeypatch.setattr(measuring, "measure", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run_sensitivity(tmp_path / "a", bugs=bugs, processes=1)
    assert [path.name for path in (tmp_path / "a").iterdir()] == [UNFINISHED]
    said = []
    run_sensitivity(tmp_path / "a", bugs=bugs, processes=1, log=said.append)
    assert said[0] == "kept 2 results of an interrupted run; --fresh starts over"
    assert measured[3:] == [*measured[2:3], (SAME.name, "float32")]
    run_sensitivity(tmp_path / "b", bugs=bugs, processes=1)
    for name in (FILE, TABLE):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    assert not (tmp_path / "a" / UNFINISHED).exists()


def test_a_port_that_departs_already_is_not_measured(tmp_path):
    said = []
    with Text(cells.LSTMCell, "forward", ("c, h = state", "h, c = state")).planted():
        assert run_sensitivity(tmp_path, bugs=[within(STATE, "cell/lstm")], processes=1, log=said.append) == 1
    assert said[0] == "without any bug planted the port departs already:"
    assert not (tmp_path / FILE).exists()


def test_a_folder_that_cannot_be_written_is_bad_input(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInput, match="choose another --out"):
        run_sensitivity(tmp_path / "file", bugs=[], processes=1)


def test_the_command_line_has_a_flag_for_scaled_bugs(monkeypatch, tmp_path):
    asked = []
    monkeypatch.setattr(running, "run_sensitivity", lambda out, fresh: asked.append((out, fresh)) or 0)
    assert __main__.main(["mutants", "--scaled", "--out", str(tmp_path)]) == 0
    assert asked == [(tmp_path, False)]


def test_the_committed_measurement_is_of_this_catalogue_and_the_page_is_made_from_it():
    content = json.loads((FOLDER / FILE).read_text())
    assert [(row["name"], row["precision"]) for row in content["rows"]] == [
        (bug.name, precision) for bug in SCALED_BUGS for precision in bug.precisions
    ]
    assert all(row["found"] is not None for row in content["rows"])
    page = FOLDER.parent / "docs" / TABLE
    assert page.read_text() == markdown(content)
