"""``complete``, ``reconstruct``, ``interpolate``, ``demo``: what they read, write and print, and what they refuse."""

import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch

import pytorch_sketch_rnn.__main__
from pytorch_sketch_rnn.data.npz import read_npz, write_npz
from pytorch_sketch_rnn.errors import run_command
from pytorch_sketch_rnn.hparams import HParams
from pytorch_sketch_rnn.model.sketch_rnn import SketchRNN

ROOT = Path(__file__).resolve().parents[3]
SMALL = HParams(dec_rnn_size=12, enc_rnn_size=6, z_size=4, num_mixture=3, max_seq_len=30)
LINES = '<path d="M3 3L20 5L9 20" fill="none" stroke="black"/>'
SVG = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24">{LINES}</svg>'
LINE = '{"word": "cat", "drawing": [[[0, 50, 90], [10, 80, 30]], [[5, 60], [5, 70]]], "recognized": true}\n'


def call(*arguments: object) -> int:
    return run_command(pytorch_sketch_rnn.__main__.main, list(map(str, arguments)))


@pytest.fixture(scope="module")
def here(tmp_path_factory) -> Path:
    """Two models, and sketches in every form."""
    folder = tmp_path_factory.mktemp("here")
    for name, changes in (("sheep", {}), ("drawer", {"conditional": False, "dec_model": "layer_norm"})):
        model = SketchRNN(SMALL.replace(**changes), 1)
        model.decoder.output_b.data[:3] = torch.tensor([2.0, 0.0, -4.0])
        model.scale_factor = 3.0 if name == "sheep" else None
        model.save_pretrained(folder / name)
    rng = np.random.RandomState(0)
    sketches = [
        np.column_stack([rng.randint(-9, 10, (n, 2)), np.arange(n) == n - 1]).astype(np.int16) for n in (5, 7, 9)
    ]
    write_npz(folder / "set.npz", dict.fromkeys(("train", "valid", "test"), sketches))
    (folder / "one.svg").write_text(SVG)
    (folder / "cats.ndjson").write_text(2 * LINE)
    return folder


@pytest.mark.parametrize("sketch", ["set.npz:test:1", "set.npz:valid:0", "set.npz:2", "one.svg", "cats.ndjson:1"])
@pytest.mark.parametrize("model", ["sheep", "drawer"])
def test_a_sketch_in_any_form_is_finished(here, tmp_path, capsys, model, sketch):
    if not sketch.endswith("npz:2"):
        pytest.importorskip("shapely")
    out = tmp_path / "out.npz"
    assert call("complete", here / model, f"{here}/{sketch}", "-o", out, "--count", 3, "--max-len", 6) == 0
    first, *more = capsys.readouterr().out.splitlines()
    assert re.fullmatch(
        rf"wrote {out}: \d+ points of {here}/{sketch}, then 3 drawings of [\d to]+ points that .*", first
    )
    unknown = ["offsets are in normalised units, because the model's scale factor is not known"]
    assert more == (unknown if model == "drawer" else [])
    begun, *finished = read_npz(out, splits=["train"])["train"]
    assert len(finished) == 3
    for drawing in finished:
        assert np.array_equal(drawing[: len(begun)], begun)
        assert len(drawing) <= len(begun) + 6


def test_the_scale_is_that_of_the_set_or_of_the_model(here, tmp_path):
    given = read_npz(here / "set.npz")["test"][1].astype(np.float64)
    everything = np.concatenate([sketch[:, :2] for sketch in read_npz(here / "set.npz")["train"]])
    for flag, factor in (("set", everything.std()), ("model", 3.0)):
        arguments = ("complete", here / "sheep", f"{here}/set.npz:test:1", "--scale", flag)
        assert call(*arguments, "-o", tmp_path / "out.npz") == 0
        begun = read_npz(tmp_path / "out.npz", splits=["train"])["train"][0]  # in units of the model's data
        assert np.allclose(begun[:, :2], given[:, :2] / factor * 3.0, rtol=1e-5)


def test_strokes_that_a_set_cannot_hold_are_counted(here, tmp_path, capsys):
    model = SketchRNN.from_pretrained(here / "sheep")
    model.decoder.output_b.data[2] = 90  # every drawing ends at once
    model.save_pretrained(tmp_path / "model")
    out = tmp_path / "out.npz"
    assert call("reconstruct", tmp_path / "model", f"{here}/set.npz:test:1", "-o", out, "--count", 3) == 0
    told = capsys.readouterr().out.splitlines()[1]
    assert told == "left out 3 of 4 sketches, which have no points (from 0: 1, 2, 3)"
    assert len(read_npz(out, splits=["train"])["train"]) == 1


