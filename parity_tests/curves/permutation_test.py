"""A permutation test of training curves: do the mean curves of both sides differ by more than chance?

Both sides train several times from the same weights, each run with its own random numbers. If both trainers are the
same, it is arbitrary which runs are labelled "ours"; so the distances between the means of every other way to label
half of all runs "ours" show which distances chance produces. The test is exact for any distribution of the costs
(R. A. Fisher 1935); the statistic is the largest of several studentised distances (Westfall and Young 1993). The
constants below were fixed before any comparison was run.
"""

import dataclasses
import math
from collections.abc import Mapping
from itertools import combinations
from typing import Any

import numpy as np

COSTS = ("cost", "r_cost", "kl_cost")
# In training the costs of every step, in validation those of every validation.
QUANTITIES = tuple(f"{split}/{name}" for split in ("train", "valid") for name in COSTS)
# Steps averaged into one point of a curve: the cost of a single batch depends mostly on which sketches it holds.
BLOCK = 10
# Probability that the whole test, with all cells together, calls equal trainers different. It is divided by the number
# of cells (Bonferroni). Within a cell the statistic is the largest distance of all points of all quantities, so no
# further correction for the number of points is needed.
ALPHA = 0.01
# Smallest standard error, relative to the largest value of the curve: where all runs nearly agree (a KL cost at its
# floor), the rounding of float32 (1e-7) must not count.
FLOOR = 1e-4

Runs = Mapping[str, np.ndarray]  # quantity -> [runs, steps], or [runs, validations]


@dataclasses.dataclass(frozen=True)
class Sizes:
    """The sizes that the curves of each side must have."""

    runs: int
    steps: int
    validations: int


@dataclasses.dataclass(frozen=True)
class Points:
    """The points of one quantity that are compared: the blocks of the curve, and as the last the whole run."""

    quantity: str
    first: list[int]  # first step, or validation, of each block
    theirs: np.ndarray  # [points], mean over the runs
    ours: np.ndarray
    error: np.ndarray  # [points], standard error of the difference of the two means

    @property
    def distance(self) -> np.ndarray:
        """Distance of the two means in standard errors, [points]."""
        return np.abs(self.ours - self.theirs) / self.error


@dataclasses.dataclass(frozen=True)
class Comparison:
    """The outcome of the test for one cell."""

    equal: bool
    problems: list[str]  # curves that are missing or not finite; then the fields below are meaningless
    alpha: float = 0.0
    partitions: int = 0  # ways to split the runs into two halves
    statistic: float = math.inf  # the largest distance, in standard errors
    critical: float = 0.0  # the largest distance that is still called equal
    p: float = 0.0  # share of the partitions with a distance at least as large
    points: list[Points] = dataclasses.field(default_factory=list)

    def table(self) -> list[dict[str, Any]]:
        """One line for each quantity; distances and half widths of the band are relative to Magenta's mean."""
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


def compare_curves(theirs: Runs, ours: Runs, sizes: Sizes, alpha: float) -> Comparison:
    """Test whether our curves differ from Magenta's.

    Args:
        theirs: the official runs.
        ours: the same number of our runs.
        sizes: that the curves must have; anything missing makes the two sides different.
        alpha: probability of calling equal trainers different.

    Raises:
        ValueError: when there are too few runs for a test at this level.
    """
    problems = [*_problems("Magenta's", theirs, sizes), *_problems("our", ours, sizes)]
    if problems:
        return Comparison(equal=False, problems=problems, alpha=alpha)
    partitions = all_partitions(sizes.runs)
    points, largest = [], np.zeros(len(partitions))
    for quantity in QUANTITIES:
        both = np.concatenate([theirs[quantity], ours[quantity]]).astype(np.float64)
        first, values = _block_means(both, 1 if quantity.startswith("valid/") else BLOCK)
        one, other, error = _group_means(values, partitions)
        largest = np.maximum(largest, (np.abs(one - other) / error).max(axis=1))
        points.append(Points(quantity, first, one[0], other[0], error[0]))
    # the same runs summed in another order give a distance that differs by rounding
    as_large = largest >= largest[0] * (1 - 1e-9)
    limit = rejection_limit(alpha, len(partitions))
    return Comparison(
        equal=int(as_large.sum()) > limit,
        problems=[],
        alpha=alpha,
        partitions=len(partitions),
        statistic=float(largest[0]),
        critical=float(np.sort(largest)[::-1][limit]),
        p=float(as_large.mean()),
        points=points,
    )


def rejection_limit(alpha: float, partitions: int) -> int:
    """Largest number of partitions that may be at least as extreme while the test still rejects equality.

    Raises:
        ValueError: when it is zero, so that the test could never call anything different.
    """
    limit = math.floor(alpha * partitions + 1e-9)
    if limit < 1:
        raise ValueError(f"{partitions} partitions cannot show anything at a level of {alpha}: more runs are needed")
    return limit


def all_partitions(runs: int) -> np.ndarray:
    """Every way to split 2 * runs runs into two halves, bool [partitions, 2 * runs]; True marks one half.

    The marked half always holds the first run, because swapping the halves changes no distance. The first partition
    separates the first ``runs`` runs from the others.
    """
    chosen = np.array([(0, *rest) for rest in combinations(range(1, 2 * runs), runs - 1)])
    result = np.zeros((len(chosen), 2 * runs), dtype=bool)
    np.put_along_axis(result, chosen, True, axis=1)
    return result


def _block_means(values: np.ndarray, block: int) -> tuple[list[int], np.ndarray]:
    """The first index of each block, and the means of the blocks and of the whole, [runs, blocks + 1].

    The last block may be shorter than the others.
    """
    first = list(range(0, values.shape[1], block))
    blocks = [values[:, begin : begin + block].mean(axis=1) for begin in first]
    return first, np.stack([*blocks, values.mean(axis=1)], axis=1)


def _group_means(values: np.ndarray, partitions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The means of both halves and the standard error of their difference, each [partitions, points]."""
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
    """Curves of one side that are missing, of another shape or not finite."""
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
