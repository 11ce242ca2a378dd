"""Any OpenAI-compatible server: ``endpoint=http://host:port/v1#model``."""

from __future__ import annotations

import base64
import io
import json
import time
from collections.abc import Callable, Sequence
from typing import Any

from PIL import Image

from diffinv.errors import UsageError

from .answers import PROMPT, clean
from .server import Server, reason_of

MAX_TOKENS = 1024
"""A server stops after this many tokens: enough for a model that thinks before it answers."""

LARGEST_ANSWER = 2**20
_LARGEST_SIDE = 1024


def load(weights: str | None, device: str) -> EndpointCaptioner:
    """The captioner that asks the named server; the device is the server's business."""
    if weights is None:
        raise UsageError(
            "The captioner 'endpoint' needs a server and a model: "
            "--captioner endpoint=http://HOST:PORT/v1#MODEL."
        )
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
        self._server = Server(address, "--captioner endpoint", LARGEST_ANSWER, timeout, sleep)

    def caption(self, images: Sequence[Image.Image]) -> list[str]:
        """One sentence per picture, asked for one by one."""
        host = f"The server {self._server.host}"
        return [clean(self.ask([image, PROMPT]), host) for image in images]

    def ask(self, content: Sequence[str | Image.Image]) -> str:
        """The server's answer, after some patience if it is busy."""
        question = _question(self._server.model, content)
        return _content(self._server, self._server.post("chat/completions", question))


def _question(model: str, content: Sequence[str | Image.Image]) -> bytes:
    question = {
        "model": model,
        "messages": [{"role": "user", "content": [_part(one) for one in content]}],
        "max_tokens": MAX_TOKENS,
        "temperature": 0,
        "seed": 0,
    }
    return json.dumps(question).encode()


def _part(one: str | Image.Image) -> dict[str, Any]:
    if isinstance(one, str):
        return {"type": "text", "text": one}
    picture = one.convert("RGB")
    picture.thumbnail((_LARGEST_SIDE, _LARGEST_SIDE))
    data = io.BytesIO()
    picture.save(data, "PNG")
    url = "data:image/png;base64," + base64.b64encode(data.getvalue()).decode()
    return {"type": "image_url", "image_url": {"url": url}}


def _content(server: Server, body: bytes) -> str:
    """``choices[0].message.content`` of an answer, as text."""
    answer = server.json(body)
    try:
        content = answer["choices"][0]["message"]["content"]
        if isinstance(content, list):
            content = "".join(part["text"] for part in content if part["type"] == "text")
    except (KeyError, IndexError, TypeError):
        content = None
    if not isinstance(content, str):
        if reason := reason_of(body):
            server.fail(f"answered with an error {reason}")
        server.fail("answered without a caption (no choices[0].message.content)")
    return content
