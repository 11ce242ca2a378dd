"""A real HTTP server on this machine, for as long as a test needs it."""

from __future__ import annotations

import contextlib
import http.server
import threading
from collections.abc import Iterator
from typing import TypeVar

AnyServer = TypeVar("AnyServer", bound=http.server.HTTPServer)


@contextlib.contextmanager
def serving(server: AnyServer) -> Iterator[AnyServer]:
    """The server, answering in a thread of its own."""
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()
