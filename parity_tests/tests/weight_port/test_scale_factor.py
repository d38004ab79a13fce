"""The scale factor of a model: saved with it, and taken from a training, a sketch-rnn-js model or a stroke set."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from model_files import as_base64, call, js_model, write_checkpoint
from training_sets import random_splits

from pytorch_sketch_rnn.data.magenta_loader import load_dataset
from pytorch_sketch_rnn.data.npz import write_npz
from pytorch_sketch_rnn.errors import BadInput
from pytorch_sketch_rnn.hparams import HParams
from pytorch_sketch_rnn.model.saved_model import CONFIG_FILE
from pytorch_sketch_rnn.model.sketch_rnn import SketchRNN
from pytorch_sketch_rnn.training import command
from pytorch_sketch_rnn.training.checkpoint import checkpoint_path
from weight_port.scale_factor import scale_factor_of_sets

SMALL = HParams(dec_rnn_size=2, num_mixture=1, conditional=False)


def config_of(folder: Path) -> dict:
    return json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8"))


@pytest.mark.parametrize("value", [71.5, 1, 1e-30, float(np.float32(0.1))])
def test_a_scale_factor_is_saved_and_read_with_the_model(tmp_path, value):
    model = SketchRNN(SMALL)
    model.scale_factor = value
    model.save_pretrained(tmp_path)
    back = SketchRNN.from_pretrained(tmp_path)
    assert (type(back.scale_factor), back.scale_factor) == (float, value)
    assert back.hparams == SMALL == HParams.load(tmp_path / CONFIG_FILE)


def test_a_model_without_a_scale_factor_is_saved_without_the_key_and_read_as_none(tmp_path):
    SketchRNN(SMALL).save_pretrained(tmp_path)
    assert "scale_factor" not in config_of(tmp_path)
    assert SketchRNN.from_pretrained(tmp_path).scale_factor is None


@pytest.mark.parametrize("value", [0, -1.5, True, "70", [70], math.nan, math.inf, 10**400])
def test_a_wrong_scale_factor_is_refused_and_nothing_is_written(tmp_path, value):
    model = SketchRNN(SMALL)
    model.scale_factor = value
    with pytest.raises(BadInput, match=r"^scale_factor is .*, expected a positive, finite number$"):
        model.save_pretrained(tmp_path / "model")
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize("value", [0, -1.5, True, "70", [70], 10**400])
def test_a_wrong_scale_factor_in_a_config_is_bad_input_that_names_the_file(tmp_path, value):
    SketchRNN(SMALL).save_pretrained(tmp_path)
    (tmp_path / CONFIG_FILE).write_text(json.dumps(config_of(tmp_path) | {"scale_factor": value}))
    with pytest.raises(BadInput, match=r"config\.json: scale_factor is .*, expected a positive, finite number$"):
        SketchRNN.from_pretrained(tmp_path)


def test_a_run_saves_the_scale_factor_of_its_training_set_with_every_model_and_after_a_resume(tmp_path):
    write_npz(tmp_path / "cat.npz", random_splits())
    expected = load_dataset(tmp_path, HParams(data_set=("cat.npz",), batch_size=1), np.random.RandomState(0))
    run = tmp_path / "run"
    sizes = ["--dec_rnn_size=2", "--num_mixture=1", "--batch_size=2", "--save_every=1", "--unconditional"]
    data = [f"--data_dir={tmp_path}", "--data_set=cat.npz", f"--save_dir={run}"]
    assert command.main([*data, *sizes, "--num_steps=1"]) == 0
    assert command.main([f"--save_dir={run}", "--resume", "--num_steps=2"]) == 0
    for folder in (run, run / "best", checkpoint_path(run, 1), checkpoint_path(run, 2)):
        assert SketchRNN.from_pretrained(folder).scale_factor == float(expected.scale_factor)


def test_the_scale_factor_of_a_sketch_rnn_js_model_is_converted(tmp_path, capsys):
    document, _ = js_model(2, as_base64)
    document[0]["scale_factor"] = 71
    (tmp_path / "owl.json").write_text(json.dumps(document))
    assert call("inspect", tmp_path / "owl.json") == 0
    assert "scale factor: 71, from the model's info\n" in capsys.readouterr().out
    assert call("convert", tmp_path / "owl.json", tmp_path / "out") == 0
    assert "scale factor: 71, from the model's info\n" in capsys.readouterr().out
    assert SketchRNN.from_pretrained(tmp_path / "out").scale_factor == 71.0


def test_the_scale_factor_of_a_checkpoint_comes_from_the_sets_that_it_was_trained_on(tmp_path, capsys):
    names = ("cat.npz", "owl.npz")
    for seed, name in enumerate(names):
        write_npz(tmp_path / name, random_splits(seed=seed))
    source, sets = write_checkpoint(tmp_path / "magenta"), [tmp_path / name for name in names]
    assert call("inspect", source) == 0
    assert "scale factor: not known; convert with --data and the stroke set" in capsys.readouterr().out
    assert call("convert", source, tmp_path / "unknown") == 0
    assert SketchRNN.from_pretrained(tmp_path / "unknown").scale_factor is None
    for used in ([sets[0]], sets):
        hparams = HParams(data_set=tuple(path.name for path in used), batch_size=1)
        expected = load_dataset(tmp_path, hparams, np.random.RandomState(0)).scale_factor
        flags = [argument for path in used for argument in ("--data", path)]
        assert call("convert", source, tmp_path / f"out{len(used)}", *flags) == 0
        assert f"scale factor: {expected:.6g}, from --data\n" in capsys.readouterr().out
        assert SketchRNN.from_pretrained(tmp_path / f"out{len(used)}").scale_factor == float(expected)


def test_data_override_the_info_of_a_sketch_rnn_js_model(tmp_path):
    document, _ = js_model(2, as_base64)
    document[0]["scale_factor"] = 71
    (tmp_path / "owl.json").write_text(json.dumps(document))
    write_npz(tmp_path / "owl.npz", random_splits())
    assert call("convert", tmp_path / "owl.json", tmp_path / "out", "--data", tmp_path / "owl.npz") == 0
    assert SketchRNN.from_pretrained(tmp_path / "out").scale_factor == scale_factor_of_sets([tmp_path / "owl.npz"])


def test_data_that_give_no_scale_factor_are_bad_input_and_nothing_is_written(tmp_path, capsys):
    flat = [np.zeros((3, 3), np.int16)] * 2
    write_npz(tmp_path / "flat.npz", {"train": flat, "valid": flat, "test": flat})
    source = write_checkpoint(tmp_path / "magenta")
    cases = {"flat.npz": "have no scale", "none.npz": "none.npz", "none.h5": "none.h5"}
    for name, message in cases.items():
        assert call("convert", source, tmp_path / "out", "--data", tmp_path / name) == 2
        printed = capsys.readouterr()
        assert (printed.out, len(printed.err.splitlines())) == ("", 1)
        assert name in printed.err
        assert message in printed.err
        assert not (tmp_path / "out").exists()
    with pytest.raises(BadInput, match=r"^--data .*a\.h5: a packed set is used alone"):
        scale_factor_of_sets([tmp_path / "a.h5", tmp_path / "b.npz"])
