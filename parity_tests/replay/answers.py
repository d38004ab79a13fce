"""What a port answered while it was driven through a recording, and which of its methods failed."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, Self

import numpy as np

from parity_tests.adapter import FAILURES, Adapter, Arrays, describe_error
from parity_tests.record.recording import Recording
from weight_port.names import ADAM_POWERS, CONSTANTS, GLOBAL_STEP

NO_ARRAYS = "expected a mapping of names to NumPy arrays"


def is_arrays(answer: Any) -> bool:
    """Whether an answer maps names to arrays."""
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
        """Call a method of the port, keep its answer under the prefix, and return the answer itself.

        Whatever the port raises is a failure of the port, not of the harness. NotImplementedError means that it does
        not offer the method.
        """
        try:
            answer = call()
        except NotImplementedError as error:
            self.untested[method] = str(error) or "the port does not offer it"
            return {}
        except FAILURES as error:
            self.broken[method] = describe_error(error)
            return {}
        if not is_arrays(answer):
            self.broken[method] = NO_ARRAYS
            return {}
        if lacking := [name for name in required if name not in answer]:
            self.broken[method] = f"the answer lacks {', '.join(lacking)}"
        # copies, because a port may write its next answer into the same arrays
        self.arrays |= {prefix + name: np.array(value) for name, value in answer.items()}
        return answer

    def absorb(self, other: Self) -> None:
        """Add everything that another object holds."""
        self.arrays |= other.arrays
        self.broken |= other.broken
        self.untested |= other.untested


class Replay:
    """A port that is driven through one recording in one precision, and what it has answered so far.

    What the methods return is a new copy each time, because a port may change its arguments in place.
    """

    def __init__(self, recording: Recording, precision: str, port: Adapter) -> None:
        self.recording, self.precision, self.port = recording, precision, port
        self.hparams, self.inputs, self.official = recording.hparams, recording["inputs"], recording[precision]
        self.answers = Answers()

    @property
    def conditional(self) -> bool:
        """Whether the model has an encoder."""
        return bool(self.hparams["conditional"])

    def sketches(self) -> np.ndarray:
        """Stroke-5 with the start token [B, T + 1, 5], in the precision."""
        return self.inputs["sketches"].astype(self.precision)

    def draws(self) -> Arrays:
        """Latent noise and masks, in the precision."""
        return {name: value.astype(self.precision) for name, value in self.recording["draws"].items()}

    def latent_noise(self) -> Arrays:
        """Latent noise alone: all dropout is off."""
        return {"latent": self.recording["draws"]["latent"].astype(self.precision)}


def in_precision(variables: Mapping[str, np.ndarray], precision: str) -> Arrays:
    """Variables in a precision, except for the step, and for Adam's powers, which are always float32."""
    scalars = {GLOBAL_STEP, *ADAM_POWERS, *CONSTANTS}
    return {name: value if name in scalars else value.astype(precision) for name, value in variables.items()}
