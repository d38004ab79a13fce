"""The line that shows how a training goes."""

import shutil
import sys
import time
from collections.abc import Callable

from pytorch_sketch_rnn.training.trainer import StepResult

EVERY = 20  # steps, where the output is no terminal
REFRESH = 0.2  # seconds, where it is


class Progress:
    """Shows the step, costs, rates, speed and the time left: on a terminal in one line, else every 20 steps.

    Args:
        num_steps: how many there will be.
        batch_size: sketches a step.
        say: takes whole lines where stderr is no terminal.
    """

    def __init__(self, num_steps: int, batch_size: int, say: Callable[[str], None]) -> None:
        self.num_steps, self.batch_size, self.say = num_steps, batch_size, say
        self.live = sys.stderr.isatty()
        self.shown, self.width = 0.0, 0
        self.seconds_a_step: float | None = None
        self.last = time.monotonic()

    def __call__(self, result: StepResult) -> None:
        """After each step."""
        now = time.monotonic()
        taken, self.last = now - self.last, now
        before = self.seconds_a_step
        self.seconds_a_step = taken if before is None else 0.9 * before + 0.1 * taken
        if self.live and now - self.shown >= REFRESH:
            self.shown = now
            # a line that wraps could not be rewritten
            line = self.line(result)[: shutil.get_terminal_size().columns - 1]
            self.width = max(self.width, len(line))
            print(f"\r{line:{self.width}}", end="", file=sys.stderr, flush=True)
        elif not self.live and (result.step % EVERY == 0 or result.step + 1 == self.num_steps):
            self.say(self.line(result))

    def line(self, result: StepResult) -> str:
        """What is shown of a step."""
        seconds = self.seconds_a_step or 0.0
        left = (self.num_steps - result.step - 1) * seconds
        speed = self.batch_size / seconds if seconds else 0.0
        return (
            f"step {result.step + 1}/{self.num_steps}  cost {result.cost:.4f}  reconstruction {result.r_cost:.4f}  "
            f"KL {result.kl_cost:.4f}  lr {result.learning_rate:.6f}  KL weight {result.kl_weight:.4f}  "
            f"{speed:.0f} sketches/s  {duration(left)} left"
        )

    def end(self) -> None:
        """Leave the line: something else is printed."""
        if self.live and self.width:
            print(file=sys.stderr, flush=True)
        self.width = 0

    def begin(self) -> None:
        """The next step begins now: what was done since the last one is none of it."""
        self.last = time.monotonic()


def duration(seconds: float) -> str:
    """Such as 45 s, 3 min, 2 h 5 min, 3 d 4 h."""
    minutes = round(seconds / 60)
    if seconds < 90:
        return f"{seconds:.0f} s"
    if minutes < 90:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours < 48 else f"{hours // 24} d {hours % 24} h"
