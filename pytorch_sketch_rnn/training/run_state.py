"""What ``training.json`` records of a run beside its weights: step, seed, best model, data and environment."""

import dataclasses
import math
import platform
import zlib
from typing import Any, Self

import numpy as np
import torch

from pytorch_sketch_rnn.data.batches import Sets
from pytorch_sketch_rnn.model.draws import DRAWS
from pytorch_sketch_rnn.training.trainer import Trainer


@dataclasses.dataclass(frozen=True)
class Best:
    """The model of the lowest validation cost so far; before the first validation, step 0 with infinite costs."""

    step: int = 0
    valid_cost: float = math.inf
    test_cost: float = math.inf

    def to_dict(self) -> dict[str, float | None]:
        """The values, ready for JSON, which has no infinity: a cost that is not finite becomes None."""
        return {name: value if math.isfinite(value) else None for name, value in dataclasses.asdict(self).items()}

    @classmethod
    def from_dict(cls, values: Any) -> Self:
        """The inverse of :meth:`to_dict`; None becomes infinity.

        Raises:
            ValueError: for values of another form.
        """
        names = {field.name for field in dataclasses.fields(cls)}
        if not isinstance(values, dict) or values.keys() != names or type(values["step"]) is not int:
            raise ValueError(values)
        if not all(value is None or type(value) in (int, float) for value in values.values()):
            raise ValueError(values)
        known: dict[str, Any] = {name: math.inf if value is None else value for name, value in values.items()}
        return cls(**known)


def run_state(trainer: Trainer, best: Best) -> dict[str, Any]:
    """Everything that a resumed run needs beside weights and optimizer, ready for JSON."""
    return {
        "step": trainer.steps_done,
        "seed": trainer.options.seed,
        "draws": DRAWS,
        "best": best.to_dict(),
        "data": fingerprint(trainer.sets),
    } | environment(trainer)


def fingerprint(sets: Sets) -> dict[str, Any]:
    """Identify the data of a run: sizes, longest sketch, scale factor, and a checksum of 64 sketches of each split."""
    sizes = {split: len(getattr(sets, split)) for split in ("train", "valid", "test")}
    some = b""
    for split in (sets.train, sets.valid, sets.test):
        for place in np.linspace(0, len(split) - 1, 64).astype(int).tolist():
            with np.errstate(over="ignore"):  # training clamps what float32 cannot hold
                some += np.asarray(split.sketches[place], np.float32).tobytes()
    scale = {"max_seq_len": sets.hparams.max_seq_len, "scale_factor": float(sets.train.scale_factor)}
    return sizes | scale | {"crc32_of_some": zlib.crc32(some)}


def environment(trainer: Trainer) -> dict[str, Any]:
    """What may change the rounding of a run: device, backend, CPU, threads, processes and library versions."""
    return {
        "device": trainer.model.decoder.output_w.device.type,
        "backend": trainer.model.usable_backend().name,
        "vector level": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        "processes": trainer.group.size,
        "versions": {"torch": torch.__version__, "numpy": np.__version__, "python": platform.python_version()},
    }
