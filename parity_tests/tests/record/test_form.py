"""A recording that was cut down is refused in one line, however soundly it is sealed; those that ship are accepted."""

import dataclasses

import numpy as np
import pytest
from shipped import shipped

from parity_tests import ours
from parity_tests.__main__ import main
from parity_tests.judge.proof import prove
from parity_tests.record.form import GIVEN, PRECISIONS, check_form
from parity_tests.record.machine import machine
from parity_tests.record.requirements import LISTS, NUMBERS, TABLES, TEXTS, provenance_problem
from pytorch_sketch_rnn.errors import BadInput, run_command

RECORDINGS = shipped()
# one of each kind; the model is the one with the most in it
MODEL, TRAINING, CELL, DATA, INITIAL = (
    "mix-all-dropout/moved",
    "training/mix",
    "cell/hyper",
    "data/joined",
    "initial/lstm",
)
OF_EACH_KIND = (MODEL, "layer_norm-unconditional/as_is", TRAINING, CELL, DATA, INITIAL)
UNUSED = ("vector_rnn/Variable", "vector_rnn/Variable_1", "vector_rnn/global_step")  # which no proof reads
OUTPUT_W = "vector_rnn/RNN/output_w"


def changed(name, change):
    """A copy of a recording in which arrays may be exchanged, but not written to."""
    whole = RECORDINGS[name]
    groups = {group: dict(arrays) for group, arrays in whole.groups.items()}
    copy = dataclasses.replace(whole, groups=groups, hparams=dict(whole.hparams), provenance=dict(whole.provenance))
    change(copy)
    return copy


def without(group, name):
    return lambda recording: recording.groups[group].pop(name)


def instead(group, name, change):
    return lambda recording: recording.groups[group].update({name: change(recording.groups[group][name])})


def claim(name, value):
    return lambda recording: recording.hparams.update({name: value})


def provenance(name, value):
    return lambda recording: recording.provenance.update({name: value})


def told(name, change):
    """The one line that refuses a changed recording."""
    recording = changed(name, change)
    with pytest.raises(BadInput) as caught:
        check_form(recording)
    text = str(caught.value)
    assert len(text.splitlines()) == 1
    assert text.startswith(f"recording {recording.name}: ")
    assert text.endswith("; record it again")
    return text.removeprefix(f"recording {recording.name}: ").removesuffix("; record it again")


@pytest.mark.parametrize("name", OF_EACH_KIND)
@pytest.mark.parametrize("odd", ["\x1b[31m", "a\nb", "\u202e"])
def test_a_name_that_a_terminal_would_obey_is_refused(name, odd):
    group, array = next((group, array) for group, arrays in RECORDINGS[name].groups.items() for array in arrays)
    values = RECORDINGS[name].groups[group][array]
    for where in (group, "other"):
        line = told(name, lambda recording, where=where: recording.groups.setdefault(where, {}).update({odd: values}))
        assert line.endswith("has a name of other than printable characters")
        assert line.isprintable()
    recording = dataclasses.replace(RECORDINGS[name], name=f"owl{odd}")
    with pytest.raises(BadInput, match="its claims are of another form"):
        check_form(recording)


@pytest.mark.parametrize("name", RECORDINGS)
def test_what_ships_has_the_form(name):
    check_form(RECORDINGS[name])


@pytest.mark.parametrize(
    ("name", "group"),
    [(name, g) for name in OF_EACH_KIND for g in (*PRECISIONS[RECORDINGS[name].kind], *GIVEN[RECORDINGS[name].kind])],
)
def test_a_group_that_is_missing_or_empty_is_refused(name, group):
    assert told(name, lambda recording: recording.groups.pop(group)) == f"lacks the group {group}"
    if (name, group) != ("layer_norm-unconditional/as_is", "draws"):
        assert told(name, lambda recording: recording.groups[group].clear())
    else:  # its one mask is then missing
        assert told(name, without(group, "decoder/recurrent")) == "lacks draws/decoder/recurrent"


