"""A difference learned with a LoRA and an autoencoder beside the checkpoint, to its results and
back."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from lora import random_lora, write_kohya
from safetensors.torch import load_file, save_file
from test_sd_end_to_end import encoder, fitting_encoder, pictures, tokens_of  # noqa: F401 - fixtures

import diffinv
from diffinv.cli import app
from diffinv.difference import load as read_difference
from diffinv_stable_diffusion.backbone import load


@pytest.fixture
def family():
    return "sd15"


@pytest.fixture
def added(checkpoint, tmp_path):
    """A LoRA and an autoencoder, and the options that name them."""
    lora = random_lora(load("sd15", str(checkpoint), "cpu"))
    style = write_kohya(lora, tmp_path / "style.safetensors", "sd15")
    vae = Path(shutil.copytree(checkpoint / "vae", tmp_path / "vae"))
    file = vae / "diffusion_pytorch_model.safetensors"
    changed = {key: value * 1.1 for key, value in load_file(file).items()}
    save_file(changed, file, metadata={"format": "pt"})
    return style, ["--lora", f"{style}:0.5", "--vae", str(vae)]


def learn(name, checkpoint, encoder, pictures, *more):  # noqa: F811
    pair = [str(pictures / "a.png"), str(pictures / "a2.png")]
    captions = ["--caption-a", "a red cab", "--caption-a-prime", "blue"]
    options = ["--backbone", f"sd15={checkpoint}", "--delta-encoder", encoder, "--steps", "2"]
    return ["invert", *pair, *captions, *options, "--device", "cpu", "--name", name, *more]


def apply(name, pictures, out, *more):  # noqa: F811
    options = ["--prompt-b", "a cab", "--steps", "2", "--out", str(pictures / out)]
    return ["apply", name, str(pictures / "b.png"), *options, "--device", "cpu", *more]


def test_what_was_added_is_remembered_found_and_asked_for(
    checkpoint, encoder, pictures, added, capsys, tmp_path  # noqa: F811
):  # fmt: skip
    style, options = added
    assert app.run(learn("styled", checkpoint, encoder, pictures, *options, "--json")) == 0
    answer = json.loads(capsys.readouterr().out)
    info = read_difference(Path(answer["path"])).info
    assert [(a.kind, a.name, a.weight) for a in info.additions] == [
        ("vae", "vae", 1.0),
        ("lora", "style.safetensors", 0.5),
    ]
    assert app.run(["library", "show", "styled"]) == 0
    assert "the LoRA 'style.safetensors' (weight 0.5)" in capsys.readouterr().out

    assert app.run(apply("styled", pictures, "first")) == 0, capsys.readouterr().err
    first = (pictures / "first/b.png").read_bytes()
    said = provenance(pictures / "first/b.png", capsys)
    assert [one["kind"] for one in said["additions"]] == ["vae", "lora"]
    assert said["additions"][1]["sha256"] == info.additions[1].sha256

    (tmp_path / "elsewhere").mkdir()
    moved = shutil.move(style, tmp_path / "elsewhere")
    capsys.readouterr()
    assert app.run(apply("styled", pictures, "second")) == 2
    assert capsys.readouterr().err.strip() == (
        "Error: The difference 'styled' was made with the LoRA 'style.safetensors' (weight 0.5), "
        f"which was at {str(style)!r} and is not any more; say where it is with --lora PATH:0.5 "
        f"(its SHA-256 begins with {info.additions[1].sha256[:12]})."
    )
    place = ["--lora", f"{moved}:0.5"]
    assert app.run(apply("styled", pictures, "second", *place)) == 0, capsys.readouterr().err
    assert (pictures / "second/b.png").read_bytes() == first

    again = ["again", str(pictures / "first/b.png"), "--out", str(pictures / "again")]
    assert app.run([*again, "--device", "cpu"]) == 2
    assert "was made with the LoRA 'style.safetensors'" in capsys.readouterr().err
    assert app.run([*again, "--device", "cpu", *place]) == 0, capsys.readouterr().err
    assert (pictures / "again/b.png").read_bytes() == first


def provenance(result, capsys):
    capsys.readouterr()
    assert app.run(["show", str(result), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_without_additions_nothing_changes_and_with_others_it_is_refused(
    checkpoint, encoder, pictures, added, capsys  # noqa: F811
):  # fmt: skip
    style, options = added
    found = []
    for name, more in (("plain", []), ("styled", options), ("again", options)):
        assert app.run(learn(name, checkpoint, encoder, pictures, *more, "--json")) == 0
        found.append(tokens_of(json.loads(capsys.readouterr().out)))
    assert found[0] != found[1] == found[2]
    refused = {
        ("plain", "--lora", str(style)): "was made with nothing added, not with --lora 'style.",
        ("styled", "--lora", f"{style}:0.9"): "not with --lora 'style.safetensors:0.9'; leave",
        ("plain", "--with", "styled"): "was learned with the autoencoder 'vae' and the LoRA",
    }
    for (name, *more), sentence in refused.items():
        capsys.readouterr()
        assert app.run(apply(name, pictures, "out", *more)) == 2
        assert sentence in capsys.readouterr().err


def test_wrong_paths_and_kinds_are_found_before_anything_is_loaded(
    checkpoint, encoder, pictures, capsys, monkeypatch  # noqa: F811
):  # fmt: skip
    monkeypatch.setattr("diffinv_stable_diffusion.backbone.load_parts", None)
    vae = checkpoint / "vae/diffusion_pytorch_model.safetensors"
    for more, sentence in (
        (["--lora", "nowhere.safetensors:0.5"], "--lora 'nowhere.safetensors' is neither a file"),
        (["--lora", str(vae)], "is not a LoRA: it is an autoencoder alone"),
        (["--text-encoder", str(vae)], "is not a text encoder: it is an autoencoder alone"),
        (["--lora", f"{vae}:inf"], "has the weight inf; give a number."),
        (["--backbone", "diorama", "--vae", str(vae)], "'diorama' takes no --vae; leave it out."),
    ):
        assert app.run(learn("x", checkpoint, encoder, pictures, *more)) == 2, more
        assert sentence in capsys.readouterr().err


def test_the_api_takes_them_too(checkpoint, encoder, pictures, added, monkeypatch):  # noqa: F811
    style, (_, lora, _, vae) = added
    model = diffinv.load(
        f"sd15={checkpoint}", delta_encoder=encoder, vae=vae, lora=[lora], device="cpu"
    )
    images = [pictures / name for name in ("a.png", "a2.png")]
    learned = model.invert(*images, captions=[("a red cab", "blue")], steps=1)
    assert [added.kind for added in learned.info.additions] == ["vae", "lora"]
    plain = diffinv.load(f"sd15={checkpoint}", delta_encoder=encoder, device="cpu")
    with pytest.raises(diffinv.DiffinvError, match=r"with the autoencoder 'vae' and the LoRA"):
        plain.apply(learned, pictures / "b.png", prompt="a cab")
