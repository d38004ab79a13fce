"""Hyperparameters come from the weights, the flags, the config and the defaults, in this order, and never silently."""

import dataclasses
import re

import pytest
from sample_models import ALL_CELLS, tiny, weight_shapes

from pytorch_sketch_rnn.errors import BadInput, naming
from pytorch_sketch_rnn.hparams import OURS_ALONE, HParams
from weight_port.infer import infer_hparams, infer_structure

CONFIG = "folder/model_config.json"
DEFAULTS = HParams()
DECODER = ["dec_model", "dec_rnn_size", "num_mixture", "conditional"]
ENCODER = ["enc_model", "enc_rnn_size", "z_size"]
HYPER = ["hyper_num_units", "hyper_embedding_size"]


def official_config(hparams: HParams) -> dict:
    """What an official ``model_config.json`` holds of these: Magenta's names alone."""
    return {name: value for name, value in hparams.to_dict().items() if name not in OURS_ALONE}


def as_numbers(config: dict) -> dict:
    """The form of the official archive: 0/1 for booleans, one string for the data set."""
    numbers = {name: int(value) if isinstance(value, bool) else value for name, value in config.items()}
    return numbers | {"data_set": config["data_set"][0]}


def refuse(shapes: dict, config: object = None, **more) -> str:
    """Inference must fail; the message."""
    with pytest.raises(BadInput) as caught, naming("the sheep"):
        infer_hparams(shapes, config, config_path=CONFIG, **more)
    return str(caught.value)


@pytest.mark.parametrize(("enc", "dec"), ALL_CELLS)
def test_all_that_shapes_the_graph_is_read_off_the_variables(enc, dec):
    hparams = tiny(enc, dec)
    names = DECODER + (ENCODER if enc else []) + (HYPER if "hyper" in (enc, dec) else [])
    assert infer_structure(weight_shapes(hparams)) == {n: hparams.to_dict()[n] for n in names}
    inferred = infer_hparams(weight_shapes(hparams))
    assert sorted(inferred.named("weights")) == sorted(names)
    assert inferred.hparams == DEFAULTS.replace(**inferred.named("weights"))
    rest = {field.name for field in dataclasses.fields(HParams)} - set(names) - set(OURS_ALONE)
    assert inferred.named("default") == {name: DEFAULTS.to_dict()[name] for name in DEFAULTS.to_dict() if name in rest}
    assert set(inferred.origin) == rest | set(names)
    assert inferred.ignored == []


@pytest.mark.parametrize("form", ["true and false", "0 and 1"])
@pytest.mark.parametrize("enc", ["layer_norm", None])
def test_a_config_gives_what_the_weights_do_not_tell(enc, form):
    wanted = tiny(enc, "layer_norm").replace(
        max_seq_len=77, use_input_dropout=True, recurrent_dropout_prob=0.5, data_set=("owl.npz",), is_training=False
    )
    wanted = wanted.replace(hyper_num_units=256, hyper_embedding_size=32)
    config = official_config(wanted)
    given = config if form == "true and false" else as_numbers(config)
    inferred = infer_hparams(weight_shapes(wanted), given, config_path=CONFIG)
    assert inferred.hparams == wanted
    assert inferred.named("default") == {}
    from_weights = DECODER + (ENCODER if enc else [])
    assert set(inferred.named("weights")) == set(from_weights)
    assert inferred.named("config") == {name: config[name] for name in config if name not in from_weights}


@pytest.mark.parametrize("config", [None, list(official_config(DEFAULTS)), [], {}])
def test_a_config_without_values_leaves_the_defaults_and_names_them(config):
    inferred = infer_hparams(weight_shapes(tiny("lstm", "lstm")), config)
    assert inferred.named("config") == {}
    defaults = inferred.named("default")
    assert (defaults["max_seq_len"], defaults["recurrent_dropout_prob"]) == (250, 0.9)
    assert set(defaults) == set(DEFAULTS.to_dict()) - set(DECODER) - set(ENCODER) - set(OURS_ALONE)


def test_flags_go_before_the_config_before_the_models_info_before_the_defaults():
    shapes = weight_shapes(tiny("lstm", "lstm"))
    config = {"max_seq_len": 20, "grad_clip": 2.0}
    inferred = infer_hparams(
        shapes, config, flags={"max_seq_len": 30, "use_input_dropout": 1}, info={"max_seq_len": 10, "name": "owl"}
    )
    assert inferred.named("flag") == {"max_seq_len": 30, "use_input_dropout": True}
    assert inferred.named("config") == {"grad_clip": 2.0}
    assert inferred.named("model") == {}
    values = inferred.hparams
    assert (values.max_seq_len, values.grad_clip, values.use_input_dropout) == (30, 2.0, True)
    assert infer_hparams(shapes, config, info={"max_seq_len": 10}).named("config")["max_seq_len"] == 20
    inferred = infer_hparams(shapes, info={"max_seq_len": 10})
    assert (inferred.named("model"), inferred.hparams.max_seq_len) == ({"max_seq_len": 10}, 10)
    assert "max_seq_len" in infer_hparams(shapes, info={"name": "owl"}).named("default")


