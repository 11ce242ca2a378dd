"""A server that answers as OpenAI's does: ``http://host:port/v1#model``.

What is asked goes to that server and nowhere else: redirects are not followed. The key is read from
the environment for each request, and is neither stored nor shown.
"""

from __future__ import annotations

import json
import os
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from http.client import HTTPException, IncompleteRead
from queue import Empty, SimpleQueue
from typing import Any, NoReturn
from urllib.parse import urlsplit

from diffinv import __version__
from diffinv.errors import DiffinvError, UsageError
from diffinv.system.text import text_safe

KEY = "DIFFINV_ENDPOINT_KEY"
"""The environment variable with the server's key."""

TRIES = 4
"""How often a busy server is asked in all."""

LONGEST_WAIT = 60.0
"""The most seconds to wait for one Retry-After."""

_BUSY = (429, 503)
_FOR_EVER = 10**9


class _BusyError(Exception):
    """The server asks to try again later."""

    def __init__(self, wait: float | None) -> None:
        self.wait = wait


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Follows no redirects: they would send the picture and the key elsewhere."""

    def redirect_request(self, *_args: Any, **_kwargs: Any) -> None:
        return None


class Server:
    """One model of a server. ``example`` shows how its address is written on the command line;
    ``timeout`` is in seconds for a whole request; an answer of more than ``largest`` bytes is
    refused."""

    def __init__(
        self,
        address: str,
        example: str,
        largest: int,
        timeout: float = 120.0,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._url, self.model = _parse(address, example)
        self.host = urlsplit(self._url).netloc
        self._largest, self._timeout, self._sleep = largest, timeout, sleep
        self._opener = urllib.request.build_opener(_NoRedirects)

    def post(self, path: str, body: bytes, kind: str = "application/json") -> bytes:
        """The answer to a ``body`` of some ``kind``, after some patience if the server is busy.
        Raises DiffinvError saying what went wrong."""
        for last in [False] * (TRIES - 1) + [True]:
            try:
                return self._post(f"{self._url}/{path}", body, kind)
            except _BusyError as busy:
                wait = 2.0 if busy.wait is None else busy.wait
                if last or wait > LONGEST_WAIT:
                    asked = f" and asks to wait {wait:.0f} s" if busy.wait is not None else ""
                    self.fail(f"is too busy{asked}; try again later")
                self._sleep(wait)
        raise AssertionError("the last try returns or raises")

    def json(self, body: bytes) -> Any:
        """An answer as a value. Raises DiffinvError if it is no JSON."""
        try:
            answer = json.loads(body)
        except (ValueError, RecursionError):
            self.fail("answered with something that is not JSON")
        return answer

    def fail(self, what: str) -> NoReturn:
        """Raise DiffinvError in the server's name, without the key."""
        key = os.environ.get(KEY, "").strip()
        shown = what.replace(key, "***") if key else what
        raise DiffinvError(f"The server {self.host} {text_safe(shown).rstrip('.')}.")

    def _post(self, url: str, body: bytes, kind: str) -> bytes:
        """The answer's body. Raises _BusyError, or DiffinvError saying what went wrong."""
        request = urllib.request.Request(url, body, _headers(kind), method="POST")
        try:
            return _within(self._timeout, lambda: self._exchange(request))
        except TimeoutError:
            self.fail(f"did not answer within {self._timeout:g} s")

    def _exchange(self, request: urllib.request.Request) -> bytes:
        """One request and its answer. Raises TimeoutError if nothing comes for too long."""
        ends = time.monotonic() + self._timeout
        try:
            with self._opener.open(request, timeout=self._timeout) as response:
                return self._read(response, ends)
        except urllib.error.HTTPError as error:
            with error:
                self._refused(error)
        except TimeoutError:
            raise
        except urllib.error.URLError as error:
            if isinstance(error.reason, TimeoutError):
                raise error.reason from error
            self.fail(f"cannot be reached: {error.reason}")
        except IncompleteRead:
            self.fail("broke off in the middle of its answer; try again")
        except (OSError, HTTPException) as error:
            self.fail(f"broke off: {type(error).__name__} {error}")

    def _read(self, response: Any, ends: float) -> bytes:
        """A whole answer, unless it is too long or comes too slowly."""
        kind = response.headers.get_content_type()
        if kind == "text/html":
            self.fail("answered with a web page; the address usually ends in /v1")
        data = bytearray()
        while chunk := response.read1(65536):
            data += chunk
            if len(data) > self._largest:
                self.fail("sends more than was asked for")
            if time.monotonic() > ends:
                raise TimeoutError
        if response.length:
            raise IncompleteRead(bytes(data), response.length)
        return bytes(data)

    def _refused(self, error: urllib.error.HTTPError) -> NoReturn:
        """Raise the error that an unsuccessful answer stands for."""
        if error.code in _BUSY:
            raise _BusyError(_retry_after(error.headers.get("Retry-After"))) from error
        if error.code in (401, 403):
            self.fail(f"refuses the key ({error.code}); put the right one into {KEY}")
        if 300 <= error.code < 400:
            self.fail(f"redirects elsewhere ({error.code}); name the right address itself")
        try:
            body = error.read(65536)
        except (OSError, HTTPException):
            body = b""
        self.fail(f"answered {error.code} {reason_of(body)}".rstrip())


