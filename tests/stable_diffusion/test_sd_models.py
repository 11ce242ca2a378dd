"""``diffinv models`` against a hub of our own, and what the plugin registers without torch."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from diffinv.contracts import DeltaEncoderSpec
from diffinv.plugins.registry import Registry
from diffinv_stable_diffusion import hub as hub_module
from diffinv_stable_diffusion.families import FAMILIES
from diffinv_stable_diffusion.hub import choose_files

ROOT = Path(__file__).parent.parent.parent
COMMIT = "c" * 40
MAIN = "from diffinv.cli import main; main()"


class FakeHub:
    """The part of the hub's protocol that fetching a model takes, over a real socket."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.requests: list[tuple[str, str | None]] = []
        self.cut: int | None = None
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
        if path.startswith("/api/models/some/model"):
            data = self.tree() if "/tree/" in path else self.info()
            self.send(handler, 200, data, {"Content-Type": "application/json"}, body)
            return
        name = path.partition(f"/some/model/resolve/{COMMIT}/")[2]
        if name not in self.files:
            headers = {"X-Error-Code": "RepoNotFound"}
            self.send(handler, 404, b"", headers, body)
            return
        self.send_file(handler, self.files[name], body)

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
            handler.wfile.write(data[: self.cut])
            handler.wfile.flush()
            handler.connection.close()
        elif body:
            handler.wfile.write(data)

    def info(self) -> bytes:
        siblings = [
            {
                "rfilename": name,
                "size": len(data),
                "blobId": "b" * 40,
                "lfs": {"size": len(data), "sha256": "0" * 64, "pointerSize": 1},
            }
            for name, data in self.files.items()
        ]
        value = {"id": "some/model", "sha": COMMIT, "siblings": siblings}
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


@pytest.fixture
def models(tmp_path, hub):
    """``models(*args)``: ``diffinv models`` in a process of its own with an empty cache."""

    def run(*args: str, offline: bool = False, input: str = "", code: str = MAIN):
        environment = {
            **os.environ,
            "HF_HOME": str(tmp_path / "hf"),
            "HF_ENDPOINT": hub.url,
            "HF_HUB_OFFLINE": "1" if offline else "0",
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_ETAG_TIMEOUT": "5",
            "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path]),
        }
        return subprocess.run(
            [sys.executable, "-c", code, "models", *args],
            env=environment,
            input=input,
            capture_output=True,
            text=True,
            timeout=120,
        )

    return run


MODEL = {
    "model_index.json": b"{}",
    "README.md": b"read me",
    "unet/config.json": b"{}",
    "unet/diffusion_pytorch_model.safetensors": b"full" * 5000,
    "unet/diffusion_pytorch_model.fp16.safetensors": b"half" * 2500,
    "unet/diffusion_pytorch_model.non_ema.safetensors": b"more" * 2500,
    "unet/diffusion_pytorch_model.bin": b"pickle",
    "vae/config.json": b"{}",
    "vae/diffusion_pytorch_model.safetensors": b"only full",
    "text_encoder/config.json": b"{}",
    "text_encoder/model.safetensors": b"text",
    "tokenizer/vocab.json": b"{}",
    "tokenizer/merges.txt": b"",
    "scheduler/scheduler_config.json": b"{}",
    "safety_checker/model.safetensors": b"unused",
    "v2-1_768-ema-pruned.safetensors": b"unused",
}


def test_list_needs_no_network_and_no_torch(models, hub):
    done = models("list", "--json", offline=True)
    assert done.returncode == 0, done.stderr
    rows = {row["model"]: row for row in json.loads(done.stdout)}
    for family in FAMILIES.values():
        assert rows[family.model]["status"] == "not here"
        assert rows[family.model]["licence"] == family.licence
    assert "sd21-base, sd21" in rows["laion/CLIP-ViT-H-14-laion2B-s32B-b79K"]["used_by"]
    assert rows["Salesforce/blip2-opt-2.7b"]["used_by"] == "blip2"
    assert rows["Salesforce/blip2-opt-2.7b"]["licence"] == "MIT"
    table = models("list")
    assert "stabilityai/stable-diffusion-xl-base-1.0" in table.stdout
    assert hub.requests == []


