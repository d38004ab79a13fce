"""Every form in which a user may hold a model is opened; what is unclear, damaged or hostile is refused."""

import base64
import hashlib
import json
import os
import stat
import tempfile
import warnings
import zipfile
from contextlib import suppress
from pathlib import Path

import bundle_writer
import numpy as np
import pytest

from pytorch_sketch_rnn.errors import BadInput
from weight_port import archive as archive_module
from weight_port.source import ACCEPTED_FORMS, Source, open_source

REAL = Path(__file__).parents[4] / "shared/data/checkpoints/catbus-official"
VARIABLES = {"vector_rnn/a": np.arange(6, dtype=np.float32).reshape(2, 3), "vector_rnn/step": np.array(1001, np.int64)}
OTHER = {"vector_rnn/a": np.zeros(1, np.float32)}
CONFIG = {"dec_model": "lstm", "conditional": 1}
CHECKPOINT = 'model_checkpoint_path: "{0}"\nall_model_checkpoint_paths: "{0}"\n'


@pytest.fixture
def no_temporary_files_left(tmp_path, monkeypatch):
    """Whatever happens, nothing stays in the folder for temporary files."""
    folder = tmp_path / "temporary files"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield
    assert list(folder.iterdir()) == []


def make_folder(folder: Path, name: str = "vector-1000", **layout) -> Path:
    bundle_writer.write_bundle(folder / name, VARIABLES, **layout)
    (folder / "checkpoint").write_text(CHECKPOINT.format(name))
    (folder / "model_config.json").write_text(json.dumps(CONFIG))
    return folder


def js_model() -> str:
    shapes = [[1, 123], [123], [5, 4], [1, 4], [4]]
    blobs = [base64.b64encode(np.ones(shape, "<i2").tobytes()).decode() for shape in shapes]
    return json.dumps([{"mode": 2, "name": "bird"}, shapes, blobs])


def make_zip(path: Path, members: dict[str, Path | str | bytes], compression: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content.read_bytes() if isinstance(content, Path) else content)
    return path


def model_members(folder: Path, inside: str) -> dict[str, Path]:
    """The files of a folder as members of an archive."""
    return {f"{inside}{file.name}": file for file in sorted(folder.iterdir())}


def assert_is_the_model(source: Source) -> None:
    assert source.format == "tensor bundle"
    assert source.variables.names() == list(VARIABLES)
    for name, value in VARIABLES.items():
        assert source.variables.shape(name) == value.shape
        assert source.variables.dtype(name) == value.dtype
        np.testing.assert_array_equal(source.variables.read(name), value, strict=True)
    assert source.missing == []
    assert source.info == {}


def refuse(path: Path, message: str, member: str | None = None) -> str:
    """Opening must fail with a message that matches; the whole message."""
    with pytest.raises(BadInput, match=message) as caught, open_source(path, member):
        pass
    return str(caught.value)


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


# Folders and files ---------------------------------------------------------------------------------------------------


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


# Archives ------------------------------------------------------------------------------------------------------------

pytestmark = pytest.mark.usefixtures("no_temporary_files_left")


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("inside", ["", "catbus/", "sketch_rnn/catbus/lstm/"])
def test_the_only_model_of_an_archive_is_opened(tmp_path, inside, compression):
    folder = make_folder(tmp_path / "model")
    path = make_zip(tmp_path / "m.ZIP", model_members(folder, inside), compression)
    for member in (None, inside or ".", inside.removesuffix("/") or "."):
        with open_source(path, member) as source:
            assert_is_the_model(source)
            assert source.config == CONFIG
            assert source.location == f"{path}!{inside}vector-1000"
            assert source.config_path == f"{path}!{inside}model_config.json"
            names = ["vector-1000.index", "vector-1000.data-00000-of-00001", "model_config.json"]
            assert [file.label for file in source.files] == [f"{path}!{inside}{name}" for name in names]
            assert [file.sha256() for file in source.files] == [sha256(folder / name) for name in names]


def several_models(tmp_path: Path) -> Path:
    folder = make_folder(tmp_path / "model")
    bundle_writer.write_bundle(tmp_path / "other/vector", OTHER)
    members = model_members(folder, "sketch_rnn/catbus/lstm/") | model_members(tmp_path / "other", "sketch_rnn/owl/")
    members |= {"js/bird.gen.json": js_model(), "README.md": "text", "sketch_rnn/owl/vector.meta": "unused"}
    members |= {"__MACOSX/sketch_rnn/catbus/lstm/._vector.index": "x", "sketch_rnn/._catbus.json": "x"}
    members |= {"__MACOSX/copy/vector.index": "x"}
    return make_zip(tmp_path / "m.zip", members)


def test_a_member_chooses_among_several_models(tmp_path):
    path = several_models(tmp_path)
    with open_source(path, "sketch_rnn/catbus/lstm") as source:
        assert_is_the_model(source)
    with open_source(path, "sketch_rnn/owl") as source:
        assert source.variables.shape("vector_rnn/a") == (1,)
        assert (source.config, source.config_path) == (None, None)
    with open_source(path, "js/bird.gen.json") as source:
        assert source.format == "sketch-rnn-js"
        assert source.location == source.files[0].label == f"{path}!js/bird.gen.json"


