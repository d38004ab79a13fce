"""Bugs of the fused paths: in the compiled kernels, in their PyTorch form, and in what drives either."""

from parity_tests.mutation.catalogue.kernels_compiled import COMPILED_MUTANTS
from parity_tests.mutation.catalogue.kernels_python import PYTHON_MUTANTS
from parity_tests.mutation.catalogue.kernels_sampling import SAMPLING_MUTANTS

KERNEL_MUTANTS = (*COMPILED_MUTANTS, *SAMPLING_MUTANTS, *PYTHON_MUTANTS)
