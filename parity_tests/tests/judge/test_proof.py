"""What of a recording must be shown, and how all gradients together are judged."""

import dataclasses

import numpy as np
import pytest
from shipped import shipped

from parity_tests.adapter import EVERYTHING, INTERMEDIATES
from parity_tests.commands.one_model import verify_recordings
from parity_tests.judge.limits import CHAOTIC32, FLOAT64_ALLOWED, SPREAD_FACTOR32
from parity_tests.judge.proof import MASK_SIZE, prove
from parity_tests.judge.tensor.together import TOGETHER, gradients_together
from parity_tests.judge.training import judge_resumed
from parity_tests.ours import Adapter as Ours
from parity_tests.ours import WithoutTape
from parity_tests.record.configurations import CELL_KEEP_PROB
from parity_tests.record.draws import nudged
from parity_tests.record.recording import Recording
from parity_tests.replay.training import state_before, with_step
from pytorch_sketch_rnn.errors import BadInput

RECORDING = shipped()["layer_norm-unconditional/moved"]
CONDITIONAL = shipped()["lstm/moved"]
GRADIENTS = [name for name in RECORDING["float64"] if name.startswith("gradient/")]
WEIGHT = "vector_rnn/RNN/output_w"


def together(precision, off):
    """The row of all gradients, each element of the first one off by this much of the whole length."""
    length = np.sqrt(sum(np.sum(RECORDING["float64"][name] ** 2) for name in GRADIENTS))
    ours = {name: RECORDING["float64"][name].copy() for name in GRADIENTS}
    ours[GRADIENTS[0]] += off * length / np.sqrt(ours[GRADIENTS[0]].size)
    (row,) = gradients_together(RECORDING, precision, ours)
    return row


def test_all_gradients_may_be_a_few_times_as_far_off_as_an_official_run():
    spread = together("float32", 0.0).official_error
    assert 1e-8 < spread < 1e-5
    assert together("float32", 0.99 * SPREAD_FACTOR32 * spread).verdict == "equal"
    assert together("float32", 1.01 * SPREAD_FACTOR32 * spread).verdict == "different"
    assert together("float64", 0.99 * FLOAT64_ALLOWED).verdict == "equal"
    assert together("float64", 1.01 * FLOAT64_ALLOWED).verdict == "different"


def test_the_allowance_of_the_gradients_knows_nothing_of_ours():
    assert together("float32", 1e-3).allowed == together("float32", 0.0).allowed


@pytest.mark.parametrize("odd", [np.nan, np.inf])
def test_gradients_that_are_not_finite_are_different(odd):
    assert together("float32", odd).verdict == "different"


def test_gradients_that_official_runs_do_not_agree_on_are_not_judged():
    drift = {
        name: np.full_like(value, CHAOTIC32 * np.abs(RECORDING["float64"][name]).max() * 10)
        if name in GRADIENTS
        else value
        for name, value in RECORDING["float32_ensemble"].items()
    }
    chaotic = dataclasses.replace(RECORDING, groups=RECORDING.groups | {"float32_ensemble": drift})
    (row,) = gradients_together(chaotic, "float32", {name: RECORDING["float64"][name] for name in GRADIENTS})
    assert row.verdict == "not judged"


def test_a_gradient_that_is_missing_leaves_no_row_of_all_together():
    assert gradients_together(RECORDING, "float64", {name: RECORDING["float64"][name] for name in GRADIENTS[1:]}) == []


def test_ours_offers_everything_and_nothing_is_left_untested():
    rows = prove(RECORDING, Ours()).rows
    assert Ours().offers == EVERYTHING
    assert {row.verdict for row in rows} == {"equal"}
    assert any(row.quantity == TOGETHER for row in rows)


def test_without_a_tape_all_is_proven_but_what_layers_compute_inside():
    assert WithoutTape().offers == EVERYTHING - {INTERMEDIATES}
    rows = prove(RECORDING, WithoutTape()).rows
    assert {row.verdict for row in rows} == {"equal", "untested"}
    inside = {row.quantity for row in rows if row.verdict == "untested"}
    layers = ("fed/train/decoder/", "train/decoder/", "eval/decoder/")
    assert all(name.startswith(layers) for name in inside)
    assert not {"fed/train/decoder/state", "fed/train/decoder/output"} & inside


def test_a_nudge_moves_each_weight_to_a_neighbour_or_not_at_all():
    weights = {"w": np.array([1.0, -2.5, 0.0, 3e-40, 1e30] * 20, np.float32), "other": np.ones(3, np.float32)}
    for dtype in ("float32", "float64"):
        value = weights["w"].astype(dtype)
        moved = nudged(weights, {"w"}, dtype, 1)["w"]
        neighbours = [np.nextafter(value, side) for side in (-np.inf, np.inf)]
        kinds = [moved == value, moved == neighbours[0], moved == neighbours[1]]
        assert moved.dtype == dtype
        assert np.logical_or.reduce(kinds).all()
        assert all(kind.any() for kind in kinds)
    assert nudged(weights, {"w"}, "float32", 1)["other"] is weights["other"]
    assert not np.array_equal(nudged(weights, {"w"}, "float32", 1)["w"], nudged(weights, {"w"}, "float32", 2)["w"])


def test_what_is_offered_may_not_be_missing_and_what_is_not_is_untested():
    class NoCell(Ours):
        def step_layer(self, *arguments):
            raise NotImplementedError("no layer")

    class Offering(NoCell):
        offers = EVERYTHING - {INTERMEDIATES}

    class NotOffering(NoCell):
        offers = EVERYTHING - {INTERMEDIATES, "step_layer", "step_cell"}

        def step_cell(self, *arguments):
            raise NotImplementedError("no cell")

    wanted = ("fed/train/decoder/output", "fed/train/encoder/bw/state")
    for port, verdict in ((NoCell(), "not compared"), (Offering(), "untested"), (NotOffering(), "untested")):
        rows = [row for row in prove(CONDITIONAL, port).rows if row.quantity in wanted]
        assert len(rows) == 4
        assert {row.verdict for row in rows} == {verdict}


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
        rows = judge_resumed(recording, port, variables, step)
        assert {row.quantity for row in rows} == wanted
        assert {row.verdict for row in rows} == verdicts


def test_a_recording_of_other_official_files_is_refused(tmp_path):
    other = RECORDING.provenance | {"sha256": RECORDING.provenance["sha256"] | {"model.py": "0" * 64}}
    path = tmp_path / "other.h5"
    Recording(RECORDING.kind, RECORDING.name, RECORDING.hparams, other, RECORDING.groups).save(path)
    with pytest.raises(BadInput, match=r"files that are not those of magenta 2\.1\.4"):
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