def test_names_that_magenta_does_not_know_are_ignored_but_listed():
    config = {"zeta": 1, "alpha": None, "max_seq_len": 9, "": []}
    inferred = infer_hparams(weight_shapes(tiny()), config)
    assert inferred.ignored == ["", "alpha", "zeta"]
    assert inferred.named("config") == {"max_seq_len": 9}


@pytest.mark.parametrize("source", ["config", "flags"])
def test_a_contradiction_names_every_hyperparameter_both_values_and_both_sources(source):
    wrong = {
        "dec_model": "layer_norm",
        "dec_rnn_size": 512,
        "num_mixture": 20,
        "conditional": False,
        "enc_model": "hyper",
        "enc_rnn_size": 256,
        "z_size": 128,
        "hyper_num_units": 255,
        "hyper_embedding_size": 31,
    }
    right = tiny("lstm", "hyper")
    shapes = weight_shapes(right)
    message = refuse(shapes, wrong) if source == "config" else refuse(shapes, flags=wrong)
    said_by = CONFIG if source == "config" else "--set"
    for name, value in wrong.items():
        assert f"{name}: {said_by} says {value}, the weights say {right.to_dict()[name]}" in message
        assert infer_hparams(shapes, {n: right.to_dict()[n] for n in wrong}).hparams == right
        alone = refuse(shapes, {name: value})
        assert [n for n in wrong if f"{n}: " in alone] == [name]
    assert message.startswith("the sheep: ")
    assert f"Correct or remove {said_by}" in message


@pytest.mark.parametrize("value", [0, False])
def test_a_contradiction_in_the_form_of_0_and_1_is_one_too(value):
    message = refuse(weight_shapes(tiny()), {"conditional": value})
    assert "conditional: folder/model_config.json says False, the weights say True" in message


def test_a_config_that_contradicts_the_weights_is_refused_although_a_flag_agrees_with_them():
    shapes = weight_shapes(tiny())
    assert "dec_rnn_size: folder" in refuse(shapes, {"dec_rnn_size": 5}, flags={"dec_rnn_size": 4})
    assert infer_hparams(shapes, flags={"dec_rnn_size": 4}).named("weights")["dec_rnn_size"] == 4


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ("lstm", "expected a dict of hyperparameters or a list of names, found str"),
        (5, "expected a dict of hyperparameters or a list of names, found int"),
        (True, "found bool"),
        ({"max_seq_len": "long"}, "max_seq_len is 'long', expected a whole number"),
        ({"max_seq_len": 0}, "max_seq_len is 0, expected 1 to"),
        ({"max_seq_len": 1.5}, "max_seq_len is 1.5, expected a whole number"),
        ({"conditional": 2}, "conditional is 2, expected true or false"),
        ({"use_input_dropout": "false"}, "use_input_dropout is 'false', expected true or false"),
        ({"dec_model": "gru"}, "dec_model is 'gru', expected one of lstm, layer_norm, hyper"),
        ({"recurrent_dropout_prob": 0}, "expected a keep probability"),
        ({"grad_clip": None}, "grad_clip is None, expected a finite number"),
        ({"grad_clip": float("nan")}, "grad_clip is nan, expected a finite number"),
        ({"data_set": []}, "expected a list of file names"),
    ],
)
def test_nonsense_is_refused_and_names_where_it_stands(config, message):
    shapes = weight_shapes(tiny())
    assert refuse(shapes, config).startswith(f"{CONFIG}: ")
    assert message in refuse(shapes, config)
    if isinstance(config, dict):
        told = refuse(shapes, flags=config)
        assert told.startswith("--set: ")
        assert message in told


def test_a_flag_that_no_hyperparameter_bears_is_refused_and_all_names_are_given():
    message = refuse(weight_shapes(tiny()), flags={"max_seq_length": 5, "b": 1})
    assert message.startswith("--set: unknown hyperparameter b, max_seq_length; known are ")
    assert all(name in message for name in DEFAULTS.to_dict())