@pytest.mark.parametrize("member", [None, "nope", "sketch_rnn", "sketch_rnn/owl/vector.index", "", "/"])
def test_all_models_are_listed_where_the_choice_is_unclear(tmp_path, member):
    models = "js/bird.gen.json, sketch_rnn/catbus/lstm, sketch_rnn/owl"
    refuse(several_models(tmp_path), rf"(with --member: |\(--member\); it holds ){models}$", member)


def test_only_the_files_of_the_chosen_model_are_unpacked(tmp_path):
    with open_source(several_models(tmp_path), "sketch_rnn/owl") as source:
        names = sorted(file.name for file in source.files[0].path.parent.iterdir())
    assert names == ["vector.data-00000-of-00001", "vector.index"]


def test_an_archive_without_a_model_is_refused(tmp_path):
    refuse(make_zip(tmp_path / "m.zip", {}), "holds no model")
    refuse(make_zip(tmp_path / "m.zip", {"a/checkpoint": "x", "a/model_config.json": "{}"}), "holds no model")
    refuse(make_zip(tmp_path / "m.zip", {"a/vector.index/": ""}), "holds no model")


def test_messages_name_the_member_and_not_the_temporary_file(tmp_path):
    folder = make_folder(tmp_path / "model")
    members = model_members(folder, "catbus/")
    path = make_zip(tmp_path / "m.zip", members | {"catbus/vector-1000.index": b"x" * 50})
    assert refuse(path, "magic number").startswith(f"{path}!catbus/vector-1000.index: ")
    path = make_zip(tmp_path / "m.zip", members | {"catbus/model_config.json": "{"})
    assert refuse(path, "JSON").startswith(f"{path}!catbus/model_config.json: ")
    path = make_zip(tmp_path / "m.zip", members | {"catbus/checkpoint": CHECKPOINT.format("x")})
    assert refuse(path, "names 'x'").startswith(f"{path}!catbus/checkpoint: ")
    path = make_zip(tmp_path / "m.zip", {"js/bird.gen.json": "[]"})
    assert refuse(path, "not a sketch-rnn-js").startswith(f"{path}!js/bird.gen.json: ")
    path = make_zip(tmp_path / "m.zip", {"a/x.index": "", "a/y.index": ""})
    assert refuse(path, "several").startswith(f"{path}!a: has several checkpoints")
    path = make_zip(tmp_path / "m.zip", members | {"catbus/vector-1000.data-00000-of-00001": bytes(32)})
    with pytest.raises(BadInput, match="differ from") as caught, open_source(path) as source:
        source.variables.read("vector_rnn/a")
    assert str(caught.value).startswith(f"{path}!catbus/vector-1000.data-00000-of-00001: ")


def test_a_missing_data_member_is_noted(tmp_path):
    members = model_members(make_folder(tmp_path / "model"), "catbus/")
    del members["catbus/vector-1000.data-00000-of-00001"]
    with open_source(make_zip(tmp_path / "m.zip", members)) as source:
        assert source.missing == ["vector-1000.data-00000-of-00001"]


def test_a_checkpoint_file_in_an_archive_cannot_point_out_of_it(tmp_path):
    outside = make_folder(tmp_path / "outside", "secret")
    members = model_members(make_folder(tmp_path / "model"), "catbus/")
    path = make_zip(tmp_path / "m.zip", members | {"catbus/checkpoint": CHECKPOINT.format(outside / "secret")})
    refuse(path, r"checkpoint: names '.*secret', but its \.index is not there")


def named(name: str, mode: int = 0, flags: int = 0) -> tuple[zipfile.ZipInfo, int]:
    info = zipfile.ZipInfo("placeholder")
    info.filename = info.orig_filename = name
    info.external_attr = mode << 16
    return info, flags


HOSTILE = {
    "parent": (named("../evil"), "no plain path"),
    "parent within": (named("a/../../evil"), "no plain path"),
    "absolute": (named("/etc/evil"), "no plain path"),
    "drive": (named("C:/evil"), "no plain path"),
    "drive without slash": (named("c:evil"), "no plain path"),
    "backslash": (named("..\\evil"), "no plain path"),
    "backslash within": (named("a\\evil"), "no plain path"),
    "empty part": (named("a//evil"), "no plain path"),
    "this folder": (named("./evil"), "no plain path"),
    "control character": (named("ev\nil"), "no plain path"),
    "no name": (named(""), "no plain path"),
    "parent folder": (named("../"), "no plain path"),
    "hidden by macOS": (named("__MACOSX/../evil"), "no plain path"),
    "link": (named("catbus/link", stat.S_IFLNK | 0o777), "is a link or a special file"),
    "pipe": (named("catbus/pipe", stat.S_IFIFO | 0o777), "is a link or a special file"),
    "encrypted": (named("catbus/secret", flags=1), "is encrypted"),
    "twice": (named("catbus/vector-1000.index"), "comes twice"),
    "file and folder": (named("catbus/checkpoint/"), "comes twice"),
}


