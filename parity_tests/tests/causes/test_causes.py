"""Proven causes: a bug is named from the numbers of a port that has it, and from nothing else; others are not named."""

import warnings
from pathlib import Path

import numpy as np
import pytest

from parity_tests.adapter import Adapter as AnyPort
from parity_tests.causes.hypotheses import HYPOTHESES
from parity_tests.causes.proven import causes_for, prove_cause
from parity_tests.causes.reference import METHODS, Reference
from parity_tests.causes.search import CATALOGUE, MATCH, Search, distance, is_match, sentence_of
from parity_tests.causes.sentences import SENTENCES
from parity_tests.causes.why import answers_of, main
from parity_tests.examples import numpy_port
from parity_tests.mutation.bugs import Mutant, Text, Value
from parity_tests.mutation.catalogue.port import MUTANTS
from parity_tests.mutation.catalogue.port.parts import LSTM
from parity_tests.mutation.combined import is_same, planted_together
from parity_tests.ours import Adapter
from parity_tests.record.shipped import load_fixtures
from parity_tests.replay.model import replay
from pytorch_sketch_rnn.model import cells, losses

SHOWN = ("output", "state")  # all that a port need show of a cell
X_ALONE, NO_BIAS = "inner hyper cell sees x only", "main bias of the HyperLSTM dropped with layer norm"
EPSILON = "layer-norm epsilon 1e-5"
MODEL = "layer_norm-unconditional/moved"
OUTPUT_B = "vector_rnn/RNN/output_b"
TRAINED = ("train/r_cost", f"gradient/{OUTPUT_B}", f"clipped/{OUTPUT_B}", f"after/{OUTPUT_B}")
IGNORED, NEVER_ASKED = "LayerNormLSTMCell: no recurrent dropout", "no dropout"
FREE, LOCAL, LOSS = "train/decoder/g", "fed/train/decoder/output", "fed/eval/r_cost"
SLOT = "after/vector_rnn/vector_rnn/RNN/output_b/Adam_1"


@pytest.fixture(scope="module")
def fixtures():
    return load_fixtures()


def answers(recording, *bugs, port=None):
    """What a port with these bugs answers."""
    bugs = [CATALOGUE.get(bug, bug) for bug in bugs]
    with planted_together(bugs), warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        return answers_of(recording, port or Adapter())[1]


def shown(recording, *bugs):
    found = answers(recording, *bugs)
    return {name: found[name] for name in SHOWN}


def assert_named(cause, *bugs):
    """These bugs, or others that give the same numbers throughout."""
    assert cause is not None
    assert cause.residual <= MATCH < cause.departure
    assert set(bugs) in map(set, (cause.bugs, *cause.alternatives))


# One cell, of which the output and the state are known ----------------------------------------------------------------

