"""The tests that must fail when a bug is planted in a fused path, and how such a bug is listed.

Each is planted in one path alone, and the tests of that path must fail: they compare with the loop over steps, and with
the recordings of the official code.
"""

import torch

from parity_tests.mutation.bugs import Planting, ProductMutant
from parity_tests.mutation.kernel_source import Unchecked
from pytorch_sketch_rnn.model.fused import choice

COMPILED, ATEN = choice.names(torch.device("cpu"))[0], choice.ATEN

_FILE = "model/fused/test_fused_sequences.py::test_"
LOOP = _FILE + "values_and_gradients_against_the_loop[{}]"
FLOAT32 = _FILE + "float32_against_the_loop[{}]"
WINDOWS = _FILE + "weights_gradients_in_several_windows[7-{}]"
ENDS = _FILE + "states_alone_and_outputs_alone_have_their_gradients[{}]"
NAN = _FILE + "what_is_not_finite_reaches_the_same_numbers[nan-{}]"
FAR = _FILE + "gates_far_from_zero_are_0_and_1[dtype1-{}]"
KEYED = _FILE + "keyed_masks_have_the_same_bits_as_the_loops[dtype0-{}]"
DRAWN = _FILE + "masks_are_drawn_once_and_in_the_order_of_the_loop[{}]"
COPY = _FILE + "a_dense_copy_is_another_tensor_whatever_the_strides"
TAPE = _FILE + "a_tape_makes_the_loop_compute"
OWN = _FILE + "a_cell_of_a_users_own_is_computed_by_the_loop"
EPSILONS = _FILE + "two_cells_with_two_epsilons_each_have_their_own[{}]"
ADDED = "model/fused/test_products.py::test_a_product_is_added[{}]"
THREADS = "model/fused/test_products.py::test_the_number_of_threads_changes_no_bit[{}]"
OFFICIAL = "model/fused/test_fused_official.py::test_cells_alone_against_official[{}]"


def kernel_mutant(name: str, family: str, planting: Planting, test: str) -> ProductMutant:
    """A bug of a fused path, planted past its self-check; ``test`` must fail."""
    return ProductMutant(name, family, Unchecked(planting), (test,))
