"""Captioners and delta encoders of the real plugins, reached by the command line."""

from __future__ import annotations

import http.server
import json
from pathlib import Path

import open_clip
import pytest
from installing import MODULES, install, install_project
from PIL import Image
from safetensors.torch import save_file
from serving import serving

from diffinv.cli import app
from diffinv.difference import read_info
from diffinv.plugins.loading import registry
from diffinv.running.learning import PROMPT_IDS

PLUGINS = Path(__file__).parent.parent / "plugins"


@pytest.fixture
def diffinv(tmp_path, monkeypatch, capsys):
    """Run a command line in this process, with the toy backbone and the real plugins."""
    site = tmp_path / "site"
    install(site, "toy")
    for name in ("diffinv-clip", "diffinv-captioners", "diffinv-diorama"):
        install_project(site, PLUGINS / name)
        monkeypatch.syspath_prepend(str(PLUGINS / name))
    monkeypatch.syspath_prepend(str(MODULES))
    monkeypatch.syspath_prepend(str(site))
    registry.cache_clear()

    def run(*args: object):
        code = app.run([str(arg) for arg in args])
        return code, *capsys.readouterr()

    yield run
    registry.cache_clear()


@pytest.fixture
def pair(tmp_path):
    paths = tmp_path / "red.png", tmp_path / "blue.png"
    for path in paths:
        Image.new("RGB", (24, 24), path.stem).save(path)
    return paths


@pytest.fixture
def server():
    """An endpoint that gives ``server.answer`` to whoever asks."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):  # noqa: N802
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(self.server.answer)

        def log_message(self, *_args):
            pass

    with serving(http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as server:
        yield server


def library(diffinv) -> list[dict]:
    return json.loads(diffinv("library", "list", "--json")[1])


def test_a_difference_learned_with_a_servers_captions(diffinv, pair, server):
    address = f"http://127.0.0.1:{server.server_port}/v1#m"
    options = ("--backbone", "toy", "--captioner", f"endpoint={address}", "--steps", 1)
    server.answer = b"<html>nothing here</html>"
    code, out, err = diffinv("invert", *pair, *options)
    assert (code, out) == (1, "")
    assert err.splitlines()[-1].startswith("Error: The server 127.0.0.1:")
    assert library(diffinv) == []
    content = {"choices": [{"message": {"content": "a plain\x1b[2J square\nwith more"}}]}
    server.answer = json.dumps(content).encode()
    code, _, err = diffinv("invert", *pair, *options, "--name", "mine")
    assert code == 0, err
    (entry,) = library(diffinv)
    assert entry["captions"] == [["a plain square", "a plain square"]]
    assert entry["captioner"] == "endpoint"
    assert address not in Path(entry["path"]).read_bytes().decode("latin-1")


def test_another_joint_space_is_refused_with_both_names(diffinv, pair, tmp_path):
    config = {
        "embed_dim": 8,
        "vision_cfg": {"image_size": 16, "layers": 1, "width": 8, "head_width": 8, "patch_size": 8},
        "text_cfg": {
            "context_length": 77,
            "vocab_size": 49408,
            "width": 8,
            "heads": 1,
            "layers": 1,
        },
    }
    folder = tmp_path / "model"
    folder.mkdir()
    save_file(open_clip.CLIP(**config).state_dict(), folder / "open_clip_model.safetensors")
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": config}))
    code, _, err = diffinv(
        "invert", *pair, "--backbone", "toy", "--delta-encoder", f"open-clip={folder}"
    )
    assert code == 2
    sentence = err.splitlines()[-1]
    for name in ("'open-clip'", "'open-clip:custom-", "'toy'", "--delta-encoder"):
        assert name in sentence


@pytest.mark.parametrize(
    ("option", "said"),
    [
        (("--delta-encoder", "open-clip-h14"), "diffinv models pull laion/CLIP-ViT-H-14"),
        (("--captioner", "blip2"), "diffinv models pull Salesforce/blip2-opt-2.7b"),
        (("--captioner", "vlm"), "vlm=FOLDER_OR_HUB_ID"),
        (("--captioner", "endpoint"), "endpoint=http://HOST:PORT/v1#MODEL"),
        (("--delta-encoder", "dinov2=/nowhere"), "no model at '/nowhere'"),
    ],
)
def test_what_is_missing_is_one_sentence(diffinv, pair, monkeypatch, tmp_path, option, said):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    code, out, err = diffinv("invert", *pair, "--backbone", "toy", *option)
    assert code in (1, 2)
    assert out == ""
    (sentence,) = [line for line in err.splitlines() if line.startswith("Error: ")]
    assert said in sentence
    assert sentence.endswith(".")
    assert library(diffinv) == []


def test_the_ids_of_hard_prompts_are_stored(diffinv, monkeypatch, tmp_path):
    from diffinv_diorama.clip import load_delta_encoder
    from diffinv_diorama.render import render
    from diffinv_diorama.world import analogies

    monkeypatch.setattr("diffinv.method.prompts._PEZ_STEPS", 2)
    (example,) = analogies(1, seed=0)
    pair = tmp_path / "a.png", tmp_path / "a_prime.png"
    for path, scene in zip(pair, (example.a, example.a_prime), strict=True):
        render(scene, example.seed_a).save(path)
    code, out, err = diffinv(
        "invert", *pair, "--backbone", "diorama", "--prompter", "pez", "--steps", 1, "--json",
    )  # fmt: skip
    assert code == 0, err
    info = read_info(Path(json.loads(out)["path"]))
    encoder = load_delta_encoder(None, "cpu")
    assert json.loads(info.extra[PROMPT_IDS]) == [
        [encoder.ids_of(prompt) for prompt in prompts] for prompts in info.prompts
    ]
    assert len(json.loads(info.extra[PROMPT_IDS])[0][0]) == 16
