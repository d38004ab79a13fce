"""The compiled products that add up the weights' gradients."""

import re

import pytest
import torch

from pytorch_sketch_rnn.model.fused import build, choice
from pytorch_sketch_rnn.model.fused.native import Native, PackedProduct, add_product
from pytorch_sketch_rnn.model.fused.packed import address_of_rows
from pytorch_sketch_rnn.model.fused.self_check import disagreement
from pytorch_sketch_rnn.model.fused.sequence import Fused

LEVELS = build.levels()
every_level = pytest.mark.parametrize("name", [f"{choice.PREFIX}{level}" for level in LEVELS])
(DEPTH,) = map(int, re.findall(rb"kDepth = (\d+);", build.read_source("products.cpp")))
# rows, M, N: one number; fewer than a tile and a panel; more than both, cut in depth, shared by threads
SHAPES = ((1, 1, 1), (5, 3, 7), (DEPTH, 25, 64), (2 * DEPTH + 9, 41, 150))
TOLERANCE = {torch.float64: 1e-14, torch.float32: 3e-6}  # of the sum of magnitudes; measured 2e-16 and 2e-7


def products(name: str):
    """The compiled products of a backend; the test is skipped where there is no compiler."""
    try:
        return build.library("products.cpp", name.removeprefix(choice.PREFIX))
    except build.CannotBuild as error:
        pytest.skip(str(error))


@every_level
def test_a_product_is_added(name):
    generator = torch.Generator().manual_seed(0)
    for rows, M, N in SHAPES:
        for dtype, tolerance in TOLERANCE.items():
            # D = 2, each a part of a larger tensor, so that rows and matrices are apart
            a, b, out = (
                torch.randn(2, r + 2, c + 5, generator=generator, dtype=torch.float64).to(dtype)
                for r, c in ((rows, M), (rows, N), (M, N))
            )
            wanted = out.double()
            left, right = a[:, 1:-1, 2:-3], b[:, 1:-1, 2:-3]
            wanted[:, 1:-1, 2:-3] += left.double().transpose(1, 2) @ right.double()
            add_product(products(name), left, right, out[:, 1:-1, 2:-3])
            error = (out.double() - wanted).abs().max() / rows
            assert error <= tolerance, (rows, M, N, dtype)
            edge = torch.ones_like(out, dtype=torch.bool)
            edge[:, 1:-1, 2:-3] = False
            assert torch.equal(out.double()[edge], wanted[edge])  # nothing is written beside it


@every_level
def test_the_number_of_threads_changes_no_bit(name, monkeypatch):
    rows, M, N = SHAPES[-1]
    a, b = torch.randn(1, rows, M), torch.randn(1, rows, N)
    results = []
    for threads in (1, 2, 3):
        monkeypatch.setattr(torch, "get_num_threads", lambda threads=threads: threads)
        results.append(torch.zeros(1, M, N))
        add_product(products(name), a, b, results[-1])
    assert all(torch.equal(results[0], result) for result in results)


@every_level
def test_sequences_with_such_products_agree_with_the_reference(name):
    own = products(name)
    kernels = Native(build.library("kernels.cpp", name.removeprefix(choice.PREFIX)), own, adds=True)
    fused = Fused(name, kernels)
    assert disagreement(fused, torch.device("cpu")) is None


@pytest.mark.parametrize("level", LEVELS)
def test_they_are_used_where_they_are_faster(level, monkeypatch):
    monkeypatch.setattr(build, "library", lambda source, _: source)
    assert (choice.kernels(f"{choice.PREFIX}{level}")._adds is not None) == (level == "avx512")
    assert choice.kernels(f"{choice.PREFIX}{level}{choice.LIBRARY}")._adds is None


def test_what_compiled_code_would_read_wrongly_is_refused():
    own = products(f"{choice.PREFIX}{LEVELS[0]}")
    a, weights, out = torch.zeros(2, 5, 4), torch.zeros(2, 4, 3), torch.zeros(2, 5, 3)
    with pytest.raises(ValueError, match="expected 2 matrices, got 1"):
        PackedProduct(own, weights)(a[:1], out[:1])
    with pytest.raises(ValueError, match="contiguous"):
        PackedProduct(own, weights)(torch.zeros(2, 4, 5).transpose(1, 2), out)
    with pytest.raises(ValueError, match="contiguous"):
        add_product(own, torch.zeros(2, 4, 5).transpose(1, 2), out, torch.zeros(2, 4, 3))
    with pytest.raises(ValueError, match="a row every 4 numbers"):
        address_of_rows(torch.zeros(2, 5, 9)[..., :4], torch.float32, 4)
