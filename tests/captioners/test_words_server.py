"""Words for a model behind an API, against a real HTTP server on this machine."""

from __future__ import annotations

import base64
import io
import json
from email import message_from_bytes

import pytest
from PIL import Image
from torch.nn.functional import cosine_similarity

from diffinv.errors import DiffinvError, UsageError
from diffinv.evaluation.bench import ModelBench
from diffinv.evaluation.data import open_data
from diffinv_captioners.words_server import WordsServer


@pytest.fixture(scope="module")
def bench():
    return ModelBench(None, "cpu")


@pytest.fixture(scope="module")
def triplet():
    return open_data("diorama", 1, 1).entries[0].open()


def picture(colour: str = "red", kind: str = "PNG") -> bytes:
    data = io.BytesIO()
    Image.new("RGB", (300, 200), colour).save(data, kind)
    return data.getvalue()


def answer(data: bytes) -> tuple[int, dict[str, str], bytes]:
    found = {"created": 1, "data": [{"b64_json": base64.b64encode(data).decode()}]}
    return 200, {}, json.dumps(found).encode()


def asked(server) -> dict[str, bytes]:
    """The fields of the form that the server got."""
    ((path, headers, body),) = server.asked
    assert path == "/v1/images/edits"
    head = f"Content-Type: {headers['Content-Type']}\r\n\r\n".encode()
    parts = message_from_bytes(head + body).get_payload()
    return {
        part.get_param("name", header="content-disposition"): part.get_payload(decode=True)
        for part in parts
    }


def test_b_and_the_words_of_the_difference_are_sent(server, bench, triplet):
    server.answers = [answer(picture())]
    method = WordsServer(bench, server.address)
    made = method.complete(triplet, 0)
    assert (made.size, made.mode, made.getpixel((9, 9))) == ((96, 96), "RGB", (255, 0, 0))
    fields = asked(server)
    assert fields["model"] == b"some-model"
    assert Image.open(io.BytesIO(fields["image"])).tobytes() == triplet.b.tobytes()
    words = method.words(triplet)
    assert f"shows: {words}. Keep" in fields["prompt"].decode()
    assert words != triplet.captions.get("b", bench.caption(triplet.b))


def test_the_words_come_nearer_to_the_true_picture(bench):
    """In the joint space, than what is said of B."""
    method, encoder = WordsServer(bench, "http://localhost:1/v1#m"), bench.delta_encoder
    nearer = 0
    for entry in open_data("diorama", 8, 3).entries:
        triplet = entry.open()
        before = triplet.captions.get("b") or bench.caption(triplet.b)
        texts = encoder.encode_texts([before, method.words(triplet)])
        is_like = cosine_similarity(texts, encoder.encode_images([triplet.b_prime]))
        nearer += bool(is_like[1] > is_like[0])
    assert nearer >= 7


LIES = {
    "not JSON": (200, {}, b"<<<"),
    "without a picture (no data[0].b64_json)": (200, {}, b"{}"),
    "without a picture (no data[0].b64_json) ": (200, {}, b'{"data": [{"url": "http://x/"}]}'),
    "without a picture (no data[0].b64_json)  ": (
        200,
        {},
        b'{"data": [{"b64_json": "a?"}]}',
    ),
    "without a picture (no money)": (200, {}, b'{"error": {"message": "no money"}}'),
    "something that is no picture": answer(b"nothing"),
    "refuses the key (401)": (401, {}, b"{}"),
}


@pytest.mark.parametrize("said", LIES)
def test_a_server_that_lies_is_one_sentence(server, bench, triplet, said):
    server.answers = [LIES[said]]
    with pytest.raises(DiffinvError) as caught:
        WordsServer(bench, server.address).complete(triplet, 0)
    assert said.strip() in str(caught.value)
    assert str(caught.value).startswith(f"The server 127.0.0.1:{server.server_port} ")


def test_a_damaged_picture_is_one_sentence(server, bench, triplet):
    server.answers = [answer(picture()[:-40])]
    with pytest.raises(DiffinvError, match="B′"):
        WordsServer(bench, server.address).complete(triplet, 0)


def test_a_busy_server_is_asked_again(server, bench, triplet):
    waits = []
    server.answers = [(429, {"Retry-After": "7"}, b""), answer(picture("blue", "JPEG"))]
    WordsServer(bench, server.address, sleep=waits.append).complete(triplet, 0)
    assert waits == [7.0]


def test_a_delta_encoder_without_words_is_named(server, bench, triplet, monkeypatch):
    monkeypatch.setattr(type(bench.delta_encoder), "vocabulary", (), raising=False)
    with pytest.raises(DiffinvError, match="'diorama' knows no words"):
        WordsServer(bench, server.address).complete(triplet, 0)


def test_a_server_has_to_be_named(bench):
    with pytest.raises(UsageError, match="--method words-server=http://HOST:PORT/v1#MODEL"):
        WordsServer(bench)
    with pytest.raises(UsageError, match="write --method words-server="):
        WordsServer(bench, "localhost")


def test_it_takes_part_in_comparisons_only_if_named(server, diffinv, tmp_path):
    server.answers = [answer(picture())]
    command = ("evaluate", "table1", "--data", "diorama", "--count", "2", "--device", "cpu")
    done = diffinv(
        *command, "--method", f"words-server={server.address}", "--out", tmp_path / "out"
    )
    assert done.code == 0, done.err
    assert len(list((tmp_path / "out" / "pictures" / "words-server").glob("*.png"))) == 2
    from diffinv.evaluation.comparing import default_methods

    assert "visii" in default_methods("diorama")
    assert "words-server" not in default_methods("diorama")
