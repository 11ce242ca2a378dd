"""The endpoint captioner against a real HTTP server on this machine, honest and otherwise."""

from __future__ import annotations

import base64
import io
import json
import socket
import time
from email.utils import formatdate

import pytest
from PIL import Image

from diffinv.errors import DiffinvError, UsageError
from diffinv_captioners.endpoint import EndpointCaptioner, load


def answer(content) -> bytes:
    return json.dumps(
        {"choices": [{"message": {"role": "assistant", "content": content}}]}
    ).encode()


@pytest.fixture
def ask(server):
    """Caption one picture; the waits it asked for are kept and not waited."""
    waits = []

    def ask(*answers, timeout=10.0):
        server.answers = list(answers)
        captioner = EndpointCaptioner(server.address, timeout, waits.append)
        return captioner.caption([Image.new("RGB", (2000, 1000), "red")])[0]

    ask.waits = waits
    return ask


def ok(content, **headers):
    return 200, headers, answer(content)


def test_the_picture_and_the_model_are_asked_for(server, ask):
    assert ask(ok("A red square.")) == "A red square."
    ((path, headers, question),) = server.asked
    assert path == "/v1/chat/completions"
    assert "Authorization" not in headers
    assert (question["model"], question["temperature"]) == ("some-model", 0)
    picture, text = question["messages"][0]["content"]
    kind, _, data = picture["image_url"]["url"].partition(",")
    image = Image.open(io.BytesIO(base64.b64decode(data)))
    assert (kind, image.format, image.size) == ("data:image/png;base64", "PNG", (1024, 512))
    assert image.getpixel((0, 0)) == (255, 0, 0)
    assert "sentence" in text["text"]
    assert question["max_tokens"] >= 1024


def test_the_key_comes_from_the_environment_and_is_never_shown(server, ask, monkeypatch):
    monkeypatch.setenv("DIFFINV_ENDPOINT_KEY", "very-secret")
    assert ask(ok("Fine.")) == "Fine."
    assert server.asked[0][1]["Authorization"] == "Bearer very-secret"
    told = json.dumps({"error": {"message": "bad key very-secret"}}).encode()
    for status in (401, 403, 400):
        with pytest.raises(DiffinvError) as caught:
            ask((status, {}, told))
        assert "very-secret" not in str(caught.value)
        assert "very-secret" not in repr(vars(load(server.address, "cpu")))
    monkeypatch.setenv("DIFFINV_ENDPOINT_KEY", "two\nlines")
    with pytest.raises(UsageError, match="DIFFINV_ENDPOINT_KEY") as caught:
        ask(ok("Fine."))
    assert "lines" not in str(caught.value)


@pytest.mark.parametrize(
    ("said", "caption"),
    [
        ('  "A red square." \n\nI hope this helps!', "A red square."),
        ("\n\nfirst\nsecond", "first"),
        ("a \x1b[31mred\x1b[0m\u202e square\x07\x00", "a red square"),
        ("broken \ud800 half", "broken \ufffd half"),
        ("<think>red?\nyes</think>\nA square.", "A square."),
        ("red?\nyes</think>\nA square.", "A square."),
        ([{"type": "text", "text": "in "}, {"type": "text", "text": "parts"}], "in parts"),
        ("word " * 200, ("word " * 60).strip()),
        ("x" * 999, "x" * 300),
    ],
)
def test_an_answer_becomes_one_clean_line(ask, said, caption):
    assert ask(ok(said)) == caption


def test_a_busy_server_is_asked_again_as_it_wishes(server, ask):
    busy = (429, {"Retry-After": "7"}, b"{}")
    assert ask(busy, (503, {}, b""), ok("At last.")) == "At last."
    assert ask.waits == [7.0, 2.0]
    assert len(server.asked) == 3


def test_a_date_to_retry_at_is_understood(ask):
    later = formatdate(time.time() + 30, usegmt=True)
    assert ask((429, {"Retry-After": later}, b""), ok("Fine.")) == "Fine."
    assert 25 < ask.waits[0] <= 30
    ask((429, {"Retry-After": "soon"}, b""), ok("Fine."))
    ask((429, {"Retry-After": "-5"}, b""), ok("Fine."))
    assert ask.waits[1:] == [2.0, 0.0]


def test_the_tries_have_an_end(server, ask):
    with pytest.raises(DiffinvError, match="too busy and asks to wait 1 s; try again later"):
        ask((429, {"Retry-After": "1"}, b""))
    assert len(server.asked) == 4
    assert len(ask.waits) == 3


def test_too_long_a_wait_is_not_waited_for(server, ask):
    with pytest.raises(DiffinvError, match="asks to wait 86400 s"):
        ask((429, {"Retry-After": "86400"}, b""))
    assert (len(server.asked), ask.waits) == (1, [])


