"""All that must be there is there: gradients together in L2, what is fed, a continued training, the official files."""

import numpy as np
import pytest
from judging import changed
from shipped import shipped

from parity_tests.adapter import EVERYTHING, INTERMEDIATES
from parity_tests.configurations import CELL_KEEP_PROB
from parity_tests.judge.limits import EPSILON32, FLOAT32_FLOOR, FLOAT64_ALLOWED
from parity_tests.judge.row import failures
from parity_tests.judge.together import TOGETHER, gradients_together
from parity_tests.ours import Adapter as Ours
from parity_tests.ours import WithoutTape
from parity_tests.prove import MASK_SIZE, prove
from parity_tests.recording import Recording
from parity_tests.report import Report
from parity_tests.training import resumed, state_before, with_step
from parity_tests.verify import verify_recordings
from pytorch_sketch_rnn.errors import BadInput

RECORDING = shipped()["lstm/as_is"]
WEIGHT = "vector_rnn/RNN/output_w"
GRADIENTS = {name: value for name, value in RECORDING["float64"].items() if name.startswith("gradient/")}
LENGTH = np.sqrt(sum(np.sum(value**2) for value in GRADIENTS.values()))  # of all of them as one vector


# Gradients together --------------------------------------------------------------------------------------------------


def still(precision: str, **drifts: np.ndarray) -> Recording:
    """The recording, its gradients without any drift but the given."""
    quiet = {name: np.zeros((10, 2, 1)) for name in GRADIENTS}
    return changed(RECORDING, **{f"{precision}_ensemble": quiet | drifts})


def off_by(relative: float, precision: str) -> dict[str, np.ndarray]:
    """The official gradients, moved by so much of their length, spread over all of them."""
    scale = 1 + relative
    return {name: (value * scale).astype(precision if precision == "float32" else "float64")
            for name, value in GRADIENTS.items()}


def together(recording: Recording, precision: str, ours: dict[str, np.ndarray]):
    (row,) = gradients_together(recording, precision, ours)
    assert (row.quantity, row.precision, row.measure) == (TOGETHER, precision, "rms")
    return row


@pytest.mark.parametrize(
    ("precision", "floor"), [("float64", FLOAT64_ALLOWED), ("float32", FLOAT32_FLOOR * EPSILON32)]
)
def test_without_drift_the_floor_is_allowed_and_no_more(precision, floor):
    for size, verdict in ((0.0, "equal"), (0.8 * floor, "equal"), (1.3 * floor, "different")):
        row = together(still(precision), precision, off_by(size, precision))
        assert (row.verdict, row.official_error) == (verdict, 0.0)
        assert row.allowed == pytest.approx(floor)


@pytest.mark.parametrize(("precision", "drift"), [("float64", 1e-9), ("float32", 1e-5)])
def test_they_may_be_off_by_ten_times_the_largest_drift_of_an_official_run(precision, drift):
    root = np.sqrt(sum(value.size for value in GRADIENTS.values()))
    members = np.full((10, 2, 1), 0.3 * drift * LENGTH / root)  # as root of the mean square, of each variable alike
    members[6] = drift * LENGTH / root
    recording = still(precision, **dict.fromkeys(GRADIENTS, members))
    for size, verdict in ((9 * drift, "equal"), (11 * drift, "different")):
        row = together(recording, precision, off_by(size, precision))
        assert row.verdict == verdict
        assert (row.official_error, row.allowed) == pytest.approx((drift, 10 * drift), rel=1e-6)
        assert row.error == pytest.approx(size, rel=0.05)
    assert (row.noise is None) == (precision == "float32")


def test_each_official_run_counts_as_one_vector():
    """Two runs that drift in different variables are not added up."""
    names = list(GRADIENTS)[:2]
    drifts = {}
    for member, name in enumerate(names):
        drifts[name] = np.zeros((10, 2, 1))
        drifts[name][member] = 1e-9 * LENGTH / np.sqrt(GRADIENTS[name].size)
    row = together(still("float64", **drifts), "float64", off_by(0.0, "float64"))
    assert row.official_error == pytest.approx(1e-9, rel=1e-6)


@pytest.mark.parametrize(("precision", "limit"), [("float64", 1e-6), ("float32", 1e-2)])
def test_where_official_gradients_drift_too_far_apart_they_are_not_judged(precision, limit):
    name = max(GRADIENTS, key=lambda name: GRADIENTS[name].size)
    for size, verdict in ((0.9 * limit, "equal"), (1.1 * limit, "not judged"), (np.nan, "not judged")):
        drift = np.full((10, 2, 1), size * LENGTH / np.sqrt(GRADIENTS[name].size))
        row = together(still(precision, **{name: drift}), precision, off_by(0.0, precision))
        assert row.verdict == verdict
        assert row.note.startswith("official runs drift by " if verdict == "not judged" else "")


