"""Whether our training curves are Magenta's: their means, against the band that Magenta against Magenta gives.

Both sides train several times from the same weights, each run with random numbers of its own. Were ours Magenta's,
then which runs are called ours would be a mere name; so every way of naming half of all runs "ours" shows how far two
means of Magenta's own runs can be from each other. That is a permutation test: exact for any distribution of the costs
(R. A. Fisher 1935; the largest of several studentised distances as in Westfall and Young 1993). What counts was fixed
before a comparison was run, in the constants below.
"""

import dataclasses
import math
from collections.abc import Mapping
from itertools import combinations
from typing import Any

import numpy as np

COSTS = ("cost", "r_cost", "kl_cost")
# By split: in training the costs of every step, in validation those of each validation.
QUANTITIES = tuple(f"{split}/{name}" for split in ("train", "valid") for name in COSTS)
# Steps whose mean is one point of a curve: a batch's cost is mostly the luck of its sketches, that of 10 steps is not.
BLOCK = 10
# How likely the whole test, all cells together, may call equal trainers different. It is split over the cells
# (Bonferroni). Within a cell it is the largest distance of all points of all quantities that is judged, so that many
# points need no further correction.
ALPHA = 0.01
# A standard error is at least this part of the largest value of its curve: where all runs agree almost (a KL cost at
# its floor), the rounding of float32 (1e-7) must not count.
FLOOR = 1e-4

Runs = Mapping[str, np.ndarray]  # quantity -> [runs, steps], or [runs, validations]


@dataclasses.dataclass(frozen=True)
class Sizes:
    """What must be there of each side."""

    runs: int
    steps: int
    validations: int


@dataclasses.dataclass(frozen=True)
class Points:
    """The points of one quantity's curves that are judged: its blocks, and the mean of the whole run as the last."""

    quantity: str
    first: list[int]  # the step, or the validation, with which each begins
    theirs: np.ndarray  # [points], means of the runs
    ours: np.ndarray
    error: np.ndarray  # [points], standard error of the difference of the two means

    @property
    def distance(self) -> np.ndarray:
        """Of the means, in standard errors."""
        return np.abs(self.ours - self.theirs) / self.error


@dataclasses.dataclass(frozen=True)
class Judgement:
    """What the test says of one cell."""

    equal: bool
    problems: list[str]  # what is missing or is no number; then nothing else is known
    alpha: float = 0.0
    partitions: int = 0  # ways to part the runs into two halves
    statistic: float = math.inf  # the largest distance, in standard errors
    critical: float = 0.0  # the largest that is still called equal
    p: float = 0.0  # share of the partitions with a distance as large
    points: list[Points] = dataclasses.field(default_factory=list)

    def table(self) -> list[dict[str, Any]]:
        """A line for each quantity; distances and widths of the band relative to Magenta's mean."""
        return [self._line(points) for points in self.points]

    def _line(self, points: Points) -> dict[str, Any]:
        scale = np.where(points.theirs == 0, 1.0, np.abs(points.theirs))
        relative = np.abs(points.ours - points.theirs) / scale
        width = self.critical * points.error / scale
        farthest, last = int(points.distance.argmax()), len(relative) - 1
        return {
            "quantity": points.quantity,
            "distance": float(relative.max()),
            "distance_of_whole_run": float(relative[-1]),
            "band": float(np.median(width[:-1])),
            "band_of_whole_run": float(width[-1]),
            "statistic": float(points.distance[farthest]),
            "at": "whole run" if farthest == last else points.first[farthest],
        }


