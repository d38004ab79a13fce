"""A person in a real browser draws with the mouse, the keyboard and a finger, and the model goes on.

``make test-browser`` runs these. ``DEMO_PICTURES`` names a folder for the pictures, to be looked at.
"""

import functools
import json
import os
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import torch

from pytorch_sketch_rnn.demo.server import open_server
from pytorch_sketch_rnn.demo.static import write_static
from pytorch_sketch_rnn.hparams import HParams
from pytorch_sketch_rnn.model.sketch_rnn import SketchRNN
from weight_port.folder import convert_source
from weight_port.source import open_source

REAL = Path(__file__).parents[4] / "shared/data/models/bird.gen.json"
PAPER = 255  # units of the page's paper
PACKAGE = "playwright-core@1.56.1"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None or shutil.which("npm") is None, reason="there is no Chromium, or no Node"),
]


@pytest.fixture(scope="module")
def package(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("node")
    (folder / "package.json").write_text("{}")
    command = ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", PACKAGE]
    subprocess.run(command, cwd=folder, capture_output=True, check=True, timeout=300)
    return folder


@contextmanager
def serving(server: ThreadingHTTPServer) -> Iterator[str]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *arguments: object) -> None:
        pass


def visit(package: Path, address: str, name: str, tmp_path: Path) -> dict:
    """What a person sees."""
    folder = Path(os.environ.get("DEMO_PICTURES", tmp_path))
    folder.mkdir(parents=True, exist_ok=True)
    picture = folder.resolve() / f"{name}.png"
    command = ["node", str(Path(__file__).with_name("page_in_browser.cjs")), str(CHROMIUM), address, str(picture)]
    done = subprocess.run(command, cwd=package, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    saved = picture.with_name(f"{picture.name}.svg").read_text()
    assert saved.startswith("<svg ")
    assert saved.count("<path ") >= 1
    return json.loads(done.stdout)


def check(seen: dict, *, conditional: bool) -> None:
    assert (seen["errors"], seen["right"]) == ([], 0)
    assert seen["keyboardLine"] == "M127.5 122.5L157.5 122.5L157.5 127.5L132.5 127.5"
    assert seen["own"] == 1
    assert seen["added"] >= 1
    assert seen["drawings"] == 4
    assert re.fullmatch(r"4 drawings in \d+\.\d\d seconds\.", seen["status"])
    assert seen["pressed"] == ["false", "true", "false", "false"]
    assert seen["kept"][0] >= 2
    assert seen["kept"][1:] == [0, 0]
    assert (seen["cleared"], seen["keyboard"], seen["finger"]) == (0, 1, 1)
    assert seen["three"] == seen["fresh"] == 3
    assert seen["undone"] == [0, 0]
    assert seen["second"] is conditional
    assert not conditional or seen["morphed"] >= 3
    assert not seen["wide"]  # it fits on a phone
    check_places(seen)
    if conditional:
        check_between(seen)


def check_between(seen: dict) -> None:
    """An arc and one that is twice as large are morphed; each drawing is shown in the middle."""
    question, unit = seen["between"]["question"], 0.75 * PAPER / seen["between"]["extent"]
    assert (question["count"], seen["otherCleared"]) == (3, 0)
    for side, radius in (("first", 0.12), ("second", 0.24)):
        strokes = np.array(question[side])
        assert strokes[:, 2].tolist() == [0] * (len(strokes) - 1) + [1]
        size = unit * np.ptp(strokes[:, :2].cumsum(axis=0), axis=0)
        np.testing.assert_allclose(size, 2 * radius * PAPER, atol=4)  # the tolerance, on both sides
    points = np.concatenate([points_of(path) for path in seen["middle"]])
    np.testing.assert_allclose((points.min(axis=0) + points.max(axis=0)) / 2, PAPER / 2, atol=0.1)


def check_places(seen: dict) -> None:
    """The person's line is where the mouse went, the model reads it, and what it adds begins where the line ended."""
    [asked], own, added = seen["first"]["asked"], seen["first"]["own"], seen["first"]["added"]
    unit = 0.75 * PAPER / asked["extent"]
    [line] = map(points_of, own)
    angles = np.linspace(0, 1.7 * np.pi, 31)
    mouse = PAPER * np.stack([0.4 + 0.12 * np.sin(angles), 0.32 - 0.12 * np.cos(angles)], axis=1)
    assert len(line) < len(mouse)  # it is simplified
    assert distances(mouse, line).max() < 2 + 1  # the tolerance, and a pixel
    assert distances(line, mouse).max() < 1
    given = np.array(asked["question"]["strokes"])
    assert given[0, :2].tolist() == [0, 0]
    assert given[:, 2].tolist() == [0] * (len(given) - 1) + [1]
    np.testing.assert_allclose(line[0] + unit * given[:, :2].cumsum(axis=0), line, atol=0.06)  # one decimal is shown
    for number, shown in ((0, added), (1, seen["keptLines"][1:])):
        drawing = np.array(asked["answer"][number])
        np.testing.assert_allclose(drawing[: len(given)], given, atol=1e-5)
        places = line[-1] + unit * drawing[len(given) :, :2].cumsum(axis=0)
        ends = [*np.flatnonzero(drawing[len(given) :, 2] == 1) + 1]
        expected = [part for part in np.split(places, ends) if len(part)]
        assert len(shown) == len(expected)
        for path, part in zip(shown, expected, strict=True):
            np.testing.assert_allclose(points_of(path)[: len(part)], part, atol=0.2)
    assert seen["keptLines"][0] == own[0]


def points_of(path: str) -> np.ndarray:
    """The points [n, 2] of a path of straight lines."""
    return np.array([point.split() for point in path.removeprefix("M").split("L")], float)


def distances(points: np.ndarray, line: np.ndarray) -> np.ndarray:
    """Of each point from the nearest segment of a line."""
    starts, ways = line[:-1], np.diff(line, axis=0)
    along = ((points[:, None] - starts) * ways).sum(axis=2) / (ways**2).sum(axis=1)
    nearest = starts + along.clip(0, 1)[..., None] * ways
    return np.linalg.norm(points[:, None] - nearest, axis=2).min(axis=1)


def make(**changes: object) -> SketchRNN:
    """A small model that draws for a while."""
    hparams = HParams(dec_rnn_size=24, enc_rnn_size=12, z_size=6, max_seq_len=40, **changes)
    model = SketchRNN(hparams, seed=1).eval()
    model.decoder.output_b.data[:3] = torch.tensor([2.0, 0.0, -4.0])
    return model


@pytest.mark.parametrize("changes", [{"dec_model": "layer_norm"}, {"conditional": False}], ids=["conditional", "not"])
def test_the_model_runs_behind_the_page(package, tmp_path, changes):
    with serving(open_server(make(**changes), "sheep", 0)) as address:
        check(visit(package, address, f"behind-{len(changes)}", tmp_path), conditional="conditional" not in changes)


@pytest.mark.parametrize("conditional", [True, False])
def test_the_model_runs_in_the_page(package, tmp_path, conditional):
    write_static(make(conditional=conditional), "sheep", tmp_path / "page")
    handler = functools.partial(Quiet, directory=str(tmp_path / "page"))
    with serving(ThreadingHTTPServer(("127.0.0.1", 0), handler)) as address:
        check(visit(package, address, f"in-page-{conditional}", tmp_path), conditional=conditional)


@pytest.mark.parametrize("conditional", [False])
def test_the_folder_works_without_any_server(package, tmp_path, conditional):
    write_static(make(conditional=conditional), "sheep", tmp_path / "page")
    address = (tmp_path / "page/index.html").as_uri()
    check(visit(package, address, "file", tmp_path), conditional=conditional)


@pytest.mark.skipif(not REAL.is_file(), reason="the real data are not here")
def test_an_official_model_finishes_a_bird(package, tmp_path):
    with open_source(REAL) as source:
        convert_source(source, tmp_path / "bird")
    model = SketchRNN.from_pretrained(tmp_path / "bird")
    with serving(open_server(model, "bird", 0)) as address:
        check(visit(package, address, "bird", tmp_path), conditional=False)
    write_static(model, "bird", tmp_path / "page")
    handler = functools.partial(Quiet, directory=str(tmp_path / "page"))
    with serving(ThreadingHTTPServer(("127.0.0.1", 0), handler)) as address:
        check(visit(package, address, "bird-in-page", tmp_path), conditional=False)
