"""Proven causes in cells: a bug is named from the numbers of a port that has it; without proof none is named."""

import numpy as np
import pytest
from answers import EPSILON, NO_BIAS, SHOWN, X_ALONE, answers, assert_named, search, shown

from parity_tests.causes.candidates import sentence_of
from parity_tests.causes.matching import distance, is_match
from parity_tests.causes.prove import causes_for, prove_cause
from parity_tests.causes.reference import METHODS
from parity_tests.examples import numpy_port
from parity_tests.mutation.bugs import Mutant, Text
from parity_tests.mutation.catalogue.port.parts import LSTM
from pytorch_sketch_rnn.model import cells

# One cell, of which the output and the state are known ----------------------------------------------------------------

CELL_BUGS = [
    ("cell/lstm", "gates in torch's order: i, f, g, o"),
    ("cell/lstm", "forget bias missing"),
    ("cell/lstm", "forget bias stored and added again"),
    ("cell/lstm", "candidate without tanh"),
    ("cell/lstm", "recurrent mask on h, not on the candidate"),
    ("cell/lstm", "LSTM state packed as the layer norm's: h, c"),
    ("cell/lstm", "a sigmoid in float32"),
    ("cell/lstm", "LSTMCell: no recurrent dropout"),
    ("cell/lstm", "LSTM's bias added twice"),
    ("cell/layer_norm", EPSILON),
    ("cell/layer_norm", "layer-norm epsilon 1e-08"),
    ("cell/layer_norm", "layer-norm epsilon outside the root"),
    ("cell/layer_norm", "unbiased variance"),
    ("cell/layer_norm", "no layer norm"),
    ("cell/layer_norm", "gamma and beta of a layer norm swapped"),
    ("cell/layer_norm", "layer norm fed back into the state"),
    ("cell/layer_norm", "LayerNormLSTMCell: recurrent mask on the old h"),
    ("cell/hyper", X_ALONE),
    ("cell/hyper", NO_BIAS),
    ("cell/hyper", "inner hyper cell with epsilon 1e-5"),
]


@pytest.mark.parametrize(("name", "bug"), CELL_BUGS)
def test_a_bug_of_a_cell_is_named_from_its_output_and_state(fixtures, references, name, bug):
    found = search(references[name], shown(fixtures[name], bug))
    assert found
    for cause in found.values():
        assert_named(cause, bug)
        assert cause.bugs == next(iter(found.values())).bugs
        assert sentence_of(bug) in cause.sentence or cause.alternatives


@pytest.mark.parametrize(
    ("name", "bugs"),
    [
        ("cell/lstm", ("forget bias missing", "LSTMCell: recurrent mask on the old h")),
        ("cell/layer_norm", (EPSILON, "LayerNormLSTMCell: recurrent mask on the new h")),
        ("cell/layer_norm", ("unbiased variance", "forget bias missing")),
        ("cell/hyper", (X_ALONE, NO_BIAS)),
        ("cell/hyper", (X_ALONE, NO_BIAS, EPSILON)),
    ],
)
def test_several_bugs_at_once_are_named_together(fixtures, references, name, bugs):
    found = search(references[name], shown(fixtures[name], *bugs))
    assert set(found) == set(SHOWN)
    for cause in found.values():
        assert_named(cause, *bugs)
    assert all(sentence_of(bug) in found["state"].sentence for bug in bugs)


def test_one_quantity_alone_is_enough(fixtures):
    recording = fixtures["cell/layer_norm"]
    cause = prove_cause(recording, "output", shown(recording, EPSILON)["output"])
    assert cause.bugs == (EPSILON,)
    assert "the layer norm's epsilon is 1e-5, Magenta's is 1e-3" in str(cause)
    assert cause.departure == pytest.approx(
        distance(shown(recording, EPSILON)["output"], recording["float64"]["output"])
    )


def test_an_independent_implementation_with_the_bug_is_recognised(fixtures, monkeypatch):
    monkeypatch.setattr(numpy_port, "NORM_EPSILON", 1e-5)
    recording = fixtures["cell/hyper"]
    port = numpy_port.Adapter()
    found = causes_for(recording, {"output": answers(recording, port=port)["output"]}, offered=port.offers & METHODS)
    assert found["output"].bugs == (EPSILON,)
    assert 0 < found["output"].residual < 1e-13  # other code, other rounding


# What no bug explains -------------------------------------------------------------------------------------------------


def unknown(cell, name="an unknown bug"):
    changed = ("torch.sigmoid(i) * g", "torch.sigmoid(i) * g.sign() * g.abs() ** 1.07")
    return Mutant(name, "gates", Text(cell, "forward", changed), LSTM)


@pytest.mark.parametrize(
    ("name", "cell"), [("cell/lstm", cells.LSTMCell), ("cell/layer_norm", cells.LayerNormLSTMCell)]
)
def test_an_unknown_bug_has_no_cause(fixtures, references, name, cell):
    departures = shown(fixtures[name], unknown(cell))
    assert distance(departures["output"], fixtures[name]["float64"]["output"]) > 1e-4
    assert search(references[name], departures) == {}


def test_a_known_bug_together_with_an_unknown_one_is_not_the_cause(fixtures, references):
    departures = shown(fixtures["cell/layer_norm"], EPSILON, unknown(cells.LayerNormLSTMCell))
    assert search(references["cell/layer_norm"], departures, pairs=20) == {}


def test_what_is_equal_has_no_cause_and_is_not_searched(fixtures):
    recording = fixtures["cell/hyper"]
    lines = []
    assert causes_for(recording, shown(recording), log=lines.append) == {}
    assert lines == []


def test_numbers_near_those_of_a_bug_do_not_match(fixtures, references):
    departures = shown(fixtures["cell/layer_norm"], EPSILON)
    departures["output"] = departures["output"] * (1 + 1e-9)
    found = search(references["cell/layer_norm"], departures, pairs=20)
    assert set(found) == {"state"}


def test_other_shapes_and_types_have_no_cause_and_raise_nothing(fixtures, references):
    departures = {"output": np.zeros((2, 3)), "state": np.array(["text"])}
    assert search(references["cell/lstm"], departures, pairs=20) == {}


def test_nothing_is_tried_after_the_time_limit(fixtures):
    recording = fixtures["cell/lstm"]
    assert causes_for(recording, shown(recording, "forget bias missing"), seconds=0.0) == {}


@pytest.mark.parametrize(
    ("residual", "departure", "size", "expected"),
    [
        (0.0, 1e-3, 100, True),
        (9e-11, 1e-3, 100, True),
        (2e-10, 1e-3, 100, False),  # too far
        (1e-11, 5e-8, 100, False),  # a departure that is hardly larger proves nothing
        (1e-12, 5e-8, 100, True),
        (1e-12, 5e-8, 1, False),  # ... and of a single number less so
        (1e-14, 5e-8, 1, True),
        (float("inf"), float("inf"), 100, False),
        (0.0, float("inf"), 100, True),  # of another shape than the official one
    ],
)
def test_a_match_is_close_and_much_closer_than_the_departure(residual, departure, size, expected):
    assert is_match(residual, departure, size) is expected
