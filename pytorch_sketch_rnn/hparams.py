"""Hyperparameters under Magenta's names and defaults, and ``model_config.json``.

Source: Magenta ``model.py`` (``get_default_hparams``) and ``sketch_rnn_train.py`` (``load_model``, ``trainer``).
"""

import dataclasses
import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

from pytorch_sketch_rnn.errors import BadInput

CELL_TYPES = ("lstm", "layer_norm", "hyper")
SCALE_FACTOR = "scale_factor"  # the key in config.json of a saved model that is not a hyperparameter
LARGEST_NUMBER = 1e30  # float32 must hold it
LARGEST_SIZE = 1_000_000  # beyond it a size is a mistake, and products of sizes leave 64 bits


@dataclasses.dataclass(frozen=True, kw_only=True)
class HParams:
    """All that shapes a model and its training. Every ``*_dropout_prob`` is a KEEP probability, as in Magenta.

    The two ``hyper_*`` sizes are fixed in Magenta's ``model.py`` (they are arguments of its ``HyperLSTMCell``); they
    stand here so that a model built with others can be held as well.
    """

    data_set: tuple[str, ...] = ("aaron_sheep.npz",)  # file names below the data folder
    num_steps: int = 10_000_000  # training steps in all
    save_every: int = 500  # steps between two validations
    max_seq_len: int = 250  # points a sketch is padded to; the loss is a mean over all of them
    dec_rnn_size: int = 512  # units of the decoder
    dec_model: str = "lstm"  # cell of the decoder
    enc_rnn_size: int = 256  # units of the encoder, each direction
    enc_model: str = "lstm"  # cell of the encoder
    z_size: int = 128  # size of the latent vector
    kl_weight: float = 0.5  # weight of the KL cost that the schedule approaches
    kl_weight_start: float = 0.01  # weight of the KL cost at step 0
    kl_tolerance: float = 0.2  # floor of the KL cost, below which it has no gradient
    batch_size: int = 100  # sketches a step
    grad_clip: float = 1.0  # bound of each element of each gradient
    num_mixture: int = 20  # components of the mixture density
    learning_rate: float = 0.001  # at step 0
    decay_rate: float = 0.9999  # of the learning rate, a step
    kl_decay_rate: float = 0.99995  # of the distance to kl_weight, a step
    min_learning_rate: float = 0.00001  # what the learning rate approaches
    use_recurrent_dropout: bool = True  # on the candidate of each cell, encoder and decoder
    recurrent_dropout_prob: float = 0.90
    use_input_dropout: bool = False  # on the decoder's input
    input_dropout_prob: float = 0.90
    use_output_dropout: bool = False  # on the decoder's output
    output_dropout_prob: float = 0.90
    random_scale_factor: float = 0.15  # augmentation: each axis is scaled by 1 +- this
    augment_stroke_prob: float = 0.10  # augmentation: probability of dropping a point
    conditional: bool = True  # False: a decoder without encoder and latent vector
    is_training: bool = True  # True: the pen loss also counts the padding
    hyper_num_units: int = 256  # units of the inner cell of each HyperLSTM
    hyper_embedding_size: int = 32  # signals from the inner to the outer cell

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            object.__setattr__(self, field.name, checked(field, getattr(self, field.name)))
        for name in ("enc_model", "dec_model"):
            if getattr(self, name) not in CELL_TYPES:
                raise BadInput(f"{name} is {getattr(self, name)!r}, expected one of {', '.join(CELL_TYPES)}")
        for names, holds, expected in _RANGES:
            for name in names:
                if not holds(getattr(self, name)):
                    raise BadInput(f"{name} is {getattr(self, name)}, expected {expected}")

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """From names and values; names not given take Magenta's default.

        Booleans may be given as 0/1, and ``data_set`` as one string, as in the official archive.

        Raises:
            BadInput: for an unknown name or a value of the wrong kind.
        """
        known = {field.name for field in dataclasses.fields(cls)}
        unknown = sorted(set(values) - known)
        if unknown:
            raise BadInput(f"unknown hyperparameter {', '.join(unknown)}; known are {', '.join(sorted(known))}")
        return cls(**values)

    def to_dict(self) -> dict[str, Any]:
        """All values, ready for JSON."""
        return dataclasses.asdict(self) | {"data_set": list(self.data_set)}

    def replace(self, **changes: Any) -> Self:
        """A copy with some values changed."""
        return dataclasses.replace(self, **changes)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read the hyperparameters in a JSON file: ``config.json`` of a saved model or Magenta's ``model_config.json``.

        The ``scale_factor`` of a saved model is skipped: it is not a hyperparameter.

        Raises:
            BadInput: when the file is missing, is not such a dict, or holds an unknown name or a wrong value.
        """
        values = read_config(path)
        values.pop(SCALE_FACTOR, None)
        try:
            return cls.from_dict(values)
        except BadInput as error:
            raise BadInput(f"{path}: {error}") from None

    def save(self, path: Path, more: Mapping[str, Any] | None = None) -> None:
        """Write a JSON file in the one form (true/false) that today's official ``load_model`` accepts.

        The two ``hyper_*`` sizes are left out at their defaults: Magenta does not know them.

        Args:
            path: of the file.
            more: names and values that are written after the hyperparameters; Magenta would refuse them.
        """
        defaults = HParams()
        extra = {n for n in ("hyper_num_units", "hyper_embedding_size") if getattr(self, n) == getattr(defaults, n)}
        values = {name: value for name, value in self.to_dict().items() if name not in extra} | dict(more or {})
        Path(path).write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")


def read_config(path: Path) -> dict[str, Any]:
    """The names and values in a JSON file of hyperparameters, not yet checked.

    Raises:
        BadInput: when the file is missing, or does not hold a dict.
    """
    try:
        values = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise BadInput(f"{path}: cannot be read ({error.strerror}); expected a JSON file of hyperparameters") from None
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{path}: expected JSON, but {error}") from None
    if isinstance(values, list):
        raise BadInput(
            f"{path}: holds a list of names without values, as Magenta's trainer writes today; "
            "convert the model with weight_port, which infers the values from the weights"
        )
    if not isinstance(values, dict):
        raise BadInput(f"{path}: expected a JSON dict of hyperparameters, found {type(values).__name__}")
    return values


_RANGES: tuple[tuple[tuple[str, ...], Callable[[float], bool], str], ...] = (
    (("num_steps", "save_every"), lambda value: value >= 1, "at least 1"),
    (
        (
            "max_seq_len", "dec_rnn_size", "enc_rnn_size", "z_size", "batch_size", "num_mixture", "hyper_num_units",
            "hyper_embedding_size",
        ),
        lambda value: 1 <= value <= LARGEST_SIZE,
        f"1 to {LARGEST_SIZE}",
    ),
    (
        ("recurrent_dropout_prob", "input_dropout_prob", "output_dropout_prob"),
        lambda value: 0 < value <= 1,
        "a keep probability in (0, 1]",
    ),
    (("decay_rate", "kl_decay_rate"), lambda value: 0 < value <= 1, "a number in (0, 1]"),
    (("grad_clip", "learning_rate"), lambda value: 0 < value <= LARGEST_NUMBER, "a positive number up to 1e30"),
    (
        ("min_learning_rate", "kl_tolerance", "kl_weight", "kl_weight_start"),
        lambda value: 0 <= value <= LARGEST_NUMBER,
        "at least 0, up to 1e30",
    ),
    (("augment_stroke_prob", "random_scale_factor"), lambda value: 0 <= value <= 1, "a number in [0, 1]"),
)  # fmt: skip


def checked(field: dataclasses.Field, value: Any) -> Any:
    """The value of a field of a dataclass, in its type; raises BadInput where it has another meaning."""
    if field.type is bool and isinstance(value, int) and value in (0, 1):
        return bool(value)
    if field.type is int and isinstance(value, int) and not isinstance(value, bool):
        return value
    if field.type is float and isinstance(value, int | float) and not isinstance(value, bool) and _is_finite(value):
        return float(value)
    if field.type is str and isinstance(value, str):
        return value
    if field.name == "data_set":
        names = (value,) if isinstance(value, str) else value
        if isinstance(names, list | tuple) and names and all(isinstance(name, str) for name in names):
            return tuple(names)
    expected = {bool: "true or false", int: "a whole number", float: "a finite number", str: "a string"}
    raise BadInput(f"{field.name} is {value!r}, expected {expected.get(field.type, 'a list of file names')}")


def _is_finite(value: int | float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number too large for a float
        return False
