"""A row: one quantity of one recording in one precision, and its verdict."""

import dataclasses
from collections.abc import Iterable
from typing import Any

import numpy as np

EQUAL = "equal"
DIFFERENT = "different"
NOT_COMPARED = "not compared"  # the port or the recording lacks it: a failure
UNTESTED = "untested"  # the port does not offer it: not proven
NOT_JUDGED = "not judged"  # the official code drifts too far from itself to prove anything
OVERFLOW = "official overflow"  # the official run is not finite; ours is, and the note says what it was compared with
SMALLEST = float(np.nextafter(0.0, 1.0))
FAILED = (DIFFERENT, NOT_COMPARED)


@dataclasses.dataclass(frozen=True)
class Row:
    """One quantity of one recording in one precision."""

    recording: str
    quantity: str
    precision: str  # float64, float32, exact or distribution
    verdict: str  # one of the constants above
    error: float  # of ours against the truth, relative to its largest magnitude
    allowed: float
    official_error: float | None = None  # the official error, measured in the same way; None if there is none
    measure: str = "largest"  # the norm of these errors: "largest", "rms", or that of a pool ("rms of unit 3")
    noise: float | None = None  # spread of official float64 runs at the same place
    where: dict[str, Any] | None = None  # row, step, gate, unit of the first departure, or else of the largest error
    ours: float | None = None  # the numbers at that place
    theirs: float | None = None
    truth: float | None = None
    cause: str | None = None  # the likely cause of a departure, or the proven one
    note: str = ""
    # Relative errors by step. [steps]: ours. Local in float32 [2, steps]: ours, official. Accumulated [3, steps]: ours,
    # the official spread up to that step, and what is allowed (NaN where a step is not judged).
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
        """Whether numbers were compared."""
        return self.verdict not in (UNTESTED, NOT_COMPARED)

    @classmethod
    def failed(cls, recording: str, quantity: str, precision: str, verdict: str, note: str) -> "Row":
        """A row without numbers, and the reason why it has none."""
        return cls(recording, quantity, precision, verdict, float("inf"), 0.0, note=note)

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        names = [field.name for field in dataclasses.fields(self) if field.name != "profile"]
        return {name: getattr(self, name) for name in names} | {"ratio": self.ratio}


def failures(rows: Iterable[Row]) -> list[Row]:
    """All rows that are different or not compared."""
    return [row for row in rows if row.verdict in FAILED]


def relative(error: float, scale: float) -> float:
    """An error relative to the largest magnitude; infinite if that is 0 or infinite, except that 0 stays 0."""
    if error == 0:
        return 0.0
    return (error / scale or SMALLEST) if 0 < scale < float("inf") else float("inf")
