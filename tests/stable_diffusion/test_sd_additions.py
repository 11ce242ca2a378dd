"""Autoencoders and text encoders beside a checkpoint that lacks them, or in place of its own."""

from __future__ import annotations

import json
import shutil

import pytest
import torch
from ldm import write_single_file
from safetensors.torch import load_file, save_file
from tiny_sd import write_configs

from diffinv.contracts import Addition
from diffinv.errors import DiffinvError
from diffinv_stable_diffusion import sources
from diffinv_stable_diffusion.backbone import load

TEXTS = ("cond_stage_model.", "conditioner.")


@pytest.fixture
def single(checkpoints, tmp_path, monkeypatch):
    """``single(family)``: a checkpoint in one file, and what is in it."""

    def write(family):
        write_configs(tmp_path / "configs", family)
        monkeypatch.setattr(sources, "CONFIGS", tmp_path / "configs")
        path = write_single_file(checkpoints(family), tmp_path / f"{family}.safetensors", family)
        return path, load_file(path)

    return write


def kept(tensors, path, *prefixes, strip=""):
    found = {k: v for k, v in tensors.items() if k.startswith(prefixes)}
    save_file({k.removeprefix(strip): v.contiguous() for k, v in found.items()}, path)
    return str(path)


def weights_of(backbone):
    models = [backbone.unet, backbone.vae, *(tower.model for tower in backbone.towers)]
    return [value for model in models for value in model.state_dict().values()]


def assert_same(one, other):
    pairs = list(zip(weights_of(one), weights_of(other), strict=True))
    assert len(pairs) > 100
    assert all(torch.equal(a, b) for a, b in pairs)
    prompts = ["the red cat", ""]
    hidden = [backbone.encode_prompts(prompts).prompt_embeds for backbone in (one, other)]
    assert torch.allclose(*hidden, atol=1e-5)


def error_of(family, weights, *additions):
    with pytest.raises(DiffinvError) as error:
        load(family, str(weights), "cpu", additions)
    assert str(error.value).endswith(".")
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("family", ["sd15", "sd21", "sdxl"])
def test_a_denoiser_with_its_parts_beside_it(single, family, tmp_path):
    path, tensors = single(family)
    bare = kept(tensors, tmp_path / "bare.safetensors", "model.")
    vae = kept(
        tensors, tmp_path / "vae.safetensors", "first_stage_model.", strip="first_stage_model."
    )
    texts = kept(tensors, tmp_path / "texts.safetensors", *TEXTS)
    additions = [Addition("text_encoder", texts), Addition("vae", vae)]
    made = load(family, bare, "cpu", additions)
    assert_same(made, load(family, str(path), "cpu"))
    shutil.copy(vae, tmp_path / "moved.safetensors")
    moved = [additions[0], Addition("vae", str(tmp_path / "moved.safetensors"))]
    assert load(family, bare, "cpu", moved).weights_id == made.weights_id


def test_what_is_missing_is_named_with_its_option(single, tmp_path):
    path, tensors = single("sd15")
    bare = kept(tensors, tmp_path / "bare.safetensors", "model.")
    assert error_of("sd15", bare) == (
        f"The model {bare!r} comes without an autoencoder and a text encoder; give them with "
        "--vae PATH and --text-encoder PATH."
    )
    assert error_of("sd15", bare, Addition("vae", str(path))).endswith(
        "comes without a text encoder; give it with --text-encoder PATH."
    )


def test_sdxl_has_two_text_encoders(single, tmp_path):
    _, tensors = single("sdxl")
    bare = kept(tensors, tmp_path / "bare.safetensors", "model.", "first_stage_model.")
    assert error_of("sdxl", bare).endswith(
        "without text encoders; give them with --text-encoder PATH, once for each of the two."
    )
    first = kept(tensors, tmp_path / "clip_l.safetensors", "conditioner.embedders.0.")
    assert error_of("sdxl", bare, Addition("text_encoder", first)).endswith(
        "comes without a text encoder (text_encoder_2); give it with --text-encoder PATH."
    )


