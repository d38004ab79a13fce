"""Loading a port: what cannot be loaded is refused in one line, and what is not offered never counts as equal."""

import inspect
import json
import random

import numpy as np
import pytest
from shipped import shipped

from parity_tests import adapter, ours
from parity_tests.__main__ import main
from parity_tests.adapter import OURS, load_adapter
from parity_tests.judge.proof import prove
from parity_tests.replay.model import replay
from pytorch_sketch_rnn.errors import BadInput, run_command
from pytorch_sketch_rnn.model.losses import Costs
from pytorch_sketch_rnn.training.trainer import Trainer

RECORDINGS = shipped()
METHODS = {name for name, value in vars(adapter.Adapter).items() if inspect.isfunction(value)}
# what each module is -> how the message goes on behind the name of the port
BROKEN = {
    "raises": ("raise RuntimeError('no owl today')", "cannot be used (RuntimeError: no owl today)"),
    "garbled": ("def owl(:", "cannot be used (SyntaxError: "),
    "lacks": ("import owl_of_which_no_one_knows", "cannot be used (ModuleNotFoundError: No module named 'owl_of_"),
    "exits": ("import sys; sys.exit(0)", "cannot be used (SystemExit: 0)"),
    "empty": ("", "cannot be used (AttributeError: module 'port_empty' has no attribute 'Adapter')"),
    "needs": (
        "class Adapter:\n    def __init__(self, owl): pass",
        "cannot be used (TypeError: Adapter.__init__() missing 1 required positional argument: 'owl')",
    ),
    "construct": (
        "class Adapter:\n    def __init__(self): raise ValueError('first line\\nsecond line')",
        "cannot be used (ValueError: first line second line)",
    ),
    "other": ("class Adapter: pass", "expected a subclass of parity_tests.adapter.Adapter, found Adapter"),
    "function": ("def Adapter(): return 'owl'", "expected a subclass of parity_tests.adapter.Adapter, found str"),
    "number": ("Adapter = 3", "cannot be used (TypeError: 'int' object is not callable)"),
}


@pytest.fixture
def modules(tmp_path, monkeypatch):
    """A folder of modules that cannot be used as ports."""
    folder = tmp_path / "modules"
    folder.mkdir()
    for name, (code, _) in BROKEN.items():
        (folder / f"port_{name}.py").write_text(code, encoding="utf-8")
    monkeypatch.syspath_prepend(folder)


@pytest.mark.parametrize(
    "spec", ["parity_tests.ours", "", ":", "parity_tests.ours:", ":Adapter", "parity_tests/ours.py"]
)
def test_a_spec_without_module_colon_and_class_is_bad_input(spec):
    with pytest.raises(BadInput) as caught:
        load_adapter(spec)
    assert str(caught.value) == f"--port {spec}: expected my_package.my_module:Adapter"


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        ("no_owl_here:Adapter", "(ModuleNotFoundError: No module named 'no_owl_here')"),
        ("parity_tests.owl:Adapter", "(ModuleNotFoundError: No module named 'parity_tests.owl')"),
        ("parity_tests.ours:Owl", "(AttributeError: module 'parity_tests.ours' has no attribute 'Owl')"),
        ("parity_tests.ours:Adapter:more", "has no attribute 'Adapter:more')"),
        ("owl/port.py:Adapter", "(ModuleNotFoundError: "),
        (".ours:Adapter", "(TypeError: "),
    ],
)
def test_a_module_or_class_that_is_not_there_is_bad_input(spec, told):
    with pytest.raises(BadInput) as caught:
        load_adapter(spec)
    assert str(caught.value).startswith(f"--port {spec}: cannot be used (")
    assert told in str(caught.value)


