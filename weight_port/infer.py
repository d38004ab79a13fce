"""Hyperparameters of a model from its variables, its ``model_config.json`` and what the user says.

What shapes the graph is read off the variables, and a config that says otherwise is an error. The rest comes from the
flags, else the config, else Magenta's default.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

from pytorch_sketch_rnn.errors import BadInput
from pytorch_sketch_rnn.hparams import HYPER_SIZES, HParams
from weight_port.names import CELLS, DECODER_CELL, ENCODER_CELLS

Shapes = Mapping[str, tuple[int, ...]]


@dataclasses.dataclass(frozen=True)
class Inferred:
    """Hyperparameters, and where each comes from."""

    hparams: HParams
    origin: dict[str, str]  # name -> "weights", "flag", "config", "model" or "default"
    ignored: list[str]  # names in the config that Magenta 2.1.4 does not know

    def named(self, origin: str) -> dict[str, Any]:
        """The hyperparameters that come from there, with their values."""
        values = self.hparams.to_dict()
        return {name: values[name] for name, source in self.origin.items() if source == origin}


def infer_hparams(
    shapes: Shapes,
    config: object | None = None,
    *,
    config_path: str = "model_config.json",
    flags: Mapping[str, Any] | None = None,
    info: Mapping[str, Any] | None = None,
    location: str = "the model",
) -> Inferred:
    """Put the hyperparameters together.

    Args:
        shapes: shape of each variable by its official name.
        config: the parsed ``model_config.json``: a dict, a bare list of values or names, or None.
        config_path: what to call it.
        flags: what the user says; goes before the config.
        info: the ``info`` of a sketch-rnn-js model, which knows ``max_seq_len``.
        location: what to call the model.

    Raises:
        BadInput: when the variables are not those of a Sketch-RNN, or config or flags contradict them.
    """
    structure = infer_structure(shapes, location)
    given, ignored = _given_by(config, config_path)
    flags = _checked(dict(flags or {}), "--set")
    for values, source in ((given, config_path), (flags, "--set")):
        _check_against(structure, values, source, location)
    defaults = HParams().to_dict()
    model = {"max_seq_len": info["max_seq_len"]} if info and "max_seq_len" in info else {}
    layers = (("default", defaults), ("model", model), ("config", given), ("flag", flags), ("weights", structure))
    values: dict[str, Any] = {}
    origin: dict[str, str] = {}
    for source, layer in layers:
        values |= layer
        origin |= dict.fromkeys(layer, source)
    if structure.get("dec_model") != "hyper" and structure.get("enc_model") != "hyper":
        for name in HYPER_SIZES:
            origin.pop(name)  # of no meaning here
    try:
        hparams = HParams.from_dict(values)
    except BadInput as error:  # a size that no model has; config and flags are checked already
        raise BadInput(f"{location}: {error}") from None
    return Inferred(hparams, origin, ignored)


def infer_structure(shapes: Shapes, location: str) -> dict[str, Any]:
    """What the variables alone say: cells, sizes, mixtures, conditional or not.

    Raises:
        BadInput: when they do not look like a Sketch-RNN's.
    """
    dec_model, dec_rnn_size, hyper = _cell_at(shapes, DECODER_CELL[0], location)
    outputs = _shape(shapes, "vector_rnn/RNN/output_w", 2, location)[1]
    if outputs < 9 or (outputs - 3) % 6:
        raise BadInput(f"{location}: vector_rnn/RNN/output_w has {outputs} columns, expected 3 + 6 for each mixture")
    structure: dict[str, Any] = {
        "dec_model": dec_model,
        "dec_rnn_size": dec_rnn_size,
        "num_mixture": (outputs - 3) // 6,
        "conditional": any(name.startswith("vector_rnn/ENC_RNN") for name in shapes),
        **hyper,
    }
    if structure["conditional"]:
        sides = [_cell_at(shapes, scope, location) for scope, _ in ENCODER_CELLS]
        if sides[0] != sides[1]:
            forward, backward = (", ".join(map(str, [kind, units, *inner.values()])) for kind, units, inner in sides)
            raise BadInput(f"{location}: the encoder's directions differ: {forward} forward, {backward} backward")
        enc_model, enc_rnn_size, enc_hyper = sides[0]
        if hyper and enc_hyper and hyper != enc_hyper:
            raise BadInput(f"{location}: the inner cells differ: {enc_hyper} in the encoder, {hyper} in the decoder")
        z_size = _shape(shapes, "vector_rnn/ENC_RNN_mu/super_linear_w", 2, location)[1]
        structure |= {"enc_model": enc_model, "enc_rnn_size": enc_rnn_size, "z_size": z_size, **enc_hyper}
    return structure


def _cell_at(shapes: Shapes, scope: str, location: str) -> tuple[str, int, dict[str, int]]:
    """Kind, units and (of a hyper cell) inner sizes of the cell in a scope."""
    kinds = [kind for kind, (cell, _) in CELLS.items() if f"{scope}/{cell}/W_hh" in shapes]
    if len(kinds) != 1:
        found = ", ".join(kinds) or "none"
        expected = ", ".join(f"{scope}/{cell}/W_hh" for cell, _ in CELLS.values())
        raise BadInput(f"{location}: expected one of {expected}; found {found}: not a Sketch-RNN of Magenta's")
    cell = f"{scope}/{CELLS[kinds[0]][0]}"
    units = _shape(shapes, f"{cell}/W_hh", 2, location)[0]
    if kinds[0] != "hyper":
        return kinds[0], units, {}
    hyper_num_units, embedding = _shape(shapes, f"{cell}/hyper_ix/zw/super_linear_w", 2, location)
    return kinds[0], units, dict(zip(HYPER_SIZES, (hyper_num_units, embedding), strict=True))


def _shape(shapes: Shapes, name: str, ndim: int, location: str) -> tuple[int, ...]:
    shape = shapes.get(name)
    if shape is None or len(shape) != ndim:
        came = "is missing" if shape is None else f"has shape {list(shape)}"
        raise BadInput(f"{location}: {name} {came}, expected {ndim} dimensions")
    return tuple(shape)


def _given_by(config: object | None, path: str) -> tuple[dict[str, Any], list[str]]:
    """Values that a config gives, and names in it that are not known."""
    if config is None or isinstance(config, list):  # Magenta's trainer of today dumps the names without the values
        return {}, []
    if not isinstance(config, dict):
        raise BadInput(f"{path}: expected a dict of hyperparameters or a list of names, found {type(config).__name__}")
    known = {field.name for field in dataclasses.fields(HParams)}
    given = {name: value for name, value in config.items() if name in known}
    return _checked(given, path), sorted(set(config) - known)


def _checked(values: dict[str, Any], source: str) -> dict[str, Any]:
    """The values in the types of their hyperparameters; raises BadInput where one is unknown or makes no sense."""
    try:
        checked = HParams.from_dict(values).to_dict()
    except BadInput as error:
        raise BadInput(f"{source}: {error}") from None
    return {name: checked[name] for name in values}


def _check_against(structure: dict[str, Any], values: dict[str, Any], source: str, location: str) -> None:
    """Raises BadInput where config or flags contradict the variables."""
    wrong = [
        f"{name}: {source} says {values[name]}, the weights say {structure[name]}"
        for name in structure
        if name in values and values[name] != structure[name]
    ]
    if wrong:
        raise BadInput(
            f"{location}: {'; '.join(wrong)}. Mend or remove {source}, or give the weights that belong to it"
        )
