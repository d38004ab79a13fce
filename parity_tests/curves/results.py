"""The results of a comparison of training curves, and the verdict that follows from them."""

import dataclasses
from typing import Any

from parity_tests.curves.permutation_test import COSTS, Comparison, Runs
from parity_tests.curves.plan import CurvesPlan
from parity_tests.judge.row import Row
from parity_tests.judge.training import Curves


@dataclasses.dataclass(frozen=True)
class Replayed:
    """A replayed training run."""

    name: str
    rows: list[Row]
    curves: Curves | None  # None if our run did not finish
    official_drift: dict[str, list[float]]  # of each cost, relative to its largest value

    @property
    def equal(self) -> bool:
        """Whether everything was compared and is equal."""
        return self.curves is not None and {row.verdict for row in self.rows} == {"equal"}

    @property
    def distance(self) -> float:
        """The largest difference of a cost in the free run, relative to its largest value; infinite if unknown."""
        rows = [row for row in self.rows if row.quantity in {f"free run: drift of {name}" for name in COSTS}]
        return max((row.error for row in rows), default=float("inf"))


@dataclasses.dataclass(frozen=True)
class Independent:
    """Independent runs of a cell, with or without a departure planted in ours."""

    name: str
    theirs: Runs
    ours: Runs
    comparison: Comparison

    @property
    def caught(self) -> bool:
        """Whether the test found a planted departure in the curves; missing curves do not count."""
        return not self.comparison.equal and not self.comparison.problems


@dataclasses.dataclass
class CurvesResult:
    """All results, in the order of the plan."""

    plan: CurvesPlan
    replayed: list[Replayed]
    independent: list[Independent]
    planted: list[Independent]
    provenance: dict[str, Any]  # of the official side
    seconds: float

    @property
    def passed(self) -> bool:
        """Whether everything planned was compared and is equal, and every planted departure was found."""
        planned = (self.plan.replayed, self.plan.independent, self.plan.departures)
        found = (self.replayed, self.independent, self.planted)
        complete = [[each.name for each in group] for group in planned] == [[e.name for e in group] for group in found]
        equal = all(each.equal for each in self.replayed) and all(each.comparison.equal for each in self.independent)
        return complete and equal and all(each.caught for each in self.planted)

    def verdict(self) -> str:
        """One line."""
        count = len(self.planted)
        if self.passed:
            return (
                f"EQUAL: {len(self.replayed)} replayed trainings, and the means of {len(self.independent)} x "
                f"{self.plan.runs} independent ones; {count} of {count} planted departures were found."
            )
        different = [f"{each.name} (replayed)" for each in self.replayed if not each.equal]
        different += [f"{each.name} (independent)" for each in self.independent if not each.comparison.equal]
        missed = [each.name for each in self.planted if not each.caught]
        reasons = [f"{', '.join(different)} differ"] if different else []
        reasons += [f"planted and not found, so that the test shows little: {', '.join(missed)}"] if missed else []
        return f"DIFFERENT: {'; '.join(reasons) or 'not all that was planned was compared'}."
