"""``python -m weight_port``: bad input gives one line, exit code 2 and no output."""

import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from model_files import DATA, as_base64, call, content, js_model, make_zip, names_in, write_checkpoint
from sample_models import checkpoint, tiny, weights


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
    assert call(*arguments) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert "see python -m weight_port" in line
