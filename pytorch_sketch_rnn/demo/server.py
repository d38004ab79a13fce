"""Serves the page on this computer alone, and answers what it asks.

Only requests to a name of this computer are answered, so that no other page can reach the model through a name that
leads here; and only questions sent as JSON, which another page's form cannot send.
"""

import json
import re
import sys
import threading
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from pytorch_sketch_rnn.demo.files import BEHIND, INDEX, TYPES, page_files
from pytorch_sketch_rnn.demo.questions import QUESTIONS, describe
from pytorch_sketch_rnn.errors import BadInput, one_line

if TYPE_CHECKING:
    from pytorch_sketch_rnn.model.sketch_rnn import SketchRNN

ADDRESS = "127.0.0.1"
MOST_BYTES = 2**18  # of a question
TIMEOUT = 30.0  # seconds that a request may take to arrive
_POLICY = "default-src 'self'; img-src 'self' data: blob:; style-src 'self' 'unsafe-inline'"


class Page:
    """A model behind the page.

    Args:
        model: in eval mode, on the CPU or another device.
        name: of the model, for people.
    """

    def __init__(self, model: "SketchRNN", name: str) -> None:
        self._model = model
        self._described = json.dumps(describe(model, name)).encode()
        self._files = page_files(BEHIND)
        self._lock = threading.Lock()  # one question at a time: a model uses all cores

    def file(self, path: str) -> tuple[str, bytes] | None:
        """Type and content of what a path names, or None."""
        if path == "/api/model":
            return "application/json", self._described
        name = path.removeprefix("/") or INDEX
        content = self._files.get(name)
        return None if content is None else (TYPES[PurePosixPath(name).suffix], content)

    def answer(self, path: str, body: bytes) -> tuple[int, dict[str, Any]]:
        """HTTP status and answer to a question."""
        answer = QUESTIONS.get(path.removeprefix("/api/"))
        if answer is None or not path.startswith("/api/"):
            return 404, {"error": "there is no such question"}
        try:
            question = json.loads(body)
        except (ValueError, RecursionError):
            return 400, {"error": "expected a question as JSON"}
        if not isinstance(question, dict):
            return 400, {"error": "expected a question as a JSON object"}
        try:
            with self._lock:
                answered = answer(self._model, question)
            json.dumps(answered, allow_nan=False)  # which a browser could not read
            return 200, answered
        except BadInput as error:
            return 400, {"error": str(error)}
        except Exception as error:  # such as a full memory of a GPU; the page shows it, and the next question may do
            message = one_line(f"the model failed: {type(error).__name__}: {error}")
            print(message, file=sys.stderr, flush=True)
            return 500, {"error": message}


class _Handler(BaseHTTPRequestHandler):
    timeout = TIMEOUT
    server_version = "sketch-rnn"
    sys_version = ""

    def __init__(self, page: Page, *arguments: Any) -> None:
        self._page = page
        super().__init__(*arguments)

    def do_GET(self) -> None:
        """Send a file of the page, or what it must know of the model."""
        if self._is_for_us():
            found = self._page.file(self.path.partition("?")[0])
            if found is None:
                self._send(404, "text/plain; charset=utf-8", b"there is no such page\n")
            else:
                self._send(200, *found)

    do_HEAD = do_GET

    def do_POST(self) -> None:
        """Answer a question."""
        if not self._is_for_us():
            return
        length = self.headers.get("Content-Length", "")
        is_json = self.headers.get_content_type() == "application/json"
        if not is_json or not re.fullmatch("[0-9]{1,9}", length) or int(length) > MOST_BYTES:
            self.close_connection = True  # the rest of the request was not read
            self._send_json(400, {"error": f"expected a question as JSON of at most {MOST_BYTES} bytes"})
            return
        self._send_json(*self._page.answer(self.path, self.rfile.read(int(length))))

    def _is_for_us(self) -> bool:
        """Whether the request names this computer; else it is refused."""
        port = self.connection.getsockname()[1]
        names = (ADDRESS, "localhost")
        if self.headers.get("Host") in {f"{name}:{port}" for name in names} | (set(names) if port == 80 else set()):
            return True
        self.close_connection = True
        self._send(403, "text/plain; charset=utf-8", b"this page is for the computer that serves it\n")
        return False

    def _send_json(self, status: int, answer: dict[str, Any]) -> None:
        self._send(status, "application/json", json.dumps(answer).encode())

    def _send(self, status: int, kind: str, content: bytes) -> None:
        self.send_response(status)
        headers = {"Content-Type": kind, "Content-Length": str(len(content)), "Cache-Control": "no-store"}
        headers |= {"X-Content-Type-Options": "nosniff", "Content-Security-Policy": _POLICY}
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, *arguments: Any) -> None:
        """Say nothing: the page tells its errors."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True  # Ctrl-C does not wait for a browser that keeps its connection

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a browser that went away or was too slow; tell any other error."""
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            super().handle_error(request, client_address)


def open_server(model: "SketchRNN", name: str, port: int) -> ThreadingHTTPServer:
    """A server on the loopback interface that is not serving yet; port 0 takes a free one.

    Raises:
        BadInput: when the port cannot be had.
    """
    try:
        return _Server((ADDRESS, port), partial(_Handler, Page(model, name)))
    except OSError as error:
        raise BadInput(
            f"--port {port}: cannot be used ({error.strerror}); choose another, or 0 for a free one"
        ) from None
