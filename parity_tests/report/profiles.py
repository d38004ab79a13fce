"""Error against time step of each quantity that has steps: what the report draws."""

import math
from collections.abc import Iterable
from typing import Any

from parity_tests.judge.row import Row
from parity_tests.record.quantities import FED
from parity_tests.report.parts import LOCAL, kind_of

Values = list[float | None]
Lines = dict[str, Values]  # whose -> one number a step
FREE = ("ours", "spread", "allowed")


def profiles(rows: Iterable[Row]) -> dict[str, dict[str, Lines]]:
    """Of each quantity with steps: quantity -> precision -> whose -> one number a step.

    Relative to the largest magnitude of the tensor; the largest element in float64, the root of the mean square in
    float32. ``ours`` runs freely, ``spread`` is how far official runs have drifted from each other so far, and
    ``allowed`` what the rule allows (NaN where a step is not judged). ``fed`` is our error in each step alone, from the
    official state, ``official`` the official float32 error in that step. For several recordings see :func:`merged`.
    """
    result: dict[str, dict[str, Lines]] = {}
    for row in rows:
        if row.profile is None or row.profile.shape[-1] < 2:
            continue
        name = row.quantity.removeprefix(FED)
        name = f"{row.recording}/{name}" if row.recording.startswith("cell/") else name
        curves = result.setdefault(name, {})
        curves[row.precision] = merged([curves.get(row.precision, {}), _lines(row)])
    return result


def _lines(row: Row) -> Lines:
    if row.profile.ndim == 2:
        names = ("fed", "official") if kind_of(row) == LOCAL else FREE
        return dict(zip(names, row.profile.tolist(), strict=True))
    if kind_of(row) == LOCAL and row.precision == "float64":
        return {"fed": row.profile.tolist(), "allowed": [row.allowed] * len(row.profile)}
    return {"fed" if kind_of(row) == LOCAL else "ours": row.profile.tolist()}


def merged(several: Iterable[Lines]) -> Lines:
    """The lines of several recordings or quantities as one.

    Of what runs freely the one counts that comes closest to its allowance at any step, so that the error crosses the
    allowance in the picture if and only if one does so somewhere. Of all else it is the largest number at each step.
    """
    several = list(several)
    free = [{name: lines[name] for name in FREE if name in lines} for lines in several if "ours" in lines]
    rest = [
        {name: values for name, values in lines.items() if name not in FREE or "ours" not in lines} for lines in several
    ]
    return _largest(rest) | _closest(free)


def _largest(several: Iterable[Lines]) -> Lines:
    """Of each line the largest number at each step; the longer line goes on alone."""
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
    """The used share of the allowance, below all others where the step is not judged; then the error."""
    if allowed is None or math.isnan(allowed):
        return -1.0, _size(ours)
    return (_size(ours) / allowed if allowed else _size(ours) * math.inf if ours else 0.0), _size(ours)


def _by_step(lines: list[list[Any]]) -> list[list[Any]]:
    """What several lines hold at each step, as far as each goes."""
    return [[line[step] for line in lines if step < len(line)] for step in range(max(map(len, lines), default=0))]


def _size(value: float | None) -> float:
    """An error beyond measure, which JSON holds as None, is larger than all others."""
    return math.inf if value is None or math.isnan(value) else value
