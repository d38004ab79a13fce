"""The kernels as PyTorch operations: the form that needs no compiler.

The equations are those of ``model/cells.py``; the gradients follow from them by the chain rule.
"""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from pytorch_sketch_rnn.model.cells import FORGET_BIAS
from pytorch_sketch_rnn.model.draws import Mask
from pytorch_sketch_rnn.model.fused.kernels import TOGETHER, WHOLE, Buffers, Gradients, Mix, MixGradients, Norm


class ATen:
    """See :class:`~pytorch_sketch_rnn.model.fused.kernels.Kernels`."""

    groups = 1
    together = TOGETHER
    freezes = False
    parts = WHOLE
    spread = 0

    def fill(self, out: Tensor, mask: Mask, lengths: Tensor | None) -> None:
        """See :meth:`Kernels.fill`."""
        out.copy_(mask.tensor(out))

    def product(self, weights: Tensor) -> Callable[[Tensor, Tensor], None]:
        """See :meth:`Kernels.product`."""
        return partial(library_product, weights)

    def add_product(self, a: Tensor, b: Tensor, out: Tensor) -> None:
        """See :meth:`Kernels.add_product`."""
        add_library_product(a, b, out)

    def forward(self, buffers: Buffers) -> Callable[[int], None]:
        """See :meth:`Kernels.forward`."""
        return partial(_forward, buffers)

    def backward(self, buffers: Buffers, gradients: Gradients) -> Callable[[int], None]:
        """See :meth:`Kernels.backward`."""
        return partial(_backward, buffers, gradients)

    def mix(self, mix: Mix) -> Callable[[int], None]:
        """See :meth:`Kernels.mix`."""
        return partial(_mix, mix)

    def mix_backward(self, mix: Mix, gradients: MixGradients) -> Callable[[int], None]:
        """See :meth:`Kernels.mix_backward`."""
        return partial(_mix_backward, mix, gradients)


def library_product(weights: Tensor, a: Tensor, out: Tensor) -> None:
    """out = a @ weights for each of D matrices, by torch's library."""
    if len(a) == 1:  # a batch of one would be copied
        torch.mm(a[0], weights[0], out=out[0])
    else:
        torch.bmm(a, weights, out=out)


def add_library_product(a: Tensor, b: Tensor, out: Tensor) -> None:
    """out += a^T b for each of D matrices, by torch's library."""
    out.baddbmm_(a.transpose(1, 2), b)


def _forward(buffers: Buffers, t: int) -> None:
    layout, norm, kept = buffers.layout, buffers.norm, buffers.kept
    now, after, rows = layout.running(t), layout.after(t), layout.rows[t]
    total, new_c = buffers.total[:, now], buffers.c[:, after]
    if buffers.projected is not None:
        total += buffers.projected[:, :rows]
    if norm is not None and kept is not None:
        _normalise_(total.unflatten(2, (4, -1)), kept.deviation[:, now].unsqueeze(3), buffers.epsilon)
    i, j, f, o = _gates(total, norm)
    g = _masked(torch.tanh(j), _mask(buffers, t))
    torch.add(buffers.c[:, now] * torch.sigmoid(f + FORGET_BIAS), torch.sigmoid(i) * g, out=new_c)
    if norm is not None and kept is not None:
        normal_c = kept.normal_c[:, now]
        normal_c.copy_(new_c)
        _normalise_(normal_c, kept.deviation_c[:, now], buffers.epsilon)
        new_c = torch.addcmul(norm.beta_c, normal_c, norm.gamma_c)
    torch.mul(torch.tanh(new_c), torch.sigmoid(o), out=buffers.Z[:, after, : new_c.shape[2]])


