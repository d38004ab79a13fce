"""Adapters of other ports, without the ports: how they are found, and that weights are carried over whole."""

import inspect
import re
from pathlib import Path

import numpy as np
import pytest
from shipped import shipped

from parity_tests.adapter import Adapter, load_adapter
from parity_tests.examples import jacq, labml, labml_layout, numpy_port, rfeinman, rfeinman_cells, torch_lstm
from parity_tests.examples.port_folder import import_named, import_port
from parity_tests.replay.model import replay
from pytorch_sketch_rnn.errors import BadInput
from weight_port import rfeinman_layout

DOCS = Path(__file__).parents[3] / "docs"
FIXTURES = shipped()
ADAPTERS = {
    "rfeinman_cells": "RFEINMAN_SKETCH_RNN",
    "rfeinman": "RFEINMAN_SKETCH_RNN",
    "jacq": "JACQ_SKETCH_RNN",
    "labml": "LABML_NN",
}

# Cells as rfeinman/Sketch-RNN lays them out (gates i, f, o, candidate; state h, c), but with Magenta's epsilon.
FAKE_CELLS = """
import torch

def normal(x, units):
    x = x.unflatten(1, (-1, units))
    x = x - x.mean(2, keepdim=True)
    return (x / (x.square().mean(2, keepdim=True) + 1e-3).sqrt()).flatten(1)

class LSTMCell(torch.nn.Module):
    def __init__(self, inputs, units):
        super().__init__()
        self.units, self.r_dropout = units, torch.nn.Dropout(0.1)
        self.weight_ih = torch.nn.Parameter(torch.zeros(4 * units, inputs))
        self.weight_hh = torch.nn.Parameter(torch.zeros(4 * units, units))
        self.extra()
    def extra(self):
        self.bias = torch.nn.Parameter(torch.zeros(4 * self.units))
    def gates(self, total):
        return total + self.bias
    def last(self, c):
        return c
    def forward(self, x, state):
        h, c = state
        i, f, o, g = self.gates(x @ self.weight_ih.T + h @ self.weight_hh.T).chunk(4, 1)
        c = torch.sigmoid(f + 1) * c + torch.sigmoid(i) * self.r_dropout(torch.tanh(g))
        h = torch.sigmoid(o) * torch.tanh(self.last(c))
        return h, (h, c)

class LayerNormLSTMCell(LSTMCell):
    def extra(self):
        self.layernorm_h, self.layernorm_c = torch.nn.LayerNorm(4 * self.units), torch.nn.LayerNorm(self.units)
    def gates(self, total):
        return normal(total, self.units) * self.layernorm_h.weight + self.layernorm_h.bias
    def last(self, c):
        return normal(c, self.units) * self.layernorm_c.weight + self.layernorm_c.bias
"""


def hparams(kind: str) -> dict:
    sizes = {"enc_rnn_size": 4, "dec_rnn_size": 3, "z_size": 2, "num_mixture": 5}
    return sizes | {"enc_model": "lstm", "dec_model": kind, "hyper_num_units": 4, "hyper_embedding_size": 2}


@pytest.mark.parametrize(("name", "variable"), ADAPTERS.items())
def test_without_a_folder_there_is_one_clear_error(name, variable, monkeypatch, tmp_path):
    monkeypatch.delenv(variable, raising=False)
    with pytest.raises(BadInput, match=f"{variable} is not set; set it to the folder of the port"):
        load_adapter(f"parity_tests.examples.{name}:Adapter")
    monkeypatch.setenv(variable, str(tmp_path))
    with pytest.raises(BadInput, match=rf"{variable}=.*: expected the folder of the port, but .*\.py is not in it"):
        load_adapter(f"parity_tests.examples.{name}:Adapter")


def test_a_port_that_cannot_be_imported_is_one_clear_error(monkeypatch, tmp_path):
    monkeypatch.setenv("A_PORT", str(tmp_path))
    for package in ("broken_port", "broken_named_port"):
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").write_text("import a_module_that_is_missing")
    with pytest.raises(BadInput, match=r"A_PORT: broken_port cannot be imported .ModuleNotFoundError"):
        import_port("A_PORT", "broken_port", alias="broken")
    monkeypatch.syspath_prepend(tmp_path)  # what import_named adds is taken away with it
    with pytest.raises(BadInput, match=r"A_PORT: broken_named_port cannot be imported .ModuleNotFoundError"):
        import_named("A_PORT", "broken_named_port")


def test_a_module_from_another_folder_is_not_taken_for_the_port(monkeypatch, tmp_path):
    (tmp_path / "numpy").mkdir()
    (tmp_path / "numpy" / "__init__.py").write_text("")
    monkeypatch.setenv("A_PORT", str(tmp_path))
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(BadInput, match=r"A_PORT: numpy was already imported from"):
        import_named("A_PORT", "numpy")


def test_a_script_that_is_not_jacqs_is_one_clear_error(monkeypatch, tmp_path):
    monkeypatch.setenv("JACQ_SKETCH_RNN", str(tmp_path))
    (tmp_path / "sketch_rnn.py").write_text("hp = None\n")
    with pytest.raises(BadInput, match=r"JACQ_SKETCH_RNN: .* cannot be used .AttributeError"):
        load_adapter("parity_tests.examples.jacq:Adapter")


