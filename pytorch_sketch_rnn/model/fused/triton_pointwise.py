"""The element-wise part of each step as Triton kernels (``triton_kernels.py``), for a GPU.

Importing this module imports Triton, which torch's wheels for Linux with CUDA bring along.
"""

import os
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
import triton
from torch import Tensor

from pytorch_sketch_rnn.model.cells import FORGET_BIAS
from pytorch_sketch_rnn.model.draws import KeyedMask, Mask, rows_on
from pytorch_sketch_rnn.model.fused import triton_kernels as kernels
from pytorch_sketch_rnn.model.fused.aten import add_library_product, library_product
from pytorch_sketch_rnn.model.fused.kernels import Buffers, Gradients, Mix, MixGradients, Parts
from pytorch_sketch_rnn.model.fused.layout import Layout

PARTS = Parts(total=2, d_h=4)  # the fastest of those that ``benchmarks/gpu.py`` compares
_INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"  # as Triton itself saw it when it was imported


class Triton:
    """See :class:`~pytorch_sketch_rnn.model.fused.kernels.Kernels`. Layouts must not be sorted.

    Args:
        parts: into how many parts the products of a step are split.
    """

    groups = None
    together = 2**15
    freezes = True
    spread = 0

    def __init__(self, parts: Parts = PARTS) -> None:
        self.parts = parts

    def product(self, weights: Tensor) -> Callable[[Tensor, Tensor], None]:
        """See :meth:`Kernels.product`."""
        return partial(library_product, weights)

    def add_product(self, a: Tensor, b: Tensor, out: Tensor) -> None:
        """See :meth:`Kernels.add_product`."""
        add_library_product(a, b, out)

    def fill(self, out: Tensor, mask: Mask, lengths: Tensor | None) -> None:
        """See :meth:`Kernels.fill`."""
        if not isinstance(mask, KeyedMask):
            out.copy_(mask.tensor(out))
            return
        batch, steps, n = out.shape
        stream = mask.stream
        in_memory = isinstance(stream.step, Tensor)
        number = np.float64 if out.dtype == torch.float64 else np.float32
        scale = float(number(1) / number(mask.keep_prob))  # rounded as the other forms round it
        grid, form = _form(batch * triton.cdiv(steps, 8), n)
        kernels.fill_mask[grid](
            *(out, rows_on(mask.rows, out.device), stream.seed, stream.step, stream.name_id, batch, steps),
            *(n, mask.threshold, scale, in_memory),
            **form,
        )

    def forward(self, buffers: Buffers) -> Callable[[int], None]:
        """See :meth:`Kernels.forward`."""
        _check(buffers.layout)
        D, S, n = buffers.c.shape
        B, ends, Z, parts = buffers.layout.batch, buffers.layout.ends, buffers.Z, buffers.parts
        mask = None if buffers.dropout is None else buffers.dropout.mask
        norm, kept = buffers.norm or (None,) * 4, buffers.kept or (None,) * 3
        before, after = (buffers.total, parts, buffers.projected, buffers.c), (mask, *norm, *kept, ends)
        _check_contiguous(*before, *after)
        tensors = *before, Z, *after
        sizes = B, S, 0 if parts is None else parts.stride(0), Z.stride(1), Z.stride(0), _steps(mask)
        flags = {
            "PARTS": 0 if parts is None else len(parts), "PROJECTED": buffers.projected is not None,
            "NORM": buffers.norm is not None, "DROPOUT": mask is not None, "ENDS": ends is not None,
        }  # fmt: skip
        grid, form = _form(D * B, n)

        def step(t: int) -> None:
            kernels.gates_forward[grid](*tensors, t, D, *sizes, n, FORGET_BIAS, buffers.epsilon, **flags, **form)

        return step

    def backward(self, buffers: Buffers, gradients: Gradients) -> Callable[[int], None]:
        """See :meth:`Kernels.backward`."""
        _check(buffers.layout)
        (D, S, n), parts = buffers.c.shape, gradients.parts
        if parts is None:
            raise ValueError("the gradient of h comes in parts")
        B, ends = buffers.layout.batch, buffers.layout.ends
        mask = None if buffers.dropout is None else buffers.dropout.mask
        norm, kept = buffers.norm or (None,) * 4, buffers.kept or (None,) * 3
        before = buffers.total, buffers.c, mask, *norm, *kept, ends, gradients.d_outputs, gradients.d_h
        after = gradients.d_c, gradients.d_total, *(gradients.d_norm or (None,) * 4)
        _check_contiguous(*before, *after)
        tensors = *before, parts, *after
        sizes = B, S, gradients.d_total.shape[1], gradients.first, *parts.stride()[:3], _steps(mask)
        flags = {
            "PARTS": len(parts), "OUTPUTS": gradients.d_outputs is not None, "NORM": buffers.norm is not None,
            "DROPOUT": mask is not None, "ENDS": ends is not None,
        }  # fmt: skip
        grid, form = _form(D * B, n)

        def step(t: int) -> None:
            kernels.gates_backward[grid](*tensors, t, D, *sizes, n, FORGET_BIAS, **flags, **form)

        return step

    def mix(self, mix: Mix) -> Callable[[int], None]:
        """See :meth:`Kernels.mix`."""
        _check(mix.layout)
        D, B, units = mix.from_x.shape
        n, S = units // 4, mix.total.shape[1]
        tensors = mix.total, mix.from_x, mix.projected, mix.from_h, mix.bias, mix.signals
        _check_contiguous(*tensors)
        projected = mix.projected is not None
        grid, form = _form(D * B, n)

        def step(t: int) -> None:
            kernels.mix_forward[grid](*tensors, t, D, B, S, n, projected, **form)

        return step

    def mix_backward(self, mix: Mix, gradients: MixGradients) -> Callable[[int], None]:
        """See :meth:`Kernels.mix_backward`."""
        _check(mix.layout)
        D, B, units = mix.from_x.shape
        n, S = units // 4, mix.total.shape[1]
        tensors = (
            *(mix.from_x, mix.projected, mix.from_h, mix.signals),
            *(gradients.d_total, gradients.d_from_x, gradients.d_from_h, gradients.d_signals),
        )
        _check_contiguous(*tensors)
        sizes = B, S, gradients.d_total.shape[1], gradients.first
        projected = mix.projected is not None
        grid, form = _form(D * B, n)

        def step(t: int) -> None:
            kernels.mix_backward[grid](*tensors, t, D, *sizes, n, projected, **form)

        return step


def _check(layout: Layout) -> None:
    if layout.lengths is not None:
        raise ValueError("these kernels read rows in their own order only: expected Layout.full or Layout.frozen")


def _check_contiguous(*tensors: Tensor | None) -> None:
    for tensor in tensors:
        if tensor is not None and not tensor.is_contiguous():
            raise ValueError(f"these kernels read contiguous tensors only, got strides {tensor.stride()}")


def _steps(mask: Tensor | None) -> int:
    """T of a mask [D, B, T, n]."""
    return 0 if mask is None else mask.shape[2]


def _form(rows: int, n: int) -> tuple[tuple[int], dict[str, int]]:
    """The grid of programs for rows of n numbers, and what a kernel must know of it: four numbers for each thread."""
    block = triton.next_power_of_2(n)
    together = triton.next_power_of_2(rows) if _INTERPRETED else 1
    warps = min(8, max(1, block // 128))
    return (triton.cdiv(rows, together),), {"ROWS": together, "BLOCK": block, "num_warps": warps}
