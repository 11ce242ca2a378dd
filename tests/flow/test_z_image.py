"""Z-Image on a tiny checkpoint of the real classes, against diffusers' own pipeline."""

from __future__ import annotations

import json
import shutil

import pytest
import torch
import transformers
from diffusers import (
    FlowMatchEulerDiscreteScheduler,
    ZImagePipeline,
    ZImageTransformer2DModel,
)
from shared import LETTERS, sampled, small_vae, there_and_back, tokenizer

import diffinv
from diffinv.conformance import check_part
from diffinv.contracts import Use
from diffinv.errors import DiffinvError, UsageError
from diffinv.method.editors import Ddim, EditFriendly
from diffinv_flow.memory import preflight_z_image
from diffinv_flow.z_image import load


def make(folder, **scheduler):
    torch.manual_seed(0)
    transformer = ZImageTransformer2DModel(
        in_channels=4, dim=32, n_layers=2, n_refiner_layers=1, n_heads=2, n_kv_heads=2,
        cap_feat_dim=24, axes_dims=[4, 6, 6], axes_lens=[600, 32, 32],
    )  # fmt: skip
    for weight in transformer.parameters():
        torch.nn.init.normal_(weight, std=0.1)
    vae = small_vae(0.36, 0.12)
    words = transformers.Qwen3Model(
        transformers.Qwen3Config(
            vocab_size=len(LETTERS), hidden_size=24, intermediate_size=32, num_hidden_layers=3,
            num_attention_heads=2, num_key_value_heads=1, head_dim=12,
        )
    )  # fmt: skip
    pipeline = ZImagePipeline(
        FlowMatchEulerDiscreteScheduler(**scheduler), vae, words, tokenizer(), transformer
    )
    pipeline.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    return make(tmp_path_factory.mktemp("z-image"), shift=3.0)


@pytest.fixture(scope="session")
def backbone(folder):
    return load(str(folder), "cpu")


@pytest.fixture(scope="session")
def pipeline(folder):
    found = ZImagePipeline.from_pretrained(folder)
    found.set_progress_bar_config(disable=True)
    return found


def test_it_keeps_the_promises_of_a_backbone(backbone):
    results = check_part("backbone", backbone)
    assert [result for result in results if not result.passed] == []


def test_prompts_are_those_of_the_pipeline(backbone, pipeline):
    prompts = ["a red house by the sea", "", "x" * 700]
    wanted, _ = pipeline.encode_prompt(list(prompts), do_classifier_free_guidance=False)
    found = backbone.encode_prompts(prompts)
    for row, mask, embeds in zip(found.prompt_embeds, found.mask, wanted, strict=True):
        torch.testing.assert_close(row[mask], embeds, atol=1e-5, rtol=1e-5)
    assert backbone.count_tokens("abc") == 3
    assert backbone.token_budget == 512 - 3
    assert found.reach.sum(1).tolist() == [22, 2, 511]
    assert not found.reach[0, 0]
    assert not found.reach[0, 23:].any()


@pytest.mark.parametrize("dynamic", [False, True])
def test_sampling_is_the_pipelines(tmp_path, dynamic):
    folder = make(tmp_path, shift=3.0, use_dynamic_shifting=dynamic)
    backbone, pipeline = load(str(folder), "cpu"), ZImagePipeline.from_pretrained(folder)
    pipeline.set_progress_bar_config(disable=True)
    noise = torch.randn(1, 4, 16, 16, generator=torch.Generator().manual_seed(3))
    wanted = pipeline(
        "a mill", height=32, width=32, num_inference_steps=4, guidance_scale=2.0,
        latents=noise.clone(), output_type="latent",
    ).images  # fmt: skip
    sample = sampled(backbone, noise, 3.0)
    torch.testing.assert_close(sample, wanted, atol=1e-4, rtol=1e-4)
    picture = backbone.decode(sample)
    shift, scale = pipeline.vae.config.shift_factor, pipeline.vae.config.scaling_factor
    with torch.no_grad():
        expected = pipeline.vae.decode(wanted / scale + shift).sample
    torch.testing.assert_close(picture, expected, atol=1e-4, rtol=1e-4)


def test_prompts_of_different_lengths_do_not_disturb_each_other(backbone):
    noisy = torch.randn(2, 4, 16, 16, generator=torch.Generator().manual_seed(1))
    times = torch.tensor([0.3, 0.8])
    both = backbone.encode_prompts(["short", "a prompt that is a good deal longer"])
    found = backbone.predict(noisy, times, both)
    alone = backbone.predict(noisy[:1], times[:1], backbone.encode_prompts(["short"]))
    torch.testing.assert_close(found[:1], alone, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("editor", [Ddim(), EditFriendly()])
def test_a_trajectory_comes_back_to_the_picture(backbone, editor):
    latents = torch.randn(1, 4, 16, 16, generator=torch.Generator().manual_seed(2))
    assert there_and_back(backbone, latents, editor) < 1e-2


def test_tokens_are_learned_and_applied(folder, tmp_path):
    from PIL import Image

    pictures = [Image.new("RGB", (64, 48), colour) for colour in ("red", "blue", "green")]
    model = diffinv.load(f"z-image={folder}", delta_encoder="diorama", device="cpu")
    learned = model.invert(
        *pictures[:2], captions=[("a red wall", "a blue wall")], steps=6, progress=False
    )
    assert any("token consistency alone" in warning for warning in learned.info.warnings)
    assert (learned.losses[:, 2] == 0).all()
    assert abs(learned.tokens).max() > 0
    again = model.invert(
        *pictures[:2], captions=[("a red wall", "a blue wall")], steps=6, progress=False
    )
    assert (learned.tokens == again.tokens).all()
    made = model.apply(learned, pictures[2], prompt="a wall", progress=False)
    assert made.size == (64, 48)


def test_what_is_no_z_image_is_one_sentence(folder, tmp_path):
    with pytest.raises(UsageError, match="is not on this machine"):
        load(None, "cpu")
    with pytest.raises(UsageError, match="no|not a model in diffusers' layout"):
        load(str(tmp_path), "cpu")
    other = tmp_path / "other"
    shutil.copytree(folder, other)
    config = other / "transformer" / "config.json"
    settings = json.loads(config.read_text())
    config.write_text(json.dumps(settings | {"_class_name": "FluxTransformer2DModel"}))
    with pytest.raises(UsageError, match="FluxTransformer2DModel"):
        preflight_z_image(Use(str(other), "cpu"))
    config.write_text(json.dumps(settings))
    (weights,) = (other / "transformer").glob("*.safetensors")
    weights.rename(weights.with_suffix(".bin"))
    with pytest.raises(DiffinvError, match="never loaded"):
        preflight_z_image(Use(str(other), "cpu"))
    (note,) = preflight_z_image(Use(str(folder), "cpu"))
    assert note.startswith("z-image on cpu: expects 0.7 GB at its peak (high memory)")
