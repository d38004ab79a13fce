"""What a training step's time is spent on, besides its matrix products."""

import statistics
import time
from collections.abc import Callable
from typing import Any
from unittest.mock import patch

from pytorch_sketch_rnn.model.fused.sequence import Fused

_STEPS = ("forward", "backward", "mix", "mix_backward")  # methods of Kernels that return a function of a step


class TimedKernels:
    """The kernels of a fused path on a CPU, which add up the time that is spent in them.

    Attributes:
        seconds: spent in ``kernels`` (all that a step of a sequence does besides products) and in ``masks``.
    """

    def __init__(self, kernels: Any) -> None:
        self._kernels = kernels
        self.seconds = {"kernels": 0.0, "masks": 0.0}

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._kernels, name)
        if name == "fill":
            return self._timed(found, "masks")
        if name in _STEPS:
            return lambda *arguments: self._timed(found(*arguments), "kernels")
        return found

    def _timed(self, function: Callable[..., None], part: str) -> Callable[..., None]:
        def timed(*arguments: Any) -> None:
            start = time.perf_counter()
            function(*arguments)
            self.seconds[part] += time.perf_counter() - start

        return timed


def measure_parts(step: Callable[[], object], backend: Fused, repeats: int) -> dict[str, float]:
    """Seconds of a step in its kernels and in its dropout masks.

    Args:
        step: computes one step with this backend.
        backend: of a CPU.
        repeats: of which the median is taken.
    """
    found: dict[str, list[float]] = {}
    for _ in range(repeats):
        timed = TimedKernels(backend._kernels)
        with patch.object(backend, "_kernels", timed):
            step()
        for part, seconds in timed.seconds.items():
            found.setdefault(part, []).append(seconds)
    return {part: statistics.median(seconds) for part, seconds in found.items()}