@pytest.fixture
def fake_cells(monkeypatch, tmp_path):
    (tmp_path / "sketch_rnn").mkdir()
    (tmp_path / "sketch_rnn" / "__init__.py").write_text(FAKE_CELLS)
    monkeypatch.setenv("RFEINMAN_SKETCH_RNN", str(tmp_path))
    return rfeinman_cells.Adapter()


@pytest.mark.parametrize("precision", ["float64", "float32"])
@pytest.mark.parametrize("kind", ["lstm", "layer_norm"])
def test_cells_of_the_worked_example_are_given_the_official_weights(fake_cells, kind, precision):
    recording = FIXTURES[f"cell/{kind}"]
    answers = replay(recording, precision, fake_cells)
    assert (answers.broken, answers.untested.keys()) == ({}, {"step_cell_vjp"})
    assert {name for name in answers.arrays if not name.startswith(("fed/", "prefix/"))} == {"output", "state"}
    for name, value in answers.arrays.items():
        assert value.dtype == precision
        truth = recording["float64"][name]
        # float32 rounds at each of some tens of operations
        np.testing.assert_allclose(value, truth, rtol=0, atol=1e-12 if precision == "float64" else 1e-5)


def test_the_worked_example_has_no_hyper_cell(fake_cells):
    assert replay(FIXTURES["cell/hyper"], "float64", fake_cells).untested.keys() == {"step_cell", "step_cell_vjp"}


LAYOUTS = {f"rfeinman {kind}": (rfeinman_layout.model_layout, kind) for kind in ("lstm", "layer_norm", "hyper")} | {
    "jacq": (jacq.model_layout, "lstm"),
    "labml": (labml_layout.model_layout, "lstm"),
}


def official_variables(layout, rng):
    """Random ones; of the columns, all that are named beside one another have as many rows."""
    result = {}
    for block in layout.blocks:
        for name, columns in block.official.items():
            is_matrix = name.endswith(("W_xh", "W_hh", "_w"))
            result[name] = rng.normal(size=(7, columns) if is_matrix else columns)
    return result


@pytest.mark.parametrize("weights", [True, False])
@pytest.mark.parametrize("name", LAYOUTS)
def test_what_goes_to_a_port_comes_back(name, weights):
    make, kind = LAYOUTS[name]
    layout = make(hparams(kind))
    variables = official_variables(layout, np.random.RandomState(1))
    before = {name: value.copy() for name, value in variables.items()}
    parameters = layout.to_port(variables, weights=weights)
    back = layout.to_official(parameters, weights=weights)
    assert back.keys() == variables.keys()
    for name, value in variables.items():
        assert np.array_equal(value, before[name])
        rows = next(block.rows for block in layout.blocks if name in block.official)
        # a forget bias of 1 comes and goes by rounding
        np.testing.assert_allclose(back[name], value[:rows], rtol=0, atol=1e-15)
    counts = (sum(value.size for value in side.values()) for side in (parameters, back))
    twins = sum(parameters[twin].size for twin in layout.twins.values())
    assert next(counts) - twins == next(counts)


def test_a_stored_forget_bias_and_two_biases_add_up_to_magentas():
    layout = jacq.model_layout(hparams("lstm"))
    variables = official_variables(layout, np.random.RandomState(2))
    bias = variables["vector_rnn/RNN/LSTMCell/bias"]
    parameters = layout.to_port(variables)
    both = parameters["decoder.lstm.bias_ih_l0"] + parameters["decoder.lstm.bias_hh_l0"]
    i, f, j, o = np.split(both, 4)  # torch's order
    expected = np.split(bias, 4)
    for ours, theirs, forget in zip((i, j, f, o), expected, (0, 0, 1, 0), strict=True):
        np.testing.assert_array_equal(ours, theirs + forget)
    slots = layout.to_port(variables, weights=False)
    np.testing.assert_array_equal(slots["decoder.lstm.bias_ih_l0"], slots["decoder.lstm.bias_hh_l0"])


def test_labmls_hyper_cell_is_given_every_weight_once():
    weights = {n.removeprefix("HyperLSTMCell/"): v for n, v in FIXTURES["cell/hyper"]["weights"].items()}
    marked, number = {}, 0
    for name, value in weights.items():
        marked[name] = np.arange(number, number + value.size, dtype=float).reshape(value.shape)
        number += value.size
    given = labml_layout.hyper_cell(marked)
    shifts = {"layer_norm.1.bias", "hyper.layer_norm.1.bias"}  # to which the forget bias is added
    added = [value - (1 if name in shifts else 0) for name, value in given.items() if name != "hyper.hidden_lin.bias"]
    assert sorted(np.concatenate([value.ravel() for value in added]).tolist()) == list(range(number))
    assert not given["hyper.hidden_lin.bias"].any()  # a bias before the norm, which Magenta has not


def test_the_page_shows_the_worked_example_as_it_is():
    page = (DOCS / "your_own_port.md").read_text(encoding="utf-8")
    shown = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    source = inspect.getsource(rfeinman_cells)
    begin = source.index("from collections.abc")
    assert source[begin:] in shown


@pytest.mark.parametrize("module", [jacq, labml, numpy_port, rfeinman, torch_lstm])
def test_no_example_gives_the_name_of_a_method_of_adapters_to_something_else(module):
    def parameters(function):
        return list(inspect.signature(function).parameters)

    protocol = dict(inspect.getmembers(Adapter, inspect.isfunction))
    for name, method in inspect.getmembers(module.Adapter, inspect.isfunction):
        if name in protocol and not name.startswith("__"):
            assert parameters(method) == parameters(protocol[name]), name
