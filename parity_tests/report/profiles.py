"""The error of each quantity at each time step, which the report draws."""

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from parity_tests.judge.row import Row
from parity_tests.record.quantities import FED
from parity_tests.report.parts import LOCAL, kind_of

Values = list[float | None]
Lines = dict[str, Values]  # name of a line -> one number a step
FREE = ("ours", "spread", "allowed")


def profiles(rows: Iterable[Row]) -> dict[str, dict[str, Lines]]:
    """The lines of each quantity with steps: quantity -> precision -> name of a line -> one number a step.

    Numbers are relative to the largest magnitude of the tensor: the largest element in float64, the root mean square in
    float32. Several recordings of a quantity are :func:`merged`. The lines are:

    ``ours``: our error in a free run.
    ``spread``: the largest drift between official runs up to the step.
    ``allowed``: the allowance; NaN where a step is not judged.
    ``fed``: our error in each step alone, from the official state.
    ``official``: the official float32 error in the same step alone.
    """
    result: dict[str, dict[str, Lines]] = {}
    for row in rows:
        if row.profile is None or row.profile.shape[-1] < 2:
            continue
        name = row.quantity.removeprefix(FED)
        name = f"{row.recording}/{name}" if row.recording.startswith("cell/") else name
        curves = result.setdefault(name, {})
        curves[row.precision] = merged([curves.get(row.precision, {}), _lines(row, row.profile)])
    return result


def _lines(row: Row, profile: np.ndarray) -> Lines:
    if profile.ndim == 2:
        names = ("fed", "official") if kind_of(row) == LOCAL else FREE
        return dict(zip(names, profile.tolist(), strict=True))
    if kind_of(row) == LOCAL and row.precision == "float64":
        return {"fed": profile.tolist(), "allowed": [row.allowed] * len(profile)}
    return {"fed" if kind_of(row) == LOCAL else "ours": profile.tolist()}


def merged(several: Iterable[Lines]) -> Lines:
    """Merge the lines of several recordings or quantities.

    The lines of free runs are those of the run that comes closest to its allowance at any step, so that the error
    crosses the allowance in the plot if and only if some run does. Every other line is the maximum at each step.
    """
    several = list(several)
    free = [{name: lines[name] for name in FREE if name in lines} for lines in several if "ours" in lines]
    rest = [
        {name: values for name, values in lines.items() if name not in FREE or "ours" not in lines} for lines in several
    ]
    return _largest(rest) | _closest(free)


def _largest(several: Iterable[Lines]) -> Lines:
    """The maximum at each step, over the lines that reach the step."""
    found: dict[str, list[Values]] = {}
    for lines in several:
        for whose, values in lines.items():
            found.setdefault(whose, []).append(values)
    return {whose: [max(step, key=_size) for step in _by_step(lines)] for whose, lines in found.items()}


def _closest(several: list[Lines]) -> Lines:
    if any("allowed" not in lines for lines in several):
        return _largest(several)
    return max(several, key=lambda lines: max(map(_used, *(lines[name] for name in ("ours", "allowed")))), default={})


def _used(ours: float | None, allowed: float | None) -> tuple[float, float]:
    """The used share of the allowance, then the error; a step that is not judged ranks below all others."""
    if allowed is None or math.isnan(allowed):
        return -1.0, _size(ours)
    return (_size(ours) / allowed if allowed else _size(ours) * math.inf if ours else 0.0), _size(ours)


def _by_step(lines: list[list[Any]]) -> list[list[Any]]:
    """The values at each step, of the lines that reach it."""
    return [[line[step] for line in lines if step < len(line)] for step in range(max(map(len, lines), default=0))]


def _size(value: float | None) -> float:
    """A value for comparison: None, which stands for infinity in JSON, and NaN are larger than all others."""
    return math.inf if value is None or math.isnan(value) else value
