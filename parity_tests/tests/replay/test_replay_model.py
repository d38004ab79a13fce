"""Whatever a port does wrong in a replay is a failing row that says where, and the harness continues."""

import copy

import numpy as np
import pytest
import torch
from replays import (
    ANSWERING,
    ASKED,
    BOTH,
    CELL,
    DATA,
    INITIAL,
    MODEL,
    PREFIX,
    RECORDINGS,
    REQUIRED,
    RNN,
    broken,
    changed,
    one,
    overridden,
    raising,
    rows_of,
    scaled,
)

from parity_tests import ours
from parity_tests.adapter import describe_error
from parity_tests.judge.proof import prove
from parity_tests.judge.row import failures
from parity_tests.record.quantities import FED
from parity_tests.replay.model import replay
from parity_tests.report.report import Report


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
    assert {row.note for row in rows} == {f"step_cell failed: {describe_error(error)}"}


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
