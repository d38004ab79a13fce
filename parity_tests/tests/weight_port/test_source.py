"""weight_port.source: a model is opened in every form; what is unclear or damaged is refused."""

import json
from pathlib import Path

import numpy as np
import pytest
from source_files import CHECKPOINT, CONFIG, OTHER, REAL, assert_is_the_model, js_model, make_folder, refuse, sha256

from pytorch_sketch_rnn.errors import BadInput
from weight_port import tensor_bundle_writer as bundle_writer
from weight_port.source import ACCEPTED_FORMS, open_source


@pytest.mark.parametrize("form", [".", "vector-1000", "vector-1000.index", "vector-1000.data-00000-of-00001"])
def test_a_checkpoint_is_opened_by_its_folder_its_prefix_or_any_of_its_files(tmp_path, form):
    make_folder(tmp_path)
    with open_source(tmp_path / form) as source:
        assert_is_the_model(source)
        assert source.location == str(tmp_path / "vector-1000")
        assert source.config == CONFIG
        assert source.config_path == str(tmp_path / "model_config.json")
        names = ["vector-1000.index", "vector-1000.data-00000-of-00001", "model_config.json"]
        assert [(file.label, file.path) for file in source.files] == [
            (str(tmp_path / name), tmp_path / name) for name in names
        ]
        assert [file.sha256() for file in source.files] == [sha256(tmp_path / name) for name in names]


def test_a_prefix_relative_to_the_working_folder_is_opened(tmp_path, monkeypatch):
    make_folder(tmp_path)
    monkeypatch.chdir(tmp_path)
    for form in ("vector-1000", "vector-1000.index", "."):
        with open_source(Path(form)) as source:
            assert_is_the_model(source)


def test_a_sketch_rnn_js_model_is_opened(tmp_path):
    path = tmp_path / "bird.gen.json"
    path.write_text(js_model())
    with open_source(path) as source:
        assert source.format == "sketch-rnn-js"
        assert source.location == str(path)
        assert source.info == {"mode": 2, "name": "bird"}
        assert (source.config, source.config_path, source.missing) == (None, None, [])
        assert len(source.variables.names()) == 5
        assert source.variables.shape("vector_rnn/RNN/output_w") == (1, 123)
        assert source.variables.dtype("vector_rnn/RNN/output_w") == np.float32
        expected = np.full((1, 123), 10 / 32767, np.float32)
        np.testing.assert_array_equal(source.variables.read("vector_rnn/RNN/output_w"), expected, strict=True)
        assert [(file.label, file.sha256()) for file in source.files] == [(str(path), sha256(path))]


def test_an_unknown_variable_is_refused_in_both_formats(tmp_path):
    (tmp_path / "bird.gen.json").write_text(js_model())
    make_folder(tmp_path)
    for form in ("bird.gen.json", "vector-1000"):
        with open_source(tmp_path / form) as source:
            for ask in (source.variables.shape, source.variables.dtype, source.variables.read):
                with pytest.raises(BadInput, match=f"{form}: .* no variable 'nope'"):
                    ask("nope")


def test_a_missing_data_file_is_noted_and_only_reading_fails(tmp_path):
    make_folder(tmp_path, num_shards=2)
    (tmp_path / "vector-1000.data-00001-of-00002").unlink()
    with open_source(tmp_path) as source:
        assert source.missing == ["vector-1000.data-00001-of-00002"]
        assert [file.path.name for file in source.files] == [
            "vector-1000.index",
            "vector-1000.data-00000-of-00002",
            "model_config.json",
        ]
        assert source.variables.shape("vector_rnn/step") == ()
        source.variables.read("vector_rnn/a")
        with pytest.raises(BadInput, match="data-00001-of-00002: this data file is missing"):
            source.variables.read("vector_rnn/step")


def test_a_data_file_without_its_index_is_refused(tmp_path):
    make_folder(tmp_path)
    (tmp_path / "vector-1000.index").unlink()
    refuse(tmp_path / "vector-1000.data-00000-of-00001", r"vector-1000\.index: the checkpoint's index cannot be read")


def test_the_checkpoint_file_chooses_among_several(tmp_path):
    bundle_writer.write_bundle(tmp_path / "vector-2000", OTHER)
    make_folder(tmp_path)
    with open_source(tmp_path) as source:
        assert_is_the_model(source)


@pytest.mark.parametrize(
    "written",
    [
        "/home/someone/log/vector-1000",
        "../elsewhere/vector-1000",
        r"C:\\Users\\someone\\vector-1000",
        "C:/log/vector-1000",
    ],
)
def test_a_path_of_another_machine_means_the_file_in_this_folder(tmp_path, written):
    make_folder(tmp_path / "model")
    (tmp_path / "model/checkpoint").write_text(CHECKPOINT.format(written))
    with open_source(tmp_path / "model") as source:
        assert_is_the_model(source)
        assert source.location == str(tmp_path / "model/vector-1000")


def test_a_path_that_is_there_is_followed_as_written(tmp_path):
    make_folder(tmp_path / "here", "vector-1")
    bundle_writer.write_bundle(tmp_path / "here/vector-1000", OTHER)
    make_folder(tmp_path / "there")
    for written in (tmp_path / "there/vector-1000", "../there/vector-1000"):
        (tmp_path / "here/checkpoint").write_text(CHECKPOINT.format(written))
        with open_source(tmp_path / "here") as source:
            assert_is_the_model(source)


