"""The bugs of a port, by family.

Other ports of Sketch-RNN have some of them; the official code invites the others. Each names the part of the report in
which it must show first: the part where a maintainer would have to look.
"""

from parity_tests.mutation.catalogue.port.cells import CELL_MUTANTS
from parity_tests.mutation.catalogue.port.constants import CONSTANT_MUTANTS
from parity_tests.mutation.catalogue.port.conversion import CONVERTER_MUTANTS
from parity_tests.mutation.catalogue.port.data import DATA_MUTANTS
from parity_tests.mutation.catalogue.port.dropout import DROPOUT_MUTANTS
from parity_tests.mutation.catalogue.port.initial_weights import INITIAL_WEIGHT_MUTANTS
from parity_tests.mutation.catalogue.port.losses import LOSS_MUTANTS
from parity_tests.mutation.catalogue.port.precision import PRECISION_MUTANTS
from parity_tests.mutation.catalogue.port.sampling import SAMPLING_MUTANTS
from parity_tests.mutation.catalogue.port.sequences import SEQUENCE_MUTANTS
from parity_tests.mutation.catalogue.port.training import TRAINING_MUTANTS

FAMILIES = (
    "gates", "cell design", "biases", "epsilons", "variance", "dropout", "masks", "lengths", "order", "latent vector",
    "mixture", "loss", "KL", "schedules", "clipping", "Adam", "initialisers", "sampling", "data", "augmentation",
    "converter", "exporter", "precision",
)  # fmt: skip

MUTANTS = (
    *CELL_MUTANTS,
    *CONSTANT_MUTANTS,
    *DROPOUT_MUTANTS,
    *SEQUENCE_MUTANTS,
    *LOSS_MUTANTS,
    *TRAINING_MUTANTS,
    *INITIAL_WEIGHT_MUTANTS,
    *SAMPLING_MUTANTS,
    *DATA_MUTANTS,
    *CONVERTER_MUTANTS,
    *PRECISION_MUTANTS,
)

# bugs that no recording can tell from the sound code, and why
LEFT_OUT = {
    "component picked with > instead of >=": "differs only if a random number of 53 bits equals a cumulative "
    "probability",
    "sigma times T, not sqrt(T) * sqrt(T)": "one rounding of float64 in a deviation; the point is rounded to float32",
    "z drawn after the first point": "the first point needs it",
}
