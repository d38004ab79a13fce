"""``python -m weight_port``: every form of a model, and for anything else one line, exit code 2 and no output."""

import base64
import json
import os
import re
import resource
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import bundle_writer
import numpy as np
import pytest
import safetensors.numpy
from sample_models import checkpoint, tiny, weight_shapes, weights

import weight_port.__main__
from pytorch_sketch_rnn.errors import run_command
from pytorch_sketch_rnn.hparams import HParams
from pytorch_sketch_rnn.model.sketch_rnn import SketchRNN
from weight_port.names import weight_names
from weight_port.sketch_rnn_js import DECODER_ORDER, VAE_ORDER

ROOT = Path(__file__).resolve().parents[3]
REAL = Path(__file__).parents[4] / "shared/data"
CONFIG = {"dec_model": "lstm", "max_seq_len": 33}
DATA = "vector-1000.data-00000-of-00001"
WEIGHTS_ALONE = ["config.json", "conversion.json", "model.safetensors"]
FILES = [*WEIGHTS_ALONE, "optimizer.safetensors"]


def call(*arguments: object) -> int:
    """The command line in this process; its exit code."""
    return run_command(weight_port.__main__.main, list(map(str, arguments)))


def spawn(*arguments: object, code: str | None = None, **more) -> subprocess.CompletedProcess:
    """The command line in a process of its own, or other Python code."""
    command = [sys.executable, *(["-c", code] if code else ["-m", "weight_port"]), *map(str, arguments)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, **more)


def write_checkpoint(folder: Path, variables: dict | None = None, config: object = CONFIG, **layout) -> Path:
    """A folder such as Magenta's trainer leaves."""
    bundle_writer.write_bundle(folder / "vector-1000", checkpoint(tiny()) if variables is None else variables, **layout)
    (folder / "checkpoint").write_text('model_checkpoint_path: "vector-1000"\n')
    (folder / "model_config.json").write_text(json.dumps(config))
    return folder


def js_model(mode: object, encode: Callable[[np.ndarray], object]) -> tuple[list, dict[str, np.ndarray]]:
    """A sketch-rnn-js model, and the weights that it stands for."""
    order = DECODER_ORDER if mode == 2 else VAE_ORDER
    shapes = weight_shapes(tiny("lstm" if mode == 1 else None, "lstm").replace(num_mixture=20))
    random = np.random.default_rng(2)
    numbers = {name: random.integers(-32767, 32768, shapes[name]).astype("<i2") for name in order}
    document = [{"mode": mode, "max_seq_len": 44}, [list(shapes[n]) for n in order], [*map(encode, numbers.values())]]
    return document, {name: (value.astype(int) * 10 / 32767).astype(np.float32) for name, value in numbers.items()}


def as_base64(numbers: np.ndarray) -> str:
    return base64.b64encode(numbers.tobytes()).decode()


def as_list(numbers: np.ndarray) -> list:
    return numbers.ravel().tolist()


def make_zip(path: Path, **folders: Path) -> Path:
    """An archive of model folders, each below a name."""
    with zipfile.ZipFile(path, "w") as archive:
        for inside, folder in folders.items():
            for file in sorted(folder.iterdir()):
                archive.write(file, f"sketch_rnn/{inside}/{file.name}")
    return path


def assert_holds(out: Path, variables: dict[str, np.ndarray], hparams: HParams) -> None:
    """A converted folder holds these weights bit for bit, and the model can be read."""
    found = safetensors.numpy.load_file(out / "model.safetensors")
    names = weight_names(hparams)
    assert set(found) == set(names.values())
    for official, ours in names.items():
        assert found[ours].dtype == variables[official].dtype
        assert found[ours].tobytes() == variables[official].tobytes(), official
    SketchRNN.from_pretrained(out)


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# What works ----------------------------------------------------------------------------------------------------------


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
    assert "from the weights: dec_rnn_size=4, dec_model=lstm, enc_rnn_size=3, enc_model=lstm, z_size=2" in told
    assert "from model_config.json: max_seq_len=33\n" in told
    assert "from --set: grad_clip=2.0, use_input_dropout=True\n" in told
    assert re.search(r"not known, Magenta's default taken \(change with --set\): .*recurrent_dropout_prob=0\.9", told)
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


