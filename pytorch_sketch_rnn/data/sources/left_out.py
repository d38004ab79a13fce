"""What is left out of a stroke set: drawings, parts of drawings, and files."""

from collections import Counter

_NAMED = 5  # odd files; more would hide the rest of the output


class LeftOut(Counter[str]):
    """Numbers of the drawings that are left out, by reason.

    Attributes:
        parts: numbers of the drawings without a part that is not drawn, such as ``"text"``, by the name of the part.
        odd_files: number of files that cannot be drawn.
        odd: the messages of the first of them.
    """

    def __init__(self) -> None:
        super().__init__()
        self.parts: Counter[str] = Counter()
        self.odd_files = 0
        self.odd: list[str] = []

    def __bool__(self) -> bool:
        return bool(len(self) or self.parts or self.odd_files)

    def add_odd_file(self, message: str) -> None:
        """Count a file that cannot be drawn; ``message`` names it and says why."""
        self.odd_files += 1
        if len(self.odd) < _NAMED:
            self.odd.append(message)

    def listed(self) -> str:
        """All of it in a line, for messages."""
        found = [f"{number:,} {reason}" for reason, number in self.items()]
        if self.odd_files:
            found.append(f"{self.odd_files:,} odd file{'s' * (self.odd_files > 1)}")
        found += [f"{part} of {number:,} drawing{'s' * (number > 1)}" for part, number in self.parts.items()]
        return ", ".join(found) or "none"

    def explained(self) -> str:
        """The same with the message of the first odd file."""
        return "; ".join([self.listed(), *self.odd[:1]])
