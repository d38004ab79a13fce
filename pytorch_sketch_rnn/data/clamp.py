"""How many offsets Magenta's data loader clamps, which spoils a set of large offsets.

Source: Magenta ``utils.py`` (``DataLoader``), which limits every offset to +-1000.
"""

import numpy as np

from pytorch_sketch_rnn.data.magenta_loader import LIMIT


class ClampCount:
    """Counts offsets and those beyond the limit, sketch by sketch."""

    def __init__(self) -> None:
        self.offsets = 0
        self.beyond = 0

    def add(self, sketch: np.ndarray) -> None:
        """Include the dx and dy of stroke-3 [n, 3]."""
        offsets = sketch[:, :2]
        self.offsets += offsets.size
        self.beyond += int(((offsets > LIMIT) | (offsets < -LIMIT)).sum())

    def warning(self) -> str | None:
        """A line that says which share of the offsets is clamped; None if none is."""
        if not self.beyond:
            return None
        share = 100 * self.beyond / self.offsets
        return (
            f"{share:.1f} % of the offsets ({self.beyond:,}) are beyond +-{LIMIT} and are clamped to it, as in "
            "Magenta; scale the drawings to some hundred units"
        )
