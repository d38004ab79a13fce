"""Settings of train.py: defaults, presets, Magenta's own spellings, and what may change when a run is resumed."""

import dataclasses
import json

import pytest

from pytorch_sketch_rnn.errors import BadInput
from pytorch_sketch_rnn.hparams import LARGEST_SIZE, HParams
from pytorch_sketch_rnn.training.flags import changes_of, parser
from pytorch_sketch_rnn.training.settings import PRESETS, SETTINGS_FILE, Settings, parse_hparams


def settings_of(*argv):
    return Settings().changed(changes_of(parser().parse_args(list(argv))))


def test_the_defaults_are_what_the_readme_says():
    flat = Settings().flat()
    expected = {
        "max_seq_len": 250, "enc_model": "lstm", "dec_model": "layer_norm", "enc_rnn_size": 256, "dec_rnn_size": 512,
        "z_size": 128, "num_mixture": 20, "use_recurrent_dropout": True, "recurrent_dropout_prob": 0.9,
        "kl_weight": 0.5, "kl_weight_start": 0.01, "kl_tolerance": 0.2, "kl_decay_rate": 0.99995, "reg_covar": 1e-6,
        "batch_size": 100, "learning_rate": 0.001, "decay_rate": 0.9999, "min_learning_rate": 0.00001,
        "grad_clip": 1.0, "data_set": ["cat.npz"], "random_scale_factor": 0.15, "augment_stroke_prob": 0.10,
        "num_epochs": 100.0, "conditional": True, "use_input_dropout": False, "use_output_dropout": False,
    }  # fmt: skip
    assert {name: flat[name] for name in expected} == expected


def test_preset_magenta_is_all_of_magentas_defaults():
    settings = settings_of("--preset=magenta")
    assert settings.hparams == HParams(max_seq_len=LARGEST_SIZE)  # which Magenta takes from the data
    assert (settings.options.reg_covar, settings.options.validate_as_magenta) == (0.0, True)
    assert settings.num_epochs is None


def test_single_flags_override_hparams_and_these_override_a_preset():
    settings = settings_of("--preset=magenta", "--hparams=batch_size=7,dec_rnn_size=9", "--batch_size=8")
    assert (settings.hparams.batch_size, settings.hparams.dec_rnn_size) == (8, 9)
    assert settings.hparams.dec_model == "lstm"


def test_every_flag_of_the_command_line_reaches_its_setting():
    flags = {
        "enc_model": "hyper", "dec_model": "lstm", "enc_rnn_size": 3, "dec_rnn_size": 4, "z_size": 5, "num_mixture": 6,
        "max_seq_len": 7, "kl_weight": 0.7, "kl_weight_start": 0.3, "kl_tolerance": 0.1, "kl_decay_rate": 0.5,
        "reg_covar": 2e-5, "batch_size": 8, "grad_clip": 2.0, "random_scale_factor": 0.5, "augment_stroke_prob": 0.6,
        "save_every": 9, "keep": 2, "seed": 11, "dtype": "float64", "products": "tf32",
    }  # fmt: skip
    flat = settings_of(*(f"--{name}={value}" for name, value in flags.items())).flat()
    assert {name: flat[name] for name in flags} == flags
    flat = settings_of("--lr=0.5", "--lr_decay=0.25", "--min_lr=0.125", "--num-epochs=2.5", "--unconditional").flat()
    names = ("learning_rate", "decay_rate", "min_learning_rate", "num_epochs", "conditional")
    assert [flat[name] for name in names] == [0.5, 0.25, 0.125, 2.5, False]


@pytest.mark.parametrize(
    ("flag", "used", "keep"),
    [
        ("r_dropout", "use_recurrent_dropout", "recurrent_dropout_prob"),
        ("input_dropout", "use_input_dropout", "input_dropout_prob"),
        ("output_dropout", "use_output_dropout", "output_dropout_prob"),
    ],
)
def test_dropout_flags_are_drop_probabilities(flag, used, keep):
    hparams = settings_of(f"--{flag}=0.25").hparams
    assert (getattr(hparams, used), getattr(hparams, keep)) == (True, 0.75)
    assert getattr(settings_of(f"--{flag}=0").hparams, used) is False


@pytest.mark.parametrize(
    ("flags", "resume"),
    [
        ([], False), (["--resume_training"], True), (["--resume_training=true"], True),
        (["--resume_training=False"], False), (["--noresume_training"], False), (["--resume"], True),
    ],
)  # fmt: skip
def test_the_switch_of_magentas_trainer_is_taken_in_each_of_its_forms(flags, resume):
    assert parser().parse_args(flags).resume is resume


