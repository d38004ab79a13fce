"""Backward passes whose results cannot be differentiated again, and say so."""

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

Result = tuple[Tensor | None, ...]


class _Refusing(torch.autograd.Function):
    """The first ``count`` of some tensors; to differentiate them with respect to any of the tensors is an error."""

    @staticmethod
    def forward(ctx: Any, count: int, *tensors: Tensor) -> tuple[Tensor, ...]:
        """The tensors that are given on."""
        return tensors[:count]

    @staticmethod
    def backward(ctx: Any, *_: Tensor) -> Result:
        """Fails."""
        raise RuntimeError("a fused backend has first derivatives only; for second ones, use backend='reference'")


def first_derivative_only(backward: Callable[..., Result]) -> Callable[..., Result]:
    """Decorates the ``backward`` of an ``autograd.Function`` that autograd cannot differentiate.

    torch's ``once_differentiable`` is silent where the gradient that comes in is a constant, as that of a plain sum is:
    a penalty on gradients would then be left out of a loss without a word. Here the gradients depend, as far as
    autograd can see, on what came in and on every input of the function, which ``forward`` must therefore save.
    """

    @functools.wraps(backward)
    def refusing(ctx: Any, *given: Tensor | None) -> Result:
        with torch.no_grad():
            gradients = backward(ctx, *given)
        if not torch.is_grad_enabled():  # it is with create_graph=True
            return gradients
        found = [gradient.detach() for gradient in gradients if gradient is not None]
        sources = [tensor for tensor in (*ctx.saved_tensors, *given) if tensor is not None and tensor.requires_grad]
        refused = iter(_Refusing.apply(len(found), *found, *sources))  # type: ignore[no-untyped-call]
        return tuple(None if gradient is None else next(refused) for gradient in gradients)

    return refusing
