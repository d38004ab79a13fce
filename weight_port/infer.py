"""Hyperparameters of a model, from its variables, its ``model_config.json`` and the command line.

Those that shape the model are read off the variables, and a config that contradicts them is an error. For the others
the command line comes first, then the config, then what a checkpoint's scalars say, then Magenta's default. Errors do
not name the model: the caller adds it with ``errors.naming``.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

from pytorch_sketch_rnn.errors import Refused, naming
from pytorch_sketch_rnn.hparams import EPSILON, HYPER_SIZES, HParams
from weight_port.names import CELLS, DECODER_CELL, ENCODER_CELLS, ENCODER_SCOPE, LATENT, OUTPUT, inverse

Shapes = Mapping[str, tuple[int, ...]]


@dataclasses.dataclass(frozen=True)
class Inferred:
    """Hyperparameters, and where each comes from."""

    hparams: HParams
    origin: dict[str, str]  # name -> "weights", "format", "flag", "config", "model", "variables", "default"
    ignored: list[str]  # names in the config that Magenta 2.1.4 does not know

    def named(self, origin: str) -> dict[str, Any]:
        """The hyperparameters of one origin, with their values."""
        values = self.hparams.to_dict()
        return {name: values[name] for name, source in self.origin.items() if source == origin}


def infer_hparams(
    shapes: Shapes,
    config: object | None = None,
    *,
    config_path: str = "model_config.json",
    flags: Mapping[str, Any] | None = None,
    info: Mapping[str, Any] | None = None,
    first_values: Mapping[str, float] | None = None,
    fixed: Mapping[str, Any] | None = None,
) -> Inferred:
    """Put the hyperparameters together.

    Args:
        shapes: shape of each variable by its official name.
        config: the parsed ``model_config.json``: a dict, a bare list of values or names, or None.
        config_path: its name in messages.
        flags: hyperparameters from the command line; they override the config.
        info: the ``info`` of a sketch-rnn-js model, which has ``max_seq_len``.
        first_values: the first learning rate and KL weight, as variables of a checkpoint hold them; those that no
            training can have are not used.
        fixed: those that every model of the source's format has.

    Raises:
        BadInput: when the variables are not those of a Sketch-RNN, or config or flags contradict them.
    """
    structure = infer_structure(shapes)
    with naming(config_path):
        given, ignored = _read_config(config)
    with naming("--set"):
        flags = _check_values(dict(flags or {}))
    for named, source in ((given, config_path), (flags, "--set")):
        _check_against(structure, "the weights say", named, source)
        _check_against(dict(fixed or {}), "every model of this format has", named, source)
    defaults = HParams().to_dict()
    model = {"max_seq_len": info["max_seq_len"]} if info and "max_seq_len" in info else {}
    first = {name: value for name, value in (first_values or {}).items() if _is_possible(name, value)}
    layers = (
        *(("default", defaults), ("variables", first), ("model", model), ("config", given), ("flag", flags)),
        *(("format", dict(fixed or {})), ("weights", structure)),
    )
    values: dict[str, Any] = {}
    origin: dict[str, str] = {}
    for source, layer in layers:
        values |= layer
        origin |= dict.fromkeys(layer, source)
    if structure.get("dec_model") != "hyper" and structure.get("enc_model") != "hyper":
        for name in HYPER_SIZES:
            origin.pop(name)  # the model has no hyper cell
    if values[EPSILON] == defaults[EPSILON]:
        origin.pop(EPSILON)  # as in Magenta's code, which does not know the name
    return Inferred(HParams.from_dict(values), origin, ignored)


def _is_possible(name: str, value: float) -> bool:
    try:
        HParams.from_dict({name: value})
    except Refused:
        return False
    return True


def infer_structure(shapes: Shapes) -> dict[str, Any]:
    """The hyperparameters in ``HParams.SHAPE`` that the variables determine: cells, sizes, mixtures, conditional.

    Raises:
        BadInput: when they do not look like a Sketch-RNN's.
    """
    dec_model, dec_rnn_size, hyper = _cell_at(shapes, DECODER_CELL[0])
    output_w = inverse(OUTPUT)["decoder.output_w"]
    outputs = _matrix(shapes, output_w)[1]
    if outputs < 9 or (outputs - 3) % 6:
        raise Refused(f"{output_w} has {outputs} columns, expected 3 + 6 for each mixture")
    structure: dict[str, Any] = {
        "dec_model": dec_model,
        "dec_rnn_size": dec_rnn_size,
        "num_mixture": (outputs - 3) // 6,
        "conditional": any(name.startswith(ENCODER_SCOPE) for name in shapes),
        **hyper,
    }
    if structure["conditional"]:
        sides = [_cell_at(shapes, scope) for scope, _ in ENCODER_CELLS]
        if sides[0] != sides[1]:
            forward, backward = (", ".join(map(str, [kind, units, *inner.values()])) for kind, units, inner in sides)
            raise Refused(f"the encoder's directions differ: {forward} forward, {backward} backward")
        enc_model, enc_rnn_size, enc_hyper = sides[0]
        if hyper and enc_hyper and hyper != enc_hyper:
            raise Refused(f"the inner cells differ: {enc_hyper} in the encoder, {hyper} in the decoder")
        z_size = _matrix(shapes, inverse(LATENT)["encoder.mu.w"])[1]
        structure |= {"enc_model": enc_model, "enc_rnn_size": enc_rnn_size, "z_size": z_size, **enc_hyper}
    return structure


def _cell_at(shapes: Shapes, scope: str) -> tuple[str, int, dict[str, int]]:
    """Kind, units and (of a hyper cell) inner sizes of the cell in a scope."""
    w_hh = {kind: f"{scope}/{cell}/{inverse(names)['W_hh']}" for kind, (cell, names) in CELLS.items()}
    kinds = [kind for kind, name in w_hh.items() if name in shapes]
    if len(kinds) != 1:
        found = ", ".join(kinds) or "none"
        raise Refused(f"expected one of {', '.join(w_hh.values())}; found {found}: not a Sketch-RNN of Magenta's")
    (kind,) = kinds
    units = _matrix(shapes, w_hh[kind])[0]
    if kind != "hyper":
        return kind, units, {}
    cell, names = CELLS[kind]
    hyper_num_units, embedding = _matrix(shapes, f"{scope}/{cell}/{inverse(names)['hyper_ix.zw_w']}")
    return kind, units, dict(zip(HYPER_SIZES, (hyper_num_units, embedding), strict=True))


def _matrix(shapes: Shapes, name: str) -> tuple[int, ...]:
    """Rows and columns of a variable."""
    shape = shapes.get(name)
    if shape is None or len(shape) != 2:
        came = "is missing" if shape is None else f"has shape {list(shape)}"
        raise Refused(f"{name} {came}, expected 2 dimensions")
    return tuple(shape)


def _read_config(config: object | None) -> tuple[dict[str, Any], list[str]]:
    """The values in a config, and the names in it that are not known."""
    if config is None or isinstance(config, list):  # today's Magenta trainer writes the names without the values
        return {}, []
    if not isinstance(config, dict):
        raise Refused(f"expected a dict of hyperparameters or a list of names, found {type(config).__name__}")
    known = {field.name for field in dataclasses.fields(HParams)}
    given = {name: value for name, value in config.items() if name in known}
    return _check_values(given), sorted(set(config) - known)


def _check_values(values: dict[str, Any]) -> dict[str, Any]:
    """The values in the types of their hyperparameters; raises BadInput for an unknown name or a wrong value."""
    typed = HParams.from_dict(values).to_dict()
    return {name: typed[name] for name in values}


def _check_against(known: dict[str, Any], whence: str, values: dict[str, Any], source: str) -> None:
    """Raises BadInput when config or flags contradict what the model itself shows."""
    wrong = [
        f"{name}: {source} says {values[name]}, {whence} {known[name]}"
        for name in known
        if name in values and values[name] != known[name]
    ]
    if wrong:
        raise Refused(f"{'; '.join(wrong)}. Correct or remove {source}, or give the weights that belong to it")
