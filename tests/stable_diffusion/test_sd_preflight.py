"""What is said and found before a checkpoint is loaded."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image
from test_sd_end_to_end import encoder, pictures  # noqa: F401 - fixtures

from diffinv.cli import app
from diffinv.contracts import Use
from diffinv.errors import DiffinvError
from diffinv.jobs.planning import plan_inversion
from diffinv.jobs.requests import InvertRequest
from diffinv_stable_diffusion import memory
from diffinv_stable_diffusion.preflight import preflight
from diffinv_stable_diffusion.projection import VARIABLE

LIGHT = """
import json, sys, types
from diffinv.contracts import Use
from diffinv_stable_diffusion.preflight import preflight
nvml = types.SimpleNamespace(NVMLError=OSError, nvmlInit=lambda: None, nvmlShutdown=lambda: None)
nvml.nvmlDeviceGetHandleByIndex = lambda index: index
nvml.nvmlDeviceGetMemoryInfo = lambda index: types.SimpleNamespace(free=index * 10**9)
sys.modules["pynvml"] = nvml
print(json.dumps(preflight(sys.argv[1], Use(sys.argv[2], "cuda:1", "low", pictures=2))))
assert "torch" not in sys.modules
"""


def invert_command(family: str, checkpoint: Path, encoder: str, folder: Path) -> list[str]:  # noqa: F811
    return [
        "invert", str(folder / "a.png"), str(folder / "a2.png"), "--caption-a", "a red cab",
        "--caption-a-prime", "blue", "--backbone", f"{family}={checkpoint}", "--delta-encoder",
        encoder, "--steps", "1", "--device", "cpu", "--name", "blue",
    ]  # fmt: skip


def test_the_expected_peak_is_said_before_loading(
    checkpoint, family, encoder, pictures, capsys, monkeypatch  # noqa: F811
):  # fmt: skip
    monkeypatch.setattr(memory, "free_bytes", lambda _device: 11_300_000_000)
    monkeypatch.setattr(memory, "expected_peak", lambda *_args, **_more: 7_200_000_000)
    assert app.run(invert_command(family, checkpoint, encoder, pictures)) == 0
    said = f"{family} on cpu: expects 7.2 GB at its peak (high memory), 11.3 GB free"
    lines = capsys.readouterr().err.splitlines()
    assert said in lines, lines
    assert app.run(["jobs", "show", "1", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["progress"]["notes"] == [said]


def test_it_is_estimated_without_torch_for_a_gpu(checkpoints):
    command = [sys.executable, "-c", LIGHT, "sd21", str(checkpoints("sd21"))]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    said = "sd21 on cuda:1: expects 0.0 GB at its peak (low memory), 1.0 GB free"
    assert json.loads(answer.stdout) == [said]


def test_more_pictures_at_once_take_more(checkpoints):
    from diffinv_stable_diffusion.families import FAMILIES
    from diffinv_stable_diffusion.sources import find_source

    source = find_source(FAMILIES["sd15"], str(checkpoints("sd15")))
    one, eight = (memory.expected_peak(source, "cuda", 2, False, n) for n in (1, 8))
    assert one < eight


@pytest.mark.parametrize(
    ("family", "low", "at_once", "gigabytes"),
    [
        ("sd21-base", False, None, 4.30),
        ("sd21-base", True, None, 2.93),
        ("sd21-base", False, 1, 4.11),
        ("sdxl", False, None, 17.72),
        ("sdxl", True, None, 7.06),
        ("sdxl", False, 1, 12.42),
    ],
)
def test_what_is_expected_is_what_a_gpu_took(family, low, at_once, gigabytes):
    """The figures of benchmarks/figures/gpu-h200.json, never below them, nor far above."""
    from diffinv_stable_diffusion.families import FAMILIES

    unet, texts, size = {
        "sd21-base": (865_910_724, 340_387_840, 64),
        "sdxl": (2_567_463_684, 817_720_320, 128),
    }[family]
    configs = {"vae": {"block_out_channels": [128, 256, 512, 512]}, "unet": {"sample_size": size}}
    source = SimpleNamespace(
        family=FAMILIES[family],
        parameters={"unet": unet, "vae": 83_653_863, "text_encoder": texts},
        config=configs.__getitem__,
    )
    expected = memory.expected_peak(source, "cuda", 2, low, at_once) / 1e9
    assert gigabytes < expected < 1.25 * gigabytes


@pytest.mark.parametrize("family", ["sd15", "sd21"])
def test_a_missing_projection_is_found_before_anything_is_loaded(
    checkpoint, family, encoder, pictures, capsys, monkeypatch, tmp_path  # noqa: F811
):  # fmt: skip
    learn = invert_command(family, checkpoint, encoder, pictures)
    assert app.run(learn) == 0
    monkeypatch.delenv(VARIABLE)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    capsys.readouterr()
    learn[learn.index("blue", 8)] = "again"
    assert app.run(learn) == 1
    (sentence,) = capsys.readouterr().err.splitlines()
    assert f"checkpoints of '{family}' carry no text projection" in sentence
    assert "'diffinv models pull " in sentence
    apply = ["apply", "blue", str(pictures / "b.png"), "--prompt-b", "a cab", "--steps", "2"]
    apply += ["--out", str(pictures / "out"), "--backbone", f"{family}={checkpoint}"]
    assert app.run([*apply, "--device", "cpu"]) == 0, capsys.readouterr().err


def test_the_checkpoint_is_looked_at_when_a_request_is_made(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    for name, colour in {"a": "red", "b": "blue"}.items():
        Image.new("RGB", (8, 8), colour).save(tmp_path / f"{name}.png")
    request = InvertRequest(pairs=((tmp_path / "a.png", tmp_path / "b.png"),), backbone="sdxl")
    with pytest.raises(DiffinvError, match="diffinv models pull stabilityai/"):
        plan_inversion(request)


def test_sdxl_brings_its_projection(checkpoints):
    assert preflight("sdxl", Use(str(checkpoints("sdxl")), "cpu", learning=True))