def test_originals_and_reconstructions_are_written_in_pairs(here, tmp_path, capsys):
    out = tmp_path / "out.npz"
    assert call("sample", here / "sheep", "--like", here / "set.npz", "-o", out, "--max-len", 4) == 0
    assert "3 sketches of the test split of" in (told := capsys.readouterr().out)
    assert ", each before its reconstruction of 4 points" in told
    written = read_npz(out, splits=["train"])["train"]
    assert [len(sketch) for sketch in written[1::2]] == [4, 4, 4]
    originals = read_npz(here / "set.npz")["test"]
    factor = 3.0 / np.concatenate([sketch[:, :2] for sketch in read_npz(here / "set.npz")["train"]]).std()
    found = {len(sketch): sketch for sketch in written[::2]}
    for sketch in originals:
        assert np.allclose(found[len(sketch)], sketch * [factor, factor, 1], rtol=1e-5)


def test_the_first_points_alone_are_a_beginning(here, tmp_path, capsys):
    assert call("complete", here / "drawer", f"{here}/set.npz:test:2", "--points", 4, "-o", tmp_path / "out.png") == 0
    assert f"out.png: 4 points of {here}/set.npz:test:2, then 5 drawings" in capsys.readouterr().out


def test_the_same_seed_gives_the_same_page(here, tmp_path):
    for name in ("a.svg", "b.svg"):
        assert call("complete", here / "sheep", f"{here}/set.npz:test:1", "--seed", 7, "-o", tmp_path / name) == 0
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()


def test_a_sketch_is_drawn_again(here, tmp_path, capsys):
    out = tmp_path / "out.gif"
    assert call("reconstruct", here / "sheep", f"{here}/set.npz:test:1", "-o", out, "--count", 3) == 0
    assert f"wrote {out}: {here}/set.npz:test:1, then 3 reconstructions of " in capsys.readouterr().out
    assert out.read_bytes().startswith(b"GIF")


