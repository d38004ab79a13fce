"""The page behind which a model runs: it answers this computer's page, and nobody and nothing else."""

import http.client
import json
import socket
import threading
from collections.abc import Iterator

import numpy as np
import pytest
import torch

from pytorch_sketch_rnn.demo import server as demo_server
from pytorch_sketch_rnn.demo.server import open_server
from pytorch_sketch_rnn.errors import BadInput
from pytorch_sketch_rnn.hparams import CELL_TYPES, HParams
from pytorch_sketch_rnn.model.draws import TorchDraws
from pytorch_sketch_rnn.model.sketch_rnn import SketchRNN

SMALL = HParams(dec_rnn_size=12, enc_rnn_size=6, z_size=4, num_mixture=3, max_seq_len=20, hyper_num_units=5)
QUESTION = {"strokes": [[0.5, 1, 0], [1, -1, 1]], "count": 2, "temperature": 0.5, "seed": 3}


class Client:
    """Talks to a server as a browser would."""

    def __init__(self, port: int) -> None:
        self.port = port

    def ask(self, path: str, body: object = None, *, method: str | None = None, **headers: str):
        """Status, headers and content."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        given = {"Content-Type": "application/json"} | {key.replace("_", "-"): text for key, text in headers.items()}
        connection.request(method or ("GET" if data is None else "POST"), path, data, given)
        response = connection.getresponse()
        content = response.read()
        connection.close()
        return response.status, response.headers, content


@pytest.fixture
def served() -> Iterator:
    """Serve a model until the test ends."""
    servers = []

    def serve(model: SketchRNN) -> Client:
        server = open_server(model.eval(), "sheep", 0)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        servers.append((server, thread))
        return Client(server.server_address[1])

    yield serve
    for server, thread in servers:
        server.shutdown()
        thread.join()
        server.server_close()


def make(enc: str | None = "lstm", dec: str = "lstm") -> SketchRNN:
    return SketchRNN(SMALL.replace(enc_model=enc or "lstm", dec_model=dec, conditional=enc is not None), seed=1).eval()


@pytest.mark.parametrize("dec", CELL_TYPES)
@pytest.mark.parametrize("enc", ["layer_norm", None])
def test_a_drawing_is_finished_by_any_model(served, enc, dec):
    model = make(enc, dec)
    status, _, content = served(model).ask("/api/complete", QUESTION)
    assert status == 200
    draws = TorchDraws(torch.Generator().manual_seed(3))
    expected = model.complete(QUESTION["strokes"], 2, 0.5, draws=draws)
    found = json.loads(content)["drawings"]
    assert len(found) == 2
    for drawing, drawn in zip(found, expected, strict=True):
        assert np.abs(np.array(drawing) - drawn).max() < 1e-5


def test_two_drawings_are_morphed(served):
    client = served(make())
    question = {"first": QUESTION["strokes"], "second": [[1, 1, 1]], "count": 3, "temperature": 0.1, "seed": 0}
    status, _, content = client.ask("/api/interpolate", question)
    assert status == 200
    assert len(json.loads(content)["drawings"]) == 3
    status, _, content = served(make(None)).ask("/api/interpolate", question)
    assert (status, json.loads(content)["error"][:27]) == (400, "this model is unconditional")


def test_the_page_and_what_it_must_know(served):
    client = served(make())
    status, headers, content = client.ask("/")
    assert (status, headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert b"server_engine.js" in content
    assert b"local_engine.js" not in content
    for name, kind in (("page.css", "css"), ("page.js", "javascript"), ("server_engine.js", "javascript")):
        status, headers, content = client.ask(f"/{name}?again")
        assert (status, headers["Content-Type"]) == (200, f"text/{kind}; charset=utf-8")
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert "default-src 'self'" in headers["Content-Security-Policy"]
        assert len(content) > 500
    with socket.create_connection(("127.0.0.1", client.port)) as asking:
        asking.sendall(f"HEAD / HTTP/1.0\r\nHost: 127.0.0.1:{client.port}\r\n\r\n".encode())
        head, _, body = asking.makefile("rb").read().partition(b"\r\n\r\n")
    assert (head.split(b"\r\n")[0].endswith(b" 200 OK"), body) == (True, b"")
    info = json.loads(client.ask("/api/model")[2])
    assert 0 < info.pop("extent") < 100
    assert info == {"name": "sheep", "conditional": True, "max_seq_len": 20, "z_size": 4}


@pytest.mark.parametrize(
    "path", ["/local_engine.js", "/../server.py", "/page", "/api/complete", "//etc/passwd", "/%2e%2e/"]
)
def test_nothing_else_is_served(served, path):
    assert served(make()).ask(path)[0] == 404


def test_other_names_of_this_computer_are_refused(served):
    client = served(make())
    for host in ("sheep.example", f"sheep.example:{client.port}", "127.0.0.1", ""):
        assert client.ask("/", Host=host)[0] == 403
        assert client.ask("/api/complete", QUESTION, Host=host)[0] == 403
    assert client.ask("/", Host=f"localhost:{client.port}")[0] == 200


def test_only_the_loopback_interface_is_served(served):
    server = open_server(make(), "sheep", 0)
    assert server.server_address[0] == "127.0.0.1"
    port = server.server_address[1]
    with pytest.raises(BadInput, match=rf"--port {port}: cannot be used \(.*\); choose another, or 0 for"):
        open_server(make(), "sheep", port)
    server.server_close()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"strokes": "all"}, "strokes: expected a list of at most 2000 points"),
        ({"strokes": [[0, 0, 1]] * 2001}, "strokes: expected a list of at most 2000 points"),
        ({"strokes": [[0, 1]]}, "strokes: expected points [dx, dy, 0 or 1], got [0, 1]"),
        ({"strokes": [[0, True, 1]]}, "strokes: expected points"),
        ({"strokes": [[0, 1, 2]]}, "strokes: expected points"),
        ({"strokes": [[0, 1e9, 1]]}, "strokes: expected offsets of at most 1000"),
        ({"strokes": [[10**400, 0, 1]]}, "strokes: expected points"),
        ({"count": 0}, "count: expected 1 to 12, got 0"),
        ({"count": 1.5}, "count: expected 1 to 12"),
        ({"temperature": 0}, "temperature: expected 0.01 to 2, got 0"),
        ({"temperature": None}, "temperature: expected 0.01 to 2, got None"),
        ({"seed": -1}, "seed: expected 0 to 4294967295, got -1"),
        ({"seed": "x" * 1000}, "seed: expected 0 to 4294967295, got 'xxx"),
    ],
)
def test_an_odd_question_is_one_error(served, change, message):
    status, _, content = served(make()).ask("/api/complete", QUESTION | change)
    assert status == 400
    error = json.loads(content)["error"]
    assert error.startswith(message)
    assert len(error) < 200


@pytest.mark.parametrize("body", [b"{", b"[]", b"\xff", b'"x"', b"[" * 100_000, b'{"strokes": NaN}'])
def test_what_is_no_question_is_one_error(served, body):
    status, _, content = served(make()).ask("/api/complete", body)
    assert status == 400
    assert set(json.loads(content)) == {"error"}


def test_a_form_of_another_page_and_a_long_question_are_refused(served, monkeypatch):
    client = served(make())
    assert client.ask("/api/complete", QUESTION, Content_Type="text/plain")[0] == 400
    assert client.ask("/api/complete", QUESTION, Content_Length="1x")[0] == 400
    assert client.ask("/api/complete", QUESTION, Content_Length="1" * 5000)[0] == 400
    assert client.ask("/api/nothing", QUESTION)[0] == 404
    monkeypatch.setattr(demo_server, "MOST_BYTES", 10)
    assert client.ask("/api/complete", QUESTION)[0] == 400


def test_a_failure_of_the_model_is_told_and_the_next_question_answered(served, capsys, monkeypatch):
    model = make()
    client = served(model)
    complete = model.complete

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("out of memory\nmore")

    monkeypatch.setattr(model, "complete", fail)
    status, _, content = client.ask("/api/complete", QUESTION)
    assert (status, json.loads(content)) == (500, {"error": "the model failed: RuntimeError: out of memory\\nmore"})
    assert "the model failed: RuntimeError" in capsys.readouterr().err
    monkeypatch.setattr(model, "complete", complete)
    assert client.ask("/api/complete", QUESTION)[0] == 200
    monkeypatch.setattr(model, "complete", lambda *_, **__: [np.array([[np.nan, 0, 1]])])
    assert client.ask("/api/complete", QUESTION)[0] == 500


@pytest.mark.parametrize(
    ("error", "told"), [(BrokenPipeError("gone"), False), (TimeoutError("slow"), False), (KeyError("a bug"), True)]
)
def test_only_errors_of_our_own_are_told(capsys, error, told):
    server = open_server(make().eval(), "sheep", 0)
    try:
        raise error
    except Exception:
        server.handle_error(None, ("127.0.0.1", 1))
    finally:
        server.server_close()
    assert ("a bug" in capsys.readouterr().err) is told
