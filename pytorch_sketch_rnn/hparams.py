"""Hyperparameters under Magenta's names and defaults, and ``model_config.json``.

Source: Magenta ``model.py`` (``get_default_hparams``) and ``sketch_rnn_train.py`` (``load_model``, ``trainer``).
"""

import dataclasses
import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Self

from pytorch_sketch_rnn.errors import BadInput, Refused, enumerated, excerpt, naming
from pytorch_sketch_rnn.json_file import read_json

CELL_TYPES = ("lstm", "layer_norm", "hyper")
HYPER_SIZES = ("hyper_num_units", "hyper_embedding_size")  # in Magenta arguments of the cell, not hyperparameters
EPSILON = "layer_norm_epsilon"  # in Magenta a number in the code
OURS_ALONE = (*HYPER_SIZES, EPSILON)  # names that Magenta would refuse
SCALE_FACTOR = "scale_factor"  # the only key in a saved model's config.json that is not a hyperparameter
LARGEST_NUMBER = 1e30  # must be finite in float32
LARGEST_SIZE = 1_000_000  # a larger size is a mistake, and products of such sizes overflow 64 bits


class Range(NamedTuple):
    """Which values of a hyperparameter are allowed."""

    allows: Callable[[Any], bool]
    expected: str  # the same, in words for error messages


_CELL = Range(lambda value: value in CELL_TYPES, f"one of {', '.join(CELL_TYPES)}")
_SIZE = Range(lambda value: 1 <= value <= LARGEST_SIZE, f"1 to {LARGEST_SIZE}")
_COUNT = Range(lambda value: value >= 1, "at least 1")
_KEEP_PROBABILITY = Range(lambda value: 0 < value <= 1, "a keep probability in (0, 1]")
_DECAY = Range(lambda value: 0 < value <= 1, "a number in (0, 1]")
_POSITIVE = Range(lambda value: 0 < value <= LARGEST_NUMBER, "a positive number up to 1e30")
_EPSILON = Range(lambda value: 1e-12 <= value <= 1, "1e-12 to 1")  # less would be lost beside a variance in float32
_NOT_NEGATIVE = Range(lambda value: 0 <= value <= LARGEST_NUMBER, "at least 0, up to 1e30")
_FRACTION = Range(lambda value: 0 <= value <= 1, "a number in [0, 1]")


def _hyperparameter(default: Any, description: str, allowed: Range | None = None, *, shape: bool = False) -> Any:
    """A field of :class:`HParams`.

    Args:
        default: Magenta's default.
        description: one line for help texts.
        allowed: the allowed range among values of the right type; None allows all.
        shape: whether a model's parameters, or their shapes, depend on it.
    """
    return dataclasses.field(default=default, metadata={"description": description, "range": allowed, "shape": shape})


