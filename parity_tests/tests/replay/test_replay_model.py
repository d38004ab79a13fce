"""A port through a recording: whatever it does wrong is a failing row that says where, and the harness goes on."""

import copy
import dataclasses
import itertools
import json

import numpy as np
import pytest
import torch
from shipped import shipped

from parity_tests import ours
from parity_tests.adapter import EVERYTHING, INTERMEDIATES, told
from parity_tests.examples import numpy_port, torch_lstm
from parity_tests.judge.compare import first_departure
from parity_tests.judge.proof import prove
from parity_tests.judge.row import failures
from parity_tests.record.quantities import FED
from parity_tests.replay.model import replay
from parity_tests.report.parts import part_of
from parity_tests.report.report import Report
from parity_tests.report.sentences import explain

RECORDINGS = shipped()
RNN = "vector_rnn/RNN/LSTMCell"
MODEL, CELL, INITIAL, DATA = "lstm/moved", "cell/lstm", "initial/lstm", "data"
# a recording in which each method is asked; those that answer with arrays by name come first; see test_training.py too
ANSWERING = {
    "step_cell": CELL,
    "encode": MODEL,
    "decode": MODEL,
    "loss": MODEL,
    "train_step": MODEL,
    "sample": MODEL,
    "initial": INITIAL,
}
ASKED = ANSWERING | {"load": MODEL, "dropout_mask": CELL, "data": DATA}
REQUIRED = {
    "step_cell": ("output", "state"),
    "encode": ("mu", "presig", "z"),
    "decode": ("pi", "mu1", "mu2", "sigma1", "sigma2", "corr", "pen", "pen_logits"),
    "loss": ("r_cost", "kl_cost"),
    "train_step": ("cost", "r_cost", "kl_cost"),
    "sample": ("strokes", "pi", "mu1", "mu2", "sigma1", "sigma2", "corr", "pen"),
}
# where a method's answers stand among the quantities of a recording
PREFIX = {
    "step_cell": "", "encode": "eval/", "decode": "eval/", "loss": "eval/", "train_step": "train/",
    "sample": "sample/greedy/", "initial": "initial/",
}  # fmt: skip
SMALL = 1 + 1e-8  # a wrong factor: a hundred times what float64 allows, and nothing in float32


def overridden(**methods):
    """Our port, with some methods of its adapter replaced."""
    return type("Port", (ours.Adapter,), methods)()


def changed(methods, change):
    """Our port, but for what one method answers, or some."""

    def new(method):
        return lambda self, *args, **kwargs: change(getattr(ours.Adapter, method)(self, *args, **kwargs))

    return overridden(**{method: new(method) for method in ([methods] if isinstance(methods, str) else methods)})


def scaled(name, factor=SMALL):
    """An answer of which one array is a little off."""
    return lambda answer: answer | {name: answer[name] * answer[name].dtype.type(factor)}


def raising(error):
    def change(_):
        raise error

    return change


BOTH = ("float64", "float32")


def rows_of(port, recording, *, partial=False, precisions=("float64",)):
    """The rows of a port in these precisions, as if there were no other: the tests of float64 alone are quick."""
    port.precisions = precisions
    left_out = set(BOTH) - set(precisions)
    if partial and isinstance(port, ours.Adapter):  # it offers what it can do, but for what is inside its layers
        port.__class__ = type("Partial", (type(port),), {"offers": EVERYTHING - {INTERMEDIATES}})
    return [row for row in prove(RECORDINGS[recording], port).rows if row.precision not in left_out]


def one(rows, quantity, precision="float64"):
    [row] = [row for row in rows if (row.quantity, row.precision) == (quantity, precision)]
    return row


def broken(rows, method):
    """The rows that say that a method failed."""
    return [row for row in failures(rows) if row.verdict == "different" and method in f"{row.quantity}: {row.note}"]


# What a port may do -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ASKED)
def test_what_a_method_raises_is_a_failing_row_that_names_it(method):
    rows = broken(rows_of(changed(method, raising(RuntimeError("owl"))), ASKED[method], partial=True), method)
    assert rows
    assert all("failed: RuntimeError: owl" in row.note for row in rows)


