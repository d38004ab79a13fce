"""weight_port.archive: one model is taken out of a .zip archive; a hostile or damaged archive is refused."""

import os
import stat
import tempfile
import warnings
import zipfile
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from source_files import (
    CHECKPOINT,
    CONFIG,
    OTHER,
    VARIABLES,
    assert_is_the_model,
    js_model,
    make_folder,
    make_zip,
    model_members,
    refuse,
    sha256,
)

from pytorch_sketch_rnn.errors import BadInput
from weight_port import archive as archive_module
from weight_port import tensor_bundle_writer as bundle_writer
from weight_port.source import open_source


@pytest.fixture
def no_temporary_files_left(tmp_path, monkeypatch):
    """Whatever happens, nothing stays in the folder for temporary files."""
    folder = tmp_path / "temporary files"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield
    assert list(folder.iterdir()) == []


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
