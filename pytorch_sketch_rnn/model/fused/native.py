"""The kernels as compiled code (``kernels.cpp``, ``products.cpp``)."""

from collections.abc import Callable, Iterable
from ctypes import CDLL, POINTER, Array, Structure, byref, c_double, c_int64, c_uint32, c_void_p
from functools import partial

import numpy as np
import torch
from torch import Tensor

from pytorch_sketch_rnn.model.draws import KeyedMask, Mask
from pytorch_sketch_rnn.model.fused.aten import add_library_product, library_product
from pytorch_sketch_rnn.model.fused.kernels import TOGETHER, WHOLE, Buffers, Gradients, Mix, MixGradients
from pytorch_sketch_rnn.model.fused.layout import Layout
from pytorch_sketch_rnn.model.fused.packed import SUFFIX, address, address_of_rows, packed

_WORTH_THREADS = 2**13  # elements, of which a core does one in about 2 ns


class _Sequence(Structure):
    """``Sequence`` of ``kernels.cpp``."""

    _fields_ = (
        *((name, c_int64) for name in ("D", "B", "n", "stride", "pitch", "width", "groups", "threads")),
        *((name, POINTER(c_int64)) for name in ("rows", "offsets")),
        *((name, c_void_p) for name in ("total", "projected", "c", "h", "mask")),
        *((name, c_int64) for name in ("mask_d", "mask_b", "mask_t")),
        *((name, c_void_p) for name in ("order", "gamma", "beta", "gamma_c", "beta_c")),
        *((name, c_void_p) for name in ("deviation", "normal_c", "deviation_c")),
        ("epsilon", c_double),
    )


class _Gradients(Structure):
    """``Gradients`` of ``kernels.cpp``."""

    _fields_ = (
        *((name, c_void_p) for name in ("d_outputs", "d_h", "d_c", "d_total")),
        *((name, c_int64) for name in ("window", "first", "pitch")),
        *((name, c_void_p) for name in ("d_gamma", "d_beta", "d_gamma_c", "d_beta_c", "scratch")),
    )


class _Mix(Structure):
    """``Mix`` of ``kernels.cpp``."""

    _fields_ = (
        *((name, c_int64) for name in ("D", "B", "n", "stride", "pitch", "groups", "threads")),
        *((name, POINTER(c_int64)) for name in ("rows", "offsets")),
        *((name, c_void_p) for name in ("total", "from_x", "projected", "from_h", "bias", "signals")),
    )


class _MixGradients(Structure):
    """``MixGradients`` of ``kernels.cpp``."""

    _fields_ = (
        ("d_total", c_void_p),
        *((name, c_int64) for name in ("window", "first", "pitch")),
        *((name, c_void_p) for name in ("d_from_x", "d_from_h", "d_signals")),
    )


class _KeyedMask(Structure):
    """``KeyedMask`` of ``kernels.cpp``."""

    _fields_ = (
        *((name, c_int64) for name in ("B", "T", "n", "threads")),
        *((name, c_void_p) for name in ("mask", "lengths", "rows")),
        *((name, c_uint32) for name in ("seed", "step", "name", "threshold")),
        ("kept", c_double),
    )


