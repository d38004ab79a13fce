"""HyperLSTM over a whole sequence, D cells at once, with the gradients by hand.

A step reads Z = [inner h, h, x, 0]: the inner cell reads all of it, the outer cell h and x. The inner cell's new h
gives, through an embedding, twelve signals for each unit: for each gate, a factor of x W_xh, a factor of h W_hh and a
shift. They are computed again on the way back instead of being kept.
"""

from typing import Any

import torch
from torch import Tensor

from pytorch_sketch_rnn.model.fused.first_derivative import first_derivative_only
from pytorch_sketch_rnn.model.fused.gated import dense_copy, parts_of_total, product, sum_of_steps, windows
from pytorch_sketch_rnn.model.fused.kernels import (
    Buffers,
    Dropout,
    Gradients,
    Kept,
    Kernels,
    Mix,
    MixGradients,
    Norm,
    Product,
)
from pytorch_sketch_rnn.model.fused.layout import Layout
from pytorch_sketch_rnn.model.fused.memory import room

SIGNALS = 12


class HyperSequence(torch.autograd.Function):
    """A sequence of steps of D cells of n units, with inner cells of m units, over i inputs that change over time.

    Inputs:
        kernels: of the steps.
        layout: of the packed rows S.
        x: in packed rows without the last block [D, S - last block, i].
        projected: the part of x W_xh that is the same at every step [D, B, 4 n], or None.
        projected_inner: likewise, of the inner cells' pre-activations [D, B, 4 m].
        h, inner_h, c, inner_c: the states at the start [D, B, n] and [D, B, m].
        W_xh, W_hh: [D, i, 4 n] and [D, n, 4 n].
        bias: [D, 4 n].
        W_inner: the inner cells' weights of Z [D, width, 4 m].
        W_embedding, b_embedding: from the inner h to twelve embeddings of e numbers [D, m, 12 e] and [D, 12 e].
        W_signal: from each embedding to its signal [D, 12, e, n].
        dropout: recurrent, of the outer cells, or None.
        outputs: whether the first result is wanted.
        epsilon: of the layer norms.
        norms: the four tensors of :class:`Norm` of the outer cells, then those of the inner cells.

    Results:
        The h of each step in packed rows without the first block [D, S - B, n], or None; the last h, inner h, c and
        inner c.

    A second derivative is refused.
    """

    @staticmethod
    def forward(
        ctx: Any,
        kernels: Kernels,
        layout: Layout,
        x: Tensor,
        projected: Tensor | None,
        projected_inner: Tensor | None,
        h: Tensor,
        inner_h: Tensor,
        c: Tensor,
        inner_c: Tensor,
        W_xh: Tensor,
        W_hh: Tensor,
        bias: Tensor,
        W_inner: Tensor,
        W_embedding: Tensor,
        b_embedding: Tensor,
        W_signal: Tensor,
        dropout: Dropout | None,
        outputs: bool,
        epsilon: float,
        *norms: Tensor,
    ) -> tuple[Tensor | None, Tensor, Tensor, Tensor, Tensor]:
        """All steps, one after the other."""
        (D, packed, i), (_, B, n), m, S = x.shape, h.shape, inner_h.shape[2], layout.total
        Z = room(x, D, S, W_inner.shape[1]).zero_()
        Z[:, :B, :m], Z[:, :B, m : m + n], Z[:, :packed, m + n : m + n + i] = inner_h, h, x
        states, inner_states = room(x, D, S, n), room(x, D, S, m)
        total, inner_total, from_h_of_all = (room(x, D, S, 4 * units, apart=kernels.spread) for units in (n, m, n))
        states[:, :B], inner_states[:, :B] = c, inner_c
        buffers = Buffers(
            *(layout, total, None, states, Z[:, :, m:], dropout),
            *(Norm(*norms[:4]), epsilon, Kept.empty(states)),
        )
        inner = Buffers(
            *(layout, inner_total, projected_inner, inner_states, Z, None),
            *(Norm(*norms[4:]), epsilon, Kept.empty(inner_states), parts_of_total(kernels, x, B, 4 * m)),
        )
        mix = Mix(
            *(layout, total, x.new_empty(D, B, 4 * n), projected, from_h_of_all, bias),
            x.new_empty(D, SIGNALS, B, n),
        )
        embedded = room(x, D, S - B, W_embedding.shape[2])
        inner_step, mix_step, step = kernels.forward(inner), kernels.mix(mix), kernels.forward(buffers)
        to_inner = product(kernels, W_inner, inner.parts)
        to_embedding, from_h, from_x = (kernels.product(weights) for weights in (W_embedding, W_hh, W_xh))
        to_signals = [kernels.product(weights) for weights in W_signal]
        for t, rows in enumerate(layout.rows):
            now, after, e = layout.running(t), layout.after(t), layout.output(t)
            to_inner(Z[:, now], inner.total[:, now])
            inner_step(t)
            to_embedding(Z[:, after, :m], embedded[:, e])
            embedded[:, e] += b_embedding.unsqueeze(1)
            _signals(to_signals, embedded[:, e], mix.signals[:, :, :rows])
            from_h(Z[:, now, m : m + n], mix.from_h[:, now])
            from_x(Z[:, now, m + n : m + n + i], mix.from_x[:, :rows])
            mix_step(t)
            step(t)
        ctx.kernels, ctx.layout, ctx.order, ctx.i, ctx.epsilon = kernels, layout, dropout and dropout.order, i, epsilon
        mask = None if dropout is None else dropout.mask
        weights = W_xh, W_hh, bias, W_inner, W_embedding, W_signal
        kept = buffers.total, states, inner.total, inner_states, Z, mix.from_h, embedded
        for_norms = (*(buffers.kept or ()), *(inner.kept or ()))
        inputs = x, projected_inner, h, inner_h, c, inner_c, b_embedding  # which first_derivative_only looks for
        ctx.save_for_backward(*inputs, *weights, *kept, mask, projected, *norms, *for_norms)
        ctx.set_materialize_grads(False)
        hidden = Z[:, :, m : m + n]
        last_h, last_inner_h = layout.last_of(hidden), layout.last_of(Z[:, :, :m])
        last_c, last_inner_c = layout.last_of(states), layout.last_of(inner_states)
        return hidden[:, B:] if outputs else None, last_h, last_inner_h, last_c, last_inner_c

    @staticmethod
    @first_derivative_only
    def backward(ctx: Any, d_outputs: Tensor | None, *d_last: Tensor | None) -> tuple[Tensor | None, ...]:
        """All steps, from the last to the first."""
        _, _, _, _, _, _, _, W_xh, W_hh, bias, W_inner, W_embedding, W_signal, *rest = ctx.saved_tensors
        total, states, inner_total, inner_states, Z, from_h, embedded, mask, projected, *rest = rest
        kernels, layout, i = ctx.kernels, ctx.layout, ctx.i
        (D, _, n), m, B = states.shape, inner_states.shape[2], layout.batch
        new = states.new_zeros
        norm, inner_norm = Norm(*rest[:4]), Norm(*rest[4:8])
        buffers = Buffers(
            *(layout, total, None, states, Z[:, :, m:], None if mask is None else Dropout(mask, ctx.order)),
            *(norm, ctx.epsilon, Kept(*rest[8:11])),
        )
        inner_kept = Kept(*rest[11:])
        inner = Buffers(layout, inner_total, None, inner_states, Z, None, inner_norm, ctx.epsilon, inner_kept)
        mix = Mix(layout, total, new(D, B, 4 * n), projected, from_h, bias, new(D, SIGNALS, B, n))
        d_h, d_inner_h, d_c, d_inner_c = (
            new(D, B, units) if each is None else dense_copy(each)
            for each, units in zip(d_last, (n, m, n, m), strict=True)
        )
        d_outputs = None if d_outputs is None else d_outputs.contiguous()
        d_norm, d_inner_norm = (
            Norm(*(new(D, kernels.groups or B, each.shape[2]) for each in of)) for of in (norm, inner_norm)
        )
        weights = W_xh, W_hh, W_inner, W_embedding, W_signal
        d_W_xh, d_W_hh, d_W_inner, d_W_embedding, d_W_signal = (torch.zeros_like(each) for each in weights)
        d_b_embedding, d_bias = new(D, W_embedding.shape[2]), new(D, 4 * n)
        d_projected, d_projected_inner = new(D, B, 4 * n), new(D, B, 4 * m)
        d_x = new(D, layout.offsets[-1], i) if ctx.needs_input_grad[2] else None
        d_signals, from_embedded = new(D, SIGNALS, B, n), new(D, B, m)
        # With parts, the first is that of Z, the others are those of h W_hh.
        d_Z = new(1 + (kernels.parts.d_h if D == 1 else 1), D, B, m + n)
        parts, inner_parts = (d_Z[..., m:], d_Z[:1, ..., :m]) if kernels.freezes else (None, None)
        back_to_h = product(kernels, W_hh.transpose(1, 2), None if parts is None else parts[1:])
        back_to_Z, back_to_inner = (
            kernels.product(weights.transpose(1, 2)) for weights in (W_inner[:, : m + n], W_embedding)
        )
        from_x, to_signals = kernels.product(W_xh), [kernels.product(weights) for weights in W_signal]
        back_to_embedded = [kernels.product(weights.transpose(1, 2)) for weights in W_signal]
        for steps in reversed(list(windows(layout, kernels.together))):
            first, end = layout.offsets[steps.start], layout.offsets[steps.stop]
            first_output = layout.output(steps.start).start
            after = slice(layout.after(steps.start).start, layout.after(steps[-1]).stop)
            d_total, d_from_x, d_from_h, d_inner_total = (
                room(states, D, end - first, 4 * units, apart=kernels.spread) for units in (n, n, n, m)
            )
            d_embedded = states.new_empty(D, after.stop - after.start, embedded.shape[2])
            step = kernels.backward(buffers, Gradients(d_outputs, d_h, d_c, d_total, first, d_norm, parts))
            mix_step = kernels.mix_backward(mix, MixGradients(d_total, first, d_from_x, d_from_h, d_signals))
            inner_step = kernels.backward(
                inner, Gradients(None, d_inner_h, d_inner_c, d_inner_total, first, d_inner_norm, inner_parts)
            )
            for t in reversed(steps):
                rows, now, e = layout.rows[t], layout.running(t), layout.output(t)
                here = slice(now.start - first, now.stop - first)
                e_here = slice(e.start - first_output, e.stop - first_output)
                step(t)
                from_x(Z[:, now, m + n : m + n + i], mix.from_x[:, :rows])
                _signals(to_signals, embedded[:, e], mix.signals[:, :, :rows])
                mix_step(t)
                _signals_backward(
                    *(back_to_embedded, d_signals[:, :, :rows], embedded[:, e], d_embedded[:, e_here], d_W_signal)
                )
                back_to_inner(d_embedded[:, e_here], from_embedded[:, :rows])
                d_inner_h[:, :rows] += from_embedded[:, :rows]
                inner_step(t)
                back_to_Z(d_inner_total[:, here], d_Z[0, :, :rows])
                back_to_h(d_from_h[:, here], d_h[:, :rows])
                if not kernels.freezes:
                    d_h[:, :rows] += d_Z[0, :, :rows, m:]
                    d_inner_h[:, :rows] = d_Z[0, :, :rows, :m]
                    d_projected[:, :rows] += d_from_x[:, here]
                    d_projected_inner[:, :rows] += d_inner_total[:, here]
            if kernels.freezes:
                d_projected += sum_of_steps(d_from_x, B)
                d_projected_inner += sum_of_steps(d_inner_total, B)
            window = Z[:, first:end]
            kernels.add_product(window, d_inner_total, d_W_inner)
            kernels.add_product(window[:, :, m : m + n], d_from_h, d_W_hh)
            kernels.add_product(window[:, :, m + n : m + n + i], d_from_x, d_W_xh)
            kernels.add_product(Z[:, after, :m], d_embedded, d_W_embedding)
            d_b_embedding += d_embedded.sum(dim=1)
            d_bias += d_total.sum(dim=1)
            if d_x is not None:
                from_inner = d_inner_total @ W_inner[:, m + n : m + n + i].transpose(1, 2)
                d_x[:, first:end] = from_inner + d_from_x @ W_xh.transpose(1, 2)
            del step, mix_step, inner_step  # the next window's numbers need no memory of their own
            del d_total, d_from_x, d_from_h, d_inner_total, d_embedded
        if kernels.freezes:
            d_h += d_Z[..., m:].sum(dim=0)
            d_inner_h += d_Z[0, ..., :m]
        d_norms = (each.sum(dim=1, keepdim=True) for norms in (d_norm, d_inner_norm) for each in norms)
        return (
            *(None, None, d_x, d_projected if ctx.needs_input_grad[3] else None),
            *(d_projected_inner if ctx.needs_input_grad[4] else None, d_h, d_inner_h, d_c, d_inner_c),
            *(d_W_xh, d_W_hh, d_bias, d_W_inner, d_W_embedding, d_b_embedding, d_W_signal),
            *(None, None, None, *d_norms),
        )


def _signals(products: list[Product], embedded: Tensor, out: Tensor) -> None:
    """The signals [D, 12, rows, n] from the embeddings [D, rows, 12 e], by the products of each of D cells."""
    for cell, product_of_cell in enumerate(products):
        product_of_cell(_by_signal(embedded[cell]), out[cell])


def _signals_backward(
    products: list[Product], d_signals: Tensor, embedded: Tensor, d_embedded: Tensor, d_weights: Tensor
) -> None:
    for cell, product_of_cell in enumerate(products):
        product_of_cell(d_signals[cell], _by_signal(d_embedded[cell]))
        d_weights[cell].baddbmm_(_by_signal(embedded[cell]).transpose(1, 2), d_signals[cell])


def _by_signal(embedded: Tensor) -> Tensor:
    """[rows, 12 e] -> [12, rows, e], a view."""
    by_signal: Tensor = embedded.unflatten(1, (SIGNALS, -1))
    return by_signal.transpose(0, 1)
