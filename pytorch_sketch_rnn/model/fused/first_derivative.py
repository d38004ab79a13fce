"""Backward passes whose results cannot be differentiated again, and say so."""

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

Gradients = tuple[Tensor | None, ...]


class _Refusing(torch.autograd.Function):
    """Gives back its inputs, and refuses to be differentiated."""

    @staticmethod
    def forward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, ...]:
        """The inputs."""
        return gradients

    @staticmethod
    def backward(ctx: Any, *_: Tensor) -> Gradients:
        """Fails."""
        raise RuntimeError("a fused backend has first derivatives only; for second ones, use backend='reference'")


def first_derivative_only(backward: Callable[..., Gradients]) -> Callable[..., Gradients]:
    """Decorates the ``backward`` of an ``autograd.Function`` that autograd cannot differentiate.

    torch's ``once_differentiable`` is silent where the gradient that comes in is a constant, as that of a plain sum is:
    a penalty on gradients would then be left out of a loss without a word.
    """

    @functools.wraps(backward)
    def refusing(ctx: Any, *given: Tensor | None) -> Gradients:
        with torch.no_grad():
            gradients = backward(ctx, *given)
        if not torch.is_grad_enabled():  # it is with create_graph=True
            return gradients
        tensors = [gradient.detach().requires_grad_() for gradient in gradients if gradient is not None]
        refused = iter(_Refusing.apply(*tensors))  # type: ignore[no-untyped-call]
        return tuple(None if gradient is None else next(refused) for gradient in gradients)

    return refusing
