"""``python -m weight_port``: every form of a model is inspected and converted, without TensorFlow."""

import json
import re
import shlex

import numpy as np
import pytest
from foreign_files import PAGES, POINTER
from model_files import (
    CONFIG,
    DATA,
    FILES,
    REAL,
    WEIGHTS_ALONE,
    as_base64,
    as_list,
    assert_holds,
    call,
    js_model,
    make_zip,
    names_in,
    spawn,
    write_checkpoint,
)
from sample_models import checkpoint, tiny

from pytorch_sketch_rnn.hparams import HParams
from pytorch_sketch_rnn.model.sketch_rnn import SketchRNN


@pytest.mark.parametrize("form", [".", "vector-1000", "vector-1000.index", DATA])
def test_a_checkpoint_is_converted_and_inspected_in_each_of_its_forms(tmp_path, capsys, form):
    source, out = write_checkpoint(tmp_path / "magenta") / form, tmp_path / "new/folder/out"
    assert call("inspect", source) == 0
    told = capsys.readouterr().out.splitlines()
    assert told[0].endswith(f"vector-1000: tensor bundle, {len(checkpoint(tiny()))} variables")
    listed = {line.split()[0]: line for line in told if re.match(r"  \S+  +(float|int)", line)}
    assert set(listed) == set(checkpoint(tiny()))
    for name, value in checkpoint(tiny()).items():
        assert f" {value.dtype} " in listed[name]
        assert f" {list(value.shape)} " in listed[name]
    assert listed["vector_rnn/RNN/output_w"].endswith(" weight")
    assert listed["vector_rnn/global_step"].endswith(" optimizer state")
    assert listed["vector_rnn_1/beta1_power"].endswith(" skipped: stray scalar of an evaluation model")
    assert not out.exists()

    assert call("convert", source, out) == 0
    told = capsys.readouterr()
    assert f"wrote {out}" in told.out
    assert told.err == ""
    assert names_in(out) == FILES
    assert_holds(out, checkpoint(tiny()), tiny())
    assert names_in(tmp_path / "new/folder") == ["out"]


def test_what_is_known_and_what_is_not_is_said(tmp_path, capsys):
    source = write_checkpoint(tmp_path / "magenta", config=CONFIG | {"of another time": 1})
    assert call("convert", source, tmp_path / "out", "--set", "grad_clip=2", "--set", "use_input_dropout=true") == 0
    told = capsys.readouterr().out
    assert "from the weights:\n  dec_rnn_size=4, dec_model=lstm, enc_rnn_size=3, enc_model=lstm, z_size=2" in told
    assert "from model_config.json: max_seq_len=33\n" in told
    assert "from --set: grad_clip=2.0, use_input_dropout=True\n" in told
    assert re.search(
        r"not known, Magenta's default taken \(change with --set\):\n(  .*\n)*  .*recurrent_dropout_prob=0\.9", told
    )
    assert max(map(len, told.replace(str(tmp_path), "").splitlines())) <= 100
    assert "ignored in model_config.json, unknown to Magenta 2.1.4: 'of another time'\n" in told
    assert "17 weights, each used once; 37 variables of optimizer state; 7 skipped\n" in told
    assert "  skipped vector_rnn/Variable: initial learning rate; the schedule feeds it\n" in told
    hparams = HParams.load(tmp_path / "out/config.json")
    assert (hparams.max_seq_len, hparams.grad_clip, hparams.use_input_dropout) == (33, 2.0, True)


@pytest.mark.parametrize("encode", [as_base64, as_list])
@pytest.mark.parametrize("mode", [1, 2])
def test_a_sketch_rnn_js_model_is_converted_and_inspected(tmp_path, capsys, mode, encode):
    document, variables = js_model(mode, encode)
    source = tmp_path / "owl.json"
    source.write_text(json.dumps(document))
    assert call("inspect", source) == 0
    told = capsys.readouterr().out
    assert told.startswith(f"{source}: sketch-rnn-js, {len(variables)} variables\n")
    assert "from the model's info: max_seq_len=44\n" in told
    assert call("convert", source, tmp_path / "out") == 0
    assert names_in(tmp_path / "out") == WEIGHTS_ALONE
    assert_holds(tmp_path / "out", variables, tiny("lstm" if mode == 1 else None, "lstm"))
    assert HParams.load(tmp_path / "out/config.json").max_seq_len == 44
    assert json.loads((tmp_path / "out/conversion.json").read_text())["info"] == document[0]


