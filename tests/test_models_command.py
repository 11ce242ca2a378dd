"""``diffinv models`` against a hub of our own, and what is registered without torch."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from fake_hub import COMMIT, environment, hub  # noqa: F401 - a fixture

from diffinv.cli.models import _rows
from diffinv.contracts import DeltaEncoderSpec
from diffinv.plugins import model_states
from diffinv.plugins.registry import Registry
from diffinv.system.hub import choose_files
from diffinv_stable_diffusion.families import FAMILIES

ROOT = Path(__file__).parent.parent
MAIN = "from diffinv.cli import main; main()"


@pytest.fixture
def models(tmp_path, hub):  # noqa: F811
    """``models(*args)``: ``diffinv models`` in a process of its own with an empty cache."""

    def run(*args: str, offline: bool = False, input: str = "", code: str = MAIN):
        variables = {
            **os.environ,
            **environment(hub, tmp_path / "hf"),
            "HF_HUB_OFFLINE": "1" if offline else "0",
            "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path]),
        }
        return subprocess.run(
            [sys.executable, "-c", code, "models", *args],
            env=variables,
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


def test_list_needs_no_network_and_no_torch(models, hub):  # noqa: F811
    done = models("list", "--json", offline=True)
    assert done.returncode == 0, done.stderr
    rows = {row["model"]: row for row in json.loads(done.stdout)}
    for family in FAMILIES.values():
        assert rows[family.model]["status"] == "not here"
        assert rows[family.model]["licence"] == family.licence
    assert rows["laion/CLIP-ViT-H-14-laion2B-s32B-b79K"]["used_by"] == "open-clip, open-clip-h14"
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


def test_pull_shows_size_and_licence_and_fetches_what_is_used(models, hub):  # noqa: F811
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


def test_pull_asks_first(models, hub):  # noqa: F811
    hub.files = MODEL
    done = models("pull", "some/model")
    assert done.returncode == 2
    assert done.stderr.strip().splitlines() == [
        "some/model: 10 files, 10.0 kB, licence openrail++",
        "Error: Fetch it: there is nobody to ask here; add --yes.",
    ]
    assert not any("resolve" in request for request, _ in hub.requests)


@pytest.mark.parametrize(("answer", "code"), [("y\n", 0), ("n\n", 130)])
def test_pull_takes_an_answer(models, hub, answer, code):  # noqa: F811
    hub.files = MODEL
    ask = "import sys; sys.stdin.isatty = lambda: True; " + MAIN
    done = models("pull", "some/model", input=answer, code=ask)
    assert done.returncode == code, done.stderr
    assert any("resolve" in request for request, _ in hub.requests) == (code == 0)


def test_a_pull_that_breaks_off_goes_on_where_it_was(models, hub, tmp_path):  # noqa: F811
    hub.files = {"config.json": b"{}", "model.safetensors": b"x" * 40_000}
    hub.cut = 15_000
    done = models("pull", "some/model", "--yes")
    assert done.returncode == 0, done.stderr
    assert (Path(done.stdout.strip()) / "model.safetensors").read_bytes() == b"x" * 40_000
    asked = [begin for request, begin in hub.requests if request.endswith("model.safetensors")]
    assert [begin for begin in asked if begin] == ["bytes=15000-", "bytes=30000-"]


def test_a_hub_that_has_gone_is_one_sentence_and_what_came_is_kept(models, hub):  # noqa: F811
    hub.files = {"config.json": b"{}", "model.safetensors": b"x" * 60_000}
    hub.cut, hub.gone_after = 15_000, 2
    broken = models("pull", "some/model", "--yes")
    assert broken.returncode == 1
    sentence = broken.stderr.strip().splitlines()[-1]
    assert sentence.startswith("Error: The model 'some/model' cannot be fetched (")
    assert sentence.endswith("); check the connection and try again: what has come is kept.")
    (row,) = [r for r in json.loads(models("list", "--json").stdout) if r["model"] == "some/model"]
    assert (row["status"], row["size"] >= 30_000) == ("partly here", True)
    hub.cut, hub.gone_after, hub.requests = None, None, []
    done = models("pull", "some/model", "--yes")
    assert done.returncode == 0, done.stderr
    asked = [begin for request, begin in hub.requests if request.startswith("GET /some")]
    assert asked == ["bytes=30000-"]


def test_a_part_that_was_spoilt_is_thrown_away(models, hub, tmp_path):  # noqa: F811
    data = b"y" * 40_000
    hub.files = {"config.json": b"{}", "model.safetensors": data}
    part = (
        tmp_path / "hf/hub/models--some--model/blobs" / f"{hashlib.sha256(data).hexdigest()}.part"
    )
    part.parent.mkdir(parents=True)
    part.write_bytes(b"z" * 10_000)
    broken = models("pull", "some/model", "--yes")
    assert broken.returncode == 1
    assert "'model.safetensors' came damaged and was thrown away" in broken.stderr
    assert models("pull", "some/model", "--yes").returncode == 0


def test_several_are_asked_about_once(models, hub):  # noqa: F811
    hub.files = MODEL
    done = models("pull", "some/model", "some/model", "other/model", "--yes")
    assert done.returncode == 2
    assert "The hub has no model 'other/model' that you may read" in done.stderr
    assert not any("resolve" in request for request, _ in hub.requests)


def test_rm_deletes_a_model(models, hub, tmp_path):  # noqa: F811
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
        (("pull", "what"), 2, "'what' is none of the parts with a model to fetch (flux2-klein,"),
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


def test_models_of_parts_are_listed_by_the_defaults_of_their_specs(monkeypatch):
    specs = [
        DeltaEncoderSpec("one", "", "json:f", licence="MIT", defaults={"model": "a/clip"}),
        DeltaEncoderSpec("two", "", "json:f", licence="MIT", defaults={"model": "a/clip"}),
        DeltaEncoderSpec("own", "", "json:f", fetch="json:f", size_mb=1, purpose="Compares."),
        DeltaEncoderSpec("none", "", "json:f"),
    ]
    found = Registry(delta_encoders={spec.id: spec for spec in specs})
    monkeypatch.setattr(model_states, "registry", lambda: found)
    monkeypatch.setattr("diffinv.system.hub.cached_ids", list)
    rows = {row["model"]: row for row in _rows()}
    assert list(rows) == ["a/clip", "delta encoder:own"]
    assert (rows["a/clip"]["used_by"], rows["a/clip"]["licence"]) == ("one, two", "MIT")
    own = rows["delta encoder:own"]
    assert (own["to_fetch"], own["purpose"], own["status"]) == (10**6, "Compares.", "not here")


def test_pull_names_the_way_to_weights_in_subfolders(models, hub):  # noqa: F811
    hub.files = {"original/consolidated.safetensors": b"x", "config.json": b"{}"}
    done = models("pull", "some/model", "--yes")
    assert done.returncode == 1
    assert "name those you want with --include GLOB." in done.stderr


def test_pull_of_pickles_is_refused(models, hub):  # noqa: F811
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
