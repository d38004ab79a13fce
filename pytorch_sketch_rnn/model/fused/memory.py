"""Memory for the numbers of a whole sequence, which is used again from one training step to the next.

A step keeps hundreds of megabytes until its way back is done. Memory that goes back to the system is filled with zeros
when it is next had, page by page: for a HyperLSTM some tenth of the step. So a block stays here when the last tensor
that lies in it is gone, until it is needed again or another size is wanted in its place.
"""

import ctypes
import functools
import sys
import weakref
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

_LARGE = 2**22  # bytes, from which on blocks are kept
_SPARE = 1.25  # a new block is larger than asked for: lengths vary, and what is not touched takes no memory
_MOST = 2.0  # a block may be so much larger than what it is used for
_LINE, _PAGE = 2**6, 2**12
_MADV_HUGEPAGE = 14

# Blocks in which no tensor lies; the one that was given back last comes last. Each operation on it is atomic, so
# threads need no lock, which a fork could leave closed.
_free: dict[int, np.ndarray] = {}


def room(like: Tensor, *shape: int, apart: int = 0) -> Tensor:
    """A tensor of this shape whose numbers are not set, with ``apart`` unused numbers between two rows.

    Args:
        like: has its device and dtype.
        shape: its last axis is that of rows.
        apart: see :attr:`Kernels.spread`.
    """
    *rows, columns = shape
    whole = (*rows, columns + apart)
    count = int(np.prod(whole))
    if like.device.type != "cpu" or count * like.itemsize < _LARGE:
        return like.new_empty(whole)[..., :columns]
    block = _block(count * like.itemsize + _LINE)
    begin = -block.ctypes.data % _LINE
    numbers = block[begin : begin + count * like.itemsize]  # the tensor owns this view, and nothing else does
    weakref.finalize(numbers, _free.__setitem__, block.ctypes.data, block).atexit = False
    return torch.from_numpy(numbers).view(like.dtype).view(whole)[..., :columns]


def _block(size: int) -> np.ndarray:
    """A block of at least so many bytes, in which no tensor lies."""
    fitting = sorted(
        (block.nbytes, address) for address, block in list(_free.items()) if size <= block.nbytes <= _MOST * size
    )
    for _, address in fitting:
        if (found := _free.pop(address, None)) is not None:  # else another thread was faster
            return found
    for address in list(_free)[:1]:  # so that no more is kept than was once in use
        _free.pop(address, None)
    block = np.empty(int(_SPARE * size), np.uint8)
    if (advise := _advice()) is not None:
        begin = -(-block.ctypes.data // _PAGE) * _PAGE
        end = (block.ctypes.data + block.nbytes) // _PAGE * _PAGE
        advise(begin, end - begin, _MADV_HUGEPAGE)  # large pages; without them, all is as before
    return block


@functools.cache
def _advice() -> Callable[[int, int, int], int] | None:
    """``madvise`` of the C library, on Linux."""
    if sys.platform != "linux":
        return None
    try:
        madvise = ctypes.CDLL(None).madvise
    except (OSError, AttributeError):
        return None
    madvise.argtypes = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int
    return madvise
