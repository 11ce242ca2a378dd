"""Any OpenAI-compatible server: ``endpoint=http://host:port/v1#model``."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from PIL import Image

from diffinv.errors import UsageError
from diffinv.system.chat import ChatServer

from .answers import PROMPT, clean

_USAGE = "--captioner endpoint=http://HOST:PORT/v1#MODEL"


def load(weights: str | None, device: str) -> EndpointCaptioner:
    """The captioner that asks the named server; the device is the server's business."""
    if weights is None:
        raise UsageError(f"The captioner 'endpoint' needs a server and a model: {_USAGE}.")
    return EndpointCaptioner(weights)


class EndpointCaptioner:
    """See :class:`diffinv.contracts.Captioner`. ``timeout`` is in seconds for a whole request."""

    id = "endpoint"

    def __init__(
        self,
        address: str,
        timeout: float = 120.0,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._server = ChatServer(address, _USAGE, timeout, sleep)

    def caption(self, images: Sequence[Image.Image]) -> list[str]:
        """One sentence per picture, asked for one by one."""
        host = f"The server {self._server.host}"
        return [clean(self._server.ask([image, PROMPT]), host) for image in images]
