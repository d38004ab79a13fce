"""What ``make bench`` times: models at default sizes, and how our code computes them."""

import dataclasses
from typing import Any

# How our code computes sequences, in the words of the tables.
BACKENDS = {
    "fast": "auto",  # the default: what a user gets on this machine
    "without a compiler": "fused:aten",
    "reference": "reference",  # the loop that reads as the equations
}


@dataclasses.dataclass(frozen=True)
class Case:
    """One model that both sides train.

    Attributes:
        name: in the tables.
        hparams: hyperparameters that differ from Magenta's defaults.
        sampling: whether sampling is timed as well.
        backends: the keys of :data:`BACKENDS` that are timed.
    """

    name: str
    hparams: dict[str, Any]
    sampling: bool = False
    backends: tuple[str, ...] = tuple(BACKENDS)


def cases(steps: int, batch: int) -> list[Case]:
    """The cases of the whole benchmark.

    Args:
        steps: points of the longest sketch.
        batch: sketches in a batch.
    """
    sizes = {"max_seq_len": steps, "batch_size": batch}
    both = ("fast", "reference")
    return [
        Case("layer_norm", sizes | {"dec_model": "layer_norm"}, sampling=True),
        Case("lstm", sizes | {"dec_model": "lstm"}, sampling=True, backends=both),
        Case("hyper", sizes | {"dec_model": "hyper"}, sampling=True),
        Case(
            "layer_norm, encoder too",
            sizes | {"dec_model": "layer_norm", "enc_model": "layer_norm"},
            backends=both,
        ),
        Case(
            f"layer_norm, {2 * steps - 6} points",
            sizes | {"dec_model": "layer_norm", "max_seq_len": 2 * steps - 6},
            backends=("fast",),
        ),
    ]