def test_a_member_of_an_archive_is_converted_and_all_are_listed(tmp_path, capsys):
    owl = write_checkpoint(tmp_path / "owl", checkpoint(tiny(None, "hyper")), None)
    cat = write_checkpoint(tmp_path / "cat")
    archive = make_zip(tmp_path / "models.zip", owl=owl, cat=cat)
    for command in (["inspect", archive], ["convert", archive, tmp_path / "out"]):
        assert call(*command) == 2
        told = capsys.readouterr()
        assert told.out == ""
        assert told.err.endswith("choose one with --member: sketch_rnn/cat, sketch_rnn/owl\n")
    assert not (tmp_path / "out").exists()
    assert call("inspect", archive, "--member", "sketch_rnn/owl") == 0
    assert "dec_model=hyper" in capsys.readouterr().out
    assert call("convert", archive, tmp_path / "out", "--member", "sketch_rnn/owl") == 0
    assert_holds(tmp_path / "out", checkpoint(tiny(None, "hyper")), tiny(None, "hyper"))
    record = json.loads((tmp_path / "out/conversion.json").read_text())
    assert record["source"] == f"{archive}!sketch_rnn/owl/vector-1000"


def test_inspect_works_without_the_data_and_says_so_first(tmp_path, capsys):
    source = write_checkpoint(tmp_path / "magenta", num_shards=3)
    missing = ["vector-1000.data-00000-of-00003", "vector-1000.data-00002-of-00003"]
    for name in missing:
        (source / name).unlink()
    assert call("inspect", source) == 0
    told = capsys.readouterr().out.splitlines()
    assert told[1].startswith(f"MISSING: {', '.join(missing)}: ")
    assert "cannot be converted" in told[2]
    assert len([line for line in told if line.startswith("  vector_rnn")]) == len(checkpoint(tiny()))


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (lambda data: data + bytes(10), lambda size: f"has {size + 10:,} bytes, but the index tells of {size:,}"),
        (lambda data: data[:100], lambda size: f"has 100 bytes, but the index tells of {size:,}"),
        (lambda _: b"", lambda size: f"has 0 bytes, but the index tells of {size:,}"),
        (lambda _: POINTER, lambda _: "is a Git LFS pointer, not the file itself; get the file with `git lfs pull`"),
        (lambda _: PAGES["a page"], lambda _: "is a web page, not the file itself"),
    ],
)
def test_inspect_says_when_a_data_file_is_not_what_the_index_tells_of(tmp_path, capsys, content, what):
    source = write_checkpoint(tmp_path / "magenta")
    assert call("inspect", source) == 0
    assert "DAMAGED" not in capsys.readouterr().out
    data = (source / DATA).read_bytes()
    (source / DATA).write_bytes(content(data))
    assert call("inspect", source) == 0
    assert capsys.readouterr().out.splitlines()[1].startswith(f"DAMAGED: {DATA}: {what(len(data))}")


def test_a_vae_called_a_decoder_is_converted_and_the_contradiction_is_said(tmp_path, capsys):
    document, variables = js_model(1, as_base64)
    document[0]["mode"] = 2
    (tmp_path / "owl.json").write_text(json.dumps(document))
    for command in (["inspect", tmp_path / "owl.json"], ["convert", tmp_path / "owl.json", tmp_path / "out"]):
        assert call(*command) == 0
        assert (
            "note: info.mode is 2, a decoder alone, but the file holds the 17 arrays of a VAE\n"
            in capsys.readouterr().out
        )
    assert_holds(tmp_path / "out", variables, tiny("lstm", "lstm"))


def test_names_in_a_file_cannot_reach_the_terminal_as_they_are(tmp_path, capsys):
    name = "vector_rnn/Variable_1\x1b[31m\nwrote"
    variables = checkpoint(tiny()) | {"vector_rnn/x\x1b[31m\nwrote": np.float32(1)}
    source = write_checkpoint(tmp_path / "magenta", config=CONFIG | {name: 1, "data_set": ["\x1b[31m\n.npz"]})
    assert call("inspect", source) == 0
    assert "\x1b" not in capsys.readouterr().out
    assert call("inspect", write_checkpoint(tmp_path / "other", variables)) == 2
    printed = capsys.readouterr()
    assert printed.err.count("\n") == 1
    assert "\x1b" not in printed.out + printed.err


