"""Models by URL and by the name of an official one: downloaded once, checked, and recorded by their address."""

import json
import re
from pathlib import Path

import pytest
from local_server import Server
from model_files import as_base64, call, js_model, make_zip, write_checkpoint

from pytorch_sketch_rnn.errors import BadInput
from weight_port import zoo
from weight_port.source import open_source


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


def serve_bird(server: Server, path: str) -> None:
    server.serve(path, json.dumps(js_model(2, as_base64)[0]).encode())


def test_a_model_is_converted_from_its_url_and_downloaded_once(server, tmp_path, capsys):
    serve_bird(server, "/models/bird.gen.json?key=s3cret")
    url = f"{server.url}/models/bird.gen.json"
    for out in ("one", "two"):
        assert call("convert", f"{url}?key=s3cret", tmp_path / out) == 0
    assert len(server.requests) == 1
    record = (tmp_path / "one/conversion.json").read_text()
    assert json.loads(record)["source"] == url
    assert [file["name"] for file in json.loads(record)["files"]] == [url]
    assert "s3cret" not in record + capsys.readouterr().out


def test_a_model_in_an_archive_is_chosen_by_its_folder(server, tmp_path, capsys):
    folder = write_checkpoint(tmp_path / "magenta")
    server.serve(
        "/sketch%20rnn.zip", make_zip(tmp_path / "m.zip", **{"owl/lstm": folder, "cat/lstm": folder}).read_bytes()
    )
    url = f"{server.url}/sketch%20rnn.zip"
    assert call("convert", url, tmp_path / "out") == 2
    assert "holds several models; choose one with --member" in capsys.readouterr().err
    assert call("convert", url, tmp_path / "out", "--member", "owl/lstm") == 0
    assert json.loads((tmp_path / "out/conversion.json").read_text())["source"].startswith(
        f"{url}!sketch_rnn/owl/lstm/"
    )
    assert len(server.requests) == 1


def test_official_models_have_names(server, tmp_path, monkeypatch):
    monkeypatch.setattr(zoo, "QUICKDRAW", f"{server.url}/models")
    monkeypatch.setattr(zoo, "ARCHIVE", f"{server.url}/sketch_rnn.zip")
    serve_bird(server, "/models/bird.gen.json")
    folder = write_checkpoint(tmp_path / "magenta")
    archive = make_zip(tmp_path / "m.zip", **{"owl/lstm": folder, "catbus/lstm": folder})
    server.serve("/sketch_rnn.zip", archive.read_bytes())
    assert call("convert", "zoo:bird", tmp_path / "bird") == 0
    assert call("convert", "zoo:owl/lstm", tmp_path / "owl") == 0
    assert call("inspect", "zoo:catbus/lstm") == 0
    assert server.requests == ["/models/bird.gen.json", "/sketch_rnn.zip"]


def test_the_zoo_is_listed(capsys):
    assert call("zoo") == 0
    *listed, hint = capsys.readouterr().out.splitlines()
    assert len(listed) == len(set(listed)) == len(zoo.names()) > 100
    found = {line.split()[0]: " ".join(line.split()[1:]) for line in listed}
    assert found["bird"] == f"{zoo.QUICKDRAW}/bird.gen.json"
    assert found["owl/lstm"] == f"{zoo.ARCHIVE} (owl/lstm)"
    assert hint == "next: python -m weight_port convert zoo:bird bird"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("zoo:brid", "zoo:brid: no official model has this name; there is bridge, bird, brain"),
        ("zoo:cat bus", "zoo:cat bus: no official model has this name; there is catbus"),
        ("zoo:", "zoo:: no official model has this name; python -m weight_port zoo lists them all"),
        ("zoo:bird --member x", "zoo:bird: --member x chooses a model in a .zip archive, and this names a model"),
        ("URL/bird.npz?key=s3cret", "a URL at http://127.0.0.1:"),
        ("URL/none.json", "URL/none.json: expected a model, got HTTP status 404 (Not Found); check address and name"),
        ("URL/page.json", "URL/page.json: expected a model, got a web page (HTML or XML)"),
        ("http://[/a.json", "the URL of a model: expected http(s)://host/folder, got a damaged host or port"),
    ],
)  # fmt: skip
def test_what_cannot_be_fetched_is_one_error(server, tmp_path, given, message):
    server.serve("/page.json", b"<html>")
    given, _, member = given.replace("URL/", f"{server.url}/").partition(" --member ")
    expected = "^" + re.escape(message.replace("URL/", f"{server.url}/"))
    with pytest.raises(BadInput, match=expected), open_source(given, member or None):
        pass


def test_a_file_that_is_no_model_is_named_where_it_lies(server, cache):
    server.serve("/bird.json", b"[1, 2]")
    expected = rf"^{re.escape(str(cache))}/.*/bird.json: is not a sketch-rnn-js model"
    with pytest.raises(BadInput, match=expected), open_source(f"{server.url}/bird.json"):
        pass