@pytest.mark.skipif(not REAL.is_dir(), reason="the real data are not here")
def test_inspect_names_all_of_an_official_checkpoint_whose_data_is_missing(capsys):
    assert call("inspect", REAL / "checkpoints/catbus-official") == 0
    told = capsys.readouterr().out.splitlines()
    assert told[0].endswith("vector: tensor bundle, 56 variables")
    assert told[1].startswith("MISSING: vector.data-00000-of-00001: ")
    assert "dec_rnn_size=512, dec_model=lstm, enc_rnn_size=256, enc_model=lstm, z_size=128, num_mixture=20" in told[3]
    assert len([line for line in told if line.startswith("  vector_rnn")]) == 56
    assert "17 weights, each used once; 37 variables of optimizer state; 2 skipped" in told


@pytest.mark.skipif(not REAL.is_dir(), reason="the real data are not here")
def test_an_official_sketch_rnn_js_model_is_converted(tmp_path, capsys):
    assert call("convert", REAL / "models/bird.gen.json", tmp_path / "out") == 0
    assert "dec_rnn_size=512, dec_model=lstm, num_mixture=20, conditional=False" in capsys.readouterr().out
    assert SketchRNN.from_pretrained(tmp_path / "out").hparams.max_seq_len == 129


# OUT -----------------------------------------------------------------------------------------------------------------


def content(folder: Path) -> dict[str, bytes | str]:
    """All that is below a folder, links as what they point to."""
    return {
        str(path.relative_to(folder)): os.readlink(path) if path.is_symlink() else path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_symlink() or path.is_file()
    }


def test_an_out_that_exists_is_refused_and_force_replaces_a_converted_model(tmp_path, capsys):
    first, second = write_checkpoint(tmp_path / "a"), write_checkpoint(tmp_path / "b", weights(tiny("hyper", "lstm")))
    out = tmp_path / "out"
    assert call("convert", first, out) == 0
    before = content(tmp_path)
    capsys.readouterr()
    assert call("convert", second, out) == 2
    told = capsys.readouterr()
    assert (told.out, told.err) == (
        "",
        f"error: {out}: exists already; choose another name, or replace it with --force\n",
    )
    assert content(tmp_path) == before
    assert call("convert", second, out, "--force") == 0
    assert names_in(out) == WEIGHTS_ALONE  # nothing of the old model is left
    assert_holds(out, weights(tiny("hyper", "lstm")), tiny("hyper", "lstm"))
    assert names_in(tmp_path) == ["a", "b", "out"]


OUTS = {
    "an empty folder": lambda out: out.mkdir(),
    "a folder of someone's": lambda out: (out.mkdir(), (out / "thesis.txt").write_text("years of work")),
    "a project with a config": lambda out: (out.mkdir(), (out / "config.json").write_text("{}")),
    "a file": lambda out: out.write_text("text"),
    "a link to nothing": lambda out: out.symlink_to("nowhere"),
    "a link to someone's folder": lambda out: (
        (out.parent / "elsewhere").mkdir(),
        (out.parent / "elsewhere/thesis.txt").write_text("years of work"),
        out.symlink_to("elsewhere"),
    ),
}


@pytest.mark.parametrize("make", OUTS.values(), ids=OUTS)
def test_force_replaces_nothing_but_a_converted_model(tmp_path, capsys, make):
    source, out = write_checkpoint(tmp_path / "magenta"), tmp_path / "out"
    make(out)
    before, names = content(tmp_path), names_in(tmp_path)
    for options, message in (([], "exists already"), (["--force"], "is not a converted model")):
        assert call("convert", source, out, *options) == 2
        told = capsys.readouterr()
        assert told.err.startswith(f"error: {out}: {message}")
        assert told.out == ""
        assert (content(tmp_path), names_in(tmp_path)) == (before, names)


def test_a_link_to_a_converted_model_is_replaced_and_what_it_points_to_stays(tmp_path):
    source = write_checkpoint(tmp_path / "magenta")
    assert call("convert", source, tmp_path / "first") == 0
    before = content(tmp_path / "first")
    (tmp_path / "out").symlink_to("first")
    assert call("convert", source, tmp_path / "out", "--force", "--set", "max_seq_len=7") == 0
    assert content(tmp_path / "first") == before
    assert HParams.load(tmp_path / "out/config.json").max_seq_len == 7