def test_two_sketches_are_morphed(here, tmp_path, capsys):
    out = tmp_path / "out.svg"
    ends = (f"{here}/set.npz:test:1", f"{here}/set.npz:test:2")
    assert call("interpolate", here / "sheep", *ends, "-o", out, "--count", 4, "--animate") == 0
    assert re.search(
        rf"wrote {out}: 4 drawings of [\d to]+ points, from {ends[0]} to {ends[1]}", capsys.readouterr().out
    )
    assert out.read_text().count("<g transform") == 4
    assert "@keyframes" in out.read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["complete", "sheep", "set.npz"], "test split of set.npz has 3 sketches; choose one, such as set.npz:test:0"),
        (["complete", "sheep", "set.npz:test:3"], "the test split of set.npz has 3 sketches, counted from 0"),
        (["complete", "sheep", "none.npz:test:3"], "none.npz:test:3: there is no none.npz; expected FILE.npz:SPLIT"),
        (["complete", "sheep", "https://a.b/c.svg"], "https://a.b/c.svg: there is no https://a.b/c.svg; expected"),
        (["complete", "sheep", ""], ": there is no file without a name; expected FILE.npz:SPLIT:INDEX"),
        (["complete", "sheep", "set.npz:Test:0"], ":Test:0 chooses no sketch of set.npz; expected FILE"),
        (["complete", "sheep", "set.npz:test:-1"], ":test:-1 chooses no sketch of set.npz; expected FILE"),
        (["complete", "sheep", "cats.ndjson:test:1"], "cats.ndjson has no splits; expected cats.ndjson:INDEX"),
        (["complete", "sheep", "set.npz:test:1", "--points", "0"], "--points is 0, expected at least 1"),
        (["complete", "sheep", "set.npz:test:1", "--count", "0"], "--count is 0, expected 1 to 10000"),
        (["complete", "sheep", "set.npz:test:1", "--columns", "2", "-o", "a.npz"], "--columns: for a page only, and"),
        (["complete", "drawer", "set.npz:test:1", "--scale", "model"], "the model has no scale_factor in its config"),
        (["complete", "sheep", "set.npz:test:1", "--temperature", "0"], "temperature is 0.0"),
        (["reconstruct", "drawer", "set.npz:test:1"], "reconstruct needs an encoder, but the model drawer is"),
        (["interpolate", "drawer", "set.npz:0", "set.npz:1"], "interpolate needs an encoder"),
        (["interpolate", "sheep", "set.npz:0", "set.npz:1", "--count", "1"], "--count is 1, expected 2 to 10000"),
        (["interpolate", "sheep", "set.npz:0"], "the following arguments are required: SECOND"),
    ],
)  # fmt: skip
def test_what_cannot_be_drawn_is_one_error(here, tmp_path, capsys, monkeypatch, arguments, message):
    monkeypatch.chdir(here)
    assert call(*arguments[:3], "-o", tmp_path / "out.svg", *arguments[3:]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_set_without_a_split_says_what_it_has(here, tmp_path, capsys):
    write_npz(tmp_path / "a.npz", {"train": read_npz(here / "set.npz")["train"]})
    assert call("complete", here / "sheep", f"{tmp_path}/a.npz:test:0", "-o", tmp_path / "out.svg") == 2
    assert f"{tmp_path}/a.npz has no test split; it has train" in capsys.readouterr().err
    assert call("complete", here / "sheep", f"{tmp_path}/a.npz:0", "-o", tmp_path / "out.svg") == 0


def test_the_file_that_a_sketch_is_read_from_is_not_written_over(here, tmp_path, capsys):
    path = tmp_path / "a.npz"
    path.write_bytes((here / "set.npz").read_bytes())
    commands = (
        ("complete", here / "sheep", f"{path}:test:0"),
        ("reconstruct", here / "sheep", f"{path}:0"),
        ("interpolate", here / "sheep", f"{here}/set.npz:0", f"{path}:test:1"),
        ("sample", here / "sheep", "--like", path),
    )
    for command in commands:
        assert call(*command, "-o", path) == 2
        assert f"-o {path}: is the file that {path}" in capsys.readouterr().err
    assert path.read_bytes() == (here / "set.npz").read_bytes()


# The page -------------------------------------------------------------------------------------------------------------


def test_the_page_is_written_as_a_folder(here, tmp_path, capsys):
    model = SketchRNN(SMALL, 1)
    model.save_pretrained(tmp_path / "lstm")
    assert call("demo", tmp_path / "lstm", "--static", tmp_path / "page") == 0
    told = capsys.readouterr().out.splitlines()
    assert told[0] == f"wrote {tmp_path / 'page'}: index.html, local_engine.js, model.js, page.css, page.js"
    assert told[1] == f"next: python -m http.server --directory {tmp_path / 'page'}"
    assert call("demo", here / "drawer", "--static", tmp_path / "other") == 2
    assert "dec_model is layer_norm, and the page computes plain LSTMs only" in capsys.readouterr().err
    assert not (tmp_path / "other").exists()
    assert call("demo", here / "drawer", "--port", 70000) == 2
    assert "--port is 70000, expected 0 to 65535" in capsys.readouterr().err


@contextmanager
def ended(process: subprocess.Popen) -> Iterator[None]:
    """Whatever happens, the process does not outlive the block."""
    try:
        yield
    finally:
        process.kill()


@pytest.mark.skipif(sys.platform == "win32", reason="waits for a system with Ctrl-C as a signal")
def test_the_page_is_served_until_ctrl_c(here):
    command = [sys.executable, "-m", "pytorch_sketch_rnn", "demo", str(here / "drawer"), "--port", "0", "--no-browser"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    ignore = signal.signal(signal.SIGINT, signal.SIG_IGN)  # as a script does for what it starts in the background
    try:
        process = subprocess.Popen(command, cwd=ROOT, **pipes)
    finally:
        signal.signal(signal.SIGINT, ignore)
    with process, ended(process):
        line = process.stdout.readline()
        match = re.match(r"serving drawer on (http://127\.0\.0\.1:\d+/) for this computer alone; Ctrl-C ends it", line)
        assert match, line + process.stderr.read()
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(match[1], timeout=30) as response:
            assert b"<title>Draw with Sketch-RNN</title>" in response.read()
        time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        told, errors = process.communicate(timeout=30)
        assert (process.returncode, told, errors) == (0, "ended\n", "")
