"""Vision-language models as judges, against a real server on this machine."""

from __future__ import annotations

import base64
import http.server
import io
import json
import time

import pytest
from evaluating import finished
from PIL import Image
from serving import serving

from diffinv.cli.app import run
from diffinv.evaluation.judge import PRESETS, cost_of, judge_of, verdict_of


class Judge(http.server.ThreadingHTTPServer):
    """Answers questions about two attempts by a function of their middle pixels."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.decide = lambda first, second: "1"
        self.models: list[str] = []

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/v1"


class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):  # noqa: N802
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.models.append(asked["model"])
        parts = asked["messages"][0]["content"]
        pictures = [part["image_url"]["url"] for part in parts if part["type"] == "image_url"]
        assert len(pictures) == 5
        said = self.server.decide(*(_middle(url) for url in pictures[3:]))
        status, reply = said if isinstance(said, tuple) else (200, said)
        body = json.dumps({"choices": [{"message": {"content": reply}}]}).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_args):
        pass


def _middle(url: str) -> tuple[int, ...]:
    image = Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2])))
    return image.getpixel((image.width // 2, image.height // 2))


GREEN = (0, 128, 0)


def likes_green(first, second):
    return "1" if first == GREEN else "2"


@pytest.fixture
def server():
    with serving(Judge()) as server:
        yield server


@pytest.fixture
def ask(tmp_path, server, capsys):
    finished(tmp_path)

    def ask(*more: str, judge: str = ""):
        judge = judge or f"qwen2-vl-72b={server.url}"
        folder = str(tmp_path / "run")
        code = run(["evaluate", "judge", folder, "--judge", judge, "--yes", "--json", *more])
        said = capsys.readouterr()
        return code, json.loads(said.out) if said.out else {}, said.err

    return ask


@pytest.mark.parametrize(
    ("reply", "verdict"),
    [
        ("1", "ours"),
        ("2.", "rival"),
        ("Attempt 2", "rival"),
        ("**1**", "ours"),
        ("0", "tie"),
        ("Attempt 1 keeps the sky, attempt 2 does not.\n\nAnswer: 1", "ours"),
        ("Both 1 and 2 are good.", "refusal"),
        ("I cannot compare 3.1 pictures.", "refusal"),
        ("", "refusal"),
        ("12", "refusal"),
    ],
)
def test_a_reply_is_read_with_care(reply, verdict):
    assert verdict_of(reply, ours_first=True) == verdict
    other = {"ours": "rival", "rival": "ours"}.get(verdict, verdict)
    assert verdict_of(reply, ours_first=False) == other


def test_a_judge_is_asked_in_both_orders_and_never_twice(ask, server, tmp_path):
    server.decide = likes_green
    code, table, err = ask()
    assert code == 0
    assert list(table) == ["visii", "analogist"]
    assert table["visii"]["wins"]["mean"] == 1
    assert (table["visii"]["agrees"], table["visii"]["asked"]) == (1, 8)
    assert set(server.models) == {PRESETS["qwen2-vl-72b"].model}
    assert "16 questions of 5 pictures" in err
    assert len(server.models) == 16
    assert ask()[1] == table
    assert len(server.models) == 16
    (log,) = (tmp_path / "run" / "judges").iterdir()
    with log.open("a") as file:
        file.write('{"torn')
    picture = tmp_path / "run" / "pictures" / "visii" / "t0.png"
    Image.new("RGB", (32, 32), "white").save(picture)
    assert ask()[1]["visii"]["asked"] == 8
    assert len(server.models) == 18, "a picture that has changed is another question"


def test_a_judge_that_favours_a_place_is_found_out(ask, server):
    server.decide = lambda first, second: "1"
    table = ask("--method", "visii")[1]
    assert list(table) == ["visii"]
    assert table["visii"]["wins"]["mean"] == 0.5
    assert table["visii"]["agrees"] == 0


def test_ties_and_refusals_are_counted(ask, server):
    replies = iter(["0", "0", "I won't.", "no", "1", "2", "0", "1"])
    server.decide = lambda first, second: next(replies)
    row = ask("--method", "visii")[1]["visii"]
    assert (row["ties"], row["refusals"], row["asked"]) == (3, 2, 8)
    assert row["wins"]["n"] == 3


def test_what_fails_is_asked_again(ask, server):
    broken = iter([True, False] * 8)
    server.decide = lambda *two: (500, "") if next(broken) else likes_green(*two)
    code, table, err = ask("--method", "visii")
    assert code == 1
    assert table["visii"]["asked"] == 4
    assert "4 questions have no answer" in err
    server.decide = likes_green
    code, table, _ = ask("--method", "visii")
    assert (code, table["visii"]["asked"]) == (0, 8)


def test_a_dead_server_is_not_asked_for_ever(ask, server):
    server.decide = lambda *_: (500, "")
    code, table, err = ask()
    assert (code, table) == (1, {})
    assert len(server.models) == 5
    assert "answered 500" in err


def test_a_server_may_take_its_time(ask, server):
    def slowly(*two):
        time.sleep(0.3)
        return likes_green(*two)

    server.decide = slowly
    assert ask("--method", "visii")[0] == 0


def test_bad_requests_are_one_sentence(ask, tmp_path, capsys):
    for judge, said in (
        ("qwen2-vl-72b", "qwen2-vl-72b=http://HOST:PORT/v1"),
        ("nobody", "no captioner 'nobody'"),
        ("diorama", "answers no questions"),
    ):
        code, _, err = ask(judge=judge)
        assert (code, err.count("\n")) == (2, 1), err
        assert said in err
    assert "no column 'nothing'" in ask("--method", "nothing")[2]
    command = ["evaluate", "judge", str(tmp_path / "run"), "--judge", "gpt-4o"]
    assert run(command) == 2
    assert "Say --yes to start" in capsys.readouterr().err
    assert run(["evaluate", "judge", str(tmp_path), "--judge", "gpt-4o", "--yes"]) == 1


def test_the_cost_is_told():
    assert cost_of(300, PRESETS["gpt-4o"].prices).endswith("1.07 dollars")
    assert "dollars" not in cost_of(300, None)
    assert judge_of("gpt-4o", "cpu")[1] == PRESETS["gpt-4o"].model