def _backward(buffers: Buffers, gradients: Gradients, t: int) -> None:
    layout, norm, kept, d_norm = buffers.layout, buffers.norm, buffers.kept, gradients.d_norm
    now, after, rows, capacity = layout.running(t), layout.after(t), layout.rows[t], layout.capacities[t]
    first = layout.offsets[t] - gradients.first
    d_total = gradients.d_total[:, first : first + rows]
    gradients.d_total[:, first + rows : first + capacity] = 0
    d_h, d_c = gradients.d_h[:, :rows], gradients.d_c[:, :rows]
    if gradients.d_outputs is not None:
        d_h += gradients.d_outputs[:, layout.output(t)]
    i, j, f, o = _gates(buffers.total[:, now], norm)
    state = buffers.c[:, after]
    if norm is not None and kept is not None:
        state = torch.addcmul(norm.beta_c, kept.normal_c[:, now], norm.gamma_c)
    out, tanh_c = torch.sigmoid(o), torch.tanh(state)
    d_state = d_h * out * (1 - tanh_c * tanh_c)
    if norm is not None and kept is not None and d_norm is not None:
        normal_c = kept.normal_c[:, now]
        _add_gradients(d_state, normal_c, d_norm.gamma_c, d_norm.beta_c)
        d_state = _normalise_backward(d_state * norm.gamma_c, normal_c, kept.deviation_c[:, now])
    d_c += d_state
    mask = _mask(buffers, t)
    i, tanh_j, f = torch.sigmoid(i), torch.tanh(j), torch.sigmoid(f + FORGET_BIAS)
    d_i, d_j, d_f, d_o = d_total.chunk(4, dim=2)
    torch.mul(d_c * _masked(tanh_j, mask), i * (1 - i), out=d_i)
    torch.mul(_masked(d_c * i, mask), 1 - tanh_j * tanh_j, out=d_j)
    torch.mul(d_c * buffers.c[:, now], f * (1 - f), out=d_f)
    torch.mul(d_h * tanh_c, out * (1 - out), out=d_o)
    d_c *= f
    if norm is not None and kept is not None and d_norm is not None:
        normal = buffers.total[:, now]
        _add_gradients(d_total, normal, d_norm.gamma, d_norm.beta)
        by_gate = (d_total * norm.gamma).unflatten(2, (4, -1)), normal.unflatten(2, (4, -1))
        d_total.copy_(_normalise_backward(*by_gate, kept.deviation[:, now].unsqueeze(3)).flatten(2))


def _mix(mix: Mix, t: int) -> None:
    layout, rows = mix.layout, mix.layout.rows[t]
    from_x, from_h = mix.from_x[:, :rows], mix.from_h[:, layout.running(t)]
    if mix.projected is not None:
        from_x += mix.projected[:, :rows]
    of_x, of_h, shift = (_by_gate(signal) for signal in mix.signals[:, :, :rows].chunk(3, dim=1))
    mixed = of_x * from_x + of_h * from_h + shift + mix.bias.unsqueeze(1)
    mix.total[:, layout.running(t)] = mixed


def _mix_backward(mix: Mix, gradients: MixGradients, t: int) -> None:
    layout, rows = mix.layout, mix.layout.rows[t]
    from_x, from_h = mix.from_x[:, :rows], mix.from_h[:, layout.running(t)]
    if mix.projected is not None:
        from_x += mix.projected[:, :rows]
    of_x, of_h, _ = (_by_gate(signal) for signal in mix.signals[:, :, :rows].chunk(3, dim=1))
    first = layout.offsets[t] - gradients.first
    here, ended = slice(first, first + rows), slice(first + rows, first + layout.capacities[t])
    d_total = gradients.d_total[:, here]
    for d_from, factor in ((gradients.d_from_x, of_x), (gradients.d_from_h, of_h)):
        torch.mul(d_total, factor, out=d_from[:, here])
        d_from[:, ended] = 0
    d_signals = torch.cat([d_total * from_x, d_total * from_h, d_total], dim=2)
    gradients.d_signals[:, :, :rows] = d_signals.unflatten(2, (12, -1)).transpose(1, 2)


def _by_gate(signal: Tensor) -> Tensor:
    """[D, 4, rows, n] -> [D, rows, 4 n]."""
    return signal.transpose(1, 2).flatten(2)


def _gates(total: Tensor, norm: Norm | None) -> tuple[Tensor, ...]:
    """i, j, f and o before their sigmoid or tanh."""
    return (total if norm is None else torch.addcmul(norm.beta, total, norm.gamma)).chunk(4, dim=2)


def _mask(buffers: Buffers, t: int) -> Tensor | None:
    """The dropout masks of the running rows of step t [D, rows, n]."""
    if buffers.dropout is None:
        return None
    mask, order = buffers.dropout
    rows = buffers.layout.rows[t]
    return mask[:, :rows, t] if order is None else mask[:, order[:rows], t]


def _masked(x: Tensor, mask: Tensor | None) -> Tensor:
    return x if mask is None else x * mask


def _normalise_(x: Tensor, deviation: Tensor, epsilon: float) -> None:
    """Normalise x over its last axis, in place: biased variance, epsilon inside the root."""
    x -= x.mean(dim=-1, keepdim=True)
    deviation.copy_(torch.rsqrt(x.square().mean(dim=-1, keepdim=True) + epsilon))
    x *= deviation


def _normalise_backward(d_normal: Tensor, normal: Tensor, deviation: Tensor) -> Tensor:
    mean, slope = d_normal.mean(dim=-1, keepdim=True), (d_normal * normal).mean(dim=-1, keepdim=True)
    return (d_normal - mean - normal * slope) * deviation


def _add_gradients(d_y: Tensor, normal: Tensor, d_gamma: Tensor, d_beta: Tensor) -> None:
    """Add the gradients of gamma and beta, where y = gamma normal + beta."""
    d_gamma += (d_y * normal).sum(dim=1, keepdim=True)
    d_beta += d_y.sum(dim=1, keepdim=True)
