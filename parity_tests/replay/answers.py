"""What a port answered, and how it failed to."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, Self

import numpy as np

from parity_tests.adapter import FAILURES, Arrays, told
from weight_port.names import ADAM_POWERS, CONSTANTS, GLOBAL_STEP

NO_ARRAYS = "expected a mapping of names to NumPy arrays"


def is_arrays(answer: Any) -> bool:
    """Whether a method answered what the harness can compare."""
    return isinstance(answer, Mapping) and all(
        isinstance(name, str) and isinstance(value, np.ndarray | np.generic) for name, value in answer.items()
    )


@dataclasses.dataclass
class Answers:
    """What a port answered."""

    arrays: Arrays = dataclasses.field(default_factory=dict)
    broken: dict[str, str] = dataclasses.field(default_factory=dict)  # method -> how it failed
    untested: dict[str, str] = dataclasses.field(default_factory=dict)  # method -> why

    def take(self, method: str, call: Callable[[], Arrays], required: tuple[str, ...], prefix: str = "") -> Arrays:
        """Ask the port; what it answers is kept under the prefix, and returned as it is.

        A port may raise what it likes: that is a failure of the port, not of the harness.
        """
        try:
            answer = call()
        except NotImplementedError as error:
            self.untested[method] = str(error) or "the port does not offer it"
            return {}
        except FAILURES as error:
            self.broken[method] = told(error)
            return {}
        if not is_arrays(answer):
            self.broken[method] = NO_ARRAYS
            return {}
        if lacking := [name for name in required if name not in answer]:
            self.broken[method] = f"the answer lacks {', '.join(lacking)}"
        # copies, for a port may write its next answer into the same arrays
        self.arrays |= {prefix + name: np.array(value) for name, value in answer.items()}
        return answer

    def absorb(self, other: Self) -> None:
        """Add what another one holds."""
        self.arrays |= other.arrays
        self.broken |= other.broken
        self.untested |= other.untested


def in_precision(variables: Mapping[str, np.ndarray], precision: str) -> Arrays:
    """Variables in a precision, but for the step, and for the powers, which are float32 always."""
    scalars = {GLOBAL_STEP, *ADAM_POWERS, *CONSTANTS}
    return {name: value if name in scalars else value.astype(precision) for name, value in variables.items()}
