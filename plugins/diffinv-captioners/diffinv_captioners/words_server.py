"""The difference in words, for a model behind an API: ``words-server=http://host:port/v1#model``.

Nothing is learned: B's caption is moved along the delta of A and A' (Eq 2), as words that the delta
encoder knows, and a server that edits pictures as OpenAI's does is asked for what it then says. Its
answer to the same question may be another one each time.
"""

from __future__ import annotations

import base64
import binascii
import io
import secrets
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import torch
from PIL import Image

from diffinv.errors import DiffinvError, UsageError
from diffinv.method import answers
from diffinv.method.deltas import image_delta
from diffinv.method.words import vocabulary_of
from diffinv.pictures.framing import to_model
from diffinv.pictures.reading import read_picture

from .server import Server, reason_of

if TYPE_CHECKING:
    from diffinv.contracts import Bench, Triplet

LARGEST_ANSWER = 2**26
"""A picture of 4096 x 4096 pixels, as PNG in base64, is smaller."""

_ASKED = "Change this picture so that it shows: {}. Keep everything else as it is."


class WordsServer:
    """See :class:`diffinv.contracts.Method`. ``timeout`` is in seconds for a whole request."""

    def __init__(
        self,
        bench: Bench,
        weights: str | None = None,
        timeout: float = 300.0,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        if weights is None:
            raise UsageError(
                "The method 'words-server' needs a server and a model: "
                "--method words-server=http://HOST:PORT/v1#MODEL."
            )
        self._bench = bench
        self._server = Server(
            weights, "--method words-server", LARGEST_ANSWER, timeout=timeout, sleep=sleep
        )

    def complete(self, triplet: Triplet, seed: int) -> Image.Image:
        """B', at the size at which the backbone sees B. The ``seed`` is not the server's business:
        its interface takes none."""
        size = answers.seen_size(self._bench.backbone, triplet.b.size)
        fields = {"model": self._server.model, "prompt": _ASKED.format(self.words(triplet))}
        kind, body = form(fields, _png(triplet.b))
        return to_model(self._picture(self._server.post("images/edits", body, kind)), size)

    @torch.no_grad()
    def words(self, triplet: Triplet) -> str:
        """What B' shows. Raises DiffinvError if the delta encoder knows no words."""
        encoder = self._bench.delta_encoder
        vocabulary = vocabulary_of(encoder)
        if vocabulary is None:
            raise DiffinvError(f"the delta encoder {encoder.id!r} knows no words")
        caption = triplet.captions.get("b") or self._bench.caption(triplet.b)
        direction = image_delta(encoder, [triplet.a], [triplet.a_prime])
        return vocabulary.reword(caption, direction)[0][0]

    def _picture(self, body: bytes) -> Image.Image:
        """``data[0].b64_json`` of an answer, as a picture."""
        answer = self._server.json(body)
        try:
            data = base64.b64decode(answer["data"][0]["b64_json"], validate=True)
        except (KeyError, IndexError, TypeError, binascii.Error, ValueError):
            said = reason_of(body) or "(no data[0].b64_json)"
            self._server.fail(f"answered without a picture {said}")
        try:
            return read_picture(Image.open(io.BytesIO(data)), "B′").convert("RGB")
        except OSError:
            self._server.fail("answered with something that is no picture")


def form(fields: Mapping[str, str], png: bytes) -> tuple[str, bytes]:
    """The kind and the body of a form with a picture, RFC 7578."""
    mark = secrets.token_hex(16)
    parts = [
        f'--{mark}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{text}\r\n'.encode()
        for name, text in fields.items()
    ]
    head = (
        f'--{mark}\r\nContent-Disposition: form-data; name="image"; filename="b.png"\r\n'
        "Content-Type: image/png\r\n\r\n"
    ).encode()
    return f"multipart/form-data; boundary={mark}", b"".join(
        [*parts, head, png, f"\r\n--{mark}--\r\n".encode()]
    )


def _png(image: Image.Image) -> bytes:
    data = io.BytesIO()
    image.convert("RGB").save(data, "PNG")
    return data.getvalue()