@pytest.mark.parametrize("recording", [MODEL, CELL, DATA, INITIAL])
def test_a_port_that_would_end_the_process_fails_instead(recording):
    # without a mixture no loss is asked for
    methods = [method for method in ASKED if ASKED[method] == recording and method not in ("load", "loss")]
    rows = rows_of(changed(methods, raising(SystemExit(0))), recording)
    for method in methods:
        assert any("failed: SystemExit: 0" in row.note for row in broken(rows, method))


@pytest.mark.parametrize("error", [KeyError("owl"), MemoryError(), AssertionError(), ZeroDivisionError("a\nb")])
def test_any_error_is_told_with_its_kind(error):
    rows = broken(rows_of(changed("step_cell", raising(error)), CELL), "step_cell")
    assert {row.note for row in rows} == {f"step_cell failed: {told(error)}"}


@pytest.mark.parametrize("method", ASKED)
def test_ctrl_c_goes_through(method):
    with pytest.raises(KeyboardInterrupt):
        rows_of(changed(method, raising(KeyboardInterrupt())), ASKED[method])


@pytest.mark.parametrize(
    ("method", "lost"),
    [
        ("encode", ("prefix/", "eval/encoder/", "eval/mu", "eval/presig", "eval/z")),
        ("decode", ("prefix/", "eval/", FED + "eval/")),
        ("loss", ("eval/r_cost", "eval/kl_cost", FED + "eval/")),
        ("sample", ("sample/",)),
        ("train_step", ("train/", "gradient/", "clipped/", "after/")),
    ],
)
def test_the_harness_goes_on_behind_a_method_that_fails(method, lost):
    whole = rows_of(ours.Adapter(), MODEL)
    rows = rows_of(changed(method, raising(RuntimeError("owl"))), MODEL)
    equal = {(row.quantity, row.precision) for row in rows if row.verdict == "equal"}
    for row in whole:
        if not row.quantity.startswith(lost):
            assert (row.quantity, row.precision) in equal
    assert broken(rows, method)


NO_ARRAYS = {
    "nothing": lambda answer: None,
    "names alone": list,
    "torch tensors": lambda answer: {name: torch.tensor(value) for name, value in answer.items()},
    "lists": lambda answer: {name: value.tolist() for name, value in answer.items()},
    "numbers for names": lambda answer: dict(enumerate(answer.values())),
}


@pytest.mark.parametrize("what", NO_ARRAYS)
@pytest.mark.parametrize(
    "methods", [("step_cell",), ("encode", "decode", "train_step", "sample", "step_layer"), ("loss",), ("initial",)]
)
def test_what_is_no_mapping_of_names_to_arrays_is_a_failing_row_that_says_so(methods, what):
    rows = rows_of(changed(methods, NO_ARRAYS[what]), ANSWERING[methods[0]])
    for method in methods:
        assert broken(rows, method)
        assert all("expected a mapping of names to NumPy arrays" in row.note for row in broken(rows, method))


@pytest.mark.parametrize(("method", "change"), [("data", lambda data: None), ("dropout_mask", lambda mask: None)])
def test_another_answer_than_the_one_asked_for_is_a_failing_row(method, change):
    assert failures(rows_of(changed(method, change), ASKED[method]))


@pytest.mark.parametrize("method", REQUIRED)
def test_required_names_that_lack_are_named_also_where_a_port_may_offer_less(method):
    first, last = REQUIRED[method][0], REQUIRED[method][-1]
    port = changed(method, lambda answer: {n: value for n, value in answer.items() if n not in (first, last)})
    rows = rows_of(port, ASKED[method], partial=True)
    assert broken(rows, method)
    assert any(row.note.endswith(f"the answer lacks {first}, {last}") for row in broken(rows, method))
    for name in (first, last):
        assert one(rows, PREFIX[method] + name).verdict == "not compared"  # it is offered


@pytest.mark.parametrize("name", REQUIRED["decode"])
def test_each_required_name_of_a_decoder_is_missed(name):
    port = changed("decode", lambda answer: {n: value for n, value in answer.items() if n != name})
    answers = replay(RECORDINGS["layer_norm-unconditional/moved"], "float32", port)
    assert answers.broken == dict.fromkeys(("decode", "decode (first points)"), f"the answer lacks {name}")


@pytest.mark.parametrize("method", ANSWERING)
def test_a_name_that_the_official_side_lacks_is_a_failing_row(method):
    port = changed(method, lambda answer: answer | {"owl": np.zeros(3)})
    rows = failures(rows_of(port, ANSWERING[method], partial=True))
    assert f"{PREFIX[method]}owl" in {row.quantity for row in rows}
    assert {(row.quantity.rpartition("/")[2], row.verdict, row.note) for row in rows} == {
        ("owl", "not compared", "missing on the official side")
    }