@pytest.mark.parametrize("odd", [np.nan, np.inf])
def test_what_is_not_finite_is_different(odd):
    ours = {name: value.copy() for name, value in GRADIENTS.items()}
    ours[f"gradient/{WEIGHT}"][1, 1] = odd
    assert together(RECORDING, "float64", ours).verdict == "different"


def test_of_a_port_that_lacks_a_gradient_or_has_another_shape_its_own_row_says_so():
    lacking = {name: value for name, value in GRADIENTS.items() if WEIGHT not in name}
    assert gradients_together(RECORDING, "float64", lacking) == []
    assert gradients_together(RECORDING, "float64", GRADIENTS | {f"gradient/{WEIGHT}": np.zeros((2, 2))}) == []


# What a port offers --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [n for n, recording in shipped().items() if recording.kind != "training"])
def test_of_our_port_nothing_is_untested_and_without_a_tape_only_what_is_inside(name):
    """Trainings are in test_training.py; they hold nothing from inside a layer."""
    assert {row.verdict for row in prove(shipped()[name], Ours()).rows} == {"equal"}
    rows = prove(shipped()[name], WithoutTape()).rows
    assert {row.verdict for row in rows} <= {"equal", "untested"}
    untested = {row.quantity.removeprefix("fed/") for row in rows if row.verdict == "untested"}
    if name.startswith("cell/"):
        assert untested == {n for n in shipped()[name]["float64"] if n not in ("output", "state")}
    else:
        assert all("/encoder/" in n or "/decoder/" in n or n.endswith("/head") for n in untested)
    assert {row.quantity for row in rows if row.verdict == "equal"} >= {
        row.quantity for row in prove(shipped()[name], Ours()).rows if row.quantity.endswith(("/state", "/output"))
        and row.quantity.startswith("fed/")
    }  # fmt: skip


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


def test_a_port_offers_the_gradients_of_all_variables_or_of_none():
    class Frozen(Ours):
        def train_step(self, *arguments):
            return {name: value for name, value in super().train_step(*arguments).items() if WEIGHT not in name}

    failed = [row for row in prove(RECORDING, Frozen()).rows if row.verdict == "different"]
    assert any(row.quantity == "train_step" and "lacks gradient/" in row.note for row in failed)


def test_a_continued_training_shows_every_quantity():
    recording = shipped()["training/layer_norm"]
    step = recording.hparams["save_every"] + 1
    variables = with_step(state_before(recording, step), step)
    wanted = {n.replace("steps/", "resumed/", 1) for n in recording["float64"] if n.startswith("steps/")}

    class CostsAlone(Ours):
        def train_step(self, *arguments):
            return {name: value for name, value in super().train_step(*arguments).items() if "cost" in name}

    for port, verdicts in ((Ours(), {"equal"}), (CostsAlone(), {"equal", "untested"})):
        rows = resumed(recording, port, variables, step)
        assert {row.quantity for row in rows} == wanted
        assert {row.verdict for row in rows} == verdicts


def test_a_recording_of_other_official_files_is_refused(tmp_path):
    other = RECORDING.provenance | {"sha256": RECORDING.provenance["sha256"] | {"model.py": "0" * 64}}
    path = tmp_path / "other.h5"
    Recording(RECORDING.kind, RECORDING.name, RECORDING.hparams, other, RECORDING.groups).save(path)
    with pytest.raises(BadInput, match=r"other files than those of magenta 2\.1\.4"):
        verify_recordings([str(path)], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_mask_of_the_ports_own_making_keeps_the_share_that_is_asked_for():
    cell = shipped()["cell/lstm"]

    def share(mask: np.ndarray):
        class Port(Ours):
            def dropout_mask(self, size, keep_prob):
                return mask

        (found,) = [row for row in prove(cell, Port()).rows if row.quantity == "dropout_share"]
        return found

    mask = Ours().dropout_mask(MASK_SIZE, CELL_KEEP_PROB)
    kept = mask.max()
    assert share(mask).verdict == "equal"
    assert share(np.where(np.arange(MASK_SIZE) < 100, kept, 0).astype(np.float32)).verdict == "different"
    assert share(np.full(MASK_SIZE, kept)).verdict == "equal"  # 0.1 off is just allowed
    limit = share(mask).allowed
    for off, verdict in ((limit - 0.001, "equal"), (limit + 0.001, "different")):
        count = round((CELL_KEEP_PROB - off) * MASK_SIZE)
        assert share(np.where(np.arange(MASK_SIZE) < count, kept, 0).astype(np.float32)).verdict == verdict
    assert share(mask[:-1]).verdict == "different"
