"""Planting a bug of a chosen size: a number in the running code is multiplied by 1 + size, in one precision only.

The changed code calls functions that are in its module while the bug is planted:

- ``scaled(value, like=None)``: the value times 1 + size. ``like`` gives the precision of a value that has none,
  such as a Python float.
- ``scaled_unit(value)``, ``scaled_row(value)``: only the first column or row is scaled.
- ``scaled_gradient(value)``: the value unchanged; its gradient is scaled.

The product is computed in float64 and rounded once. So no element of a float32 tensor changes below a size of 3e-8
(half a unit in the last place of the largest mantissa), and all change from 6e-8 on: no bug in float32 can be smaller.
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

EVERYWHERE = "exact"  # acts in every precision: for quantities that are compared bit by bit


class Scaling(Text):
    """A change of source text that calls the functions above."""

    @contextlib.contextmanager
    def planted_at(self, size: float, precision: str) -> Iterator[None]:
        """Keep the bug in the code while the ``with`` block runs.

        Args:
            size: the relative change; 0 changes nothing, a negative one makes the number smaller.
            precision: ``float64``, ``float32`` or :data:`EVERYWHERE`.

        Raises:
            LookupError: when the code does not contain what is to be changed, or its module has one of these names.
        """
        module = vars(sys.modules[self.target.__module__])
        functions = _functions(size, precision)
        if taken := functions.keys() & module.keys():
            raise LookupError(f"the module of {self.function} has a {', '.join(sorted(taken))} of its own")
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
    recordings: tuple[str, ...]  # names of recordings that can show it, the cheapest first
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
    """The functions that the planted code calls, by name."""

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
        "scaled_gradient": lambda value: _ScaledGradient.apply(value, scaled),  # type: ignore[no-untyped-call]  # torch leaves it untyped
    }


def _precision(value: Any) -> str:
    """The precision of a tensor or array; a Python float is float64."""
    return str(getattr(value, "dtype", "float64")).removeprefix("torch.")
