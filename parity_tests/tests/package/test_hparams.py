"""Hyperparameters have Magenta's names, defaults and file format; anything else is one clear error."""

import dataclasses
import json
import math
import re

import numpy as np
import pytest
import torch
from official_script import run_script

from pytorch_sketch_rnn.errors import BadInput
from pytorch_sketch_rnn.hparams import HYPER_SIZES, OURS_ALONE, HParams
from pytorch_sketch_rnn.model.sketch_rnn import SketchRNN

# Magenta's defaults, and the values that it reads from a config that we wrote.
ORACLE = """
import json
from parity_tests.official.magenta import model
hparams = model.get_default_hparams()
result["defaults"] = np.array(json.dumps(hparams.values()))
hparams.parse_json(str(inputs["config"]))
result["read"] = np.array(json.dumps(hparams.values()))
"""
CHANGED = {
    "data_set": ("bird.npz", "cat.npz"), "num_steps": 7, "save_every": 3, "max_seq_len": 88, "dec_rnn_size": 9,
    "dec_model": "hyper", "enc_rnn_size": 8, "enc_model": "layer_norm", "z_size": 4, "kl_weight": 1.0,
    "kl_weight_start": 0.02, "kl_tolerance": 0.1, "batch_size": 5, "grad_clip": 0.5, "num_mixture": 6,
    "learning_rate": 0.01, "decay_rate": 0.99, "kl_decay_rate": 0.9, "min_learning_rate": 1e-6,
    "use_recurrent_dropout": False, "recurrent_dropout_prob": 0.8, "use_input_dropout": True,
    "input_dropout_prob": 0.7, "use_output_dropout": True, "output_dropout_prob": 1.0, "random_scale_factor": 0.0,
    "augment_stroke_prob": 0.25, "conditional": False, "is_training": False, "hyper_num_units": 12,
    "hyper_embedding_size": 2, "layer_norm_epsilon": 1e-5,
}  # fmt: skip
SIZES = ("enc_rnn_size", "dec_rnn_size", "z_size", "num_mixture", *HYPER_SIZES)
FLAGS = [name for name, value in CHANGED.items() if isinstance(value, bool)]


def typed(values: dict) -> dict:
    """Values with their types, so that True and 1 differ."""
    return {name: (type(value).__name__, value) for name, value in values.items()}


@pytest.fixture(scope="module")
def official(tmp_path_factory) -> dict[str, dict]:
    folder = tmp_path_factory.mktemp("official")
    changed = HParams(**{name: value for name, value in CHANGED.items() if name not in OURS_ALONE})
    changed.save(folder / "config.json")
    text = (folder / "config.json").read_text(encoding="utf-8")
    answer = run_script(ORACLE, folder, {"config": np.array(text)})
    return {name: json.loads(str(value)) for name, value in answer.items()}


@pytest.mark.oracle
def test_names_and_defaults_are_magentas(official):
    ours = {name: value for name, value in HParams().to_dict().items() if name not in OURS_ALONE}
    assert typed(ours) == typed(official["defaults"])


@pytest.mark.oracle
def test_magenta_reads_a_config_that_we_wrote(official):
    expected = {name: value for name, value in CHANGED.items() if name not in OURS_ALONE}
    assert typed(official["read"]) == typed(expected | {"data_set": list(CHANGED["data_set"])})


def test_a_config_is_read_back_with_every_value(tmp_path):
    changed = HParams(**CHANGED)
    defaults = HParams()
    assert all(getattr(changed, field.name) != getattr(defaults, field.name) for field in dataclasses.fields(HParams))
    changed.save(tmp_path / "model_config.json")
    back = HParams.load(tmp_path / "model_config.json")
    assert typed(dataclasses.asdict(back)) == typed(CHANGED)
    assert back == changed


def test_a_config_holds_what_magenta_does_not_know_only_if_it_differs(tmp_path):
    path = tmp_path / "model_config.json"
    HParams().save(path)
    assert not set(OURS_ALONE) & set(json.loads(path.read_text()))
    HParams(hyper_num_units=255).save(path)
    assert json.loads(path.read_text())["hyper_num_units"] == 255
    assert HParams.load(path) == HParams(hyper_num_units=255)
    HParams(layer_norm_epsilon=1e-5).save(path)
    assert json.loads(path.read_text())["layer_norm_epsilon"] == 1e-5
    assert HParams.load(path) == HParams(layer_norm_epsilon=1e-5)


