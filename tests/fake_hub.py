"""A hub of our own, and the environment in which it is asked."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

COMMIT = "c" * 40
PIECE = 2048


class FakeHub:
    """The part of the hub's protocol that fetching a model takes, over a real socket.

    All of its ``models`` have the same ``files``. ``cut`` breaks an answer off after so
    many bytes, and after ``gone_after`` of those nothing comes any more; ``slowly`` is the seconds
    between two pieces of one.
    """

    def __init__(self, *models: str) -> None:
        self.models = models or ("some/model",)
        self.files: dict[str, bytes] = {}
        self.requests: list[tuple[str, str | None]] = []
        self.cut: int | None = None
        self.gone_after: int | None = None
        self.slowly: float = 0.0
        hub = self

        class Handler(BaseHTTPRequestHandler):
            def do_HEAD(self):
                hub.answer(self, body=False)

            def do_GET(self):
                hub.answer(self, body=True)

            def log_message(self, *_args):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def answer(self, handler: BaseHTTPRequestHandler, body: bool) -> None:
        path = handler.path.partition("?")[0]
        self.requests.append((f"{handler.command} {path}", handler.headers.get("Range")))
        model, _, name = path.removeprefix("/").partition(f"/resolve/{COMMIT}/")
        if asked := re.fullmatch(r"/api/models/([^/]+/[^/]+)(/tree/.*)?(/revision/.*)?", path):
            if asked[1] in self.models:
                data = self.tree() if asked[2] else self.info(asked[1])
                self.send(handler, 200, data, {"Content-Type": "application/json"}, body)
                return
        elif model in self.models and name in self.files:
            self.send_file(handler, self.files[name], body)
            return
        self.send(handler, 404, b"", {"X-Error-Code": "RepoNotFound"}, body)

    def send_file(self, handler: BaseHTTPRequestHandler, data: bytes, body: bool) -> None:
        etag = hashlib.sha256(data).hexdigest()
        headers = {"ETag": f'"{etag}"', "X-Repo-Commit": COMMIT, "Accept-Ranges": "bytes"}
        start = int((handler.headers.get("Range") or "bytes=0-")[6:].partition("-")[0])
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
        self.send(handler, 206 if start else 200, data[start:], headers, body)

    def send(self, handler, status: int, data: bytes, headers: dict, body: bool) -> None:
        handler.send_response(status)
        for key, value in {**headers, "Content-Length": str(len(data))}.items():
            handler.send_header(key, value)
        handler.end_headers()
        if body and self.cut is not None and len(data) > self.cut:
            if self.gone_after == 0:
                handler.connection.close()
                return
            self.gone_after = self.gone_after and self.gone_after - 1
            handler.wfile.write(data[: self.cut])
            handler.wfile.flush()
            handler.connection.close()
        elif body:
            with contextlib.suppress(OSError):  # who asked has gone
                self.write(handler, data)

    def write(self, handler, data: bytes) -> None:
        piece = PIECE if self.slowly else len(data) or 1
        for start in range(0, len(data), piece):
            time.sleep(self.slowly)
            handler.wfile.write(data[start : start + piece])

    def info(self, model: str) -> bytes:
        siblings = [
            {
                "rfilename": name,
                "size": len(data),
                "blobId": "b" * 40,
                "lfs": {"size": len(data), "sha256": "0" * 64, "pointerSize": 1},
            }
            for name, data in self.files.items()
        ]
        value = {"id": model, "sha": COMMIT, "siblings": siblings}
        value["tags"] = ["license:openrail++"]
        return json.dumps(value).encode()

    def tree(self) -> bytes:
        rows = [
            {"type": "file", "path": name, "size": len(data), "oid": "b" * 40}
            for name, data in self.files.items()
        ]
        return json.dumps(rows).encode()


@pytest.fixture
def hub():
    made = FakeHub()
    yield made
    made.server.shutdown()
    made.server.server_close()


def environment(hub: FakeHub, home: Path) -> dict[str, str]:
    """What makes a process ask this hub, with a cache of its own."""
    return {
        "HF_HOME": str(home),
        "HF_ENDPOINT": hub.url,
        "HF_HUB_OFFLINE": "0",
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_ETAG_TIMEOUT": "5",
    }
