"""Making the next step's batch while the current step is computed."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from pytorch_sketch_rnn.data.magenta_loader import Batch


class BatchesAhead:
    """The batches of a training's steps; the one after the batch that was asked for is made in a thread.

    A batch must depend on its step alone, so it does not matter whether it was made ahead.

    Args:
        make: the batch of a step.
    """

    def __init__(self, make: Callable[[int], Batch]) -> None:
        self._make = make
        self._executor: ThreadPoolExecutor | None = None  # starts with the first batch, so that no fork inherits it
        self._ahead: tuple[int, Future[Batch]] | None = None

    def batch(self, step: int) -> Batch:
        """The batch of a step; what making it raises is raised here."""
        ahead, self._ahead = self._ahead, None
        batch = ahead[1].result() if ahead is not None and ahead[0] == step else self._make(step)
        if self._executor is None:
            self._executor = ThreadPoolExecutor(1, thread_name_prefix="batches")
        self._ahead = step + 1, self._executor.submit(self._make, step + 1)
        return batch
