"""Planting a bug of a chosen size: some number of the running code is multiplied by 1 + size, in one precision alone.

The changed code calls functions that stand in its module for as long as the bug does:

- ``scaled(value, like=None)``: the value times 1 + size. ``like`` gives the precision of a value that has none of its
  own, such as a Python float among tensors.
- ``scaled_unit(value)``, ``scaled_row(value)``: the same of the first column or row alone.
- ``scaled_gradient(value)``: the value as it is; what flows back through it is scaled.

The product is computed in float64 and rounded once. So of a float32 tensor no element moves below a size of 3e-8 (half
a last place of the largest mantissa), and all move from 6e-8 on: no bug in float32 can be smaller.
"""

import contextlib
import dataclasses
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from parity_tests.mutation.bugs import Text

EVERYWHERE = "exact"  # acts in every precision: on what is compared bit by bit, and has one precision only


class Scaling(Text):
    """A change of source text that calls the functions above."""

    @contextlib.contextmanager
    def planted_at(self, size: float, precision: str) -> Iterator[None]:
        """Put it in for as long as the ``with`` lasts.

        Args:
            size: the relative change; 0 changes nothing, a negative one makes the number smaller.
            precision: ``float64``, ``float32`` or :data:`EVERYWHERE`.

        Raises:
            LookupError: when the code does not hold what is to be changed, or has such a name already.
        """
        module = vars(sys.modules[self.target.__module__])
        functions = _functions(size, precision)
        if taken := functions.keys() & module.keys():
            raise LookupError(f"{self.function} stands beside a {', '.join(sorted(taken))} of its own")
        module.update(functions)
        try:
            with self.planted():
                yield
        finally:
            for name in functions:
                del module[name]


@dataclasses.dataclass(frozen=True)
class ScaledBug:
    """A number of the port, and how to scale it."""

    name: str
    part: str  # of the model, as the table groups them
    planting: Scaling
    recordings: tuple[str, ...]  # names of those that can show it, the cheapest first
    precisions: tuple[str, ...] = ("float64", "float32")
    largest: float = 1e-2  # the largest size that is tried


class _ScaledGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, value: Tensor, scaled: Callable[[Tensor], Tensor]) -> Tensor:
        ctx.scaled = scaled
        return value.view_as(value)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return ctx.scaled(gradient), None


def _functions(size: float, precision: str) -> dict[str, Callable[..., Any]]:
    """What the planted code calls, by name."""

    def scaled(value: Any, like: Any = None) -> Any:
        if precision not in (EVERYWHERE, _precision(value if like is None else like)):
            return value
        if isinstance(value, Tensor):
            return (value.double() * (1 + size)).to(value.dtype)
        if isinstance(value, np.ndarray | np.generic):
            return (value.astype(np.float64) * (1 + size)).astype(value.dtype)
        return value * (1 + size)

    return {
        "scaled": scaled,
        "scaled_unit": lambda value: torch.cat([scaled(value[:, :1]), value[:, 1:]], dim=1),
        "scaled_row": lambda value: torch.cat([scaled(value[:1]), value[1:]], dim=0),
        "scaled_gradient": lambda value: _ScaledGradient.apply(value, scaled),
    }


def _precision(value: Any) -> str:
    """That of a tensor or array; a Python float is float64."""
    return str(getattr(value, "dtype", "float64")).removeprefix("torch.")