def test_a_name_too_many_inside_a_layer_is_a_failing_row():
    port = changed("step_layer", lambda answer: answer | {"owl": np.zeros(3)})
    rows = failures(rows_of(port, "mix-all-dropout/moved"))
    assert {row.quantity for row in rows} == {f"fed/train/{s}/owl" for s in ("encoder/fw", "encoder/bw", "decoder")}


# One array of each method's answer, and its quantity: when it cannot be compared, its row must say so.
ONE_ARRAY = {
    "step_cell": ("g", "g"),
    "encode": ("encoder/fw/output", "eval/encoder/fw/output"),
    "decode": ("pi", "eval/pi"),
    "loss": ("r_cost", "eval/r_cost"),
    "train_step": ("sigma1", "train/sigma1"),
    "sample": ("pi", "sample/greedy/pi"),
    "initial": (f"{RNN}/W_hh", f"initial/{RNN}/W_hh"),
}
DAMAGE = {
    "one axis more": (lambda value: value[None], "shape ["),
    "all in a row": (lambda value: np.repeat(value.reshape(-1), 2), "shape ["),
    "nothing in it": (lambda value: value[..., None][..., :0], "shape ["),
    "one number": (lambda value: np.float64(0.5), "shape ["),
    "not a number": (lambda value: value * value.dtype.type("nan"), "NaN or infinity in the port"),
    "infinite": (lambda value: value + value.dtype.type("inf"), "NaN or infinity in the port"),
    "complex": (lambda value: value + 0j, "type complex"),
    "objects": (lambda value: np.asarray(value, object), "type object"),
    "text": (lambda value: value.astype(str), "type <U"),
    "truths": (lambda value: value > 0, "type bool"),
}


def damaged(method, damage):
    """A method of our port, one array of whose answer cannot be compared."""
    name, change = ONE_ARRAY[method][0], DAMAGE[damage][0]

    def new(self, *args, **kwargs):
        answer = getattr(ours.Adapter, method)(self, *args, **kwargs)
        return answer | {name: change(answer[name])}

    return new


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize(
    "methods", [("step_cell",), ("encode", "train_step", "sample", "loss"), ("decode",), ("initial",)]
)
def test_an_array_that_cannot_be_compared_is_a_failing_row_that_says_why(methods, damage):
    rows = rows_of(overridden(**{method: damaged(method, damage) for method in methods}), ANSWERING[methods[0]])
    for method in methods:
        row = one(rows, ONE_ARRAY[method][1], "distribution" if method == "initial" else "float64")
        assert row.verdict == "different"
        if (method, damage) != ("loss", "one number"):  # a cost is one number
            assert row.note.startswith(DAMAGE[damage][1]), row.note


@pytest.mark.parametrize("damage", ["one axis more", "one number", "infinite", "text"])
def test_a_cell_whose_arrays_cannot_be_compared_fails_inside_the_layers_as_well(damage):
    change = DAMAGE[damage][0]
    port = changed("step_layer", lambda answer: answer | {"output": change(answer["output"])})
    rows = rows_of(port, "mix-all-dropout/moved")
    for layer in ("encoder/fw", "encoder/bw", "decoder"):
        told = [row for row in failures(rows) if row.quantity == f"fed/train/{layer}/output"]
        assert told or broken(rows, "step_layer")
    assert all(row.quantity.startswith(FED) or "step_layer" in row.quantity for row in failures(rows))


@pytest.mark.parametrize("method", [method for method in ONE_ARRAY if method != "initial"])
def test_another_precision_than_the_one_asked_for_is_a_failure(method):
    name, quantity = ONE_ARRAY[method]
    port = changed(method, lambda answer: answer | {name: answer[name].astype(np.float64)})
    rows = rows_of(port, ASKED[method], precisions=BOTH)
    assert one(rows, quantity).verdict == "equal"
    assert one(rows, quantity, "float32").note == "type float64, expected float32"
    port = changed(method, lambda answer: answer | {name: answer[name].astype(np.float32)})
    assert one(rows_of(port, ASKED[method]), quantity).verdict == "different"  # it has lost its digits


