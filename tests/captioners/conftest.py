"""A real HTTP server on this machine, which answers what it is told."""

from __future__ import annotations

import http.server
import json

import pytest
from serving import serving


class Server(http.server.ThreadingHTTPServer):
    """Gives the answers it was told, in turn, the last one for ever; keeps what it was asked."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers = []
        self.asked = []

    @property
    def address(self):
        return f"http://127.0.0.1:{self.server_port}/v1#some-model"


class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):  # noqa: N802
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers["Content-Type"] == "application/json":
            body = json.loads(body)
        self.server.asked.append((self.path, dict(self.headers), body))
        answers = self.server.answers
        status, headers, data = answers.pop(0) if len(answers) > 1 else answers[0]
        if callable(data):
            data(self)
            return
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST  # noqa: N815

    def log_message(self, *_args):
        pass


@pytest.fixture
def server():
    with serving(Server()) as server:
        yield server