@pytest.mark.usefixtures("modules")
@pytest.mark.parametrize("name", BROKEN)
def test_a_port_that_cannot_be_used_ends_verify_with_one_line_and_writes_nothing(name, tmp_path, capsys):
    out = tmp_path / "out"
    spec = f"port_{name}:Adapter"
    assert run_command(main, ["verify", "--recording", "cell-lstm", "--port", spec, "--out", str(out)]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith(f"error: --port {spec}: {BROKEN[name][1]}")
    assert len(printed.err.splitlines()) == 1
    assert not out.exists()


def test_parity_looks_at_the_port_before_it_looks_for_the_official_code(tmp_path, capsys):
    out = tmp_path / "out"
    assert run_command(main, ["parity", "--port", "owl", "--out", str(out)]) == 2
    assert capsys.readouterr().err == "error: --port owl: expected my_package.my_module:Adapter\n"
    assert not out.exists()


def test_what_a_spec_names_is_made_anew_each_time():
    first, second = load_adapter(OURS), load_adapter(OURS)
    assert type(first) is type(second) is ours.Adapter
    assert first is not second
    assert first.precisions == ("float64", "float32")


class Raising(ours.Adapter):
    @property
    def offers(self):
        raise KeyError("owl")


@pytest.mark.parametrize(
    ("attributes", "words"),
    [
        ({"precisions": 5}, "its precisions are 5, expected some of float64 and float32"),
        ({"precisions": [["float64"]]}, "its precisions are [['float64']], expected"),
        ({"precisions": "float64"}, "its precisions are 'float64', expected"),
        ({"offers": ["load"]}, "it offers ['load'], expected a set of names"),
        ({"offers": Raising.offers}, "its attributes cannot be read (KeyError: 'owl')"),
        ({"about": None}, "its about is None, expected a mapping"),
    ],
)
def test_attributes_that_would_end_a_run_later_are_refused_before_it(monkeypatch, attributes, words):
    base = type("Base", (ours.Adapter,), {"__init__": lambda self: None, "about": {}})
    monkeypatch.setattr(ours, "Port", type("Port", (base,), attributes), raising=False)
    with pytest.raises(BadInput) as caught:
        load_adapter("parity_tests.ours:Port")
    assert str(caught.value).startswith("--port parity_tests.ours:Port: ")
    assert words in str(caught.value)


# What the base class offers -----------------------------------------------------------------------------------------


def test_every_method_of_the_base_class_says_that_it_has_nothing_to_offer():
    a, nothing = np.zeros((1, 1, 5)), {}
    arguments = {
        "step_cell": ("lstm", nothing, a, a, None),
        "load": (nothing, nothing),
        "encode": (a, a, nothing),
        "decode": (a, a, nothing),
        "loss": (nothing, a, None),
        "train_step": (a, a, nothing, 0.1, 0.5),
        "sample": (5, 1.0, True, random.Random(0), np.random.RandomState(0)),
        "schedules": (nothing, 0),
        "data": ([], nothing, np.random.RandomState(0), nothing),
        "dropout_mask": (5, 0.5),
        "initial": (nothing, 0),
        "step_cell_vjp": ("lstm", nothing, a, a, None, a, a),
        "variables": (),
        "step_layer": ("decoder", a, a, None),
        "step_layer_vjp": ("decoder", a, a, None, a, a),
        "posterior": (a, a),
        "latent": (a, a, a),
        "initial_state": (a,),
        "output_layer": (a,),
        "costs": (a, a, None, 0.5),
        "optimize": (nothing, 0.1),
    }
    assert set(arguments) == METHODS
    for name, values in arguments.items():
        with pytest.raises(NotImplementedError):
            getattr(adapter.Adapter(), name)(*values, **({"is_training": True} if name in ("loss", "costs") else {}))


def test_our_own_port_offers_every_method():
    assert METHODS - vars(ours.Adapter).keys() == set()


@pytest.mark.parametrize("recording", RECORDINGS.values(), ids=lambda recording: recording.name)
def test_what_offers_nothing_is_untested_in_every_recording(recording):
    rows = prove(recording, adapter.Adapter()).rows
    assert rows
    assert {row.verdict for row in rows} == {"untested"}


@pytest.mark.parametrize("recording", RECORDINGS.values(), ids=lambda recording: recording.name)
def test_what_claims_to_offer_all_and_answers_nothing_fails_in_every_recording(recording):
    class Port(adapter.Adapter):
        offers = adapter.EVERYTHING

    assert {row.verdict for row in prove(recording, Port()).rows} == {"not compared"}


@pytest.mark.parametrize("names", [["lstm-moved"], ["training-mix"], ["cell-hyper", "data", "initial-lstm"]])
def test_a_port_that_offers_nothing_does_not_pass(names, tmp_path, capsys):
    arguments = [word for name in names for word in ("--recording", name)]
    assert (
        run_command(main, ["verify", *arguments, "--port", "parity_tests.adapter:Adapter", "--out", str(tmp_path)]) == 1
    )
    printed = capsys.readouterr()
    assert printed.err == ""
    assert "EQUAL" not in printed.out
    content = json.loads((tmp_path / "parity.json").read_text())
    assert content["passed"] is False
    assert content["verdict"].startswith("NOTHING TESTED: the port offers none of ")
    assert {row["verdict"] for row in content["rows"]} == {"untested"}
    assert all("equal" not in part["verdict"] and "DIFFERENT" not in part["verdict"] for part in content["parts"])
    assert "EQUAL" not in (tmp_path / "parity.md").read_text()


def test_one_method_alone_is_tested_and_the_rest_is_not():
    class Port(adapter.Adapter):
        def step_cell(self, *arguments):
            return ours.Adapter().step_cell(*arguments)

    rows = prove(RECORDINGS["lstm/moved"], Port()).rows
    tested = {row.quantity for row in rows if row.verdict != "untested"}
    assert tested
    assert all(name.startswith("fed/train/") for name in tested)
    assert {row.verdict for row in rows if row.quantity in tested} == {"equal"}


def test_a_precision_that_a_port_does_not_offer_is_untested():
    class Port(ours.Adapter):
        precisions = ("float32",)

    rows = prove(RECORDINGS["layer_norm-unconditional/moved"], Port()).rows
    double = [row for row in rows if row.precision == "float64"]
    assert len(double) > 100
    assert {row.verdict for row in double} == {"untested"}
    assert {row.verdict for row in rows if row.precision == "float32"} == {"equal"}


def test_our_step_is_the_one_that_training_takes(monkeypatch):
    recording = RECORDINGS["lstm/moved"]
    port, steps = ours.Adapter(), []
    step_on = Trainer.step_on

    def counted(self, *arguments):
        steps.append((self, step_on(self, *arguments)))
        return steps[-1][1]

    monkeypatch.setattr(Trainer, "step_on", counted)
    answers = replay(recording, "float64", port)
    assert not answers.broken
    ((trainer, result),) = steps
    assert (trainer, trainer.model) == (port.trainer, port.model)
    assert [answers.arrays[f"train/{name}"] for name in Costs._fields] == [result.cost, result.r_cost, result.kl_cost]


def test_a_model_without_adams_state_begins_with_the_optimizer_of_a_new_training():
    recording = RECORDINGS["lstm/moved"]
    port, weights = ours.Adapter(), recording["weights"]
    bare = {name: value for name, value in weights.items() if "Adam" not in name and not name.endswith("_power")}
    assert len(bare) < len(weights)
    port.load(dict(recording.hparams), bare)
    fresh = Trainer(port.model, None).optimizer
    assert port.optimizer is port.trainer.optimizer
    assert port.optimizer.powers() == fresh.powers()
    assert all(not slot.any() for slot in port.optimizer.slots())
    port.load(dict(recording.hparams), weights)
    assert any(slot.any() for slot in port.optimizer.slots())