def test_strokes_in_another_type_are_a_failure_in_float32_alone():
    port = changed("sample", lambda answer: answer | {"strokes": answer["strokes"].astype(np.float64)})
    bad = failures(rows_of(port, MODEL, precisions=BOTH))
    assert {(row.quantity, row.precision) for row in bad} == {
        (f"sample/{mode}/strokes", "float32") for mode in ("greedy", "sampled")
    }


def test_what_a_port_answered_is_kept_though_it_writes_its_next_answer_into_the_same_arrays():
    kept = {}

    def encode(self, strokes, lengths, draws):
        return scaled("z", 1.001)(ours.Adapter.encode(self, strokes, lengths, draws))

    def decode(self, inputs, z, draws):
        answer = ours.Adapter.decode(self, inputs, z, draws)
        for name, value in answer.items():
            kept.setdefault((name, value.shape), value)[...] = value
        return {name: kept[name, value.shape] for name, value in answer.items()}

    rows = rows_of(overridden(encode=encode, decode=decode), MODEL)
    assert one(rows, "eval/pi").verdict == "different"  # z was wrong
    assert one(rows, "prefix/pi").verdict == "equal"


def test_a_cell_may_write_its_next_answer_into_the_same_arrays():
    kept = {}

    def step_cell(self, kind, weights, x, state, mask):
        answer = ours.Adapter.step_cell(self, kind, weights, x, state, mask)
        for name, value in answer.items():
            kept.setdefault((name, value.dtype), value)[...] = value
        return {name: kept[name, value.dtype] for name, value in answer.items()}

    assert failures(rows_of(overridden(step_cell=step_cell), CELL)) == []


def test_a_port_that_changes_what_it_is_given_does_not_change_what_it_is_held_against():
    def decode(self, inputs, z, draws):
        answer = ours.Adapter.decode(self, inputs, z, draws)
        return answer | {"pi": np.full_like(answer["pi"], 1 / 3)}

    def loss(self, mixture, targets, latent, *, is_training):
        answer = ours.Adapter.loss(self, mixture, targets, latent, is_training=is_training)
        for value in (*mixture.values(), *latent.values()):
            value[...] = 0
        return answer

    recording = copy.deepcopy(RECORDINGS[MODEL])
    rows = prove(recording, overridden(decode=decode, loss=loss)).rows
    assert one(rows, "eval/pi").verdict == "different"
    for name, value in RECORDINGS[MODEL]["float64"].items():
        np.testing.assert_array_equal(recording["float64"][name], value, err_msg=name)


@pytest.mark.parametrize("name", [MODEL, DATA, INITIAL])
def test_a_port_may_take_what_it_is_given_to_pieces(name):
    class Port(ours.Adapter):
        def load(self, hparams, variables):
            super().load(dict(hparams), dict(variables))
            hparams.clear()
            variables.clear()

        def encode(self, strokes, lengths, draws):
            answer = super().encode(strokes, lengths, draws)
            lengths[...] = 1
            return answer

        def data(self, sets, hparams, rng, order):
            answer = super().data(sets, dict(hparams), rng, order)
            for sketch in sets[0]["train"]:
                sketch[...] = 0
            hparams.clear()
            return answer

        def initial(self, hparams, seed):
            answer = super().initial(dict(hparams), seed)
            hparams.clear()
            return answer

    recording = copy.deepcopy(RECORDINGS[name])
    assert failures(prove(recording, Port()).rows) == []
    assert recording.digest() == RECORDINGS[name].digest()


def test_a_port_that_fails_from_official_values_alone_fails():
    calls = []

    def decode(self, inputs, z, draws):
        calls.append(z)
        if len(calls) % 2 == 0:  # the second of an evaluation
            raise RuntimeError("owl")
        return ours.Adapter.decode(self, inputs, z, draws)

    rows = broken(rows_of(overridden(decode=decode), MODEL), "decode")
    assert rows
    assert all("RuntimeError: owl" in row.note for row in rows)


# What is left out ---------------------------------------------------------------------------------------------------


def required_alone(method):
    return changed(method, lambda answer: {name: answer[name] for name in REQUIRED[method]})