@pytest.mark.parametrize("name", OF_EACH_KIND)
def test_no_array_may_be_missing_empty_or_of_another_number_of_axes(name):
    """Some of every group."""
    kind = RECORDINGS[name].kind
    for group, arrays in RECORDINGS[name].groups.items():
        names = [n for n in sorted(arrays) if n not in UNUSED]
        for array in names[:: max(1, len(names) // 4)]:
            if kind != "initial":  # a variable that stands in neither group is missing on the official side
                assert told(name, without(group, array)), (group, array)
            if group != "initial":  # its shapes are the port's to meet
                assert told(name, instead(group, array, lambda value: value[None])), (group, array)
            if kind != "data":
                empty = instead(group, array, lambda value: value[..., None][..., :0])
                assert told(name, empty).endswith(f"{group}/{array} is empty, shape {[*arrays[array].shape, 0]}")
            text = instead(group, array, lambda value: value.astype("S"))
            assert f"{group}/{array} holds " in told(name, text)


CASES = [
    (MODEL, without("inputs", "lengths"), "lacks inputs/lengths"),
    (MODEL, without("weights", OUTPUT_W), f"lacks weights/{OUTPUT_W}"),
    (MODEL, without("weights", f"vector_rnn/{OUTPUT_W}/Adam_1"), f"lacks weights/vector_rnn/{OUTPUT_W}/Adam_1"),
    (MODEL, without("draws", "decoder/input"), "lacks draws/decoder/input"),
    (MODEL, without("float64", "train/decoder/state"), "lacks float64/train/decoder/state"),
    (MODEL, without("float32", "train/pi"), "lacks float32/train/pi"),
    (MODEL, without("float32_truth", "train/head"), "lacks float32_truth/train/head"),
    (MODEL, without("float64_local", "vjp/decoder/x"), "lacks float64_local/vjp/decoder/x"),
    (MODEL, without("float32_ensemble", "eval/mu"), "lacks float32_ensemble/eval/mu"),
    (
        MODEL,
        instead("float64_ensemble", "eval/pi", lambda value: value[:, :1]),
        "float64_ensemble/eval/pi has the shape [12, 1, 9], expected [any, 2, 9]",
    ),
    (
        MODEL,
        instead("float64", "train/mu", np.transpose),
        "float64/train/mu has the shape [5, 4], expected [4, 5]",
    ),
    (
        MODEL,
        instead("inputs", "lengths", lambda value: value * 0 + 10),
        "inputs/lengths are [10, 10, 10, 10], expected whole numbers from 1 to 9",
    ),
    (
        MODEL,
        instead("draws", "decoder/input", lambda value: value[..., :-1]),
        "draws/decoder/input has the shape [9, 4, 9], expected [9, 4, 10]",
    ),
    (
        MODEL,
        lambda recording: recording.groups["weights"].update(owl=np.zeros(3, np.float32)),
        "weights/owl is no variable of such a model",
    ),
    (
        MODEL,
        instead("float64", "train/pi", lambda value: value > 0),
        "float64/train/pi holds bool, expected float32 or float64",
    ),
    (
        MODEL,
        instead("inputs", "lengths", lambda value: value.astype(np.float64)),
        "inputs/lengths holds float64, expected whole numbers",
    ),
    (
        MODEL,
        instead("float64", "train/decoder/f", lambda value: value[:, :-1]),
        "float64/train/decoder/f has the shape [4, 8, 9], expected [4, 9, 9]",
    ),
    (MODEL, provenance("versions", ["2"]), "its versions is of another form, expected texts by name"),
    (MODEL, provenance("threads", "2"), "its threads is of another form, expected a whole number"),
    (MODEL, provenance("command", "make"), "its command is of another form, expected a list of texts"),
    (MODEL, provenance("processor", "\ud800"), "its claims are of another form"),
    (MODEL, claim("dec_model", "owl"), "its hyperparameter dec_model is 'owl'"),
    (MODEL, claim("dec_model", ["owl"]), "its hyperparameter dec_model is ['owl']"),
    (
        MODEL,
        claim("hyper_num_units", None),
        "its hyperparameter hyper_num_units is None, expected a positive whole number",
    ),
    (MODEL, claim("dec_rnn_size", "9"), "its hyperparameter dec_rnn_size is '9', expected a positive whole number"),
    (MODEL, claim("kl_tolerance", None), "its hyperparameter kl_tolerance is None, expected a number"),
    (CELL, claim("cell", None), "its hyperparameter cell is None"),
    (CELL, without("inputs", "x"), "lacks inputs/x"),
    (CELL, without("weights", "HyperLSTMCell/W_hh"), "lacks weights/HyperLSTMCell/W_hh"),
    (DATA, without("inputs", "0/train/points"), "lacks inputs/0/train/points"),
    (DATA, without("inputs", "train/order"), "lacks inputs/train/order"),
    (DATA, instead("inputs", "0/valid/points", lambda value: value[:-1]), None),
    (DATA, instead("inputs", "valid/order", lambda value: value + 1000), None),
    (DATA, lambda recording: recording.provenance.pop("seed"), "lacks its seed"),
    (DATA, provenance("seed", -1), "its seed is of another form, expected a whole number"),
    (DATA, provenance("seed", 2**40), f"its seed is larger than {2**31 - 1}"),
    (DATA, lambda recording: recording.hparams.pop("max_seq_len"), None),
    (
        INITIAL,
        instead("distribution", f"initial/{OUTPUT_W}", lambda value: value[1:]),
        "its variables have different numbers of draws",
    ),
    (TRAINING, without("float64", "validation"), "lacks float64/validation"),
    (TRAINING, instead("float64", "validation", lambda value: value[:-1]), None),
    (
        TRAINING,
        instead("float64", "steps/lr", lambda value: value[:-1]),
        "float64/steps/lr has the shape [5], expected [6]",
    ),
    (TRAINING, without("float64", f"steps/gradient/{OUTPUT_W}"), f"lacks float64/steps/gradient/{OUTPUT_W}"),
    (
        TRAINING,
        without("float64_ensemble", f"steps/after/{OUTPUT_W}"),
        f"lacks float64_ensemble/steps/after/{OUTPUT_W}",
    ),
    (TRAINING, without("official_drift", "3/weights"), "lacks official_drift/3/weights"),
    (TRAINING, lambda recording: recording.provenance.update(draws={"latent": 5}), "lacks its draws"),
    (TRAINING, lambda recording: recording.provenance.pop("validation_draws"), "lacks its validation_draws"),
    (TRAINING, claim("save_every", 0), "its hyperparameter save_every is 0, expected a positive whole number"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "change", "problem"), CASES)
def test_the_line_names_what_is_at_fault(name, change, problem):
    found = told(name, change)
    assert problem in (None, found)


def test_what_the_official_side_writes_about_itself_has_the_form():
    assert provenance_problem(machine() | {"seed": 1, "threads": 2}) is None
    known = {*TEXTS, *NUMBERS, *TABLES, *LISTS, "draws", "validation_draws"}
    for recording in RECORDINGS.values():
        assert set(recording.provenance) <= known


def test_a_mask_without_a_recorded_probability_is_refused():
    more = lambda recording: recording.groups["draws"].update(owl=np.ones((9, 4, 3), np.float32))  # noqa: E731
    assert told(MODEL, more) == "lacks float64/train/keep_prob/owl"


@pytest.mark.parametrize("name", OF_EACH_KIND)
def test_claims_of_another_form_are_refused(name):
    for change in (
        lambda recording: setattr(recording, "hparams", {}),
        lambda recording: setattr(recording, "hparams", [1]),
        lambda recording: setattr(recording, "provenance", None),
        lambda recording: setattr(recording, "kind", ["model"]),
        lambda recording: setattr(recording, "kind", "owl"),
    ):
        assert told(name, change)


def test_a_port_is_not_asked_about_a_recording_of_another_form():
    class Port(ours.Adapter):
        def load(self, hparams, variables):
            raise AssertionError("asked")

    with pytest.raises(BadInput, match="lacks inputs/lr"):
        prove(changed(MODEL, without("inputs", "lr")), Port())


@pytest.mark.parametrize(("name", "change", "problem"), CASES[:10:3] + CASES[16:19] + CASES[24:26])
def test_the_command_refuses_a_sealed_file_in_one_line_and_writes_nothing(name, change, problem, tmp_path, capsys):
    path, out = tmp_path / "cut.h5", tmp_path / "out"
    changed(name, change).save(path)
    assert run_command(main, ["verify", "--recording", "data", "--recording", str(path), "--out", str(out)]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith(f"error: {path}: recording {name}: {problem or ''}")
    assert len(printed.err.splitlines()) == 1
    assert not list(out.glob("*.json"))
