"""The answer to why a quantity departs."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Cause:
    """A proven cause of a departure."""

    bugs: tuple[str, ...]  # their names in the catalogue; several are planted together
    sentence: str  # what the port does wrong, for its author
    residual: float  # difference between the port and the reference with the bugs, relative to the largest magnitude
    departure: float  # the same between the port and the official code; infinite where the shapes differ
    alternatives: tuple[tuple[str, ...], ...] = ()  # other bugs that give the same numbers in everything that departs

    @property
    def named(self) -> str:
        """The sentence, and the names of other bugs that give the same numbers."""
        return self.sentence + "".join(f"; or: {' and '.join(bugs)}" for bugs in self.alternatives)

    def __str__(self) -> str:
        return f"{self.named} (with it the reference gives these numbers to {self.residual:.1e})"