CELL_BUGS = [
    ("cell/lstm", "gates in torch's order: i, f, g, o"),
    ("cell/lstm", "forget bias missing"),
    ("cell/lstm", "forget bias twice, stored and added"),
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


@pytest.fixture(scope="module")
def references(fixtures):
    """What was replayed for one test is there for the next."""
    wanted = {MODEL: (*TRAINED, SLOT, "sample/sampled/strokes", FREE, LOCAL, LOSS), "lstm/moved": ("eval/mu", "eval/z")}
    return {
        name: Reference(recording, answers_of(recording, numpy_port.Adapter())[0], wanted.get(name, SHOWN))
        for name, recording in fixtures.items()
        if name.startswith("cell/") or name in wanted
    }


def search(reference, departures, **options):
    """As :func:`parity_tests.causes.proven.causes_for` does."""
    arguments = {"precision": "float64", "offered": None, "pairs": 300, "seconds": None, "say": None, "equal": {}}
    arguments |= options
    equal = arguments.pop("equal")
    return Search(reference.recording, departures, equal, **arguments, reference=reference).causes([])


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


def test_a_known_bug_beside_an_unknown_one_is_not_the_cause(fixtures, references):
    departures = shown(fixtures["cell/layer_norm"], EPSILON, unknown(cells.LayerNormLSTMCell))
    assert search(references["cell/layer_norm"], departures, pairs=20) == {}


def test_what_is_equal_has_no_cause_and_costs_nothing(fixtures):
    recording = fixtures["cell/hyper"]
    lines = []
    assert causes_for(recording, shown(recording), say=lines.append) == {}
    assert lines == []


def test_numbers_near_those_of_a_bug_are_not_taken_for_them(fixtures, references):
    departures = shown(fixtures["cell/layer_norm"], EPSILON)
    departures["output"] = departures["output"] * (1 + 1e-9)
    found = search(references["cell/layer_norm"], departures, pairs=20)
    assert set(found) == {"state"}


def test_other_shapes_and_types_have_no_cause_and_do_no_harm(fixtures, references):
    departures = {"output": np.zeros((2, 3)), "state": np.array(["text"])}
    assert search(references["cell/lstm"], departures, pairs=20) == {}


def test_nothing_is_tried_after_the_time_is_over(fixtures):
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
def test_a_match_is_near_and_far_nearer_than_the_departure(residual, departure, size, expected):
    assert is_match(residual, departure, size) is expected


# Models, data and schedules -------------------------------------------------------------------------------------------

MODEL_BUGS = [
    (MODEL, "stroke loss averaged over unmasked steps only", ("train/r_cost", f"gradient/{OUTPUT_B}")),
    (MODEL, "pen loss a third: mean over the three states", ("train/r_cost", f"gradient/{OUTPUT_B}")),
    (MODEL, "divisor Nmax - 1", ("train/r_cost",)),
    (MODEL, "density epsilon 1e-5", ("train/r_cost",)),
    (MODEL, "density epsilon 1e-08", ("train/r_cost",)),
    (MODEL, "clips by the norm of each gradient", (f"clipped/{OUTPUT_B}",)),
    (MODEL, "torch.optim.Adam", (f"after/{OUTPUT_B}", SLOT)),
    (MODEL, "beta2 0.99", (SLOT,)),
    (MODEL, "sigma times the root of the temperature", ("sample/sampled/strokes",)),
    ("lstm/moved", "encoder ignores lengths", ("eval/mu",)),
    ("lstm/moved", "last outputs concatenated as backward, forward", ("eval/mu",)),
    ("lstm/moved", "log variance taken for log deviation", ("eval/z",)),
]


@pytest.mark.parametrize(("name", "bug", "quantities"), MODEL_BUGS)
def test_a_bug_of_a_model_is_named(fixtures, references, name, bug, quantities):
    found = answers(fixtures[name], bug)
    causes = search(references[name], {quantity: found[quantity] for quantity in quantities})
    assert set(causes) == set(quantities)
    for cause in causes.values():
        assert_named(cause, bug)


@pytest.mark.parametrize(
    ("name", "bug"),
    [
        ("data", "unbiased scale factor"),
        ("data", "points dropped from the second of a stroke on: count > 1"),  # strokes of another shape
        ("data", "dropped point lost, not merged"),
        ("training/mix", "no minimum learning rate"),
        ("training/mix", "KL weight starts at 0.005"),
        ("initial/layer_norm", "W_hh orthogonal as a whole, not in four blocks"),
    ],
)
def test_a_bug_of_data_schedules_or_initial_weights_is_named(fixtures, name, bug):
    recording = fixtures[name]
    if name.startswith("initial"):
        with planted_together([CATALOGUE[bug]]):
            drawn = Adapter().initial(dict(recording.hparams), recording.provenance["seed"])
        found, precision = (
            {f"initial/{n}": v for n, v in drawn.items() if n.endswith("fw/LayerNormLSTMCell/W_hh")},
            "initial",
        )
    else:
        found, precision = answers(recording, bug), answers_of(recording, Adapter())[0]
    causes = causes_for(recording, found, precision=precision)
    assert causes
    for cause in causes.values():
        assert bug in {bug for bugs in (cause.bugs, *cause.alternatives) for bug in bugs}


def test_a_pair_of_bugs_of_the_loss_is_named_from_one_number(fixtures, references):
    bugs = "density epsilon 1e-5", "stroke mask keeps the first end step"
    found = answers(fixtures[MODEL], *bugs)
    causes = search(references[MODEL], {"train/r_cost": found["train/r_cost"]}, pairs=100)
    assert_named(causes["train/r_cost"], *bugs)


def test_a_layer_from_official_states_shows_the_bugs_of_its_cell_alone(fixtures):
    recording = fixtures[MODEL]
    found = answers(recording, EPSILON, "stroke loss of the padding counted")
    name = "fed/train/decoder/state"
    assert prove_cause(recording, name, found[name]).bugs == (EPSILON,)


# Which of several explanations ----------------------------------------------------------------------------------------


def test_bugs_that_give_the_same_numbers_are_all_named(fixtures, references):
    cause = search(references["cell/layer_norm"], shown(fixtures["cell/layer_norm"], "layer-norm epsilon 0"))["output"]
    assert {bug for bugs in cause.alternatives for bug in bugs} >= {"layer-norm epsilon 1e-12"}
    assert "; or: " in str(cause)


def test_another_departure_decides_between_explanations(fixtures, references):
    """Dropout that the model never asks for, or that the cell ignores: a step of the cell alone tells which."""
    found = answers(fixtures[MODEL], IGNORED)
    assert {IGNORED, NEVER_ASKED} <= named(search(references[MODEL], {FREE: found[FREE]})[FREE])
    both = search(references[MODEL], {name: found[name] for name in (FREE, LOCAL)})
    assert IGNORED in named(both[FREE]) & named(both[LOCAL])
    assert NEVER_ASKED not in named(both[FREE])


def test_what_is_equal_decides_between_explanations(fixtures, references):
    found = answers(fixtures[MODEL], NEVER_ASKED)
    cause = search(references[MODEL], {FREE: found[FREE]}, equal={LOCAL: found[LOCAL]})[FREE]
    assert NEVER_ASKED in named(cause)
    assert IGNORED not in named(cause)


def test_bugs_that_change_nothing_in_a_quantity_are_not_named(fixtures, references):
    found = answers(fixtures[MODEL], IGNORED, "density epsilon 1e-5")
    causes = search(references[MODEL], {name: found[name] for name in (LOCAL, LOSS, FREE, "train/r_cost")})
    assert named(causes[LOCAL]) == named(causes[FREE]) == {IGNORED}
    assert named(causes[LOSS]) == {"density epsilon 1e-5"}
    assert set(causes["train/r_cost"].bugs) == {IGNORED, "density epsilon 1e-5"}


def named(cause):
    return {bug for bugs in (cause.bugs, *cause.alternatives) for bug in bugs}


# The catalogue --------------------------------------------------------------------------------------------------------


def test_hypotheses_say_something_new_each_in_its_own_words():
    assert len({bug.name for bug in (*MUTANTS, *HYPOTHESES)}) == len(MUTANTS) + len(HYPOTHESES)
    assert all(bug.sentence and bug.parts for bug in HYPOTHESES)
    assert not [h.name for h in HYPOTHESES for mutant in MUTANTS if is_same(h, mutant)]


def test_sentences_belong_to_bugs_of_the_catalogue():
    assert set(SENTENCES) <= {mutant.name for mutant in MUTANTS}
    assert sentence_of("output bias zero") == "it has this bug: output bias zero"


@pytest.mark.parametrize("bug", HYPOTHESES, ids=lambda bug: bug.name)
def test_a_hypothesis_can_be_planted_and_taken_out(bug):
    with bug.planted():
        pass


def test_two_bugs_of_one_function_are_planted_together_and_the_sound_code_is_back():
    before = cells.HyperLSTMCell.forward.__code__
    with planted_together([CATALOGUE[X_ALONE], CATALOGUE[NO_BIAS]]):
        assert "zeros_like" in cells.HyperLSTMCell.forward.__code__.co_names
        assert cells.HyperLSTMCell.forward.__code__ is not before
    assert cells.HyperLSTMCell.forward.__code__ is before


@pytest.mark.parametrize(
    "bugs",
    [
        ("candidate without tanh", "LSTMCell: no recurrent dropout"),
        ("forget bias missing", "forget bias 0.9"),
        ("gamma and beta of ln_c swapped", "gamma and beta of ln_c swapped"),
    ],
)
def test_bugs_that_change_the_same_thing_cannot_be_planted_together(bugs):
    with pytest.raises(LookupError), planted_together([CATALOGUE[bug] for bug in bugs]):
        pass


def test_a_constant_is_restored_where_a_later_bug_does_not_fit():
    broken = Mutant("a text that is not there", "loss", Text(losses, "kl_cost", ("no such text", "")), ())
    small = Mutant("another constant", "epsilons", Value(losses, "DENSITY_EPSILON", 1.0), ())
    with pytest.raises(LookupError), planted_together([small, broken]):
        pass
    assert losses.DENSITY_EPSILON == 1e-6


# The command ----------------------------------------------------------------------------------------------------------


def test_the_command_names_the_cause_of_a_real_port(capsys):
    assert main(["--port", "parity_tests.examples.torch_lstm:Adapter", "--recording", "cell/lstm"]) == 1
    said = capsys.readouterr().out
    assert "cell/lstm: 2 of 2 quantities depart, 2 of them with a proven cause" in said
    assert "in the LSTM, there is no recurrent dropout" in said
    documented = (Path(__file__).parents[3] / "docs" / "causes.md").read_text(encoding="utf-8")
    assert "\n".join(said.splitlines()[:2]) in documented


def test_the_command_on_a_port_that_is_right(capsys):
    port = "parity_tests.examples.numpy_port:Adapter"
    assert main(["--port", port, "--recording", "cell/layer_norm"]) == 0
    assert "0 of 11 quantities depart" in capsys.readouterr().out


def test_the_command_refuses_an_unknown_recording(capsys):
    assert main(["--port", "parity_tests.examples.numpy_port:Adapter", "--recording", "cell/none"]) == 2
    assert "--recording cell-none: expected one of cell-hyper" in capsys.readouterr().err


class Broken(Adapter):
    """A port whose cells fail."""

    def step_cell(self, *_):
        raise RuntimeError("no cell\ntoday")


class Silent(AnyPort):
    """A port that offers nothing."""


class Single(Adapter):
    """A port in float32 alone."""

    precisions = ("float32",)


def test_a_port_that_fails_is_not_one_from_which_nothing_departs(capsys):
    assert main(["--port", f"{__name__}:Broken", "--recording", "cell/lstm"]) == 1
    assert "  step_cell failed: RuntimeError: no cell today" in capsys.readouterr().out


@pytest.mark.parametrize(("port", "said"), [("Silent", "answers nothing"), ("Single", "offers float32 alone")])
def test_a_port_that_cannot_be_asked_is_told_so(port, said, capsys):
    assert main(["--port", f"{__name__}:{port}", "--recording", "cell/lstm"]) == 2
    assert said in capsys.readouterr().err


def test_the_command_takes_no_recording_of_initial_weights(capsys):
    assert main(["--port", "parity_tests.examples.numpy_port:Adapter", "--recording", "initial-lstm"]) == 2
    assert "initial-lstm: expected one of cell-hyper" in capsys.readouterr().err
    with pytest.raises(SystemExit) as stopped:
        main(["--port", "parity_tests.examples.numpy_port:Adapter", "--recording"])
    assert stopped.value.code == 2


def test_replaying_a_part_gives_the_numbers_of_the_whole(fixtures):
    """Only what a quantity needs is computed, and all steps of a cell at once."""
    for name in ("cell/hyper", "lstm/moved"):
        recording = fixtures[name]
        whole = replay(recording, "float64", Adapter()).arrays
        reference = Reference(recording, "float64", whole)
        assert max(distance(reference.answer(n, ()), value) for n, value in whole.items()) < 1e-12
