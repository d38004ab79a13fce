"""Memory for the numbers of a whole sequence, which is used again from one training step to the next.

A step keeps hundreds of megabytes until its backward pass is done. The system fills memory with zeros, page by page,
each time it is allocated: for a HyperLSTM that is about a tenth of a step's time. So a block stays here when the last
tensor that lies in it is gone, until it is needed again or another size is wanted in its place.
"""

import weakref

import numpy as np
import torch
from torch import Tensor

_LARGE = 2**22  # bytes, from which on blocks are kept, and NumPy asks the system for large pages
_SPARE = 1.25  # a new block is larger than asked for: lengths vary, and what is not touched takes no memory
_MOST = 2.0  # a block may be at most this many times as large as what it is used for
_LINE = 2**6  # bytes of a line of the cache

# Blocks in which no tensor lies; the one that was given back last comes last. Blocks are given back in the middle of
# anything, by the garbage collector or another thread. So every operation on this is a single one of a dict, and none
# needs a lock, which a fork could leave closed.
_free: dict[int, np.ndarray] = {}


def room(like: Tensor, *shape: int, apart: int = 0) -> Tensor:
    """A tensor of this shape whose numbers are not set, with ``apart`` unused numbers between two rows.

    Args:
        like: has its device and dtype.
        shape: its last axis runs along a row.
        apart: see :attr:`Kernels.spread`.
    """
    *rows, columns = shape
    whole = (*rows, columns + apart)
    size = int(np.prod(whole)) * like.itemsize
    if like.device.type != "cpu" or size < _LARGE:
        return like.new_empty(whole)[..., :columns]
    block = _block(size + _LINE)
    begin = -block.ctypes.data % _LINE
    numbers = block[begin : begin + size]  # the tensor owns this view, and nothing else does
    weakref.finalize(numbers, _free.__setitem__, block.ctypes.data, block).atexit = False
    return torch.from_numpy(numbers).view(like.dtype).view(whole)[..., :columns]


def _block(size: int) -> np.ndarray:
    """A block of at least so many bytes, in which no tensor lies."""
    free = _free.copy()
    for _, address in sorted((block.nbytes, address) for address, block in free.items()):
        if size <= free[address].nbytes <= _MOST * size and (found := _free.pop(address, None)) is not None:
            return found  # no other thread was faster
    for address in [*free][:1]:  # so that no more blocks are kept than were once in use
        _free.pop(address, None)
    del free
    try:
        return np.empty(int(_SPARE * size), np.uint8)
    except MemoryError:
        _free.clear()
        return np.empty(size, np.uint8)
