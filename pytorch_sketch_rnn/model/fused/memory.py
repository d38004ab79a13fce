"""Memory for the numbers of a whole sequence: large, and written and read once."""

import ctypes
import functools
import sys
from collections.abc import Callable

from torch import Tensor

_LARGE = 2**22  # bytes, from which large pages pay
_PAGE = 2**12
_MADV_HUGEPAGE = 14


def room(like: Tensor, *shape: int, apart: int = 0) -> Tensor:
    """A tensor of this shape whose numbers are not set, with ``apart`` unused numbers between two rows.

    The system is asked for large pages: without them, page faults take some 5 % of a training step.
    """
    *rows, columns = shape
    made = like.new_empty(*rows, columns + apart)
    if made.device.type == "cpu" and made.nbytes >= _LARGE and (advise := _advice()) is not None:
        begin = -(-made.data_ptr() // _PAGE) * _PAGE
        end = (made.data_ptr() + made.nbytes) // _PAGE * _PAGE
        advise(begin, end - begin, _MADV_HUGEPAGE)  # without it, all is as before
    return made[..., :columns]


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
