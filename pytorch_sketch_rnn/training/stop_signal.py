"""Ctrl-C and SIGTERM as a request to stop, which a training obeys between two steps."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def stop_requests() -> Iterator[Callable[[], bool]]:
    """Yield a function that returns True once Ctrl-C or SIGTERM has arrived; a second Ctrl-C interrupts at once.

    A second SIGTERM does not: job schedulers may send it twice. A signal that was ignored before stays ignored: a
    shell starts background jobs that way, so that a Ctrl-C meant for another program does not stop them.
    """
    received: list[int] = []

    def handle(number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT and number in received:
            raise KeyboardInterrupt
        received.append(number)

    handled = [number for number in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, handle) for number in handled}
    try:
        yield lambda: bool(received)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