@pytest.mark.parametrize("limit", [100, 2000])  # smaller than config.json, smaller than the weights
@pytest.mark.parametrize("exists", [True, False])
def test_a_full_disk_leaves_what_was_there_and_nothing_else(tmp_path, capsys, exists, limit):
    source, out = write_checkpoint(tmp_path / "magenta"), tmp_path / "out"
    if exists:
        assert call("convert", source, out) == 0
    before, names = content(tmp_path), names_in(tmp_path)
    capsys.readouterr()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))  # no file may grow beyond that
        code = call("convert", source, out, "--force")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    printed = capsys.readouterr()
    assert (code, printed.out) == (2, "")
    assert re.fullmatch(rf"error: {out}: cannot be written \(.*File too large.*\)\n", printed.err)
    assert (content(tmp_path), names_in(tmp_path)) == (before, names)


@pytest.mark.parametrize(
    ("out", "message"),
    [
        ("magenta/checkpoint/out", r"magenta/checkpoint/out: cannot be written \((Not a directory|File exists)\)"),
        ("x" * 300, r"x{300}: cannot be written \(File name too long\)"),
    ],
)
def test_an_out_that_cannot_be_made_is_refused(tmp_path, capsys, out, message):
    source = write_checkpoint(tmp_path / "magenta")
    before = content(tmp_path)
    assert call("convert", source, tmp_path / out) == 2
    assert re.search(message, capsys.readouterr().err)
    assert content(tmp_path) == before


# Bad input -----------------------------------------------------------------------------------------------------------


def damaged(name: str, damage: Callable[[bytes], bytes]) -> Callable[[Path], list]:
    """A checkpoint of which one file is damaged."""

    def build(folder: Path) -> list:
        source = write_checkpoint(folder / "magenta")
        (source / name).write_bytes(damage((source / name).read_bytes()))
        return [source]

    return build


def with_variables(**changes: object) -> Callable[[Path], list]:
    """A checkpoint with some variables replaced, and without those that are None."""
    variables = {name: value for name, value in (checkpoint(tiny()) | changes).items() if value is not None}
    return lambda folder: [write_checkpoint(folder / "magenta", variables)]


def with_config(config: object) -> Callable[[Path], list]:
    return lambda folder: [write_checkpoint(folder / "magenta", config=config)]


def with_options(*options: str) -> Callable[[Path], list]:
    return lambda folder: [write_checkpoint(folder / "magenta"), *options]


def js_with(change: Callable[[list], object]) -> Callable[[Path], list]:
    """A sketch-rnn-js model that was changed."""

    def build(folder: Path) -> list:
        document, _ = js_model(2, as_base64)
        change(document)
        (folder / "owl.json").write_text(json.dumps(document))
        return [folder / "owl.json"]

    return build


def missing_shard(folder: Path) -> list:
    source = write_checkpoint(folder / "magenta", num_shards=2)
    (source / "vector-1000.data-00001-of-00002").unlink()
    return [source]


def shard_of_skipped_variables_missing(folder: Path) -> list:
    """Only what is skipped anyhow was in the data file that is missing."""
    variables = weights(tiny()) | {"vector_rnn/Variable": np.float32(1)}
    source = write_checkpoint(folder / "magenta", variables, num_shards=len(variables))
    number = sorted(variables).index("vector_rnn/Variable")
    (source / f"vector-1000.data-{number:05d}-of-{len(variables):05d}").unlink()
    return [source]


def zip_that_climbs(folder: Path) -> list:
    archive = make_zip(folder / "models.zip", cat=write_checkpoint(folder / "cat"))
    with zipfile.ZipFile(archive, "a") as more:
        more.writestr("../../out/config.json", "{}")
    return [archive]


def zip_with_damage(folder: Path) -> list:
    source = write_checkpoint(folder / "cat")
    (source / DATA).write_bytes(flip(-1)((source / DATA).read_bytes()))
    return [make_zip(folder / "models.zip", cat=source)]


def written(name: str, text: str) -> Callable[[Path], list]:
    """A file that is no model."""
    return lambda folder: [(folder / name).write_text(text) and folder / name]


def flip(position: int) -> Callable[[bytes], bytes]:
    """Flip a bit of the byte there."""

    def damage(data: bytes) -> bytes:
        flipped = bytearray(data)
        flipped[position] ^= 4
        return bytes(flipped)

    return damage


def empty(data: bytes) -> bytes:
    return b""