def test_from_dict_is_the_inverse_of_to_dict():
    assert HParams.from_dict(HParams(**CHANGED).to_dict()) == HParams(**CHANGED)


@pytest.mark.parametrize("name", FLAGS)
def test_booleans_may_be_0_and_1_as_in_the_official_archive(name):
    assert getattr(HParams.from_dict({name: 1}), name) is True
    assert getattr(HParams.from_dict({name: 0}), name) is False


def test_one_data_set_may_be_a_string():
    assert HParams.from_dict({"data_set": "cat.npz"}) == HParams(data_set=("cat.npz",))


def test_integers_become_floats_in_float_fields():
    value = HParams.from_dict({"kl_weight": 1}).kl_weight
    assert (type(value), value) == (float, 1.0)


def test_missing_names_take_their_defaults():
    assert HParams.from_dict({"z_size": 3}) == HParams(z_size=3)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("z_size", 2.0, "a whole number"),
        ("z_size", "2", "a whole number"),
        ("z_size", True, "a whole number"),
        ("z_size", None, "a whole number"),
        ("z_size", 0, "1 to 1000000"),
        ("dec_rnn_size", -1, "1 to 1000000"),
        ("dec_rnn_size", 10**30, "1 to 1000000"),
        ("num_steps", 0, "at least 1"),
        ("kl_weight", "0.5", "a finite number"),
        ("kl_weight", False, "a finite number"),
        ("kl_weight", math.nan, "a finite number"),
        ("kl_weight", math.inf, "a finite number"),
        ("kl_weight", -math.inf, "a finite number"),
        ("kl_weight", 10**400, "a finite number"),
        ("conditional", 2, "true or false"),
        ("conditional", 1.0, "true or false"),
        ("conditional", "true", "true or false"),
        ("conditional", None, "true or false"),
        ("dec_model", 3, "a string"),
        ("dec_model", "gru", "one of lstm, layer_norm, hyper"),
        ("enc_model", "", "one of lstm, layer_norm, hyper"),
        ("data_set", [], "a list of file names"),
        ("data_set", ["a.npz", 3], "a list of file names"),
        ("data_set", {"a.npz": 1}, "a list of file names"),
        ("recurrent_dropout_prob", 0, r"a keep probability in \(0, 1\]"),
        ("input_dropout_prob", 1.5, r"a keep probability in \(0, 1\]"),
        ("output_dropout_prob", -0.1, r"a keep probability in \(0, 1\]"),
        ("decay_rate", 0, r"a number in \(0, 1\]"),
        ("decay_rate", 1.01, r"a number in \(0, 1\]"),
        ("kl_decay_rate", -0.5, r"a number in \(0, 1\]"),
        ("kl_decay_rate", 2, r"a number in \(0, 1\]"),
        ("grad_clip", 0, "a positive number up to 1e30"),
        ("grad_clip", -1, "a positive number up to 1e30"),
        ("learning_rate", 0, "a positive number up to 1e30"),
        ("min_learning_rate", -1e-9, "at least 0, up to 1e30"),
        ("kl_tolerance", -0.1, "at least 0, up to 1e30"),
        ("kl_weight", -0.1, "at least 0, up to 1e30"),
        ("kl_weight_start", -0.1, "at least 0, up to 1e30"),
        ("augment_stroke_prob", -0.1, r"a number in \[0, 1\]"),
        ("augment_stroke_prob", 1.1, r"a number in \[0, 1\]"),
        ("random_scale_factor", -0.1, r"a number in \[0, 1\]"),
        ("random_scale_factor", 1.1, r"a number in \[0, 1\]"),
    ],
)
def test_an_invalid_value_is_bad_input_that_names_its_hyperparameter(name, value, expected):
    with pytest.raises(BadInput, match=f"^{name} is .*, expected {expected}$"):
        HParams.from_dict({name: value})
    with pytest.raises(BadInput, match=f"^{name} is "):
        HParams().replace(**{name: value})


