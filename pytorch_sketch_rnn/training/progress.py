"""The progress of a training: a bar on a terminal, otherwise a line every 20 steps."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Self

from tqdm import tqdm

from pytorch_sketch_rnn.training.trainer import StepValues

EVERY = 20  # steps between two lines where stderr is no terminal
_LINE = "step {n_fmt}/{total_fmt}  {rate_fmt}  {remaining} left{postfix}"
# Time left and speed come first: a narrow terminal cuts the end of the line.
_BAR = "{remaining} left {rate_fmt} step {n_fmt}/{total_fmt} {bar:10}{postfix}"


class Progress:
    """Shows step, speed, time left, costs and schedules; a context manager.

    Args:
        num_steps: steps in all.
        steps_done: steps that a resumed run has done already.
        report: prints the lines where stderr is no terminal.
        enabled: False shows nothing, as on every rank but 0.
    """

    def __init__(self, num_steps: int, steps_done: int, report: Callable[[str], None], *, enabled: bool = True) -> None:
        self._num_steps, self._report, self._enabled = num_steps, report, enabled
        self._bar = tqdm(
            total=num_steps, initial=steps_done, unit="step", bar_format=_BAR, dynamic_ncols=True,
            disable=not (enabled and sys.stderr.isatty()),
        )  # fmt: skip
        # since the last line
        self._steps, self._seconds, self._resumed = 0, 0.0, time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._bar.close()

    def update(self, result: StepValues) -> None:
        """Show a step that was just done."""
        costs = (
            f"cost {result.cost:.4f}  reconstruction {result.r_cost:.4f}  KL {result.kl_cost:.4f}  "
            f"lr {result.learning_rate:.6f}  KL weight {result.kl_weight:.4f}"
        )
        self._steps += 1
        if not self._bar.disable:
            self._bar.set_postfix_str(costs, refresh=False)
            self._bar.update()
        elif self._enabled and (result.step % EVERY == 0 or result.step + 1 == self._num_steps):
            self._report(self._line(result.step + 1, costs))

    def _line(self, done: int, costs: str) -> str:
        now = time.monotonic()
        seconds = self._seconds + now - self._resumed
        rate = self._steps / seconds if seconds else None
        self._steps, self._seconds, self._resumed = 0, 0.0, now
        line: str = tqdm.format_meter(
            done, self._num_steps, seconds, unit="step", rate=rate, postfix=costs, bar_format=_LINE
        )
        return line

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Leave the time in between, a validation and a save, out of the speed, and the line free for other output."""
        self._seconds += time.monotonic() - self._resumed
        self._bar.clear()
        yield
        self._resumed = time.monotonic()
        self._bar.unpause()