@dataclasses.dataclass(frozen=True, kw_only=True)
class HParams:
    """The hyperparameters of a model and its training. Every ``*_dropout_prob`` is a KEEP probability, as in Magenta.

    The two ``hyper_*`` sizes are fixed in Magenta's ``model.py`` (they are arguments of its ``HyperLSTMCell``), and
    ``layer_norm_epsilon`` in its ``rnn.py``. They are fields here, so that other models can be loaded too.

    Attributes:
        SHAPE: the hyperparameters on which a model's parameters, or their shapes, depend.
        OF_A_MODEL: these, and those that change what it computes with its parameters, dropout aside.
        DESCRIPTION: a line on each hyperparameter, for help texts.
    """

    SHAPE: ClassVar[tuple[str, ...]]
    OF_A_MODEL: ClassVar[tuple[str, ...]]
    DESCRIPTION: ClassVar[Mapping[str, str]]

    data_set: tuple[str, ...] = _hyperparameter(("aaron_sheep.npz",), "file names of the stroke sets")
    num_steps: int = _hyperparameter(10_000_000, "number of training steps", _COUNT)
    save_every: int = _hyperparameter(500, "steps between two validations, each with a checkpoint", _COUNT)
    max_seq_len: int = _hyperparameter(250, "points that a sketch is padded to; the loss averages over them all", _SIZE)
    dec_rnn_size: int = _hyperparameter(512, "units of the decoder", _SIZE, shape=True)
    dec_model: str = _hyperparameter("lstm", f"cell of the decoder: {', '.join(CELL_TYPES)}", _CELL, shape=True)
    enc_rnn_size: int = _hyperparameter(256, "units of the encoder, per direction", _SIZE, shape=True)
    enc_model: str = _hyperparameter("lstm", f"cell of the encoder: {', '.join(CELL_TYPES)}", _CELL, shape=True)
    z_size: int = _hyperparameter(128, "size of the latent vector", _SIZE, shape=True)
    kl_weight: float = _hyperparameter(0.5, "KL weight that the schedule approaches", _NOT_NEGATIVE)
    kl_weight_start: float = _hyperparameter(0.01, "KL weight at step 0", _NOT_NEGATIVE)
    kl_tolerance: float = _hyperparameter(
        0.2, "floor of the KL cost; below it the KL cost has no gradient", _NOT_NEGATIVE
    )
    batch_size: int = _hyperparameter(100, "sketches per step", _SIZE)
    grad_clip: float = _hyperparameter(1.0, "bound on each element of each gradient", _POSITIVE)
    num_mixture: int = _hyperparameter(20, "components of the mixture density", _SIZE, shape=True)
    learning_rate: float = _hyperparameter(0.001, "learning rate at step 0", _POSITIVE)
    decay_rate: float = _hyperparameter(0.9999, "decay per step of the learning rate's distance to its minimum", _DECAY)
    kl_decay_rate: float = _hyperparameter(0.99995, "decay per step of the KL weight's distance to kl_weight", _DECAY)
    min_learning_rate: float = _hyperparameter(0.00001, "learning rate that the schedule approaches", _NOT_NEGATIVE)
    use_recurrent_dropout: bool = _hyperparameter(True, "dropout on each cell's candidate, in encoder and decoder")
    recurrent_dropout_prob: float = _hyperparameter(0.90, "its keep probability", _KEEP_PROBABILITY)
    use_input_dropout: bool = _hyperparameter(False, "dropout on the decoder's input")
    input_dropout_prob: float = _hyperparameter(0.90, "its keep probability", _KEEP_PROBABILITY)
    use_output_dropout: bool = _hyperparameter(False, "dropout on the decoder's output")
    output_dropout_prob: float = _hyperparameter(0.90, "its keep probability", _KEEP_PROBABILITY)
    random_scale_factor: float = _hyperparameter(0.15, "augmentation: scale each axis by 1 +- this", _FRACTION)
    augment_stroke_prob: float = _hyperparameter(0.10, "augmentation: probability of dropping a point", _FRACTION)
    conditional: bool = _hyperparameter(True, "false: a decoder alone, no encoder or latent vector", shape=True)
    is_training: bool = _hyperparameter(True, "true: the pen loss also counts the padding")
    hyper_num_units: int = _hyperparameter(256, "units of each HyperLSTM's inner cell", _SIZE, shape=True)
    hyper_embedding_size: int = _hyperparameter(
        32, "signals from a HyperLSTM's inner cell to its outer cell", _SIZE, shape=True
    )
    layer_norm_epsilon: float = _hyperparameter(0.001, "added to the variance in each layer norm", _EPSILON)

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = coerce(field, getattr(self, field.name))
            allowed = field.metadata["range"]
            if allowed is not None and not allowed.allows(value):
                raise Refused(f"{field.name} is {excerpt(value)}, expected {allowed.expected}", name=field.name)
            object.__setattr__(self, field.name, value)

    @property
    def cells(self) -> dict[str, str]:
        """The kinds of the model's cells, by hyperparameter; an unconditional model has no encoder."""
        encoder = {"enc_model": self.enc_model} if self.conditional else {}
        return {"dec_model": self.dec_model, **encoder}

    @property
    def not_magentas(self) -> dict[str, Any]:
        """The values that Magenta's code cannot have, of those in ``OURS_ALONE`` that the model's cells depend on."""
        kinds, defaults = set(self.cells.values()), HParams()
        counted = (*(HYPER_SIZES if "hyper" in kinds else ()), *((EPSILON,) if kinds != {"lstm"} else ()))
        return {name: getattr(self, name) for name in counted if getattr(self, name) != getattr(defaults, name)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Build from names and values; missing names take Magenta's defaults.

        Booleans may be given as 0/1, and ``data_set`` as one string, as in Magenta's published models.

        Raises:
            BadInput: for an unknown name, or a value of the wrong type or outside its range.
        """
        known = {field.name for field in dataclasses.fields(cls)}
        unknown = sorted(set(values) - known)
        if unknown:
            raise Refused(f"unknown hyperparameter {enumerated(unknown)}; known are {', '.join(sorted(known))}")
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
            BadInput: when the file is missing, is not a JSON dict, or holds an unknown name or an invalid value.
        """
        values = read_config(path)
        values.pop(SCALE_FACTOR, None)
        with naming(path):
            return cls.from_dict(values)

    def save(self, path: Path, more: Mapping[str, Any] | None = None) -> None:
        """Write a JSON file with booleans as true/false, the only form that the current official ``load_model`` reads.

        The two ``hyper_*`` sizes and ``layer_norm_epsilon`` are left out if they have their defaults: Magenta does not
        know them.

        Args:
            path: the file to write.
            more: further names and values, written after the hyperparameters; Magenta would reject them.
        """
        defaults = HParams()
        extra = {name for name in OURS_ALONE if getattr(self, name) == getattr(defaults, name)}
        values = {name: value for name, value in self.to_dict().items() if name not in extra} | dict(more or {})
        Path(path).write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")


HParams.SHAPE = tuple(field.name for field in dataclasses.fields(HParams) if field.metadata["shape"])
HParams.OF_A_MODEL = (*HParams.SHAPE, EPSILON)
HParams.DESCRIPTION = {field.name: field.metadata["description"] for field in dataclasses.fields(HParams)}


def read_config(path: Path) -> dict[str, Any]:
    """Read the names and values in a JSON file of hyperparameters without checking them.

    Raises:
        BadInput: when the file is missing, or is not a JSON dict.
    """
    values = read_json(path, "a JSON file of hyperparameters")
    if isinstance(values, list):
        raise BadInput(
            f"{path}: holds a list of names without values, as Magenta's trainer writes today; "
            "convert the model with weight_port, which infers the values from the weights"
        )
    if not isinstance(values, dict):
        raise BadInput(f"{path}: expected a JSON dict of hyperparameters, found {type(values).__name__}")
    return values


def coerce(field: dataclasses.Field[Any], value: Any) -> Any:
    """Convert a value to the type of a dataclass field: 0 or 1 to bool, int to float, one file name to a list of names.

    Raises:
        BadInput: when the conversion would change the value's meaning.
    """
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
    expected: dict[Any, str] = {bool: "true or false", int: "a whole number", float: "a finite number", str: "a string"}
    wanted = expected.get(field.type, "a list of file names")
    raise Refused(f"{field.name} is {excerpt(value)}, expected {wanted}", name=field.name)


def _is_finite(value: int | float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number too large for a float
        return False
