"""Records named intermediate tensors."""

from typing import Self

import torch
from torch import Tensor


class Tape:
    """Records tensors by name: ``tape(i=i, j=j)``.

    ``scope("hyper_ix")`` returns a tape that adds to the same record under ``hyper_ix/``. :meth:`stacked` stacks what a
    cell recorded at each step of a sequence.
    """

    enabled = True

    def __init__(self, prefix: str = "", record: dict[str, list[Tensor]] | None = None) -> None:
        self.prefix = prefix
        self.record: dict[str, list[Tensor]] = {} if record is None else record

    def __call__(self, **tensors: Tensor) -> None:
        """Record tensors by name."""
        for name, tensor in tensors.items():
            self.record.setdefault(self.prefix + name, []).append(tensor)

    def scope(self, name: str) -> "Tape":
        """A tape that adds to the same record, with names that begin with ``name/``."""
        return type(self)(f"{self.prefix}{name}/", self.record)

    def steps(self) -> Self:
        """An empty tape of the same kind, for the steps of a sequence."""
        return type(self)()

    def stacked(self) -> dict[str, Tensor]:
        """What the steps recorded, [B, ...] each, as [B, T, ...]."""
        return {name: torch.stack(values, dim=1) for name, values in self.record.items()}

    def values(self) -> dict[str, Tensor]:
        """The recorded tensors by name.

        Raises:
            ValueError: when a name was recorded more than once.
        """
        twice = [name for name, values in self.record.items() if len(values) != 1]
        if twice:
            raise ValueError(f"recorded more than once: {', '.join(twice)}; use a fresh tape for each computation")
        return {name: values[0] for name, values in self.record.items()}


class _NoTape(Tape):
    """A tape that records nothing, so that callers need no case without a tape."""

    enabled = False

    def __call__(self, **tensors: Tensor) -> None:
        pass

    def scope(self, name: str) -> Self:
        return self

    def steps(self) -> Self:
        return self


NO_TAPE = _NoTape()
