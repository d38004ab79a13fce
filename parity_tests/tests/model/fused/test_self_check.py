"""What the check of a backend before its first use reaches."""

import re

import pytest
import torch
from fused_cases import CPU

from pytorch_sketch_rnn.model.fused import build, choice, native
from pytorch_sketch_rnn.model.fused.native import Native
from pytorch_sketch_rnn.model.fused.self_check import disagreement
from pytorch_sketch_rnn.model.fused.sequence import Fused


@pytest.fixture
def kernels():
    try:
        return choice.kernels(choice.names(CPU)[0])
    except build.CannotBuild as error:
        pytest.skip(str(error))


(DEPTH,) = map(int, re.findall(rb"kDepth = (\d+);", build.read_source("products.cpp")))


class DeepProductsWrong(Native):
    """Its products are wrong where their depth is cut."""

    def product(self, weights):
        multiply = super().product(weights)

        def wrong(a, out):
            multiply(a, out)
            out *= 1.001

        return multiply if weights.shape[1] <= DEPTH else wrong


def test_products_that_are_cut_in_depth_are_checked(kernels):
    wrong = DeepProductsWrong(kernels._library, kernels._products)
    assert " of 170 units, " in disagreement(Fused("wrong", wrong), CPU)


def test_a_step_in_several_threads_is_checked(kernels, monkeypatch):
    seen = []
    threads_for = native._threads
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    monkeypatch.setattr(native, "_threads", lambda elements: seen.append(threads_for(elements)) or seen[-1])
    assert disagreement(Fused("right", kernels), CPU) is None
    assert set(seen) == {1, 2}