@pytest.mark.parametrize("method", ["step_cell", "encode", "decode"])
def test_what_is_left_out_is_untested_where_a_port_may_offer_less_and_a_failure_where_it_may_not(method):
    rows = rows_of(required_alone(method), ASKED[method], partial=True)
    left_out = {(row.quantity, row.precision) for row in rows if row.verdict == "untested"}
    assert left_out
    assert {row.verdict for row in rows} == {"equal", "untested"}
    assert {row.note for row in rows if row.verdict == "untested"} == {"missing on the port"}
    assert Report("", rows, {}, {}, partial=True).passed
    assert Report("", rows, {}, {}, partial=True).verdict().startswith("EQUAL IN ")
    assert not Report("", rows, {}, {}).passed

    strict = rows_of(required_alone(method), ASKED[method])
    assert {(row.quantity, row.precision) for row in failures(strict)} == left_out
    assert {row.verdict for row in failures(strict)} == {"not compared"}
    assert not Report("", strict, {}, {}, partial=True).passed


@pytest.mark.parametrize(
    ("method", "recording", "names"),
    [
        ("step_cell", "cell/lstm", {"i", "j", "f", "o", "g", "c", "h"}),
        ("step_cell", "cell/layer_norm", {"total", "i", "j", "f", "o", "g", "c", "normal_c", "h"}),
        ("encode", MODEL, {f"eval/encoder/{s}/{n}" for s in ("fw", "bw") for n in ("output", "final_state")}),
        (
            "decode",
            MODEL,
            {f"eval/{n}" for n in ("head", *(f"decoder/{m}" for m in ("initial_state", "output", "final_state")))},
        ),
    ],
)
def test_each_name_that_is_left_out_is_listed(method, recording, names):
    rows = rows_of(required_alone(method), recording, partial=True)
    assert {row.quantity for row in rows if row.verdict == "untested"} == names


# In which order -----------------------------------------------------------------------------------------------------


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


# From the official state --------------------------------------------------------------------------------------------


class Disguised(ours.Adapter):
    """Whatever becomes of its weights, it shows those that it was given."""

    def load(self, hparams, variables):
        super().load(hparams, variables)
        self.given = dict(variables)

    def variables(self):
        return {name: self.given[name] for name in super().variables()}


class WrongInitialState(Disguised):
    """Only where the decoder begins is wrong."""

    def load(self, hparams, variables):
        super().load(hparams, variables)
        self.model.decoder.initial.b.data += 1e-3


class WrongConcatenation(Disguised):
    """Only what the decoder's cell reads is wrong: z stands in it from behind."""

    def load(self, hparams, variables):
        super().load(hparams, variables)
        rows = len(RECORDINGS[MODEL]["inputs"]["lengths"])  # all steps at once are more, and come from official values

        def flipped(_, args):
            x, *rest = args
            return (torch.cat([x[:, :5], x[:, 5:].flip(1)], dim=1), *rest) if len(x) <= rows else args

        self.model.decoder.cell.register_forward_pre_hook(flipped)


class WrongCell(Disguised):
    """The decoder's cell itself is wrong, in the layer and alone."""

    def load(self, hparams, variables):
        super().load(hparams, variables)
        self.model.decoder.cell.W_hh.data *= SMALL


class DropsOutTooLate(ours.Adapter):
    """The decoder's cell is wrong where dropout is on alone: the candidate is dropped out by another mask."""

    def train_step(self, sketches, lengths, draws, lr, kl_weight):
        draws = {name: 1 / 0.9 - mask if name == "decoder/recurrent" else mask for name, mask in draws.items()}
        return super().train_step(sketches, lengths, draws, lr, kl_weight)

    def step_layer(self, layer, x, state, mask):
        mask = 1 / 0.9 - mask if mask is not None and layer == "decoder" else mask
        return super().step_layer(layer, x, state, mask)


class KeepsItsInput(ours.Adapter):
    """Input dropout is left out: wrong in training alone, and not in the cell."""

    def train_step(self, sketches, lengths, draws, lr, kl_weight):
        draws = {name: np.ones_like(mask) if name == "decoder/input" else mask for name, mask in draws.items()}
        return super().train_step(sketches, lengths, draws, lr, kl_weight)


LOCAL = "  the same step departs from the official state as well: the error is made in this step"
GIVEN = "  the same step is equal from the official state: the error comes from the step's inputs"


