"""Proven causes in models, data, schedules and initial weights, and the choice between several explanations."""

import pytest
from answers import (
    EPSILON,
    FREE,
    IGNORED,
    LOCAL,
    LOSS,
    MODEL,
    NEVER_ASKED,
    OUTPUT_B,
    SLOT,
    answers,
    assert_named,
    named,
    search,
    shown,
)

from parity_tests.causes.candidates import CATALOGUE
from parity_tests.causes.explain import answers_of
from parity_tests.causes.matching import distance
from parity_tests.causes.prove import causes_for, prove_cause
from parity_tests.causes.reference import Reference
from parity_tests.mutation.combined import planted_together
from parity_tests.ours import Adapter
from parity_tests.replay.model import replay

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
    ("lstm/moved", "log variance used as log deviation", ("eval/z",)),
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
        ("data", "points dropped one too early in a stroke: count > 1"),  # strokes of another shape
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


def test_replaying_a_part_gives_the_numbers_of_the_whole(fixtures):
    """Only what a quantity needs is computed, and all steps of a cell at once."""
    for name in ("cell/hyper", "lstm/moved"):
        recording = fixtures[name]
        whole = replay(recording, "float64", Adapter()).arrays
        reference = Reference(recording, "float64", whole)
        assert max(distance(reference.answer(n, ()), value) for n, value in whole.items()) < 1e-12