LIES = {
    "not JSON": (200, {}, b"<<<"),
    "not JSON ": (200, {}, b"[" * 100_000),
    "web page": (200, {"Content-Type": "text/html; charset=utf-8"}, b"<html>hello</html>"),
    "without a caption": (200, {}, b"{}"),
    "without a caption ": (200, {}, b'{"choices": []}'),
    "without a caption  ": (200, {}, b'{"choices": {"0": 1}}'),
    "without a caption   ": (200, {}, b"[1, 2]"),
    "without a caption    ": (200, {}, answer(None)),
    "without a caption     ": (200, {}, answer([1])),
    "gave no caption": (200, {}, answer(" \x1b[0m \u202e\n\n")),
    "gave no caption ": (200, {}, answer("...")),
    "gave no caption but thoughts": (200, {}, answer("<think>Is it red? It is")),
    "an error (out of memory)": (200, {}, b'{"error": {"message": "out of\\nmemory"}}'),
    "asks to wait 1000000000 s": (429, {"Retry-After": "9" * 400}, b""),
    "too busy and asks": (503, {"Retry-After": "9" * 400}, b""),
    "more than was asked": (200, {}, b" " * (2**20 + 1)),
    "answered 404 (model not found)": (404, {}, b'{"error": {"message": "model\\nnot found"}}'),
    "answered 500": (500, {}, b"\xff\xfe<html>"),
    "redirects elsewhere (302)": (302, {"Location": "http://127.0.0.1:1/"}, b""),
    "redirects elsewhere (307)": (307, {"Location": "http://127.0.0.1:1/"}, b""),
    "refuses the key (401)": (401, {}, b"{}"),
}


@pytest.mark.parametrize("said", LIES)
def test_a_server_that_lies_is_one_sentence(server, ask, said):
    with pytest.raises(DiffinvError) as caught:
        ask(LIES[said])
    message = str(caught.value)
    assert said.strip() in message
    assert f"127.0.0.1:{server.server_port}" in message
    assert message.endswith(".")
    assert message.isprintable()
    assert len(server.asked) == 1


def test_a_server_that_says_nothing_is_left(ask):
    with pytest.raises(DiffinvError, match=r"did not answer within 0\.2 s"):
        ask((0, {}, lambda _handler: time.sleep(0.6)), timeout=0.2)


DRIPS = {
    "status": (b"", b"HTTP/1.1 200 OK"),
    "headers": (b"HTTP/1.1 200 OK\r\n", b"X-A: b\r\n"),
    "body": (b"HTTP/1.1 200 OK\r\n\r\n", b" "),
    "body of an error": (b"HTTP/1.1 500 Oh\r\nContent-Length: 60000\r\n\r\n", b" "),
}


@pytest.mark.parametrize("what", DRIPS)
def test_a_server_that_drips_is_left(ask, what):
    start, drops = DRIPS[what]

    def drip(handler):
        handler.wfile.write(start)
        for n in range(60):
            try:
                handler.wfile.write(drops[n % len(drops) :][:1])
            except OSError:
                return
            time.sleep(0.03)

    began = time.monotonic()
    with pytest.raises(DiffinvError, match=r"did not answer within 0\.3 s"):
        ask((0, {}, drip), timeout=0.3)
    assert time.monotonic() - began < 1.0


def test_a_server_that_hangs_up_is_one_sentence(ask):
    def hang_up(handler):
        handler.connection.shutdown(socket.SHUT_RDWR)

    with pytest.raises(DiffinvError, match="The server 127.0.0.1"):
        ask((0, {}, hang_up))


def test_half_an_answer_is_one_sentence(ask):
    def half(handler):
        handler.send_response(200)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Content-Length", "1000")
        handler.end_headers()
        handler.wfile.write(b'{"choices": [')
        handler.close_connection = True

    with pytest.raises(DiffinvError, match="broke off in the middle of its answer; try again"):
        ask((0, {}, half))


def test_no_server_at_all_is_one_sentence():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    with pytest.raises(DiffinvError, match="cannot be reached"):
        EndpointCaptioner(f"http://127.0.0.1:{port}/v1#m").caption([Image.new("RGB", (8, 8))])


@pytest.mark.parametrize(
    "address",
    [
        "",
        "localhost:8000#m",
        "http://host:1/v1",
        "http://host:1/v1#",
        "http://#m",
        "http://host:port/v1#m",
        "ftp://host/v1#m",
        "file:///etc/passwd#m",
        "http://host/v 1#m",
        "http://hóst/v1#m",
        "http://host/v1?key=x#m",
        "http://..a/v1#m",
        f"http://{'a' * 64}.org/v1#m",
    ],
)
def test_no_address_of_a_server_is_a_usage_error(address):
    with pytest.raises(UsageError, match="endpoint=http://HOST:PORT/v1#MODEL"):
        load(address, "cpu")


def test_a_password_in_the_address_is_refused_and_not_repeated():
    with pytest.raises(UsageError, match="DIFFINV_ENDPOINT_KEY") as caught:
        load("http://me:secret@host/v1#m", "cpu")
    assert "secret" not in str(caught.value)


def test_a_server_has_to_be_named():
    with pytest.raises(UsageError, match="needs a server"):
        load(None, "cpu")
