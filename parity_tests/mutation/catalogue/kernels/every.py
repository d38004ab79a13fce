"""Bugs of the fused paths: in the compiled kernels, in their PyTorch and Triton forms, and in what drives them."""

import importlib.util
from collections.abc import Sequence

import torch

from parity_tests.mutation.bugs import ProductMutant
from parity_tests.mutation.catalogue.kernels.compiled import COMPILED_MUTANTS
from parity_tests.mutation.catalogue.kernels.python import PYTHON_MUTANTS
from parity_tests.mutation.catalogue.kernels.sampling import SAMPLING_MUTANTS
from parity_tests.mutation.catalogue.kernels.tests import COMPILED
from parity_tests.mutation.catalogue.kernels.triton import INTERPRETED, TRITON_MUTANTS
from pytorch_sketch_rnn.model.fused import choice

KERNEL_MUTANTS = (*COMPILED_MUTANTS, *SAMPLING_MUTANTS, *PYTHON_MUTANTS, *TRITON_MUTANTS)


def runnable(mutants: Sequence[ProductMutant]) -> tuple[Sequence[ProductMutant], str | None]:
    """The bugs whose tests can run on this machine, and how many others there are and why; None if there are none."""
    compiled = [mutant for mutant in mutants if any(f"{COMPILED}]" in test for test in mutant.tests)]
    interpreted = [mutant for mutant in mutants if mutant.tests == (INTERPRETED,)]
    left_out = []
    if compiled and (why := _why_not_compiled()) is not None:
        left_out.append((compiled, f"bugs of compiled code are left out ({len(compiled)}): {why}"))
    if interpreted and importlib.util.find_spec("triton") is None:
        left_out.append((interpreted, f"bugs of Triton kernels are left out ({len(interpreted)}): it is not installed"))
    without = [mutant for group, _ in left_out for mutant in group]
    kept = [mutant for mutant in mutants if mutant not in without]
    return kept, "; ".join(said for _, said in left_out) or None


def _why_not_compiled() -> str | None:
    try:
        choice.proven(COMPILED, torch.device("cpu"))
    except choice.Unusable as error:
        return str(error)
    return None
