"""A row: one quantity of one recording in one precision, and what was found of it."""

import dataclasses
from collections.abc import Iterable
from typing import Any

import numpy as np

EQUAL = "equal"
DIFFERENT = "different"
NOT_COMPARED = "not compared"  # it should have been compared and was not: a failure
UNTESTED = "untested"  # the port does not offer it: not proven
NOT_JUDGED = "not judged"  # the official code drifts too far from itself there to prove anything
OVERFLOW = (
    "official overflow"  # the official run is not finite; ours is, and agrees with float64 as far as the note says
)
SMALLEST = float(np.nextafter(0.0, 1.0))
FAILED = (DIFFERENT, NOT_COMPARED)


@dataclasses.dataclass(frozen=True)
class Row:
    """One quantity of one recording in one precision."""

    recording: str
    quantity: str
    precision: str  # float64, float32, exact or distribution
    verdict: str  # one of those above
    error: float  # of ours against the truth, relative to its largest magnitude
    allowed: float
    official_error: float | None = None  # that of the official code, measured in the same way; None where it has none
    measure: str = "largest"  # or "rms", or the pool ("rms of unit 3"): what the numbers are of
    noise: float | None = None  # how far official float64 runs drift from each other, where these numbers were found
    where: dict[str, Any] | None = None  # row, step, gate, unit: of a departure the first, else of the largest error
    ours: float | None = None  # there
    theirs: float | None = None
    truth: float | None = None
    cause: str | None = None  # what the pattern of a departure suggests, or what was proven of it
    note: str = ""
    # By step, relative: [steps] our error; local in float32 [2, steps], the official error after ours; accumulated
    # [3, steps]: our error, the official spread so far, and what is allowed (NaN where a step is not judged).
    profile: np.ndarray | None = dataclasses.field(default=None, repr=False, compare=False)

    @property
    def used(self) -> float:
        """The share of the allowance that is used; more than 1 is a departure."""
        return 0.0 if self.error == 0 else self.error / self.allowed if self.allowed else float("inf")

    @property
    def ratio(self) -> float | None:
        """Our error over the official one; None where there is none, or it is zero."""
        return self.error / self.official_error if self.official_error else None

    @property
    def compared(self) -> bool:
        """Whether numbers were held against each other."""
        return self.verdict not in (UNTESTED, NOT_COMPARED)

    @classmethod
    def failed(cls, recording: str, quantity: str, precision: str, verdict: str, note: str) -> "Row":
        """A row without numbers, with the reason why it has none."""
        return cls(recording, quantity, precision, verdict, float("inf"), 0.0, note=note)

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        names = [field.name for field in dataclasses.fields(self) if field.name != "profile"]
        return {name: getattr(self, name) for name in names} | {"ratio": self.ratio}


def failures(rows: Iterable[Row]) -> list[Row]:
    """All rows that are different, or should have been compared and were not."""
    return [row for row in rows if row.verdict in FAILED]


def relative(error: float, scale: float) -> float:
    """Relative to the largest magnitude; where that is zero or infinite, any error is infinite. Only 0 becomes 0."""
    if error == 0:
        return 0.0
    return (error / scale or SMALLEST) if 0 < scale < float("inf") else float("inf")
