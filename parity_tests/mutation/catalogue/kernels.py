"""Bugs of the fused paths: in the compiled kernels, in their PyTorch form, and in what drives either."""

from collections.abc import Sequence

import torch

from parity_tests.mutation.bugs import ProductMutant
from parity_tests.mutation.catalogue.kernels_compiled import COMPILED_MUTANTS
from parity_tests.mutation.catalogue.kernels_python import PYTHON_MUTANTS
from parity_tests.mutation.catalogue.kernels_sampling import SAMPLING_MUTANTS
from parity_tests.mutation.catalogue.kernels_tests import COMPILED
from pytorch_sketch_rnn.model.fused import choice

KERNEL_MUTANTS = (*COMPILED_MUTANTS, *SAMPLING_MUTANTS, *PYTHON_MUTANTS)


def testable(mutants: Sequence[ProductMutant]) -> tuple[Sequence[ProductMutant], str | None]:
    """The bugs whose tests can run on this machine, and how many others there are and why; None if there are none."""
    compiled = [mutant for mutant in mutants if any(f"{COMPILED}]" in test for test in mutant.tests)]
    if not compiled:
        return mutants, None
    try:
        choice.proven(COMPILED, torch.device("cpu"))
    except choice.Unusable as error:
        kept = [mutant for mutant in mutants if mutant not in compiled]
        return kept, f"bugs of compiled code are left out ({len(compiled)}): {error}"
    return mutants, None
