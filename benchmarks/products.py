"""The matrix products of a training step alone: how fast the step could be if everything else cost nothing."""

import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

_PRODUCTS = ("aten::mm", "aten::bmm", "aten::addmm", "aten::baddbmm", "aten::addmm_", "aten::baddbmm_")
_LEAST = 2**18  # multiplications; smaller products are not worth counting


class _Recorder(TorchDispatchMode):
    """Records shapes and strides of every matrix product while it is active."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[tuple[Any, ...], tuple[Any, ...]]] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func._schema.name in _PRODUCTS:
            a, b = args[-2:]
            self.found.append(((tuple(a.shape), a.stride()), (tuple(b.shape), b.stride())))
        return func(*args, **(kwargs or {}))


def measure_products(step: Callable[[], object], repeats: int) -> dict[str, float]:
    """Seconds for all matrix products of a step, forward and backward, in its own order, and how many GFLOP they are.

    Args:
        step: computes one step; what it multiplies is recorded, with the strides, and done again without the rest.
        repeats: of which the median is taken.
    """
    with _Recorder() as recorder:
        step()
    products = [product for product in recorder.found if _multiplications(product) >= _LEAST]
    made: dict[Any, Tensor] = {}  # one tensor for each shape; the products of a step read and write other memory, too

    def tensor(form: tuple[Any, ...]) -> Tensor:
        if form not in made:
            shape, stride = form
            made[form] = torch.empty_strided(shape, stride).normal_()
        return made[form]

    pairs = [(tensor(a), tensor(b)) for a, b in products]
    outputs = [(torch.mm if a.ndim == 2 else torch.bmm)(a, b) for a, b in pairs]
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        for (a, b), out in zip(pairs, outputs, strict=True):
            (torch.mm if a.ndim == 2 else torch.bmm)(a, b, out=out)
        seconds.append(time.perf_counter() - start)
    return {"products": statistics.median(seconds), "gflop": 2e-9 * sum(map(_multiplications, products))}


def _multiplications(product: tuple[Any, Any]) -> int:
    (left, _), (right, _) = product
    count = right[-1]
    for size in left:
        count *= size
    return int(count)
