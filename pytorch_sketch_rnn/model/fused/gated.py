"""LSTM and layer-norm LSTM over a whole sequence, D cells at once, with the gradients by hand.

A step reads Z = [h, x, 0], so that hidden state and inputs share one matrix product a step. The weights' gradients are
one product for many steps. What is constant over time is projected once for the sequence.
"""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from pytorch_sketch_rnn.model.fused.first_derivative import first_derivative_only
from pytorch_sketch_rnn.model.fused.kernels import Buffers, Dropout, Gradients, Kept, Kernels, Norm
from pytorch_sketch_rnn.model.fused.layout import Layout
from pytorch_sketch_rnn.model.fused.memory import room


class GatedSequence(torch.autograd.Function):
    """A sequence of steps of D cells of n units, over i inputs that change over time.

    Inputs:
        kernels: of the steps.
        layout: of the packed rows S.
        x: in packed rows without the last block [D, S - last block, i].
        projected: the part of the pre-activations that is the same at every step [D, B, 4 n], or None.
        h, c: the states at the start [D, B, n].
        W: the weights of Z [D, width, 4 n].
        dropout: recurrent, or None.
        outputs: whether the first result is wanted.
        epsilon: of the layer norms.
        norm: for layer norm, the four tensors of :class:`Norm`.

    Results:
        The h of each step in packed rows without the first block [D, S - B, n], or None; the last h and c [D, B, n].

    A second derivative is refused.
    """

    @staticmethod
    def forward(
        ctx: Any,
        kernels: Kernels,
        layout: Layout,
        x: Tensor,
        projected: Tensor | None,
        h: Tensor,
        c: Tensor,
        W: Tensor,
        dropout: Dropout | None,
        outputs: bool,
        epsilon: float,
        *norm: Tensor,
    ) -> tuple[Tensor | None, Tensor, Tensor]:
        """All steps, one after the other."""
        (D, _, i), (_, B, n), S, T = x.shape, h.shape, layout.total, len(layout.rows)
        Z, states = room(x, D, S, W.shape[1]).zero_(), room(x, D, S, n)
        Z[:, :B, :n], Z[:, : x.shape[1], n : n + i], states[:, :B] = h, x, c
        kept = Kept.empty(states) if norm else None
        total, parts = room(x, D, S, 4 * n, apart=kernels.spread), parts_of_total(kernels, x, B, 4 * n)
        gains = Norm(*norm) if norm else None
        buffers = Buffers(layout, total, projected, states, Z, dropout, gains, epsilon, kept, parts)
        multiply, step = product(kernels, W, parts), kernels.forward(buffers)
        for t in range(T):
            now = layout.running(t)
            multiply(Z[:, now], total[:, now])
            step(t)
        ctx.kernels, ctx.layout, ctx.order, ctx.i, ctx.epsilon = kernels, layout, dropout and dropout.order, i, epsilon
        mask = None if dropout is None else dropout.mask
        inputs = x, projected, h, c  # which first_derivative_only looks for
        ctx.save_for_backward(*inputs, W, total, states, Z, mask, *norm, *(kept or ()))
        ctx.set_materialize_grads(False)
        hidden = Z[:, :, :n]
        return hidden[:, B:] if outputs else None, layout.last_of(hidden), layout.last_of(states)

    @staticmethod
    @first_derivative_only
    def backward(
        ctx: Any, d_outputs: Tensor | None, d_h: Tensor | None, d_c: Tensor | None
    ) -> tuple[Tensor | None, ...]:
        """All steps, from the last to the first."""
        _, _, _, _, W, total, states, Z, mask, *rest = ctx.saved_tensors
        kernels, layout, i = ctx.kernels, ctx.layout, ctx.i
        dropout = None if mask is None else Dropout(mask, ctx.order)
        norm, kept = (Norm(*rest[:4]), Kept(*rest[4:])) if rest else (None, None)
        buffers = Buffers(layout, total, None, states, Z, dropout, norm, ctx.epsilon, kept)
        (D, _, n), B = states.shape, layout.batch
        d_h, d_c = (states.new_zeros(D, B, n) if each is None else dense_copy(each) for each in (d_h, d_c))
        d_outputs = None if d_outputs is None else d_outputs.contiguous()
        d_norm = None
        if norm is not None:
            d_norm = Norm(*(states.new_zeros(D, kernels.groups or B, each.shape[2]) for each in norm))
        d_W, d_projected = torch.zeros_like(W), states.new_zeros(D, B, 4 * n)
        d_x = states.new_empty(D, layout.offsets[-1], i) if ctx.needs_input_grad[2] else None
        parts = states.new_zeros(kernels.parts.d_h if D == 1 else 1, D, B, n) if kernels.freezes else None
        back_to_h = product(kernels, W[:, :n].transpose(1, 2), parts)
        for steps in reversed(list(windows(layout, kernels.together))):
            first, end = layout.offsets[steps.start], layout.offsets[steps.stop]
            d_total = room(states, D, end - first, 4 * n, apart=kernels.spread)
            step = kernels.backward(buffers, Gradients(d_outputs, d_h, d_c, d_total, first, d_norm, parts))
            for t in reversed(steps):
                rows, start = layout.rows[t], layout.offsets[t] - first
                step(t)
                back_to_h(d_total[:, start : start + rows], d_h[:, :rows])
                if not kernels.freezes:
                    d_projected[:, :rows] += d_total[:, start : start + rows]
            if kernels.freezes:
                d_projected += sum_of_steps(d_total, B)
            kernels.add_product(Z[:, first:end], d_total, d_W)
            if d_x is not None:
                torch.matmul(d_total, W[:, n : n + i].transpose(1, 2), out=d_x[:, first:end])
            del step, d_total  # the next window's need no memory of their own
        if parts is not None:
            d_h += parts.sum(dim=0)
        d_norms = () if d_norm is None else (each.sum(dim=1, keepdim=True) for each in d_norm)
        d_projected_or_none = d_projected if ctx.needs_input_grad[3] else None
        return None, None, d_x, d_projected_or_none, d_h, d_c, d_W, None, None, None, *d_norms