def test_the_plugin_registers_without_torch(models):
    code = (
        "import sys\n"
        "from diffinv.cli import app\n"
        "from diffinv.plugins.loading import registry\n"
        "assert app.run(sys.argv[1:]) == 0\n"
        "found = registry()\n"
        "rows = [r for r in found.rows if r.name == 'stable-diffusion']\n"
        "assert [r.status for r in rows] == ['ok'], rows\n"
        "assert {'sd15', 'sd21-base', 'sd21', 'sdxl'} <= set(found.backbones)\n"
        "heavy = {'torch', 'diffusers', 'transformers'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = models("list", offline=True, code=code)
    assert done.returncode == 0, done.stderr


def test_pull_shows_size_and_licence_and_fetches_what_is_used(models, hub):
    hub.files = MODEL
    done = models("pull", "some/model", "--yes")
    assert done.returncode == 0, done.stderr
    assert "some/model: 10 files, 10.0 kB, licence openrail++" in done.stderr
    folder = Path(done.stdout.strip())
    got = {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}
    assert got == set(choose_files(MODEL, full_precision=False))
    assert (folder / "unet/diffusion_pytorch_model.fp16.safetensors").read_bytes()[:4] == b"half"
    assert models("path", "some/model", offline=True).stdout.strip() == str(folder)
    listed = json.loads(models("list", "--json", offline=True).stdout)
    assert [r["status"] for r in listed if r["model"] == "some/model"] == ["here"]


def test_pull_asks_first(models, hub):
    hub.files = MODEL
    done = models("pull", "some/model")
    assert done.returncode == 2
    assert done.stderr.strip().splitlines() == [
        "some/model: 10 files, 10.0 kB, licence openrail++",
        "Error: Fetch it: there is nobody to ask here; add --yes.",
    ]
    assert not any("resolve" in request for request, _ in hub.requests)


@pytest.mark.parametrize(("answer", "code"), [("y\n", 0), ("n\n", 130)])
def test_pull_takes_an_answer(models, hub, answer, code):
    hub.files = MODEL
    ask = "import sys; sys.stdin.isatty = lambda: True; " + MAIN
    done = models("pull", "some/model", input=answer, code=ask)
    assert done.returncode == code, done.stderr
    assert any("resolve" in request for request, _ in hub.requests) == (code == 0)


def test_an_interrupted_pull_keeps_the_files_it_has(models, hub, tmp_path):
    hub.files = {"config.json": b"{}", "model.safetensors": b"x" * 40_000}
    hub.cut = 1000
    broken = models("pull", "some/model", "--yes")
    assert broken.returncode == 1
    assert broken.stderr.strip().splitlines()[-1] == (
        "Error: The model 'some/model' cannot be fetched (RemoteProtocolError); check the "
        "connection and try again: files that are whole are kept."
    )
    assert not list((tmp_path / "hf").rglob("snapshots/*/model.safetensors"))
    hub.cut, hub.requests = None, []
    done = models("pull", "some/model", "--yes")
    assert done.returncode == 0, done.stderr
    assert (Path(done.stdout.strip()) / "model.safetensors").read_bytes() == b"x" * 40_000
    got = [request for request, _ in hub.requests if request.startswith("GET /some")]
    assert got == [f"GET /some/model/resolve/{COMMIT}/model.safetensors"]


def test_rm_deletes_a_model(models, hub, tmp_path):
    hub.files = MODEL
    assert models("pull", "some/model", "--yes").returncode == 0
    refused = models("rm", "some/model", offline=True)
    assert (refused.returncode, "add --yes" in refused.stderr) == (2, True)
    done = models("rm", "some/model", "--yes", offline=True)
    assert done.returncode == 0, done.stderr
    assert not list((tmp_path / "hf").rglob("*.safetensors"))
    again = models("rm", "some/model", "--yes", offline=True)
    assert again.returncode == 2
    assert again.stderr == "Error: The model 'some/model' is not on this machine.\n"


@pytest.mark.parametrize(
    ("args", "code", "sentence"),
    [
        (("pull", "what"), 2, "'what' is neither a backbone (sd15, sd21-base, sd21, sdxl,"),
        (("pull", "other/model", "--yes"), 2, "The hub has no model 'other/model' that you may"),
        (("path", "other/model"), 2, "is not on this machine: fetch it with 'diffinv models pull"),
    ],
)
def test_bad_ids(models, args, code, sentence):
    done = models(*args)
    assert done.returncode == code
    assert sentence in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_pull_offline(models):
    done = models("pull", "sd15", "--yes", offline=True)
    assert done.returncode == 1
    assert done.stderr == (
        "Error: The model 'stable-diffusion-v1-5/stable-diffusion-v1-5' cannot be fetched "
        "offline: unset HF_HUB_OFFLINE.\n"
    )


def test_models_of_other_parts_are_listed_by_the_defaults_of_their_specs(monkeypatch):
    clip = "laion/CLIP-ViT-H-14-laion2B-s32B-b79K"
    specs = [
        DeltaEncoderSpec("one", "", "m:f", licence="MIT", defaults={"model": clip}),
        DeltaEncoderSpec("two", "", "m:f", licence="Apache-2.0", defaults={"model": "own/er"}),
        DeltaEncoderSpec("none", "", "m:f"),
    ]
    found = Registry(delta_encoders={spec.id: spec for spec in specs})
    monkeypatch.setattr(hub_module, "registry", lambda: found)
    monkeypatch.setattr(hub_module, "_cached_repos", list)
    rows = {row.model: row for row in hub_module.cached_models()}
    assert rows[clip].used_by == "one, sd21-base, sd21 (text projection)"
    assert (rows["own/er"].used_by, rows["own/er"].licence) == ("two", "Apache-2.0")


def test_pull_names_the_way_to_weights_in_subfolders(models, hub):
    hub.files = {"original/consolidated.safetensors": b"x", "config.json": b"{}"}
    done = models("pull", "some/model", "--yes")
    assert done.returncode == 1
    assert "name those you want with --include GLOB." in done.stderr


def test_pull_of_pickles_is_refused(models, hub):
    hub.files = {"model.bin": b"x", "config.json": b"{}"}
    done = models("pull", "some/model", "--yes")
    assert done.returncode == 1
    assert "has no .safetensors weights to fetch" in done.stderr


def test_choice_of_files():
    full = choose_files(MODEL, full_precision=True)
    assert "unet/diffusion_pytorch_model.safetensors" in full
    assert not any("fp16" in name or "non_ema" in name or ".bin" in name for name in full)
    clip = ["open_clip_model.safetensors", "model.safetensors", "config.json", "x.bin"]
    assert choose_files(clip, False) == ["config.json", "open_clip_model.safetensors"]
    assert choose_files(clip, False, ("model.*",)) == ["model.safetensors"]


def test_choice_of_files_of_a_sharded_model():
    settings = ["chat_template.jinja", "config.json", "processor_config.json"]
    index = "model.safetensors.index.json"
    shards = [f"model-0000{n}-of-00002.safetensors" for n in (1, 2)]
    others = ["consolidated.safetensors", "model.safetensors", "adapter_model.safetensors"]
    inside = ["original/consolidated.safetensors", "onnx/model.safetensors", "original/params.json"]
    names = [*settings, index, *shards, *others, *inside, "README.md", "x.bin"]
    assert choose_files(names, False) == [*settings, index, *shards]
    qwen = [f"model.safetensors-0000{n}-of-00002.safetensors" for n in (1, 2)]
    assert choose_files([*qwen, index, *inside], False) == [index, *qwen]
    assert choose_files([*settings, index, *others, *inside], False) == [
        *settings,
        "model.safetensors",
    ]
    clip = ["open_clip_config.json", "open_clip_model.safetensors"]
    assert choose_files([*clip, index, *shards], False) == clip
    assert choose_files(["own.safetensors", *inside], False) == ["own.safetensors"]
