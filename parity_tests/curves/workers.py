"""A pool of two processes that ends as a whole, together with everything that its processes started."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from multiprocessing import active_children, get_context, parent_process
from threading import Thread
from typing import Any

import torch

from pytorch_sketch_rnn.errors import BadInput

PROCESSES = 2

Calls = dict[str, tuple[Callable[..., Any], tuple[Any, ...]]]  # title -> function and its arguments
RunCalls = Callable[[Calls], dict[str, Any]]  # returns the results by title


@contextmanager
def workers(say: Callable[[str], None] = print) -> Iterator[RunCalls]:
    """Yield a function that runs calls in processes of their own and returns their results by title.

    If anything fails or is interrupted, all processes end, and so does what they started.

    Args:
        say: where progress goes.

    Raises:
        BadInput: when a process was killed, for example because memory ran out.
    """
    started, pool = time.monotonic(), ProcessPoolExecutor(PROCESSES, get_context("spawn"), _start_worker)

    def run_calls(calls: Calls) -> dict[str, Any]:
        futures = {pool.submit(function, *arguments): title for title, (function, arguments) in calls.items()}
        results = {}
        for future in as_completed(futures):
            results[futures[future]] = future.result()
            say(f"[{len(results)}/{len(calls)}] {futures[future]} ({time.monotonic() - started:.0f} s)")
        return results

    try:
        yield run_calls
    except BaseException as error:
        for process in active_children():
            process.terminate()  # one that has not yet made a group of its own
            if process.pid is not None:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGTERM)
        if isinstance(error, BrokenProcessPool):
            raise BadInput("a training process was killed, perhaps because memory ran out; run it again") from None
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def _start_worker() -> None:
    """Make a process group of this worker and all that it starts, which ends on a signal or with the parent."""
    torch.set_num_threads(1)
    os.setpgid(0, 0)
    Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
    os.killpg(0, signal.SIGTERM)