def test_dashes_may_replace_underscores_everywhere():
    arguments = parser().parse_args(["--save-dir=a", "--init-from=b", "--kl-weight=0.25"])
    assert (str(arguments.save_dir), str(arguments.init_from), arguments.kl_weight) == ("a", "b", 0.25)
    assert str(parser().parse_args(["--log-root=a"]).save_dir) == "a"


def test_a_demo_names_its_data_and_takes_no_other():
    assert settings_of("--demo").hparams.data_set == ("kanjivg",)
    for flag in ("--data_set=cat.npz", "--hparams=data_set=[cat.npz]"):
        with pytest.raises(BadInput, match="--demo draws its own data: leave data_set out, or --demo"):
            settings_of("--demo", flag)


def test_num_steps_replaces_num_epochs():
    assert settings_of("--num_steps=5").num_epochs is None
    assert settings_of("--num_steps=5").hparams.num_steps == 5
    assert settings_of("--hparams=num_steps=6").num_epochs is None


def test_several_sets_are_separated_by_commas():
    assert settings_of("--data_set=a.npz, b.npz").hparams.data_set == ("a.npz", "b.npz")
    assert settings_of("--hparams=data_set=[a.npz,b.npz],z_size=3").hparams.data_set == ("a.npz", "b.npz")


def test_hparams_are_parsed_by_their_types():
    text = "batch_size=50,enc_model=hyper,conditional=False,use_input_dropout=1,kl_weight=1e-2"
    assert parse_hparams(text) == {
        "batch_size": 50, "enc_model": "hyper", "conditional": False, "use_input_dropout": True, "kl_weight": 0.01,
    }  # fmt: skip


@pytest.mark.parametrize(
    "text", ["batch_size", "=3", "batch_size=x", "owl=1", "z_size=1,z_size=2", "conditional=maybe", "z_size=1.5"]
)
def test_hparams_that_make_no_sense_are_refused(text):
    with pytest.raises(BadInput, match="--hparams"):
        parse_hparams(text)


def test_settings_are_read_back_from_their_file(tmp_path):
    settings = settings_of("--data_set=a.npz,b.npz", "--seed=5", "--num_steps=7", "--r_dropout=0.3", "--data_dir=/x")
    settings.save(tmp_path)
    assert Settings.load(tmp_path) == settings


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"owl": 1, "sha256": []}', '{"batch_size": 0, "sha256": []}'])
def test_broken_settings_are_refused(tmp_path, text):
    (tmp_path / SETTINGS_FILE).write_text(text)
    with pytest.raises(BadInput):
        Settings.load(tmp_path)


def test_only_the_length_and_the_saves_of_a_run_may_change_on_resume(tmp_path):
    settings = settings_of("--num_steps=5")
    longer = settings.resumed({"num_steps": 9, "num_epochs": None, "save_every": 3}, tmp_path)
    assert (longer.hparams.num_steps, longer.hparams.save_every) == (9, 3)
    assert settings.resumed({"learning_rate": 0.001}, tmp_path) == settings
    with pytest.raises(BadInput, match=r"learning_rate is 0\.5, but the run in .* has 0\.001"):
        settings.resumed({"learning_rate": 0.5}, tmp_path)


@pytest.mark.parametrize(("name", "value"), [("products", "float32"), ("layer_norm_epsilon", 0.001)])
def test_a_run_of_before_there_was_a_choice_is_read(tmp_path, name, value):
    settings_of("--num_steps=5").save(tmp_path)
    path = tmp_path / "settings.json"
    values = json.loads(path.read_text())
    assert values.pop(name) == value
    path.write_text(json.dumps(values))
    assert Settings.load(tmp_path) == settings_of("--num_steps=5")


@pytest.mark.parametrize(
    ("name", "value"),
    [("seed", 5), ("reg_covar", 0.0), ("validate_as_magenta", True), ("dtype", "float64"), ("batch_size", 7),
     ("products", "tf32"), ("max_seq_len", 99), ("kl_weight_start", 0.5), ("random_scale_factor", 0.0),
     ("data_set", ("other.npz",))],
)  # fmt: skip
def test_what_makes_another_run_cannot_change_on_resume(name, value, tmp_path):
    with pytest.raises(BadInput, match=f"{name} is .*, but the run in"):
        settings_of("--num_steps=5").resumed({name: value}, tmp_path)


def test_a_run_knows_its_data_from_any_folder_and_by_the_url_that_was_given(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert settings_of("--data_dir=sets").data_dir == str(tmp_path / "sets")
    assert settings_of("--data_dir=https://example.com/sets").data_dir == "https://example.com/sets"


def test_presets_name_settings_only():
    for changes in PRESETS.values():
        assert dataclasses.is_dataclass(Settings().changed(changes))
