"""The bugs that a search may name: each has a sentence and can be planted, alone and together with others."""

import pytest
from answers import NO_BIAS, X_ALONE

from parity_tests.causes.candidates import CATALOGUE, sentence_of
from parity_tests.causes.hypotheses import HYPOTHESES
from parity_tests.causes.sentences import SENTENCES
from parity_tests.mutation.bugs import Mutant, Text, Value
from parity_tests.mutation.catalogue.port import MUTANTS
from parity_tests.mutation.combined import is_same, planted_together
from pytorch_sketch_rnn.model import cells, losses

# The catalogue --------------------------------------------------------------------------------------------------------


def test_hypotheses_differ_from_the_mutants_and_have_sentences():
    assert len({bug.name for bug in (*MUTANTS, *HYPOTHESES)}) == len(MUTANTS) + len(HYPOTHESES)
    assert all(bug.sentence and bug.parts for bug in HYPOTHESES)
    assert not [h.name for h in HYPOTHESES for mutant in MUTANTS if is_same(h, mutant)]


def test_sentences_belong_to_bugs_of_the_catalogue():
    assert set(SENTENCES) <= {mutant.name for mutant in MUTANTS}
    assert sentence_of("output bias zero") == "it has this bug: output bias zero"


@pytest.mark.parametrize("bug", HYPOTHESES, ids=lambda bug: bug.name)
def test_a_hypothesis_can_be_planted_and_removed(bug):
    with bug.planted():
        pass


def test_two_bugs_of_one_function_can_be_planted_together_and_removed():
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


def test_a_constant_is_restored_if_another_bug_does_not_fit():
    broken = Mutant("a text that is not there", "loss", Text(losses, "kl_cost", ("no such text", "")), ())
    small = Mutant("another constant", "epsilons", Value(losses, "DENSITY_EPSILON", 1.0), ())
    with pytest.raises(LookupError), planted_together([small, broken]):
        pass
    assert losses.DENSITY_EPSILON == 1e-6