@pytest.mark.parametrize("port", [WrongInitialState, WrongConcatenation])
def test_a_right_cell_in_a_wrong_layer_is_equal_from_the_official_state(port):
    rows = rows_of(port(), MODEL)
    double = [row for row in rows if row.precision == "float64"]
    steps = [row for row in double if row.quantity.startswith("fed/train/decoder/") and "initial" not in row.quantity]
    assert {row.verdict for row in steps} == {"equal"}
    for name in ("i", "g", "c", "h", "output", "state"):
        row = one(rows, f"train/decoder/{name}")
        assert row.verdict == "different"
        assert GIVEN in explain(row, rows)
        assert LOCAL not in explain(row, rows)


def test_a_wrong_cell_departs_from_the_official_state_too():
    rows = rows_of(WrongCell(), MODEL)
    double = [row for row in rows if row.precision == "float64"]
    fed = [row for row in double if row.quantity.startswith("fed/train/decoder/") and "initial" not in row.quantity]
    assert fed
    assert {row.verdict for row in fed} == {"different"}
    assert {row.verdict for row in double if row.quantity.startswith("fed/train/encoder/")} == {"equal"}
    for name in ("i", "g", "c", "h", "output", "state"):
        row = one(rows, f"train/decoder/{name}")
        assert LOCAL in explain(row, rows)
        assert GIVEN not in explain(row, rows)


@pytest.mark.parametrize(
    ("port", "quantity", "told"),
    [
        (WrongInitialState, "eval/decoder/initial_state", LOCAL),
        (WrongConcatenation, "eval/decoder/output", GIVEN),
        (WrongCell, "eval/decoder/output", LOCAL),
    ],
)
def test_the_first_departure_of_an_evaluation_says_whether_the_cell_is_to_blame(port, quantity, told):
    rows = rows_of(port(), MODEL)
    first = first_departure(rows)
    assert first.quantity == quantity
    assert [line for line in explain(first, rows) if line in (LOCAL, GIVEN)] == ([told] if told else [])


@pytest.mark.parametrize(
    ("port", "recording", "quantity", "told"),
    [(DropsOutTooLate, MODEL, "train/decoder/g", LOCAL), (KeepsItsInput, "mix-all-dropout/moved", None, GIVEN)],
)
def test_the_first_departure_of_a_training_says_whether_the_cell_is_to_blame(port, recording, quantity, told):
    rows = rows_of(port(), recording)
    assert all(row.verdict == "equal" for row in rows if row.quantity.startswith(("eval/", "sample/")))
    first = first_departure(rows)
    assert first.quantity.startswith("train/decoder/")
    assert quantity in (None, first.quantity)
    assert first.where["step"] == 0
    assert told in explain(first, rows)
    assert part_of(first) == "decoder"


def test_what_departs_from_the_official_state_alone_is_a_failure():
    port = changed("step_layer", scaled("g"))
    rows = rows_of(port, MODEL)
    assert {row.quantity for row in failures(rows)} == {
        f"fed/train/{s}/g" for s in ("encoder/fw", "encoder/bw", "decoder")
    }
    assert part_of(first_departure(rows)) == "local: each step of a layer"


# Where a port is wrong ----------------------------------------------------------------------------------------------

W_XH, W_HH = f"{RNN}/W_xh", f"{RNN}/W_hh"
OUTPUT_W = "vector_rnn/RNN/output_w"
SLOT = "vector_rnn/vector_rnn/RNN/LSTMCell/W_xh/Adam"
POWER = "after/vector_rnn/beta2_power"
KEEP_PROB = "keep_prob/decoder/recurrent"
TENSORFLOW_DRAWS = "initial weights, distribution of what TensorFlow draws"


def other_scale(data):
    return data._replace(scale_factor=data.scale_factor * np.float32(1.000001))


def other_batch(data):
    return data._replace(valid_batch=lambda index: data.valid_batch(index + 1))


def worse_batch(data):
    """A loader whose training strokes are a little off."""

    def random_batch():
        strokes, sketches, lengths = data.random_batch()
        return [stroke * np.float32(1.000001) for stroke in strokes], sketches, lengths

    return data._replace(random_batch=random_batch)


def only_at_a_temperature(self, seq_len, temperature, greedy, uniform, normal):
    answer = ours.Adapter.sample(self, seq_len, temperature, greedy, uniform, normal)
    return answer if greedy else scaled("strokes", 1 + 1e-6)(answer)


def draws_one_more(self, seq_len, temperature, greedy, uniform, normal):
    answer = ours.Adapter.sample(self, seq_len, temperature, greedy, uniform, normal)
    uniform.random()
    return answer


