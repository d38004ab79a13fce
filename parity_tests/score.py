"""The mutation score, as ``make mutants`` left it: how small a bug each part of the harness has been seen to catch."""

import dataclasses
import json
from pathlib import Path
from typing import Any, Self

from parity_tests.recording import FOLDER
from pytorch_sketch_rnn.errors import BadInput

FILE = "mutants.json"


@dataclasses.dataclass(frozen=True)
class Score:
    """How many planted bugs were caught, and for each part the smallest one that showed in it."""

    planted: int
    killed: int
    located: int  # of the killed ones, those where the harness named the right part
    smallest: dict[str, dict[str, Any]]  # part -> {"bug": name, "effect": relative error in float64}

    def summary(self) -> dict[str, Any]:
        """For JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def load(cls, path: Path | None = None) -> Self | None:
        """The committed score, or None where there is none.

        Raises:
            BadInput: when the file is not what ``make mutants`` writes.
        """
        path = FOLDER / FILE if path is None else path
        if not path.is_file():
            return None
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            score = cls(**{field.name: content[field.name] for field in dataclasses.fields(cls)})
            for bug in score.smallest.values():
                if not (isinstance(bug["effect"], float) and 0 < bug["effect"] < float("inf")):
                    raise ValueError(f"an effect of {bug['effect']!r}")
            return score
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise BadInput(f"{path}: expected the score that `make mutants` writes, but {error!r}") from None
