"""What the form of a recording may require of it: arrays with certain shapes, hyperparameters, a seed, a provenance.

Who wrote a provenance is not known, but reports show it and replays use it.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any, NoReturn

import numpy as np

from parity_tests.record.recording import Recording
from pytorch_sketch_rnn.errors import BadInput
from pytorch_sketch_rnn.hparams import LARGEST_NUMBER, LARGEST_SIZE
from weight_port.names import CELLS

Shape = tuple[int | None, ...]  # None: any length
LARGEST_SEED = 2**31 - 1  # a replay adds the number of a draw to it, and NumPy accepts up to 2**32 - 1
# The entries that the official side writes; those of other versions may lack some, and have others.
TEXTS = ("official", "machine", "processor", "vector instructions", "linear algebra", "checkpoint")
NUMBERS = ("cores", "threads", "seed")
TABLES = ("versions", "sha256", "environment")  # text by name
LISTS = ("command", "not sampled")  # of texts


class Requirements:
    """Requirements of one recording; each raises BadInput if it is not met."""

    def __init__(self, recording: Recording) -> None:
        self.recording, self.groups = recording, recording.groups
        self.hparams, self.provenance = recording.hparams, recording.provenance

    def refuse(self, problem: str) -> NoReturn:
        """Raise BadInput with the problem."""
        raise BadInput(f"recording {self.recording.name}: {problem}; record it again")

    def array(self, group: str, name: str, *shape: int | None) -> np.ndarray:
        """A required array, with axes of these lengths; None: any length."""
        value = self.groups[group].get(name)
        if value is None:
            self.refuse(f"lacks {group}/{name}")
        expected = ["any" if length is None else length for length in shape]
        if value.ndim != len(shape) or any(
            wanted not in (None, length) for wanted, length in zip(shape, value.shape, strict=True)
        ):
            self.refuse(f"{group}/{name} has the shape {list(value.shape)}, expected {expected}".replace("'", ""))
        return value

    def arrays(self, group: str, shapes: Mapping[str, Shape]) -> None:
        """Required arrays, each with its shape."""
        for name, shape in shapes.items():
            self.array(group, name, *shape)

    def claims(self, whole: Iterable[str] = (), real: Iterable[str] = ()) -> None:
        """Required hyperparameters: positive whole numbers, and numbers."""
        for name in whole:
            value = self.hparams.get(name)
            if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= LARGEST_SIZE:
                self.refuse(f"its hyperparameter {name} is {value!r}, expected a positive whole number")
        for name in real:
            value = self.hparams.get(name)
            if not isinstance(value, int | float) or not abs(value) <= LARGEST_NUMBER:  # false for NaN
                self.refuse(f"its hyperparameter {name} is {value!r}, expected a number")

    def cell(self, name: str) -> None:
        """A required hyperparameter that names a cell."""
        value = self.hparams.get(name)
        if not isinstance(value, str) or value not in CELLS:
            self.refuse(f"its hyperparameter {name} is {value!r}")

    def seed(self) -> None:
        """The seed, which a replay needs to draw the same numbers."""
        if not isinstance(self.provenance.get("seed"), int):
            self.refuse("lacks its seed")

    def same(self, group: str, other: str, names: Iterable[str]) -> None:
        """Both groups hold exactly these names, in the same shapes."""
        names = set(names)
        for name in sorted(names | set(self.groups[other])):
            if name not in names:
                self.refuse(f"{other}/{name} has no counterpart in {group}")
            self.array(other, name, *self.groups[group][name].shape)


def provenance_problem(provenance: Mapping[str, Any]) -> str | None:
    """What is wrong with a provenance, or None.

    Args:
        provenance: from JSON.
    """
    for name, value in provenance.items():
        if name in TEXTS and not isinstance(value, str):
            return f"its {name} is of another form, expected text"
        if name in NUMBERS and (isinstance(value, bool) or not isinstance(value, int) or value < 0):
            return f"its {name} is of another form, expected a whole number"
        if name in TABLES and not (isinstance(value, dict) and all(isinstance(text, str) for text in value.values())):
            return f"its {name} is of another form, expected texts by name"
        if name in LISTS and not (isinstance(value, list) and all(isinstance(text, str) for text in value)):
            return f"its {name} is of another form, expected a list of texts"
    if provenance.get("seed", 0) > LARGEST_SEED:
        return f"its seed is larger than {LARGEST_SEED}"
    return None


def is_unicode(claims: Any) -> bool:
    """Whether all text in claims can be written to a file; JSON can also name halves of surrogate pairs."""
    try:
        json.dumps(claims, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True