@pytest.mark.parametrize(("hostile", "message"), HOSTILE.values(), ids=HOSTILE)
def test_one_hostile_member_spoils_the_whole_archive(tmp_path, hostile, message):
    path = make_zip(tmp_path / "m.zip", model_members(make_folder(tmp_path / "model"), "catbus/"))
    with open_source(path) as source:
        assert_is_the_model(source)
    info, flags = hostile
    with zipfile.ZipFile(path, "a") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # zipfile warns of a name that comes twice
        archive.writestr(info, b"evil")
        info.flag_bits |= flags
    refuse(path, rf"m\.zip: the member .* {message}")


def test_a_zero_byte_does_not_hide_the_rest_of_a_name(tmp_path):
    path = make_zip(tmp_path / "m.zip", model_members(make_folder(tmp_path / "model"), "catbus/") | {"xx_evil": ""})
    path.write_bytes(path.read_bytes().replace(b"xx_evil", b"xx\0evil"))
    refuse(path, "no plain path")


def test_a_model_that_is_declared_too_large_is_refused_before_unpacking(tmp_path, monkeypatch):
    folder = make_folder(tmp_path / "model")
    path = make_zip(tmp_path / "m.zip", model_members(folder, "catbus/") | {"big.bin": bytes(10**6)})
    monkeypatch.setattr(archive_module, "MAX_UNPACKED_BYTES", sum(file.stat().st_size for file in folder.iterdir()))
    with open_source(path) as source:
        assert_is_the_model(source)
    monkeypatch.setattr(archive_module, "MAX_UNPACKED_BYTES", archive_module.MAX_UNPACKED_BYTES - 1)
    monkeypatch.setattr(zipfile.ZipFile, "open", lambda *_: pytest.fail("something was unpacked"))
    refuse(path, r"m\.zip: the model takes more than \d+ bytes, which is the limit")


def test_a_model_that_is_larger_than_declared_is_refused_while_unpacking(tmp_path, monkeypatch):
    path = make_zip(tmp_path / "m.zip", model_members(make_folder(tmp_path / "model"), ""))
    monkeypatch.setattr(archive_module, "MAX_UNPACKED_BYTES", 100)
    monkeypatch.setattr(archive_module, "sum", lambda _: 0, raising=False)
    refuse(path, "the model takes more than 100 bytes")


@pytest.mark.parametrize("compression", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_an_unusual_compression_is_refused(tmp_path, compression):
    members = model_members(make_folder(tmp_path / "model"), "")
    refuse(make_zip(tmp_path / "m.zip", members, compression), "is not compressed by 'deflate'")


def test_damaged_contents_are_noticed_by_their_checksum(tmp_path):
    path = make_zip(tmp_path / "m.zip", {"bird.gen.json": js_model()}, zipfile.ZIP_STORED)
    path.write_bytes(path.read_bytes().replace(b'"bird"', b'"bard"'))
    refuse(path, r"m\.zip: this \.zip archive cannot be unpacked \(Bad CRC-32")


def test_what_is_no_archive_at_all_is_refused(tmp_path):
    for content in (b"", b"PK", b"not an archive" * 100):
        (tmp_path / "m.zip").write_bytes(content)
        refuse(tmp_path / "m.zip", r"m\.zip: this \.zip archive cannot be unpacked \(File is not a zip file\)")


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_no_damaged_byte_of_an_archive_breaks_the_reader(tmp_path, compression):
    """Some damage is harmless (dates, versions), some takes a file away; values that are read must be right."""
    bundle_writer.write_bundle(tmp_path / "model/v", VARIABLES)
    path = make_zip(tmp_path / "m.zip", model_members(tmp_path / "model", "c/"), compression)
    sound = path.read_bytes()
    refused = 0
    for position in range(len(sound)):
        for mask in (0x01, 0x80, 0xFF):
            path.write_bytes(sound[:position] + bytes([sound[position] ^ mask]) + sound[position + 1 :])
            try:
                with open_source(path) as source:
                    for name, value in VARIABLES.items():
                        np.testing.assert_array_equal(source.variables.read(name), value, strict=True)
            except BadInput:
                refused += 1
    assert refused > len(sound)
    for length in range(len(sound)):
        path.write_bytes(sound[:length])
        refuse(path, r"m\.zip")


def test_the_temporary_files_are_gone_also_after_an_error_of_the_caller(tmp_path):
    path = make_zip(tmp_path / "m.zip", model_members(make_folder(tmp_path / "model"), ""))
    with suppress(ZeroDivisionError), open_source(path) as source:
        kept = source.files[0].path
        assert kept.is_file()
        raise ZeroDivisionError
    assert not os.path.exists(kept.parent)
