"""The hub's own client reads a repository from a server on this machine that answers as the hub does."""

import hashlib
import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from pytorch_sketch_rnn.hparams import HParams
from pytorch_sketch_rnn.model.sketch_rnn import SketchRNN

pytest.importorskip("huggingface_hub")
ROOT = Path(__file__).parents[3]
COMMIT = "0123456789abcdef0123456789abcdef01234567"
SMALL = HParams(dec_rnn_size=6, enc_rnn_size=4, z_size=3, num_mixture=2, max_seq_len=9, dec_model="layer_norm")


class Hub(BaseHTTPRequestHandler):
    """One repository, name/sheep: what the client asks of its revision, and its files."""

    folder: Path
    asked: list[str]

    def do_GET(self):
        self.asked.append(f"{self.command} {self.path}")
        _, *parts = self.path.partition("?")[0].split("/")
        if parts[:5] == ["api", "models", "name", "sheep", "tree"]:
            files = [self.described(path) for path in sorted(self.folder.iterdir())]
            self.send(200, json.dumps(files).encode(), {"Content-Type": "application/json"})
        elif parts[:4] == ["api", "models", "name", "sheep"]:
            files = [{"rfilename": path.name} for path in sorted(self.folder.iterdir())]
            body = {"id": "name/sheep", "sha": COMMIT, "private": False, "tags": [], "downloads": 0, "likes": 0}
            self.send(200, json.dumps(body | {"siblings": files}).encode(), {"Content-Type": "application/json"})
        elif parts[:3] == ["name", "sheep", "resolve"] and (self.folder / parts[-1]).is_file():
            content = (self.folder / parts[-1]).read_bytes()
            etag = self.described(self.folder / parts[-1])["oid"]
            self.send(200, content, {"ETag": f'"{etag}"', "X-Repo-Commit": COMMIT})
        else:
            self.send(404, b"", {"X-Error-Code": "RepoNotFound"})

    do_HEAD = do_GET

    def described(self, path):
        content = path.read_bytes()
        blob = b"blob %d\0" % len(content) + content
        return {"type": "file", "path": path.name, "size": len(content), "oid": hashlib.sha1(blob).hexdigest()}

    def send(self, status, content, headers):
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(content))} | headers).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, *_):
        pass


@pytest.fixture
def hub(tmp_path):
    Hub.folder, Hub.asked = tmp_path / "repository", []
    model = SketchRNN(SMALL, seed=1)
    model.scale_factor = 3.5
    model.save_pretrained(Hub.folder)
    (Hub.folder / "training.log").write_text("a file that no reader needs")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


def run(hub, home, *arguments):
    """A command in an empty folder, with the hub at that address."""
    (home / "here").mkdir(parents=True, exist_ok=True)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    environment |= {"HF_ENDPOINT": hub, "HF_HOME": str(home), "HF_HUB_DISABLE_XET": "1", "no_proxy": "127.0.0.1"}
    return subprocess.run(
        [sys.executable, "-m", "pytorch_sketch_rnn", *arguments],
        cwd=home / "here", env=environment | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_a_repository_is_downloaded_once_and_draws(hub, tmp_path):
    sample = ("sample", "name/sheep", "--count", "2", "--seed", "1", "-o")
    first = run(hub, tmp_path, *sample, "first.npz")
    assert first.returncode == 0, first.stderr
    files = {line.rpartition("/")[2] for line in Hub.asked if line.startswith("GET /name/sheep/resolve/")}
    assert {"config.json", "model.safetensors"} <= files
    assert "training.log" not in files
    local = run(hub, tmp_path, "sample", str(Hub.folder), *sample[2:], "local.npz")
    assert local.returncode == 0, local.stderr
    assert (tmp_path / "here/first.npz").read_bytes() == (tmp_path / "here/local.npz").read_bytes()
    Hub.asked.clear()
    again = run(hub, tmp_path, *sample, "again.npz")
    assert again.returncode == 0, again.stderr
    assert not [line for line in Hub.asked if line.startswith("GET /name/sheep/resolve/")]
    assert (tmp_path / "here/again.npz").read_bytes() == (tmp_path / "here/first.npz").read_bytes()


def test_a_repository_that_is_not_there_is_one_error(hub, tmp_path):
    done = run(hub, tmp_path, "sample", "name/goat", "-o", "goat.svg")
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert "name/goat" in done.stderr