def wrong_training_loss(self, mixture, targets, latent, *, is_training):
    answer = ours.Adapter.loss(self, mixture, targets, latent, is_training=is_training)
    return scaled("r_cost")(answer) if is_training else answer


def late_load(self, hparams, variables):
    name = "vector_rnn/RNN/output_b"
    value = variables[name] * variables[name].dtype.type(SMALL)
    ours.Adapter.load(self, hparams, {**variables, name: value})


def load_without_slots(self, hparams, variables):
    zeros = {name: np.zeros_like(value) for name, value in variables.items() if name.endswith(("/Adam", "/Adam_1"))}
    ours.Adapter.load(self, hparams, {**variables, **zeros})


MUTANTS = [
    ("step_cell", scaled("i"), CELL, "i", "LSTM cell alone"),
    ("step_cell", scaled("total"), "cell/layer_norm", "total", "layer-norm LSTM cell alone"),
    ("step_cell", scaled("hyper_jh"), "cell/hyper", "hyper_jh", "HyperLSTM cell alone"),
    ("step_cell", scaled("hyper_cell/normal_c"), "cell/hyper", "hyper_cell/normal_c", "HyperLSTM cell alone"),
    ("step_cell", scaled("state"), "cell/hyper", "state", "HyperLSTM cell alone"),
    ("dropout_mask", lambda mask: mask * np.float32(1 + 2e-7), CELL, "dropout_values", "dropout, values of a mask"),
    ("dropout_mask", lambda mask: mask * np.float32(0.9), CELL, "dropout_values", "dropout, values of a mask"),
    ("dropout_mask", np.ones_like, CELL, "dropout_values", "dropout, values of a mask"),
    ("encode", scaled("encoder/fw/output"), MODEL, "eval/encoder/fw/output", "encoder, forward"),
    ("encode", scaled("encoder/bw/final_state"), MODEL, "eval/encoder/bw/final_state", "encoder, backward"),
    ("encode", scaled("mu"), MODEL, "eval/mu", "mu"),
    ("encode", scaled("presig"), MODEL, "eval/presig", "presig"),
    ("encode", scaled("z"), MODEL, "eval/z", "z"),
    ("decode", scaled("decoder/initial_state"), MODEL, "eval/decoder/initial_state", "decoder, initial state"),
    ("decode", scaled("decoder/output"), MODEL, "eval/decoder/output", "decoder"),
    ("decode", scaled("pi"), MODEL, "eval/pi", "pi"),
    ("decode", scaled("sigma2"), MODEL, "eval/sigma2", "sigma2"),
    ("decode", scaled("corr"), MODEL, "eval/corr", "corr"),
    ("decode", scaled("pen"), MODEL, "eval/pen", "pen"),
    ("decode", scaled("pen_logits"), MODEL, "eval/pen_logits", "pen_logits"),
    ("loss", scaled("r_cost"), MODEL, "eval/r_cost", "r_cost, is_training 0"),
    ("loss", scaled("kl_cost"), MODEL, "eval/kl_cost", "kl_cost"),
    ("train_step", scaled(KEEP_PROB, 0.99), MODEL, f"train/{KEEP_PROB}", "dropout, keep probabilities"),
    ("train_step", scaled("encoder/fw/g"), MODEL, "train/encoder/fw/g", "encoder, forward"),
    ("train_step", scaled("encoder/bw/final_state"), MODEL, "train/encoder/bw/final_state", "encoder, backward"),
    ("train_step", scaled("presig"), MODEL, "train/presig", "presig"),
    ("train_step", scaled("decoder/initial_state"), MODEL, "train/decoder/initial_state", "decoder, initial state"),
    ("train_step", scaled("decoder/o"), MODEL, "train/decoder/o", "decoder"),
    ("train_step", scaled("mu2"), MODEL, "train/mu2", "mu2"),
    ("train_step", scaled("r_cost"), MODEL, "train/r_cost", "r_cost, is_training 1"),
    ("train_step", scaled("kl_cost"), MODEL, "train/kl_cost", "kl_cost"),
    ("train_step", scaled("cost"), MODEL, "train/cost", "cost"),
    ("train_step", scaled(f"gradient/{W_XH}"), MODEL, f"gradient/{W_XH}", "gradients"),
    ("train_step", scaled(f"clipped/{W_XH}"), MODEL, f"clipped/{W_XH}", "gradients, clipped"),
    ("train_step", scaled(f"after/{SLOT}"), MODEL, f"after/{SLOT}", "Adam: m"),
    ("train_step", scaled(f"after/{SLOT}_1"), MODEL, f"after/{SLOT}_1", "Adam: v"),
    ("train_step", scaled(POWER, 1.00001), MODEL, POWER, "Adam: powers"),
    ("train_step", scaled(f"after/{W_XH}"), MODEL, f"after/{W_XH}", "weights after a step"),
    ("sample", scaled("mu1"), MODEL, "sample/greedy/mu1", "sampling, greedy"),
    ("sample", scaled("strokes", 1 + 1e-6), MODEL, "sample/greedy/strokes", "sampling, greedy"),
    ("data", other_scale, DATA, "scale_factor", "data loader"),
    ("data", worse_batch, DATA, "train/0/strokes", "data loader"),
    ("data", other_batch, DATA, "valid/0/strokes", "data loader"),
    ("data", lambda data: data._replace(valid_batch=data.test_batch), "data/joined", "valid/0/strokes", "data loader"),
    ("initial", scaled(W_HH, 1 + 1e-5), INITIAL, f"initial/{W_HH}", "initial weights, constant or drawn by NumPy"),
    ("initial", scaled(OUTPUT_W, 1.2), INITIAL, f"distribution/{OUTPUT_W}", TENSORFLOW_DRAWS),
]  # fmt: skip