def test_the_next_command_is_quoted_for_the_shell(tmp_path, capsys):
    assert call("convert", write_checkpoint(tmp_path / "magenta"), tmp_path / "my model's") == 0
    next_command = capsys.readouterr().out.splitlines()[-1].removeprefix("next: ")
    assert shlex.split(next_command)[:5] == [
        "python",
        "-m",
        "pytorch_sketch_rnn",
        "sample",
        str(tmp_path / "my model's"),
    ]


@pytest.mark.skipif(not REAL.is_dir(), reason="the real data are not here")
def test_inspect_names_all_of_an_official_checkpoint_whose_data_is_missing(capsys):
    assert call("inspect", REAL / "checkpoints/catbus-official") == 0
    told = capsys.readouterr().out.splitlines()
    assert told[0].endswith("vector: tensor bundle, 56 variables")
    assert told[1].startswith("MISSING: vector.data-00000-of-00001: ")
    assert "dec_rnn_size=512, dec_model=lstm, enc_rnn_size=256, enc_model=lstm, z_size=128, num_mixture=20" in told[4]
    assert len([line for line in told if line.startswith("  vector_rnn")]) == 56
    assert "17 weights, each used once; 37 variables of optimizer state; 2 skipped" in told


@pytest.mark.skipif(not REAL.is_dir(), reason="the real data are not here")
def test_an_official_sketch_rnn_js_model_is_converted(tmp_path, capsys):
    assert call("convert", REAL / "models/bird.gen.json", tmp_path / "out") == 0
    assert "dec_rnn_size=512, dec_model=lstm, num_mixture=20, conditional=False" in capsys.readouterr().out
    assert SketchRNN.from_pretrained(tmp_path / "out").hparams.max_seq_len == 129


def test_the_module_runs_as_a_command(tmp_path):
    source = write_checkpoint(tmp_path / "magenta")
    done = spawn("convert", source, tmp_path / "out")
    assert (done.returncode, done.stderr) == (0, "")
    assert f"wrote {tmp_path / 'out'}\n" in done.stdout
    assert_holds(tmp_path / "out", checkpoint(tiny()), tiny())
    (source / DATA).write_bytes((source / DATA).read_bytes()[:100])
    done = spawn("convert", source, tmp_path / "other")
    assert (done.returncode, done.stdout) == (2, "")
    assert re.fullmatch(rf"error: .*/{DATA}: has .*\n", done.stderr)
    assert not (tmp_path / "other").exists()


# Every import of TensorFlow or of what comes with it fails.
WITHOUT_TENSORFLOW = """
import sys
for name in ("tensorflow", "tf_keras", "keras", "magenta", "tensorboard", "google.protobuf"):
    sys.modules[name] = None
from weight_port.__main__ import main
code = main(sys.argv[1:])
sys.exit(code or sorted(name for name in sys.modules if name.startswith("tensorflow.")) or 0)
"""


def test_no_tensorflow_is_needed(tmp_path):
    source = write_checkpoint(tmp_path / "magenta", snappy=True, num_shards=2)
    done = spawn("convert", source, tmp_path / "out", code=WITHOUT_TENSORFLOW)
    assert (done.returncode, done.stderr) == (0, "")
    assert_holds(tmp_path / "out", checkpoint(tiny()), tiny())


def test_a_model_of_magentas_has_its_epsilon_whatever_config_and_flags_say(tmp_path, capsys):
    source = write_checkpoint(tmp_path / "checkpoint", checkpoint(tiny("lstm", "layer_norm")), {"max_seq_len": 33})
    assert call("convert", source, tmp_path / "out", "--set", "layer_norm_epsilon=1e-5") == 2
    assert "layer_norm_epsilon: --set says 1e-05, every model of this format has 0.001" in capsys.readouterr().err
    (source / "model_config.json").write_text('{"layer_norm_epsilon": 1e-05}')
    assert call("convert", source, tmp_path / "out") == 2
    assert "model_config.json says 1e-05, every model of this format has 0.001" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
