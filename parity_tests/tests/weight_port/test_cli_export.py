"""``python -m weight_port export``: what it writes and prints, and what it refuses."""

import json
import shlex
import subprocess
import sys

import numpy as np
import pytest
import torch
from model_files import ROOT, call, content
from sample_models import tiny

from pytorch_sketch_rnn.data.npz import write_npz
from pytorch_sketch_rnn.hparams import HParams
from pytorch_sketch_rnn.model.sketch_rnn import SketchRNN
from weight_port.source import open_source


def save(folder, hparams=None, scale_factor=3.5, dtype=torch.float32):
    model = SketchRNN(hparams or tiny().replace(num_mixture=20, max_seq_len=9), 1).to(dtype)
    model.scale_factor = scale_factor
    model.save_pretrained(folder)
    return folder


@pytest.mark.parametrize(("form", "name"), [("tf", "out"), ("js", "out.gen.json"), ("js-ints", "out.gen.full.json")])
def test_each_form_is_written_and_the_next_command_works(tmp_path, capsys, form, name):
    out = tmp_path / "a folder" / name
    out.parent.mkdir()
    assert call("export", save(tmp_path / "model"), out, "--format", form) == 0
    told = capsys.readouterr().out.splitlines()
    assert any(line.startswith(f"wrote {out}: ") for line in told)
    program, *rest = shlex.split(told[-1].removeprefix("next: "))
    assert program == "python"
    done = subprocess.run([sys.executable, *rest], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "scale factor: 3.5" in done.stdout
    with open_source(out) as source:
        assert len(source.variables.names()) >= 17


def test_what_a_checkpoint_lacks_is_told(tmp_path, capsys):
    assert call("export", save(tmp_path / "model"), tmp_path / "out", "--format", "tf") == 0
    told = capsys.readouterr().out
    assert "the model has no optimizer state: Adam's slots are zero, and the step is 0" in told
    assert "scale factor 3.5: a checkpoint does not hold it" in told
    assert f"wrote {tmp_path / 'out'}: vector-0, 17 weights" in told


def test_the_cost_of_16_bits_is_told(tmp_path, capsys):
    folder = save(tmp_path / "model")
    assert call("export", folder, tmp_path / "out.json", "--format", "js", "--name", "owl") == 0
    told = capsys.readouterr().out
    assert "out.json: mode=1, version=6, max_seq_len=9, name=owl, scale_factor=3.5" in told
    assert "weights in 16 bits: moved by up to 0.0001" in told
    assert "what that costs, on 100 sketches that the model drew (" in told
    assert " nats a point, from " in told


@pytest.mark.parametrize("known", [None, 3.5])
def test_a_set_measures_the_cost_and_gives_a_scale_factor_that_is_not_known(tmp_path, capsys, known):
    sketch = np.array([[3, 4, 0], [-3, 4, 1]], np.int16)
    write_npz(tmp_path / "set.npz", {"train": [sketch] * 3, "valid": [sketch], "test": [sketch] * 2})
    folder, out = save(tmp_path / "model", scale_factor=known), tmp_path / "out.json"
    assert call("export", folder, out, "--format", "js", "--data", tmp_path / "set.npz") == 0
    assert f"on 2 sketches of {tmp_path / 'set.npz'} (4 points)" in capsys.readouterr().out
    measured = float(np.std([3, 4, -3, 4]))
    assert json.loads(out.read_text())[0]["scale_factor"] == pytest.approx(known or measured)


def test_weights_are_clipped_on_demand(tmp_path, capsys):
    model = SketchRNN(tiny().replace(num_mixture=20, max_seq_len=9), 1)
    model.decoder.output_b.data[:2] = 11
    model.scale_factor = 3.5
    model.save_pretrained(tmp_path / "model")
    assert call("export", tmp_path / "model", tmp_path / "out.json", "--format", "js") == 2
    assert not (tmp_path / "out.json").exists()
    assert "2 weights lie beyond +-10" in capsys.readouterr().err
    assert call("export", tmp_path / "model", tmp_path / "out.json", "--format", "js", "--clip") == 0
    assert "moved by up to 1, 2 of them clipped at +-10" in capsys.readouterr().out


def test_a_float64_model_is_rounded_on_demand(tmp_path, capsys):
    folder = save(tmp_path / "model", dtype=torch.float64)
    assert call("export", folder, tmp_path / "out", "--format", "tf") == 2
    assert "float64, which Magenta's code cannot load; round them with --float32" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    assert call("export", folder, tmp_path / "out", "--format", "tf", "--float32") == 0
    with open_source(tmp_path / "out") as source:
        assert {str(source.variables.dtype(name)) for name in source.variables.names()} == {"float32", "int32"}


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--format", "onnx"], "--format: invalid choice: 'onnx'"),
        ([], "the following arguments are required: --format"),
        (["--format", "tf", "--clip", "--name", "owl"], "--name, --clip: for --format js and js-ints only"),
        (["--format", "js", "--float32"], "--float32: for --format tf only"),
        (["--format", "js"], "out: expected the name of a .json file, such as out.gen.json"),
    ],
)
def test_a_wrong_flag_is_one_error(tmp_path, capsys, flags, message):
    before = content(save(tmp_path / "model"))
    assert call("export", tmp_path / "model", tmp_path / "out", *flags) == 2
    told = capsys.readouterr()
    assert message in told.err
    assert "Traceback" not in told.err
    assert not (tmp_path / "out").exists()
    assert content(tmp_path / "model") == before


def test_what_is_no_saved_model_is_one_error(tmp_path, capsys):
    for model, message in ((tmp_path / "nothing", "nothing"), (tmp_path, "config.json")):
        assert call("export", model, tmp_path / "out", "--format", "tf") == 2
        error = capsys.readouterr().err
        assert message in error
        assert error.count("\n") == 1
    hyper = save(tmp_path / "hyper", HParams(dec_model="hyper", dec_rnn_size=4, hyper_num_units=3))
    assert call("export", hyper, tmp_path / "out", "--format", "tf") == 2
    assert "hyper_num_units=3: Magenta's HyperLSTM has no such flags" in capsys.readouterr().err


def test_nothing_is_written_if_the_set_cannot_be_used(tmp_path, capsys):
    folder = save(tmp_path / "model")
    assert call("export", folder, tmp_path / "out.json", "--format", "js", "--data", tmp_path / "typo.npz") == 2
    assert "typo.npz" in capsys.readouterr().err
    assert not (tmp_path / "out.json").exists()
