"""Bounds the work on one file by a count that is the same on every machine."""

from pytorch_sketch_rnn.errors import Refused

MAX_STEPS = 500_000  # about 4 seconds
MAX_POINTS = 2_000_000  # 32 MB; one could not train on a sketch of this many


class Budget:
    """What one file may cost.

    Args:
        steps: elements, each time that one is used, style rules, transforms and path commands.
        points: points on the outlines.
    """

    def __init__(self, steps: int = MAX_STEPS, points: int = MAX_POINTS) -> None:
        self._most_steps, self._steps = steps, steps
        self._most_points, self._points = points, points

    def spend(self, steps: int) -> None:
        """Raise Refused if more steps than ``MAX_STEPS`` were spent."""
        self._steps -= steps
        if self._steps < 0:
            raise Refused(
                f"expected a drawing that takes at most {self._most_steps:,} steps (elements, uses, transforms, style "
                "rules, path commands), got a larger one; simplify it"
            )

    def add_points(self, points: int) -> None:
        """Raise Refused if there are more points than ``MAX_POINTS``."""
        self._points -= points
        if self._points < 0:
            raise Refused(f"expected a drawing of at most {self._most_points:,} points, got a larger one; simplify it")