@pytest.mark.parametrize("enc", ["lstm", None])
def test_the_inner_sizes_matter_only_where_there_is_a_hyper_cell(enc):
    inferred = infer_hparams(weight_shapes(tiny(enc, "layer_norm")))
    assert not set(HYPER) & set(inferred.origin)
    inferred = infer_hparams(weight_shapes(tiny(enc, "hyper")))
    assert inferred.named("weights")["hyper_num_units"] == 5
    assert inferred.named("weights")["hyper_embedding_size"] == 6


DEC = "vector_rnn/RNN/"
ENC = "vector_rnn/ENC_RNN/"


def without(name: str, dec: str = "lstm") -> dict:
    """The shapes of a model that lacks a variable."""
    shapes = weight_shapes(tiny("lstm", dec))
    del shapes[name]
    return shapes


def reshaped(name: str, *shape: int) -> dict:
    """The shapes of a model in which a variable has another shape."""
    return without(name) | {name: shape}


def hyper_with(*sides: str) -> dict:
    """The shapes of a model of hyper cells, of which those in the encoder have another embedding."""
    shapes = weight_shapes(tiny("hyper", "hyper"))
    for side in sides:
        shapes[f"{ENC}{side}/HyperLSTMCell/hyper_ix/zw/super_linear_w"] = (5, 7)
    return shapes


BROKEN = {
    "nothing": ({}, "expected one of vector_rnn/RNN/LSTMCell/W_hh, .*found none: not a Sketch-RNN"),
    "something else": ({"dense/kernel": (3, 4)}, "found none: not a Sketch-RNN"),
    "no decoder": (without(f"{DEC}LSTMCell/W_hh"), "RNN/LSTMCell/W_hh, .*found none"),
    "two decoders": (
        weight_shapes(tiny(None, "lstm")) | weight_shapes(tiny(None, "hyper")),
        "found lstm, hyper: not",
    ),
    "only forward": (without(f"{ENC}bw/LSTMCell/W_hh"), "ENC_RNN/bw/LSTMCell/W_hh, .*found none"),
    "only backward": (without(f"{ENC}fw/LSTMCell/W_hh"), "ENC_RNN/fw/LSTMCell/W_hh, .*found none"),
    "a vector for W_hh": (reshaped(f"{DEC}LSTMCell/W_hh", 16), r"W_hh has shape \[16\], expected 2 dim"),
    "no output": (without(f"{DEC}output_w"), "output_w is missing, expected 2 dimensions"),
    "scalar output": (reshaped(f"{DEC}output_w"), r"output_w has shape \[\], expected 2 dimensions"),
    "an output between mixtures": (reshaped(f"{DEC}output_w", 4, 46), "has 46 columns, expected 3 \\+ 6"),
    "an output without mixture": (reshaped(f"{DEC}output_w", 4, 3), "has 3 columns, expected 3 \\+ 6"),
    "an empty output": (reshaped(f"{DEC}output_w", 4, 0), "has 0 columns, expected 3 \\+ 6"),
    "no mu": (without("vector_rnn/ENC_RNN_mu/super_linear_w"), "ENC_RNN_mu/super_linear_w is missing"),
    "directions of other sizes": (
        reshaped(f"{ENC}bw/LSTMCell/W_hh", 7, 28),
        "directions differ: lstm, 3 forward, lstm, 7 backward",
    ),
    "directions of other kinds": (
        without(f"{ENC}bw/LSTMCell/W_hh") | {f"{ENC}bw/LayerNormLSTMCell/W_hh": (3, 12)},
        "directions differ: lstm, 3 forward, layer_norm, 3 backward",
    ),
    "directions of other inner sizes": (
        hyper_with("bw"),
        "directions differ: hyper, 3, 5, 6 forward, hyper, 3, 5, 7 b",
    ),
    "inner cells of other sizes": (
        hyper_with("fw", "bw"),
        "the inner cells differ: .*7.* in the encoder, .*6.* in the decoder",
    ),
    "no inner cell": (
        without(f"{DEC}HyperLSTMCell/hyper_ix/zw/super_linear_w", dec="hyper"),
        "hyper_ix/zw/super_linear_w is missing",
    ),
    "no units": (reshaped(f"{DEC}LSTMCell/W_hh", 0, 0), "dec_rnn_size is 0, expected 1 to"),
    "units beyond all memory": (
        reshaped(f"{DEC}LSTMCell/W_hh", 2**60, 1),
        "dec_rnn_size is 1152921504606846976",
    ),
}


@pytest.mark.parametrize(("shapes", "message"), BROKEN.values(), ids=BROKEN)
def test_what_is_no_sketch_rnn_is_refused_with_the_variable_that_tells(shapes, message):
    assert re.match(rf"the sheep: .*{message}", refuse(shapes))
