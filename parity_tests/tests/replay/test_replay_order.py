"""Quantities come in the order of computation, and the example ports get the verdicts that they deserve."""

import dataclasses
import itertools
import json

import pytest
from replays import BOTH, CELL, DATA, INITIAL, MODEL, RECORDINGS, changed, raising, rows_of

from parity_tests import ours
from parity_tests.examples import numpy_port, torch_lstm
from parity_tests.judge.first_departure import first_departure
from parity_tests.judge.proof import prove
from parity_tests.judge.row import failures
from parity_tests.replay.model import replay
from parity_tests.report.parts import part_of
from parity_tests.report.report import Report


def in_order(names, *expected):
    """Whether the first of these stands before the second, and so on; what ends with a slash stands for all below."""

    def meant(name, each):
        return name.startswith(each) if each.endswith("/") else name == each

    groups = [[each] if isinstance(each, str) else each for each in expected]
    places = [[i for i, name in enumerate(names) if any(meant(name, each) for each in group)] for group in groups]
    return all(places) and all(a[-1] < b[0] for a, b in itertools.pairwise(places))


MIXTURE = ("pi", "mu1", "mu2", "sigma1", "sigma2", "corr", "pen", "pen_logits")


@pytest.mark.parametrize("name", [name for name, recording in RECORDINGS.items() if recording.kind == "model"])
def test_quantities_of_a_model_come_in_the_order_of_computation(name):
    names = list(replay(RECORDINGS[name], "float64", ours.Adapter()).arrays)
    latent = RECORDINGS[name].hparams["conditional"]
    assert in_order(names, "variables/", "prefix/", "eval/", "sample/greedy/", "sample/sampled/", "train/", "fed/")
    names.remove("train/nll")  # the harness's own, from the mixture
    assert in_order(names, "train/", "gradient/", "clipped/", "after/vector_rnn/vector_rnn/", "after/vector_rnn/RNN/")
    for run in ("eval", "train"):
        mixture = tuple(f"{run}/{n}" for n in MIXTURE)
        assert in_order(names, f"{run}/decoder/", mixture, (f"{run}/r_cost", f"{run}/kl_cost"))
        if latent:
            encoder = (f"{run}/encoder/fw/", f"{run}/encoder/bw/")
            first = (f"{run}/decoder/initial_state", f"{run}/decoder/output")
            assert in_order(names, *encoder, f"{run}/mu", f"{run}/presig", f"{run}/z", *first)
    slots = [n for n in names if n.startswith("after/vector_rnn/vector_rnn/")]
    assert all(n.endswith(("/Adam", "/Adam_1")) for n in slots)


def test_the_cost_comes_behind_what_it_is_made_of_whatever_a_port_answers_first():
    class CostFirst(ours.Adapter):
        def train_step(self, *arguments):
            answer = super().train_step(*arguments)
            return {"cost": answer.pop("cost")} | answer

    names = list(replay(RECORDINGS["lstm/moved"], "float64", CostFirst()).arrays)
    assert names.index("train/r_cost") < names.index("train/kl_cost") < names.index("train/cost")
    assert names.index("train/cost") < min(names.index(name) for name in names if name.startswith("gradient/"))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("cell/lstm", "i j f o g c h output state"),
        ("cell/layer_norm", "total i j f o g c normal_c h output state"),
    ],
)
def test_quantities_of_a_cell_come_in_the_order_of_computation(name, expected):
    for port in (ours.Adapter(), numpy_port.Adapter()):
        names = list(replay(RECORDINGS[name], "float64", port).arrays)
        names = [quantity for quantity in names if not quantity.startswith("vjp/")]
        assert sorted(names) == sorted(expected.split())
        place = {quantity: index for index, quantity in enumerate(names)}
        for before, after in (("i", "c"), ("j", "g"), ("f", "c"), ("g", "c"), ("c", "h"), ("h", "output")):
            assert place[before] < place[after]
        assert place["state"] == len(names) - 1


def test_our_hyper_cell_gives_the_inner_cell_first():
    names = list(replay(RECORDINGS["cell/hyper"], "float64", ours.Adapter()).arrays)
    norms = [f"hyper_{gate}{side}" for side in "xh" for gate in "ijfo"]
    own = ["total", "i", "j", "f", "o", "g", "c", "normal_c", "h"]
    names = [name for name in names if not name.startswith("vjp/")]
    assert names == [*(f"hyper_cell/{name}" for name in own), *norms, *own, "output", "state"]


# The examples -------------------------------------------------------------------------------------------------------

NEEDS_GRADIENTS = {
    "cost", "dropout, keep probabilities", "gradients", "gradients, clipped", "Adam: m", "Adam: v", "Adam: powers",
    "weights after a step",
}  # fmt: skip
CELLS_AND_MODELS = [name for name, recording in RECORDINGS.items() if recording.kind in ("cell", "model")]


@pytest.mark.parametrize("name", CELLS_AND_MODELS)
def test_the_numpy_example_passes_all_that_it_offers(name):
    rows = rows_of(numpy_port.Adapter(), name, partial=True, precisions=BOTH)
    assert failures(rows) == []
    untested = {part_of(row) for row in rows if row.verdict == "untested"}
    assert untested >= ({"dropout, values of a mask"} if name.startswith("cell/") else NEEDS_GRADIENTS)
    assert Report("", rows, {}, {}, partial=True).passed
    assert not Report("", rows, {}, {}).passed  # as our own port it would not do


def test_the_torch_example_passes_the_evaluation_and_departs_under_recurrent_dropout():
    for name in ("lstm/as_is", "lstm/moved"):
        rows = rows_of(torch_lstm.Adapter(), name, partial=True, precisions=BOTH)
        compared = [row for row in rows if row.verdict != "untested"]
        evaluation = [row for row in compared if row.quantity.startswith(("eval/", "fed/eval/"))]
        assert {row.verdict for row in evaluation} == {"equal"}
        assert {"eval/z", "eval/pi", "eval/r_cost", "fed/eval/r_cost"} <= {row.quantity for row in evaluation}
        training = {row.quantity: row.verdict for row in compared if row.quantity.startswith("train/")}
        training.pop("train/kl_cost")  # which may rest on its floor
        assert set(training.values()) == {"different"}
        first = first_departure(rows)
        assert (first.quantity, first.precision) == ("train/mu", "float64")
        assert not Report("", rows, {}, {}, partial=True).passed


def test_the_torch_cell_departs_alone_as_well():
    rows = rows_of(torch_lstm.Adapter(), CELL, partial=True, precisions=BOTH)
    assert {row.quantity for row in failures(rows)} == {"output", "state"}
    assert {row.verdict for row in rows_of(torch_lstm.Adapter(), "cell/hyper", partial=True)} == {"untested"}


def test_what_a_port_is_asked_for_leaves_its_recording_as_it_was():
    recording = RECORDINGS["mix-all-dropout/moved"]
    before = recording.digest()
    prove(recording, ours.Adapter())
    assert recording.digest() == before


@pytest.mark.parametrize("name", [MODEL, CELL, DATA, INITIAL])
def test_rows_say_of_which_recording_they_are_and_can_be_written_as_json(name):
    rows = rows_of(changed("decode", raising(RuntimeError("owl"))), name)
    assert {row.recording for row in rows} == {name}
    assert len({(row.quantity, row.precision) for row in rows}) == len(rows)
    for row in rows:
        assert set(row.to_dict()) == {f.name for f in dataclasses.fields(row)} - {"profile"} | {"ratio"}
        json.dumps(row.to_dict())