def test_the_two_encoders_of_sdxl_are_told_apart_by_their_width(single, checkpoints, tmp_path):
    """As ComfyUI's clip_l and clip_g, transformers' own files, or OpenCLIP's."""
    path, tensors = single("sdxl")
    whole = load("sdxl", str(path), "cpu")
    bare = kept(tensors, tmp_path / "bare.safetensors", "model.", "first_stage_model.")
    folder = checkpoints("sdxl")
    large = str(folder / "text_encoder_2/model.safetensors")
    small = kept(
        tensors,
        tmp_path / "clip_l.safetensors",
        "conditioner.embedders.0.",
        strip="conditioner.embedders.0.transformer.",
    )
    open_clip = kept(
        tensors,
        tmp_path / "clip_g.safetensors",
        "conditioner.embedders.1.",
        strip="conditioner.embedders.1.model.",
    )
    for paths in ([small, large], [large, small], [small, open_clip], [folder]):
        given = [Addition("text_encoder", str(path)) for path in paths]
        assert_same(load("sdxl", bare, "cpu", given), whole)
    twice = [Addition("text_encoder", str(path)) for path in (large, open_clip)]
    assert "is the second text_encoder_2 given; leave one out." in error_of("sdxl", bare, *twice)


@pytest.mark.parametrize("form", ["folder", "whole model", "file"])
def test_an_autoencoder_takes_the_place_of_the_models_own(
    own_copy, checkpoints, tmp_path, form, monkeypatch
):
    write_configs(tmp_path / "configs", "sd15")
    monkeypatch.setattr(sources, "CONFIGS", tmp_path / "configs")
    other = own_copy("sd15")
    file = other / "vae/diffusion_pytorch_model.safetensors"
    changed = {key: value * 1.5 for key, value in load_file(file).items()}
    save_file(changed, file, metadata={"format": "pt"})
    path = {"folder": other / "vae", "whole model": other, "file": file}[form]
    folder = str(checkpoints("sd15"))
    made = load("sd15", folder, "cpu", [Addition("vae", str(path))])
    assert all(torch.equal(value, changed[k]) for k, value in made.vae.state_dict().items())
    own = load("sd15", folder, "cpu")
    assert made.weights_id != own.weights_id
    assert torch.equal(made.unet.conv_in.weight, own.unet.conv_in.weight)


def test_a_folder_without_some_of_its_parts(own_copy, checkpoints, tmp_path, monkeypatch):
    write_configs(tmp_path / "configs", "sdxl")
    monkeypatch.setattr(sources, "CONFIGS", tmp_path / "configs")
    folder, whole = own_copy("sdxl"), checkpoints("sdxl")
    for part in ("vae", "text_encoder", "tokenizer"):
        shutil.rmtree(folder / part)
    assert error_of("sdxl", folder).endswith(
        "comes without an autoencoder; give it with --vae PATH."
    )
    vae = Addition("vae", str(whole / "vae"))
    text = Addition("text_encoder", str(whole / "text_encoder"))
    assert "(text_encoder); give it with --text-encoder PATH." in error_of("sdxl", folder, vae)
    assert_same(load("sdxl", str(folder), "cpu", [vae, text]), load("sdxl", str(whole), "cpu"))


def test_other_files_given_as_parts(single, checkpoints, tmp_path):
    path, tensors = single("sd15")
    folder = checkpoints("sd15")
    texts = folder / "text_encoder/model.safetensors"
    vae = folder / "vae/diffusion_pytorch_model.safetensors"
    assert "is not an autoencoder: it is a text encoder alone (it goes with --text" in error_of(
        "sd15", path, Addition("vae", str(texts))
    )
    assert "is not a text encoder: it is an autoencoder alone" in error_of(
        "sd15", path, Addition("text_encoder", str(vae))
    )
    wide = tmp_path / "wide.safetensors"
    save_file({"decoder.conv_in.weight": torch.ones(8, 16, 3, 3)}, wide)
    assert "another family: its latents have 16 channels, not 4." in error_of(
        "sd15", path, Addition("vae", str(wide))
    )
    save_file({"text_model.embeddings.token_embedding.weight": torch.ones(9, 48)}, wide)
    assert "is no text encoder of 'sd15': its vectors are 48 wide, not 32." in error_of(
        "sd15", path, Addition("text_encoder", str(wide))
    )
    assert "it has no config.json; name its folder, or a .safetensors file." in error_of(
        "sd15", path, Addition("vae", str(tmp_path / "configs"))
    )
    (tmp_path / "vae.pt").write_bytes(b"\x80\x02")
    assert "is a pickle" in error_of("sd15", path, Addition("vae", str(tmp_path / "vae.pt")))


def test_a_text_encoder_that_the_denoiser_does_not_read(own_copy, tmp_path):
    folder = own_copy("sd15")
    settings = folder / "text_encoder/config.json"
    settings.write_text(json.dumps(json.loads(settings.read_text()) | {"hidden_size": 48}))
    error = error_of("sd15", folder, Addition("text_encoder", str(folder / "text_encoder")))
    assert "is no text encoder of 'sd15': its vectors are 48 wide" in error