def half(data: bytes) -> bytes:
    return data[: len(data) // 2]


W_HH = "vector_rnn/RNN/LSTMCell/W_hh"
# How to make it -> what the line must hold: the file, and what was expected or came.
BAD = {
    "SRC missing": (lambda folder: [folder / "nothing"], ["nothing: does not exist", "a folder with a TensorFlow"]),
    "an empty folder": (lambda folder: [(folder / "e").mkdir() or folder / "e"], ["e: has no checkpoint"]),
    "a text": (written("notes.txt", "x"), ["notes.txt: is of an unknown type", "sketch-rnn-js .json model"]),
    "data cut off": (damaged(DATA, half), [f"{DATA}: has ", " bytes, but the variable ", "the file is cut off"]),
    "data empty": (damaged(DATA, empty), [f"{DATA}: has 0 bytes, but"]),
    "data of weights flipped": (damaged(DATA, flip(10)), [f"{DATA}: the bytes of the variable", "checksum"]),
    "data of a skipped variable flipped": (damaged(DATA, flip(-1)), [f"{DATA}: the bytes of the variable", "checksum"]),
    "data of slots flipped": (damaged(DATA, flip(-100)), [f"{DATA}: the bytes of the variable", "checksum"]),
    "index cut off": (damaged("vector-1000.index", half), ["vector-1000.index: is not the index", "copy or download"]),
    "index empty": (damaged("vector-1000.index", empty), ["vector-1000.index: is not the index"]),
    "index flipped": (damaged("vector-1000.index", flip(50)), ["vector-1000.index: is not the index", "checksum"]),
    "a missing shard": (missing_shard, ["vector-1000: the data file vector-1000.data-00001-of-00002 is missing"]),
    "a missing shard of no use": (shard_of_skipped_variables_missing, ["-of-00018 is missing, expected beside the"]),
    "no data at all": (
        lambda folder: [write_checkpoint(folder / "magenta"), (folder / "magenta" / DATA).unlink()][:1],
        [f"{DATA} is missing"],
    ),
    "a checkpoint that names nothing": (
        damaged("checkpoint", lambda data: data.replace(b"1000", b"2000")),
        ["checkpoint: names 'vector-2000', but its .index is not there; there is vector-1000.index"],
    ),
    "js with wrong shapes": (
        js_with(lambda document: document[1].__setitem__(3, [5, 16])),
        ["owl.json: is not a sketch-rnn-js model", "shape", "but the other shapes need"],
    ),
    "js with a short blob": (
        js_with(lambda document: document[2].__setitem__(4, "AAAA")),
        ["owl.json: ", "LSTMCell/bias has 3 bytes"],
    ),
    "js that is no JSON": (written("owl.json", "[{'mode': 2}]"), ["owl.json: expected JSON, but"]),
    "js of Magenta's config": (written("model_config.json", '{"dec_model": "lstm"}'), ["no list of three items"]),
    "a zip that climbs": (zip_that_climbs, ["models.zip: the member '../../out/config.json' has a name that is no"]),
    "a zip with a damaged model": (zip_with_damage, [f"models.zip!sketch_rnn/cat/{DATA}: the bytes of the variable"]),
    "no zip": (written("models.zip", "PK"), ["models.zip: this .zip archive cannot be unpacked"]),
    "a member of no archive": (with_options("--member", "cat"), ["magenta: --member cat chooses a model in a .zip"]),
    "an unknown variable": (
        with_variables(**{"dense/kernel": np.ones(3, np.float32)}),
        ["vector-1000: the variables do not make a Sketch-RNN", "unknown (1): dense/kernel"],
    ),
    "a variable that breaks lines": (
        with_variables(**{"a\nb\rc\x1b[31m": np.ones(3, np.float32)}),
        ["vector-1000: ", r"unknown (1): 'a\nb\rc\x1b[31m'"],
    ),
    "a missing variable": (with_variables(**{W_HH[:-4] + "bias": None}), ["vector-1000: ", "missing (1): ", "bias"]),
    "a missing slot": (with_variables(**{f"vector_rnn/{W_HH}/Adam": None}), [f"missing (1): vector_rnn/{W_HH}/Adam"]),
    "a missing cell": (with_variables(**{W_HH: None}), ["vector-1000: expected one of ", "found none"]),
    "a variable of another shape": (
        with_variables(**{"vector_rnn/RNN/output_b": np.ones(46, np.float32)}),
        ["output_b is [46], expected [45]"],
    ),
    "int weights": (with_variables(**{W_HH: np.ones((4, 16), int)}), ["W_hh holds int64, expected float32 or float64"]),
    "NaN weights": (with_variables(**{W_HH: np.full((4, 16), np.nan, "f4")}), ["vector-1000: ", "NaN or infinity"]),
    "another model": (
        lambda folder: [write_checkpoint(folder / "magenta", {"dense/kernel": np.ones((3, 4), np.float32)})],
        ["vector-1000: expected one of ", "not a Sketch-RNN of Magenta's"],
    ),
    "a config that contradicts": (
        with_config({"dec_rnn_size": 512, "enc_model": "hyper"}),
        [
            "dec_rnn_size: ",
            "model_config.json says 512, the weights say 4",
            "enc_model: ",
            "says hyper, the weights say",
        ],
    ),
    "a config of nonsense": (
        with_config({"max_seq_len": "long"}),
        ["model_config.json: max_seq_len is 'long', expect"],
    ),
    "a config of another kind": (with_config("lstm"), ["model_config.json: expected a dict", "found str"]),
    "a config that is no JSON": (damaged("model_config.json", half), ["model_config.json: expected JSON, but"]),
    "--set without =": (with_options("--set", "max_seq_len"), ["--set max_seq_len: expected NAME=VALUE"]),
    "--set without value": (with_options("--set", "max_seq_len="), ["--set: max_seq_len is '', expected a whole"]),
    "--set without name": (with_options("--set", "=5"), ["--set: unknown hyperparameter"]),
    "--set of an unknown name": (with_options("--set", "max_len=5"), ["--set: unknown hyperparameter max_len; known"]),
    "--set of nonsense": (with_options("--set", "grad_clip=NaN"), ["--set: grad_clip is nan, expected a finite"]),
    "--set of depth": (with_options("--set", "max_seq_len=" + "[" * 100_000), ["--set: max_seq_len is '[[["]),
    "--set that contradicts": (with_options("--set", "z_size=3"), ["z_size: --set says 3, the weights say 2"]),
}


@pytest.mark.parametrize(("build", "told"), BAD.values(), ids=BAD)
def test_bad_input_gives_one_line_and_exit_code_2_and_no_output(tmp_path, monkeypatch, capsys, build, told):
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", None)
    arguments = build(tmp_path)
    before, names = content(tmp_path), names_in(tmp_path)
    for force in ([], ["--force"]):
        assert call("convert", arguments[0], tmp_path / "out", *arguments[1:], *force) == 2
        printed = capsys.readouterr()
        assert printed.out == ""
        assert printed.err.startswith("error: ")
        assert len(printed.err.splitlines()) == 1
        assert printed.err.isprintable() or printed.err.removesuffix("\n").isprintable()
        assert [text for text in told if text not in printed.err] == [], printed.err
        assert (content(tmp_path), names_in(tmp_path)) == (before, names)
        assert names_in(tmp_path / "temporary") == []


NO_VALUES_READ = ("data", "a missing shard", "no data", "int weights", "NaN weights", "a zip with a damaged model")


@pytest.mark.parametrize("name", [name for name in BAD if not name.startswith(NO_VALUES_READ)])
def test_inspect_refuses_the_same_input_but_for_what_lies_in_the_values(tmp_path, capsys, name):
    build, told = BAD[name]
    arguments = build(tmp_path)
    assert call("inspect", *arguments) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert [text for text in told if text not in printed.err] == []


def test_bad_input_leaves_the_model_that_force_would_have_replaced(tmp_path, capsys):
    source, out = write_checkpoint(tmp_path / "magenta"), tmp_path / "out"
    assert call("convert", source, out) == 0
    before = content(out)
    (source / DATA).write_bytes(flip(7)((source / DATA).read_bytes()))
    assert call("convert", source, out, "--force") == 2
    assert content(out) == before
    assert names_in(tmp_path) == ["magenta", "out"]


@pytest.mark.parametrize(
    "arguments",
    [[], ["convert"], ["convert", "x"], ["export", "x"], ["inspect", "x", "--force"], ["inspect", "x", "y"]],
)
def test_a_command_line_that_makes_no_sense_ends_with_2(capsys, arguments):
    with pytest.raises(SystemExit) as caught:
        call(*arguments)
    assert caught.value.code == 2
    assert "usage: python -m weight_port" in capsys.readouterr().err


# Processes -----------------------------------------------------------------------------------------------------------


def test_the_module_runs_as_a_command(tmp_path):
    source = write_checkpoint(tmp_path / "magenta")
    done = spawn("convert", source, tmp_path / "out")
    assert (done.returncode, done.stderr) == (0, "")
    assert f"wrote {tmp_path / 'out'}\n" in done.stdout
    assert_holds(tmp_path / "out", checkpoint(tiny()), tiny())
    (source / DATA).write_bytes(half((source / DATA).read_bytes()))
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
