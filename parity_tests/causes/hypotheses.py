"""Candidate causes of a departure: bugs that a port may have, besides those of the mutation catalogue.

They are not part of the mutation score. Many are a catalogued bug in another cell or with another constant; the others
are what PyTorch, Keras or another paper suggests to a port's author. Each has its own sentence.
"""

from parity_tests.causes.hypotheses_cells import CELL_HYPOTHESES
from parity_tests.causes.hypotheses_hyper import HYPER_HYPOTHESES
from parity_tests.causes.hypotheses_model import MODEL_HYPOTHESES
from parity_tests.causes.hypotheses_training import TRAINING_HYPOTHESES
from parity_tests.mutation.catalogue.port import MUTANTS
from parity_tests.mutation.combined import is_same

HYPOTHESES = tuple(
    each
    for each in (*CELL_HYPOTHESES, *HYPER_HYPOTHESES, *MODEL_HYPOTHESES, *TRAINING_HYPOTHESES)
    if not any(is_same(each, mutant) for mutant in MUTANTS)
)