@pytest.mark.parametrize(
    ("method", "change", "recording", "quantity", "part"), MUTANTS, ids=[f"{m[0]}-{m[3]}" for m in MUTANTS]
)
def test_a_small_wrong_thing_is_found_and_its_part_named(method, change, recording, quantity, part):
    first = first_departure(rows_of(changed(method, change), recording))
    assert first is not None
    assert (first.quantity, first.verdict) == (quantity, "different")
    assert part_of(first) == part
    assert first.error > first.allowed


@pytest.mark.parametrize(
    ("methods", "recording", "quantity", "part"),
    [
        ({"sample": only_at_a_temperature}, MODEL, "sample/sampled/strokes", "sampling at a temperature"),
        ({"sample": draws_one_more}, MODEL, "sample/greedy/next_uniform", "sampling, greedy"),
        ({"load": late_load}, MODEL, "variables/vector_rnn/RNN/output_b", "weights as loaded"),
        ({"load": load_without_slots}, "layer_norm/moved", None, "Adam: m"),
    ],
)
def test_a_wrong_method_is_found_where_it_shows(methods, recording, quantity, part):
    first = first_departure(rows_of(overridden(**methods), recording))
    assert quantity in (None, first.quantity)
    assert part_of(first) == part


def test_float32_that_float64_cannot_tell_is_found():
    def worse_in_float32(answer):
        return scaled("mu1", 1 + 3e-5)(answer) if answer["mu1"].dtype == np.float32 else answer

    rows = rows_of(changed("decode", worse_in_float32), MODEL, precisions=BOTH)
    first = first_departure(rows)
    assert (first.quantity, first.precision) == ("eval/mu1", "float32")
    assert {row.precision for row in failures(rows)} == {"float32"}


def test_the_training_loss_of_a_port_that_cannot_train_is_asked_for():
    class Port(numpy_port.Adapter):
        def loss(self, mixture, targets, latent, *, is_training):
            answer = super().loss(mixture, targets, latent, is_training=is_training)
            return scaled("r_cost")(answer) if is_training else answer

    first = first_departure(rows_of(Port(), MODEL, partial=True))
    assert (first.quantity, part_of(first)) == ("train/r_cost", "r_cost, is_training 1")


@pytest.mark.parametrize("method", ["encode", "decode", "loss"])
def test_what_fails_in_the_forward_pass_of_a_port_that_cannot_train_is_named(method):
    class Port(numpy_port.Adapter):
        asked = 0

    def fails_in_training(self, *args, **kwargs):
        if kwargs.get("is_training") or any(isinstance(a, dict) and "decoder/recurrent" in a for a in args):
            raise RuntimeError("owl")
        return getattr(numpy_port.Adapter, method)(self, *args, **kwargs)

    setattr(Port, method, fails_in_training)
    rows = broken(rows_of(Port(), MODEL, partial=True), method)
    assert {row.note for row in rows} == {f"{method} failed: RuntimeError: owl"}


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
