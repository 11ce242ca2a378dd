"""A difference that moves SDXL's pooled text embedding as well, on a tiny checkpoint."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from test_sd_end_to_end import encoder, fitting_encoder, pictures  # noqa: F401 - fixtures

from diffinv.cli import app
from diffinv.difference import load as load_difference
from diffinv.method.inversion import Inversion, Pair
from diffinv.method.settings import inversion_settings
from diffinv_stable_diffusion.backbone import load


@pytest.fixture
def family():
    return "sdxl"


def inversion(backbone, **settings):
    colours = [Image.new("RGB", (backbone.resolution,) * 2, name) for name in ("red", "blue")]
    texts = ("a red cab", "a blue cab") * 2
    encoder = fitting_encoder("open-clip:ViT-bigG-14:40", "cpu")  # noqa: F811
    pairs = [[Pair(*colours, *texts)], [Pair(*reversed(colours), *texts)]]
    return Inversion(backbone, encoder, pairs, inversion_settings(steps=4, **settings), [1, 2])


def finished(run):
    while not run.is_done:
        run.advance()
    return run.results()


def test_it_is_learned_with_the_tokens_and_goes_on_from_a_state(checkpoint):
    backbone = load("sdxl", str(checkpoint), "cpu")
    plain, whole = finished(inversion(backbone)), inversion(backbone, pooled=True)
    whole.advance()
    whole.advance()
    state = whole.state()
    wanted = finished(whole)
    again = inversion(backbone, pooled=True)
    again.load_state(state)
    assert all(torch.equal(value, state[name]) for name, value in again.state().items())
    for one, two, without in zip(wanted, finished(again), plain, strict=True):
        assert one.pooled.shape == (backbone.pooled_width,)
        assert one.pooled.abs().max() > 0
        assert torch.equal(one.pooled, two.pooled)
        assert torch.equal(one.tokens, two.tokens)
        assert without.pooled is None
        assert not torch.equal(one.losses[-1], without.losses[-1])
    assert not torch.equal(wanted[0].pooled, wanted[1].pooled)


def test_its_file_is_applied_with_it(checkpoint, encoder, pictures, capsys):  # noqa: F811
    where = f"sdxl={checkpoint}"
    learn = [
        "invert",
        str(pictures / "a.png"),
        str(pictures / "a2.png"),
        "--caption-a",
        "a red cab",
    ]
    learn += ["--caption-a-prime", "blue", "--backbone", where, "--delta-encoder", encoder]
    learn += ["--steps", "2", "--lr", "5", "--device", "cpu", "--name", "blue", "--json"]
    assert app.run([*learn, "--pooled", "--preview", "none"]) == 0, capsys.readouterr().err
    file = Path(json.loads(capsys.readouterr().out)["path"])
    difference = load_difference(file)
    assert difference.info.settings["pooled"] is True
    assert abs(difference.pooled).max() > 0

    def applied(name):
        apply = ["apply", "blue:0.5", str(pictures / "b.png"), "--prompt-b", "a cab", "--steps"]
        apply += ["3", "--no-mask", "--out", str(pictures / name), "--backbone", where]
        assert app.run([*apply, "--device", "cpu"]) == 0, capsys.readouterr().err
        return (pictures / name / "b.png").read_bytes()

    moved = applied("moved")
    object.__setattr__(difference, "pooled", np.zeros_like(difference.pooled))
    difference.save(file)
    assert applied("still") != moved
    capsys.readouterr()
    assert app.run(["library", "show", "blue"]) == 0
    assert f"{len(difference.pooled)} wide" in capsys.readouterr().out
    assert app.run([*learn, "--pooled", "--token-space", "input", "--name", "x"]) == 2
    assert "leave out --pooled" in capsys.readouterr().err


@pytest.mark.parametrize("family", ["sd15"])
def test_a_model_without_one_says_so(checkpoint, encoder, pictures, capsys):  # noqa: F811
    learn = ["invert", str(pictures / "a.png"), str(pictures / "a2.png"), "--caption-a", "a cab"]
    learn += ["--caption-a-prime", "blue", "--backbone", f"sd15={checkpoint}", "--delta-encoder"]
    assert app.run([*learn, encoder, "--device", "cpu", "--pooled", "--name", "x"]) in (1, 2)
    said = "The backbone 'sd15' has no pooled text embedding to move; leave out --pooled."
    assert said in capsys.readouterr().err
