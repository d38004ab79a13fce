"""Ports with known bugs, and the search for the causes of what they answer."""

import warnings

import numpy as np

from parity_tests.causes.candidates import CATALOGUE
from parity_tests.causes.explain import answers_of
from parity_tests.causes.matching import MATCH
from parity_tests.causes.search import Search
from parity_tests.mutation.combined import planted_together
from parity_tests.ours import Adapter

SHOWN = ("output", "state")  # enough to find the bugs of a cell
X_ALONE, NO_BIAS = "inner hyper cell sees x only", "main bias of the HyperLSTM dropped with layer norm"
EPSILON = "layer-norm epsilon 1e-5"
MODEL = "layer_norm-unconditional/moved"
OUTPUT_B = "vector_rnn/RNN/output_b"
TRAINED = ("train/r_cost", f"gradient/{OUTPUT_B}", f"clipped/{OUTPUT_B}", f"after/{OUTPUT_B}")
IGNORED, NEVER_ASKED = "LayerNormLSTMCell: no recurrent dropout", "no dropout"
FREE, LOCAL, LOSS = "train/decoder/g", "fed/train/decoder/output", "fed/eval/r_cost"
SLOT = "after/vector_rnn/vector_rnn/RNN/output_b/Adam_1"


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


def search(reference, departures, **options):
    """As :func:`parity_tests.causes.prove.causes_for` does."""
    arguments = {"precision": "float64", "offered": None, "pairs": 300, "seconds": None, "log": None, "equal": {}}
    arguments |= options
    equal = arguments.pop("equal")
    return Search(reference.recording, departures, equal, **arguments, reference=reference).causes([])


def named(cause):
    return {bug for bugs in (cause.bugs, *cause.alternatives) for bug in bugs}
