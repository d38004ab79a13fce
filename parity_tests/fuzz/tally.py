"""The score of a fuzz test: what became of the mutants of one kind."""

import dataclasses
import statistics
from collections import Counter
from typing import Any

from parity_tests.fuzz.server import Result

_MIB = 2**20


@dataclasses.dataclass
class Tally:
    """Counts the results of one kind."""

    accepted: int = 0
    lines: Counter[str] = dataclasses.field(default_factory=Counter)  # error lines without names and numbers
    faults: Counter[str] = dataclasses.field(default_factory=Counter)
    seconds: list[float] = dataclasses.field(default_factory=list)
    memory: int = 0

    def add(self, result: Result) -> None:
        """Count a result."""
        if result.fault is not None:
            self.faults[result.fault] += 1
        elif result.message:
            self.lines[result.message] += 1
        else:
            self.accepted += 1
        self.seconds.append(result.ended.seconds)
        self.memory = max(self.memory, result.ended.memory)

    def to_dict(self) -> dict[str, Any]:
        """The counts, ready for JSON."""
        return {
            "mutants": len(self.seconds),
            "accepted": self.accepted,
            "refused": self.lines.total(),
            "lines": len(self.lines),
            "commonest": max(self.lines.values(), default=0),
            "faults": dict(self.faults),
            "median_seconds": round(statistics.median(self.seconds), 3) if self.seconds else 0,
            "longest_seconds": round(max(self.seconds, default=0), 2),
            "memory_mib": self.memory // _MIB,
        }
