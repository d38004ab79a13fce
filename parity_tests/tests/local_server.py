"""A web server on this machine, for tests of downloads."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np

DATA = bytes(np.random.default_rng(0).integers(0, 256, 300_000, np.uint8))


class Server:
    """Answers each path as ``answers`` says, and records the requests."""

    def __init__(self) -> None:
        self.answers: dict[str, tuple[int, dict[str, str], bytes]] = {}
        self.requests: list[str] = []
        self.finished = threading.Event()  # set when the test ends, to release unanswered requests
        self.url = ""

    def serve(self, path: str, body: bytes = DATA, status: int = 200, **headers: str) -> None:
        headers = {name.replace("_", "-"): text for name, text in headers.items()}
        self.answers[path] = (status, headers, body)

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        self.requests.append(handler.path)
        if handler.path == "/silent":
            self.finished.wait(10)
            return
        status, headers, body = self.answers.get(handler.path, (404, {}, b"not here"))
        handler.send_response(status)
        for name, text in ({"Content-Length": str(len(body))} | headers).items():
            if text:
                handler.send_header(name, text)
        handler.end_headers()
        handler.wfile.write(body)


class Handler(BaseHTTPRequestHandler):
    """Passes each request on to a Server."""

    def __init__(self, server: Server, *arguments: object) -> None:
        self.owner = server
        super().__init__(*arguments)

    def do_GET(self) -> None:
        self.owner.answer(self)

    def log_message(self, *arguments: object) -> None:
        pass


@contextmanager
def serving() -> Iterator[Server]:
    """A server until the end of the block; the fixture ``server`` of every test is one."""
    ours = Server()
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, ours)) as http_server:
        ours.url = f"http://127.0.0.1:{http_server.server_address[1]}"
        thread = threading.Thread(target=http_server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield ours
        finally:
            ours.finished.set()
            http_server.shutdown()
            thread.join()