def _within(seconds: float, work: Callable[[], bytes]) -> bytes:
    """What ``work`` returns or raises; TimeoutError if it takes longer.

    A socket's own timeout restarts with every byte, so the work is left to a thread.
    """
    outcome: SimpleQueue[bytes | Exception] = SimpleQueue()

    def run() -> None:
        try:
            outcome.put(work())
        except Exception as error:
            outcome.put(error)

    threading.Thread(target=run, daemon=True).start()
    try:
        result = outcome.get(timeout=seconds)
    except Empty:
        raise TimeoutError from None
    if isinstance(result, Exception):
        raise result
    return result


def _parse(address: str, example: str) -> tuple[str, str]:
    """Split ``http://host:port/v1#model`` into where to ask and which model to ask for."""
    try:
        parts = urlsplit(address)
        port_is_right = parts.port is None or parts.port > 0
        (parts.hostname or "").encode("idna")  # no label is empty or over 63 letters
    except ValueError:
        parts, port_is_right = urlsplit(""), False
    if "@" in parts.netloc:
        raise UsageError(f"The address of a server holds no password: put the key into {KEY}.")
    plain = all("!" <= character <= "~" for character in parts.netloc + parts.path)
    right = parts.scheme in ("http", "https") and bool(parts.hostname) and port_is_right and plain
    if not right or not parts.fragment or parts.query:
        raise UsageError(
            f"{text_safe(address)!r} is not a server with a model; write "
            f"{example}=http://HOST:PORT/v1#MODEL."
        )
    path = parts.path.rstrip("/")
    return f"{parts.scheme}://{parts.netloc}{path}", parts.fragment


def _headers(kind: str) -> dict[str, str]:
    headers = {"Content-Type": kind, "User-Agent": f"diffinv/{__version__}"}
    key = os.environ.get(KEY, "").strip()
    if not key:
        return headers
    if not (key.isascii() and key.isprintable()):
        raise UsageError(f"The key in {KEY} has characters that no key has; set it again.")
    return headers | {"Authorization": f"Bearer {key}"}


def reason_of(body: bytes) -> str:
    """What a server says about its refusal: ``error.message``, if there is one."""
    try:
        said = json.loads(body)["error"]
        text = said["message"] if isinstance(said, dict) else said
    except (ValueError, KeyError, TypeError, RecursionError):
        return ""
    return f"({text_safe(text)[:200]})" if isinstance(text, str) else ""


def _retry_after(value: str | None) -> float | None:
    """Seconds to wait: a number, or the time until a date; None if it is neither."""
    if value is None:
        return None
    try:
        return float(min(max(0, int(value)), _FOR_EVER))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, TypeError, OverflowError):
        return None