class Native:
    """See :class:`~pytorch_sketch_rnn.model.fused.kernels.Kernels`.

    Args:
        library: the compiled kernels.
        products: the compiled products; None takes those of torch's library.
        adds: whether the weights' gradients, too, are compiled products.
    """

    groups = 16  # more threads than these would have nothing to do
    together = TOGETHER
    freezes = False
    parts = WHOLE
    spread = 16

    def __init__(self, library: CDLL, products: CDLL | None, *, adds: bool = False) -> None:
        self._library = library
        self._products = products
        self._adds = products if adds else None

    def product(self, weights: Tensor) -> Callable[[Tensor, Tensor], None]:
        """See :meth:`Kernels.product`."""
        if self._products is None:
            return partial(library_product, weights)
        return PackedProduct(self._products, weights)

    def add_product(self, a: Tensor, b: Tensor, out: Tensor) -> None:
        """See :meth:`Kernels.add_product`."""
        if self._adds is None:
            add_library_product(a, b, out)
        else:
            add_product(self._adds, a, b, out)

    def fill(self, out: Tensor, mask: Mask, lengths: Tensor | None) -> None:
        """See :meth:`Kernels.fill`."""
        if not isinstance(mask, KeyedMask) or not isinstance(mask.stream.step, int):
            out.copy_(mask.tensor(out))
            return
        rows = np.array(mask.rows, np.uint32)
        words = np.empty((out.shape[0], 4, out.shape[2]), np.uint32)
        stream = mask.stream
        described = _KeyedMask(
            *(*out.shape, _threads(out.numel()), address(out, out.dtype), address(lengths, torch.int64)),
            rows.ctypes.data,
            *(stream.seed, stream.step, stream.name_id, mask.threshold),
            float(out.new_ones(()) / mask.keep_prob),
        )
        self._library[f"fill_mask_{SUFFIX[out.dtype]}"](byref(described), c_void_p(words.ctypes.data))

    def forward(self, buffers: Buffers) -> Callable[[int], None]:
        """See :meth:`Kernels.forward`."""
        kernel = self._library[f"gates_forward_{SUFFIX[buffers.c.dtype]}"]
        sequence = self._sequence(buffers)
        return lambda t: kernel(byref(sequence), c_int64(t))

    def backward(self, buffers: Buffers, gradients: Gradients) -> Callable[[int], None]:
        """See :meth:`Kernels.backward`."""
        kernel = self._library[f"gates_backward_{SUFFIX[buffers.c.dtype]}"]
        D, _, n = buffers.c.shape
        scratch = buffers.c.new_empty(D, self.groups, n)
        sequence = self._sequence(buffers)
        d_total = gradients.d_total
        described = _Gradients(
            *_addresses((gradients.d_outputs, gradients.d_h, gradients.d_c), scratch.dtype),
            address_of_rows(d_total, scratch.dtype, d_total.stride(1)),
            *(d_total.shape[1], gradients.first, d_total.stride(1)),
            *_addresses((*(gradients.d_norm or [None] * 4), scratch), scratch.dtype),
        )

        def step(t: int, keep: object = (gradients, scratch)) -> None:  # whose addresses the kernel has
            kernel(byref(sequence), byref(described), c_int64(t))

        return step

    def mix(self, mix: Mix) -> Callable[[int], None]:
        """See :meth:`Kernels.mix`."""
        kernel = self._library[f"mix_forward_{SUFFIX[mix.total.dtype]}"]
        described = self._mix(mix)
        return lambda t: kernel(byref(described), c_int64(t))

    def mix_backward(self, mix: Mix, gradients: MixGradients) -> Callable[[int], None]:
        """See :meth:`Kernels.mix_backward`."""
        kernel = self._library[f"mix_backward_{SUFFIX[mix.total.dtype]}"]
        described = self._mix(mix)
        dtype, d_total = mix.total.dtype, gradients.d_total
        d_described = _MixGradients(
            address_of_rows(d_total, dtype, d_total.stride(1)),
            *(d_total.shape[1], gradients.first, d_total.stride(1)),
            *(address_of_rows(each, dtype, d_total.stride(1)) for each in (gradients.d_from_x, gradients.d_from_h)),
            address(gradients.d_signals, dtype),
        )

        def step(t: int, keep: object = gradients) -> None:  # whose addresses the kernel has
            kernel(byref(described), byref(d_described), c_int64(t))

        return step

    def _mix(self, mix: Mix) -> _Mix:
        (D, B, units), dtype = mix.from_x.shape, mix.total.dtype
        stride, pitch = mix.total.shape[1], mix.total.stride(1)
        return _Mix(
            *(D, B, units // 4, stride, pitch, self.groups, _threads(mix.from_x.numel())),
            *_steps(mix.layout),
            address_of_rows(mix.total, dtype, pitch),
            *_addresses((mix.from_x, mix.projected), dtype),
            address_of_rows(mix.from_h, dtype, pitch),
            *_addresses((mix.bias, mix.signals), dtype),
        )

    def _sequence(self, buffers: Buffers) -> _Sequence:
        layout, (mask, order) = buffers.layout, buffers.dropout or (None, None)
        (D, stride, n), dtype = buffers.c.shape, buffers.c.dtype
        return _Sequence(
            *(D, layout.batch, n, stride, buffers.total.stride(1), buffers.Z.stride(1)),
            *(self.groups, _threads(D * layout.batch * n)),
            *_steps(layout),
            address_of_rows(buffers.total, dtype, buffers.total.stride(1)),
            *_addresses((buffers.projected, buffers.c), dtype),
            address(buffers.Z, dtype, dense=False),
            *((None, 0, 0, 0) if mask is None else (address(mask, dtype, dense=False), *mask.stride()[:3])),
            address(order, torch.int64),
            *_addresses((*(buffers.norm or [None] * 4), *(buffers.kept or [None] * 3)), dtype),
            buffers.epsilon,
        )


class PackedProduct:
    """Products with weights [D, K, N] that are packed once (``products.cpp``)."""

    def __init__(self, products: CDLL, weights: Tensor) -> None:
        suffix = SUFFIX[weights.dtype]
        _, self._K, self._N = weights.shape
        self._packed = packed(products, weights)
        self._multiply = products[f"multiply_{suffix}"]

    def __call__(self, a: Tensor, out: Tensor) -> None:
        """out = a @ weights."""
        (D, rows, _), dtype = a.shape, self._packed.dtype
        if len(self._packed) != D:
            raise ValueError(f"expected {len(self._packed)} matrices, got {D}")
        threads = _threads(D * rows * self._K * self._N // 64)
        self._multiply(
            *(c_void_p(address(a, dtype, dense=False)), c_int64(a.stride(0)), c_int64(a.stride(1))),
            c_void_p(self._packed.data_ptr()),
            *(c_void_p(address(out, dtype, dense=False)), c_int64(out.stride(0)), c_int64(out.stride(1))),
            *(c_int64(D), c_int64(rows), c_int64(self._K), c_int64(self._N), c_int64(threads)),
        )


def add_product(products: CDLL, a: Tensor, b: Tensor, out: Tensor) -> None:
    """out += a^T b for each of D matrices: a [D, rows, M], b [D, rows, N], out [D, M, N]."""
    (_, rows, M), N, dtype = a.shape, b.shape[2], out.dtype
    multiply, threads = products[f"add_transposed_{SUFFIX[dtype]}"], c_int64(_threads(rows * M * N // 64))
    for each in zip(a, b, out, strict=True):
        strided = ((c_void_p(address(matrix, dtype, dense=False)), c_int64(matrix.stride(0))) for matrix in each)
        multiply(*(argument for pair in strided for argument in pair), c_int64(M), c_int64(rows), c_int64(N), threads)


def _addresses(tensors: Iterable[Tensor | None], dtype: torch.dtype) -> list[int | None]:
    return [address(tensor, dtype) for tensor in tensors]


def _threads(elements: int) -> int:
    """How many threads share so many elements: for a few, waking another one takes longer than they do."""
    return torch.get_num_threads() if elements >= _WORTH_THREADS else 1


def _steps(layout: Layout) -> tuple[Array[c_int64], Array[c_int64]]:
    steps = len(layout.rows)
    return (c_int64 * steps)(*layout.rows), (c_int64 * (steps + 1))(*layout.offsets)