def test_a_checkpoint_file_that_names_nothing_there_lists_what_is(tmp_path):
    make_folder(tmp_path)
    (tmp_path / "checkpoint").write_text(CHECKPOINT.format("vector-3000"))
    message = refuse(tmp_path, "checkpoint: names 'vector-3000', but its .index is not there")
    assert message.endswith("there is vector-1000.index")
    (tmp_path / "vector-1000.index").unlink()
    refuse(tmp_path, "the folder has no .index file at all")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "checkpoint: has no line 'model_checkpoint_path"),
        (b'all_model_checkpoint_paths: "vector-1000"\n', "has no line 'model_checkpoint_path"),
        (b'model_checkpoint_path: ""\n', "has no line 'model_checkpoint_path"),
        (b'model_checkpoint_path: "vector-1000\n', "has no line 'model_checkpoint_path"),
        (b'model_checkpoint_path: "a\0b"\n', r"checkpoint: names 'a\\x00b', but its .index is not there"),
        (b'model_checkpoint_path: "' + b"x" * 5000 + b'"\n', "checkpoint: names .* but its .index is not there"),
        (b"\xff\xfe\0", "has no line 'model_checkpoint_path"),
        (b'model_checkpoint_path: "\xff\\777"\n', "its .index is not there"),
        (b" \n" * 2**20, "checkpoint: is larger than"),
        (b" \n" * 2**19, "has no line 'model_checkpoint_path"),
    ],
)
def test_a_checkpoint_file_of_another_form_is_refused(tmp_path, content, message):
    make_folder(tmp_path)
    (tmp_path / "checkpoint").write_bytes(content)
    refuse(tmp_path, message)


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("sheep's-10", rb"sheep\'s-10"),
        ('a"b', rb"a\"b"),
        ("größe-1", rb"gr\303\266\303\237e-1"),
        ("größe-1", "größe-1".encode()),
    ],
)
def test_the_escapes_of_a_checkpoint_file_are_undone(tmp_path, name, written):
    make_folder(tmp_path, name)
    (tmp_path / "checkpoint").write_bytes(b'model_checkpoint_path: "' + written + b'"\n')
    with open_source(tmp_path) as source:
        assert_is_the_model(source)
        assert source.location == str(tmp_path / name)


def test_without_a_checkpoint_file_the_only_index_is_used(tmp_path):
    make_folder(tmp_path)
    (tmp_path / "checkpoint").unlink()
    with open_source(tmp_path) as source:
        assert_is_the_model(source)
    bundle_writer.write_bundle(tmp_path / "vector-2000", OTHER)
    message = refuse(tmp_path, "has several checkpoints and no file 'checkpoint'")
    assert message.endswith("give one of vector-1000.index, vector-2000.index")


def test_a_long_list_of_checkpoints_is_cut(tmp_path):
    for step in range(25):
        (tmp_path / f"vector-{step}.index").touch()
    assert refuse(tmp_path, "several checkpoints").endswith(" and 5 more")


def test_what_is_no_model_is_refused_with_all_accepted_forms(tmp_path):
    (tmp_path / "notes.txt").touch()
    (tmp_path / ".index").touch()
    (tmp_path / "empty").mkdir()
    (tmp_path / "nameless").mkdir()
    (tmp_path / "nameless/.index").touch()
    for name, message in {
        "nothing": "nothing: does not exist",
        "nothing.zip": "does not exist",
        "nothing.json": "does not exist",
        "nothing.index": "does not exist",
        "with\0zero": "does not exist",
        "notes.txt": "notes.txt: is of an unknown type",
        ".index": "is of an unknown type",
        "empty": "empty: has no checkpoint",
        "nameless": "nameless: has no checkpoint",
    }.items():
        assert refuse(tmp_path / name, message).endswith(ACCEPTED_FORMS)


@pytest.mark.parametrize("content", [b"", b"{'dec_model': 1}", b'{"a": NaN}', b"\xff", b"[" * 10**5, b"0" * 2**21])
def test_a_config_that_is_not_json_is_refused(tmp_path, content):
    make_folder(tmp_path)
    (tmp_path / "model_config.json").write_bytes(content)
    refuse(tmp_path, r"model_config\.json: (expected JSON, but|has \d+ bytes)")


@pytest.mark.parametrize("config", [None, ["dec_model", "conditional"], {"conditional": True}, 5])
def test_a_config_of_any_form_is_handed_on_as_it_is(tmp_path, config):
    make_folder(tmp_path)
    (tmp_path / "model_config.json").write_text(json.dumps(config))
    with open_source(tmp_path) as source:
        assert source.config == config
        assert source.config_path == str(tmp_path / "model_config.json")


def test_a_checkpoint_without_a_config_has_none(tmp_path):
    make_folder(tmp_path)
    (tmp_path / "model_config.json").unlink()
    with open_source(tmp_path) as source:
        assert (source.config, source.config_path) == (None, None)
        assert [file.path.suffix for file in source.files] == [".index", ".data-00000-of-00001"]


def test_a_member_is_only_for_archives(tmp_path):
    make_folder(tmp_path)
    refuse(tmp_path, "--member catbus chooses a model in a .zip archive", member="catbus")


def test_a_file_that_vanishes_is_refused_by_name(tmp_path):
    make_folder(tmp_path)
    with open_source(tmp_path) as source:
        (tmp_path / "vector-1000.index").unlink()
        with pytest.raises(BadInput, match=r"vector-1000\.index: cannot be read"):
            source.files[0].sha256()


@pytest.mark.skipif(not REAL.is_dir(), reason="the real data are not here")
def test_an_official_checkpoint_without_its_data_is_opened():
    with open_source(REAL) as source:
        assert source.location == str(REAL / "vector")
        assert source.missing == ["vector.data-00000-of-00001"]
        assert len(source.variables.names()) == 56
        assert source.config["dec_rnn_size"] == 512
        assert [file.path.name for file in source.files] == ["vector.index", "model_config.json"]