def test_values_at_the_ends_of_closed_ranges_are_allowed():
    ends = {"decay_rate": (1.0,), "kl_decay_rate": (1.0,), "augment_stroke_prob": (0.0, 1.0)}
    ends |= {"random_scale_factor": (0.0, 1.0), "recurrent_dropout_prob": (1.0,)}
    ends |= dict.fromkeys(("min_learning_rate", "kl_tolerance", "kl_weight", "kl_weight_start"), (0.0,))
    for name, values in ends.items():
        for value in values:
            assert getattr(HParams(**{name: value}), name) == value


def test_a_wrong_value_carries_the_name_of_its_hyperparameter():
    for values in ({"z_size": 0}, {"z_size": "2"}):
        with pytest.raises(BadInput) as caught:
            HParams(**values)
        assert caught.value.name == "z_size"


def test_the_shape_of_a_model_depends_on_exactly_the_hyperparameters_in_shape():
    base = HParams(dec_model="hyper", enc_model="layer_norm", **dict.fromkeys(SIZES, 3))

    def shapes(hparams: HParams) -> dict:
        with torch.device("meta"):
            return {name: value.shape for name, value in SketchRNN(hparams).state_dict().items()}

    for name, value in CHANGED.items():
        changed = base.replace(**{name: "lstm" if name.endswith("_model") else value})
        assert (shapes(changed) != shapes(base)) is (name in HParams.SHAPE), name


def test_every_hyperparameter_has_a_description_of_one_line():
    assert list(HParams.DESCRIPTION) == [field.name for field in dataclasses.fields(HParams)]
    for name, text in HParams.DESCRIPTION.items():
        assert text.isprintable() and 10 < len(text) < 80, name  # noqa: PT018


def test_unknown_names_are_bad_input_that_lists_them():
    with pytest.raises(BadInput, match="unknown hyperparameter rnn_size, zsize; known are augment_stroke_prob, "):
        HParams.from_dict({"zsize": 4, "z_size": 4, "rnn_size": 1})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('["data_set", "num_steps"]', "holds a list of names without values.*; convert the model with weight_port"),
        ("[]", "holds a list of names"),
        ("3", "expected a JSON dict of hyperparameters, found int"),
        ("null", "expected a JSON dict of hyperparameters, found NoneType"),
        ("", "expected JSON, but "),
        ('{"z_size": 4', "expected JSON, but "),
        ("[" * 100_000, "expected JSON, but "),
        ('{"z_size": ' + "1" * 5000 + "}", "expected JSON, but "),
        ('{"z_size": "4"}', "z_size is '4', expected a whole number"),
        ('{"kl_weight": NaN}', "expected JSON, but NaN is not a finite number"),
        ('{"kl_weight": 1e999}', "expected JSON, but 1e999 is not a finite number"),
        ('{"kl_weight": -Infinity}', "expected JSON, but -Infinity is not a finite number"),
        ('{"z": 4}', "unknown hyperparameter z; known are "),
    ],
)
def test_a_wrong_file_is_bad_input_that_names_it(tmp_path, text, expected):
    path = tmp_path / "model_config.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(BadInput, match=f"^{re.escape(str(path))}: {expected}"):
        HParams.load(path)


def test_a_binary_file_is_bad_input(tmp_path):
    path = tmp_path / "model_config.json"
    path.write_bytes(b"\xff\xfe\x00\x81")
    with pytest.raises(BadInput, match=f"^{re.escape(str(path))}: expected JSON, but "):
        HParams.load(path)


def test_a_missing_file_and_a_folder_are_bad_input(tmp_path):
    for path, why in ((tmp_path / "none.json", "No such file"), (tmp_path, "Is a directory")):
        with pytest.raises(BadInput, match=f"^{re.escape(str(path))}: cannot be read \\({why}.*; expected a JSON file"):
            HParams.load(path)


def test_hyperparameters_are_frozen_and_replace_leaves_the_original():
    hparams = HParams()
    with pytest.raises(dataclasses.FrozenInstanceError):
        hparams.z_size = 3
    assert hparams.replace(z_size=3).z_size == 3
    assert hparams == HParams()


def test_hyperparameters_are_keyword_arguments_only():
    with pytest.raises(TypeError, match="positional"):
        HParams(("cat.npz",))
