"""Matrices in the order in which ``products.cpp`` reads them, and what compiled code is given of tensors."""

from ctypes import CDLL, c_int64, c_void_p

import torch
from torch import Tensor

SUFFIX = {torch.float32: "f32", torch.float64: "f64"}


def packed(products: CDLL, weights: Tensor) -> Tensor:
    """Matrices [D, K, N], packed, [D, K columns]; N is filled up with columns of zeros."""
    suffix = SUFFIX[weights.dtype]
    width = products[f"panel_width_{suffix}"]()
    D, K, N = weights.shape
    result = weights.new_empty(D, K * -(-N // width) * width)
    for one, to in zip(weights, result, strict=True):
        strides = c_int64(one.stride(0)), c_int64(one.stride(1))
        products[f"pack_{suffix}"](c_void_p(one.data_ptr()), *strides, c_int64(K), c_int64(N), c_void_p(to.data_ptr()))
    return result


def address(tensor: Tensor | None, dtype: torch.dtype, *, dense: bool = True) -> int | None:
    """The address of a tensor's first number.

    Raises:
        ValueError: when compiled code would take it for something else: when it is not on the CPU, of another dtype, or
            not contiguous; with ``dense`` false, when the numbers of a row are not.
    """
    if tensor is None:
        return None
    contiguous = tensor.is_contiguous() if dense else tensor.shape[-1] == 1 or tensor.stride(-1) == 1
    if tensor.device.type != "cpu" or tensor.dtype != dtype or not contiguous:
        found = f"{tensor.dtype} on {tensor.device} with strides {tensor.stride()}"
        raise ValueError(f"a kernel expected {dtype} on the CPU, contiguous, got {found}")
    return tensor.data_ptr()


def address_of_rows(tensor: Tensor, dtype: torch.dtype, pitch: int) -> int | None:
    """The address of a tensor [D, rows, columns] whose rows begin every ``pitch`` numbers.

    Raises:
        ValueError: as :func:`address`, and when they do not.
    """
    if tensor.stride()[:2] != (tensor.shape[1] * pitch, pitch):
        raise ValueError(f"a kernel expected a row every {pitch} numbers, got strides {tensor.stride()}")
    return address(tensor, dtype, dense=False)
