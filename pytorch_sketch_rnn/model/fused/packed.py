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


def address(tensor: Tensor | None) -> int | None:
    """The address of a contiguous tensor's first number."""
    if tensor is None:
        return None
    if not tensor.is_contiguous():
        raise ValueError(f"a kernel reads contiguous tensors only, got strides {tensor.stride()}")
    return tensor.data_ptr()