def judge(theirs: Runs, ours: Runs, sizes: Sizes, alpha: float) -> Judgement:
    """Hold our curves against Magenta's.

    Args:
        theirs: the official runs.
        ours: as many of ours.
        sizes: what must be there; whatever is missing makes the two different.
        alpha: probability of calling equal trainers different.
    """
    problems = [*_problems("Magenta's", theirs, sizes), *_problems("our", ours, sizes)]
    if problems:
        return Judgement(equal=False, problems=problems, alpha=alpha)
    partitions = halves(sizes.runs)
    points, largest = [], np.zeros(len(partitions))
    for quantity in QUANTITIES:
        both = np.concatenate([theirs[quantity], ours[quantity]]).astype(np.float64)
        first, values = _points(both, 1 if quantity.startswith("valid/") else BLOCK)
        one, other, error = _means(values, partitions)
        largest = np.maximum(largest, (np.abs(one - other) / error).max(axis=1))
        points.append(Points(quantity, first, one[0], other[0], error[0]))
    # rounding must not part a distance from that of the same runs summed in another order
    as_large = largest >= largest[0] * (1 - 1e-9)
    allowed = allowed_partitions(alpha, len(partitions))
    return Judgement(
        equal=int(as_large.sum()) > allowed,
        problems=[],
        alpha=alpha,
        partitions=len(partitions),
        statistic=float(largest[0]),
        critical=float(np.sort(largest)[::-1][allowed]),
        p=float(as_large.mean()),
        points=points,
    )


def allowed_partitions(alpha: float, partitions: int) -> int:
    """So many partitions with a distance at least as large may there be, and it is still called different.

    Raises:
        ValueError: when there is none: the test could never call anything different.
    """
    allowed = math.floor(alpha * partitions + 1e-9)
    if allowed < 1:
        raise ValueError(f"{partitions} partitions cannot show anything at a level of {alpha}: more runs are needed")
    return allowed


def halves(runs: int) -> np.ndarray:
    """Every way to part twice so many runs into two halves, [ways, 2 runs], True for one half.

    The half is the one that holds the first run, as swapping them changes no distance. The first way is that of the
    first runs and the last ones.
    """
    chosen = np.array([(0, *rest) for rest in combinations(range(1, 2 * runs), runs - 1)])
    result = np.zeros((len(chosen), 2 * runs), dtype=bool)
    np.put_along_axis(result, chosen, True, axis=1)
    return result


def _points(values: np.ndarray, block: int) -> tuple[list[int], np.ndarray]:
    """Where each block begins, and the means of the blocks and of the whole, [runs, blocks + 1]; a last block may be
    shorter.
    """
    first = list(range(0, values.shape[1], block))
    blocks = [values[:, begin : begin + block].mean(axis=1) for begin in first]
    return first, np.stack([*blocks, values.mean(axis=1)], axis=1)


def _means(values: np.ndarray, partitions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For each partition the means of both halves and the standard error of their difference, [partitions, points]."""
    runs = len(values) // 2
    centre = values.mean(axis=0)
    values = values - centre
    means, variances = [], []
    for half in (partitions, ~partitions):
        mean = half @ values / runs
        means.append(mean + centre)
        variances.append((half @ values**2 - runs * mean**2) / (runs - 1))
    floor = max(FLOOR * float(np.abs(centre).max()), np.finfo(np.float64).tiny)
    error = np.sqrt(np.maximum(sum(variances), 0) / runs)
    return *means, np.maximum(error, floor)


def _problems(whose: str, runs: Runs, sizes: Sizes) -> list[str]:
    """What of one side's curves cannot be judged."""
    result = []
    for quantity in QUANTITIES:
        split = quantity.split("/")[0]
        expected = (sizes.runs, sizes.steps if split == "train" else sizes.validations)
        if quantity not in runs:
            result.append(f"{whose} {quantity} is missing")
        elif runs[quantity].shape != expected:
            shape = " x ".join(map(str, runs[quantity].shape))
            result.append(f"{whose} {quantity} is {shape}, expected {expected[0]} runs x {expected[1]}")
        elif not np.isfinite(runs[quantity]).all():
            run, step = np.argwhere(~np.isfinite(runs[quantity]))[0]
            result.append(f"{whose} {quantity} is {runs[quantity][run, step]} in run {run} at {split} {step}")
    return result
