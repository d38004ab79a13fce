"""The matrix products of a training step alone: how fast the step could be if everything else cost nothing."""

import statistics
import time
from collections.abc import Callable
from ctypes import CDLL
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from pytorch_sketch_rnn.model.fused import native
from pytorch_sketch_rnn.model.fused.native import PackedProduct, add_product

_PRODUCTS = ("aten::mm", "aten::bmm", "aten::addmm", "aten::baddbmm", "aten::addmm_", "aten::baddbmm_")
_LEAST = 2**18  # multiplications; smaller products are not worth counting


Form = tuple[tuple[int, ...], tuple[int, ...]]  # shape and strides
Again = Callable[[], object]


class _Stock:
    """One tensor for each form; the products of a step read and write other memory, too."""

    def __init__(self) -> None:
        self._made: dict[Form, Tensor] = {}

    def like(self, tensor: Tensor) -> Tensor:
        """A tensor of the same form."""
        form = tuple(tensor.shape), tensor.stride()
        if form not in self._made:
            self._made[form] = torch.empty_strided(*form).normal_()
        return self._made[form]


class _Recorder(TorchDispatchMode):
    """Records every matrix product while it is active: those of torch's library, and our own."""

    def __init__(self) -> None:
        super().__init__()
        self.again: list[Again] = []  # does each one again
        self.multiplications = 0
        self._stock = _Stock()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func._schema.name in _PRODUCTS:
            a, b = args[-2:]
            if self._counts(a.numel() * b.shape[-1]):
                left, right = self._stock.like(a), self._stock.like(b)
                product = torch.mm if a.ndim == 2 else torch.bmm
                out = product(left, right)
                self.again.append(lambda: product(left, right, out=out))
        return func(*args, **(kwargs or {}))

    def packed_product(self, products: CDLL, weights: Tensor) -> Callable[[Tensor, Tensor], None]:
        """In place of ``PackedProduct``, which is not an operation of torch."""
        multiply, own = PackedProduct(products, weights), self._stock.like(weights)
        self.again.append(lambda: PackedProduct(products, own))

        def recorded(a: Tensor, out: Tensor) -> None:
            multiply(a, out)
            if self._counts(a.numel() * out.shape[-1]):
                left, result = self._stock.like(a), self._stock.like(out)
                self.again.append(lambda: multiply(left, result))

        return recorded

    def added_product(self, products: CDLL, a: Tensor, b: Tensor, out: Tensor) -> None:
        """In place of ``add_product``, likewise."""
        add_product(products, a, b, out)
        if self._counts(a.numel() * b.shape[-1]):
            operands = self._stock.like(a), self._stock.like(b), self._stock.like(out)
            self.again.append(lambda: add_product(products, *operands))

    def _counts(self, multiplications: int) -> bool:
        if multiplications >= _LEAST:
            self.multiplications += multiplications
        return multiplications >= _LEAST


def measure_products(step: Callable[[], object], repeats: int) -> dict[str, float]:
    """Seconds for all matrix products of a step, forward and backward, in its own order, and how many GFLOP they are.

    Args:
        step: computes one step; what it multiplies is recorded, with the strides, and done again without the rest.
        repeats: of which the median is taken.
    """
    recorder = _Recorder()
    with (
        recorder,
        patch.object(native, "PackedProduct", recorder.packed_product),
        patch.object(native, "add_product", recorder.added_product),
    ):
        step()
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        for product in recorder.again:
            product()
        seconds.append(time.perf_counter() - start)
    return {"products": statistics.median(seconds), "gflop": 2e-9 * recorder.multiplications}