def product(kernels: Kernels, weights: Tensor, parts: Tensor | None) -> Callable[[Tensor, Tensor], None]:
    """Like :meth:`Kernels.product`; if there are parts [P, D, rows, N], they are written, whose sum is the product."""
    if parts is None:
        return kernels.product(weights)
    if len(parts) == 1:
        multiply = kernels.product(weights)
        return lambda a, _: multiply(a, parts[0])
    count, out = len(parts), parts[:, 0]  # there is one cell
    split: Tensor = weights[0].unflatten(0, (count, -1))

    def multiply_parts(a: Tensor, _: Tensor) -> None:
        torch.bmm(a[0].unflatten(1, (count, -1)).transpose(0, 1), split, out=out)

    return multiply_parts


def parts_of_total(kernels: Kernels, like: Tensor, rows: int, columns: int) -> Tensor | None:
    """Room for the parts of a step's products, or None where they are whole; ``like`` is [D, ...]."""
    count = kernels.parts.total
    return like.new_empty(count, 1, rows, columns) if count > 1 and len(like) == 1 else None


def sum_of_steps(packed: Tensor, batch: int) -> Tensor:
    """[D, steps B, n] -> [D, B, n], of a layout in which all rows take part in every step."""
    by_step: Tensor = packed.unflatten(1, (-1, batch))
    return by_step.sum(dim=1)


def dense_copy(x: Tensor) -> Tensor:
    """A contiguous copy, whatever the strides; a gradient may be an expanded or a transposed tensor."""
    return x.clone(memory_format=torch.contiguous_format)


def windows(layout: Layout, together: int) -> Iterator[range]:
    """The steps in groups of about ``together`` packed rows."""
    first = 0
    for t in range(1, len(layout.rows) + 1):
        if t == len(layout.rows) or layout.offsets[t + 1] - layout.offsets[first] > together:
            yield range(first, t)
            first = t
