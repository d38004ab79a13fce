"""Processes and threads that plant bugs."""

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager

import torch

from pytorch_sketch_rnn.errors import BadInput


@contextmanager
def shut_down(pool: ProcessPoolExecutor) -> Iterator[ProcessPoolExecutor]:
    """Yield the pool and shut it down at the end, without the work that has not begun.

    Raises:
        BadInput: when one of its processes was killed.
    """
    try:
        yield pool
    except BrokenProcessPool:
        raise BadInput(
            "a process was killed, perhaps because memory ran out; run it again: finished results are kept"
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch use one thread: small tensors are slower on several."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
