"""Invert and apply on tiny checkpoints of every family, through the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image
from tiny_sd import write_projection

from diffinv.cli import app
from diffinv.contracts import DeltaEncoderSpec
from diffinv.jobs import launch
from diffinv.jobs.worker import Worker
from diffinv.plugins.loading import registry
from diffinv_stable_diffusion.families import FAMILIES
from diffinv_stable_diffusion.projection import VARIABLE


def fitting_encoder(weights, _device):
    """A delta encoder of the joint space and width that ``SPACE:WIDTH`` names."""
    import torch

    space, _, width = weights.rpartition(":")

    class Encoder:
        id = "fitting"

        def encode_images(self, images):
            rows = [image.resize((4, 4)).tobytes() for image in images]
            values = torch.tensor([list(row) for row in rows]).float() / 255
            return torch.nn.functional.pad(values, (0, 64))[:, : int(width)] + 0.1

        def encode_texts(self, texts):
            values = torch.zeros(len(texts), int(width)) + 0.1
            for row, text in zip(values, texts, strict=True):
                row[sum(text.encode()) % int(width)] += 1
            return values

    Encoder.space = space
    return Encoder()


@pytest.fixture
def pictures(tmp_path) -> Path:
    for name, colour in {"a": "red", "a2": "blue", "b": "green"}.items():
        Image.new("RGB", (70, 60), colour).save(tmp_path / f"{name}.png")
    return tmp_path


@pytest.fixture
def encoder(monkeypatch, family, tmp_path) -> str:
    """``--delta-encoder`` for the family; its text projection is at hand."""
    spec = DeltaEncoderSpec(id="fitting", title="Fitting", factory=f"{__name__}:fitting_encoder")
    monkeypatch.setitem(registry().delta_encoders, "fitting", spec)
    monkeypatch.setattr(launch, "start", lambda store, device: Worker(store, device, idle=0).run())
    monkeypatch.setenv(VARIABLE, str(write_projection(tmp_path / "projection.safetensors")))
    width = 40 if family == "sdxl" else 24
    return f"fitting={FAMILIES[family].joint_space}:{width}"


@pytest.mark.parametrize("space", ["additive", "input", "output"])
def test_learn_and_apply(checkpoint, family, encoder, pictures, capsys, space):
    where = f"{family}={checkpoint}"
    learn = ["invert", "a.png", "a2.png", "--caption-a", "a red cab", "--caption-a-prime", "blue"]
    learn = [str(pictures / x) if x.endswith(".png") else x for x in learn]
    options = ["--backbone", where, "--delta-encoder", encoder, "--token-space", space]
    options += ["--tokens", "2", "--steps", "2", "--device", "cpu", "--name", "blue", "--json"]
    assert app.run([*learn, *options]) == 0, capsys.readouterr().err
    first = json.loads(capsys.readouterr().out)
    apply = ["apply", "blue:-0.5", str(pictures / "b.png"), "--prompt-b", "a cab", "--steps", "3"]
    apply += ["--out", str(pictures / "out"), "--backbone", where, "--device", "cpu", "--json"]
    assert app.run(apply) == 0, capsys.readouterr().err
    assert Image.open(pictures / "out" / "b.png").size == (70, 60)
    bare = [x for x in apply if x not in ("--backbone", where)]  # where it was is remembered
    bare[bare.index(str(pictures / "out"))] = str(pictures / "bare")
    assert app.run(bare) == 0, capsys.readouterr().err
    assert (pictures / "bare/b.png").read_bytes() == (pictures / "out/b.png").read_bytes()
    capsys.readouterr()
    options[options.index("blue")] = "again"
    assert app.run([*learn, *options]) == 0
    again = json.loads(capsys.readouterr().out)
    assert again["hash_sha256"] is not None
    assert tokens_of(first) == tokens_of(again)


def tokens_of(answer: dict) -> bytes:
    from diffinv.difference import load

    tokens = load(Path(answer["path"])).tokens
    assert abs(tokens).max() > 0
    return tokens.tobytes()


def test_a_difference_of_other_weights_is_refused(checkpoints, pictures, tmp_path, capsys):
    import numpy as np

    from diffinv.difference import Difference, DifferenceInfo
    from diffinv.storage.store import Library
    from diffinv.system.paths import library_folder

    Library(library_folder()).add(
        Difference(
            DifferenceInfo(
                name="old", backbone="sd15", backbone_weights="0" * 64, token_space="additive"
            ),
            np.zeros((1, 32), np.float32),
            np.ones(4, np.float32),
            np.zeros((1, 3), np.float32),
        )
    )
    b, out = str(pictures / "b.png"), str(tmp_path / "out")
    apply = ["apply", "old", b, "--prompt-b", "x", "--out", out, "--device", "cpu"]
    assert app.run([*apply, "--backbone", f"sd15={checkpoints('sd15')}"]) == 1
    assert "does not fit 'sd15' (weights " in capsys.readouterr().err
    assert app.run([*apply, "--backbone", f"sdxl={checkpoints('sdxl')}"]) == 2
    assert "was made for the backbone 'sd15' and cannot be applied with 'sdxl'" in (
        capsys.readouterr().err
    )


def test_words_learned_on_one_model_are_told_to_another(checkpoints, pictures, tmp_path, capsys):
    a, a_prime, b = (str(pictures / name) for name in ("a.png", "a2.png", "b.png"))
    learn = ["invert", a, a_prime, "--token-space", "words", "--steps", "2", "--name", "words"]
    assert app.run([*learn, "--preview", "none", "--device", "cpu"]) == 0
    out = tmp_path / "out"
    use = ["--backbone", f"sd15={checkpoints('sd15')}", "--prompt-b", "a picture", "--steps", "2"]
    assert app.run(["apply", "words", b, *use, "--out", str(out), "--device", "cpu"]) == 0
    capsys.readouterr()
    assert app.run(["show", str(next(out.glob("*.png"))), "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    assert made["backbone"] == "sd15"
    assert made["reworded"] != made["prompt"]
