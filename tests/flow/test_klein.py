"""FLUX.2 klein on a tiny checkpoint of the real classes, against diffusers' own pipeline."""

from __future__ import annotations

import json
import shutil

import pytest
import torch
import transformers
from diffusers import (
    AutoencoderKLFlux2,
    FlowMatchEulerDiscreteScheduler,
    Flux2KleinPipeline,
    Flux2Transformer2DModel,
)
from PIL import Image
from shared import LETTERS, sampled, there_and_back, tokenizer

import diffinv
from diffinv.conformance import check_part
from diffinv.contracts import Use
from diffinv.errors import UsageError
from diffinv.method.editors import Ddim, EditFriendly
from diffinv_flow import klein, z_image
from diffinv_flow.checkpoints import KLEIN
from diffinv_flow.memory import preflight_klein

LAYERS = (1, 2, 3)


@pytest.fixture(scope="session", autouse=True)
def few_layers():
    """The tiny text encoder has four layers, not 36."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(klein, "LAYERS", LAYERS)
        yield


def make(folder, distilled=False):
    torch.manual_seed(0)
    transformer = Flux2Transformer2DModel(
        in_channels=16, num_layers=1, num_single_layers=1, attention_head_dim=16,
        num_attention_heads=2, joint_attention_dim=72, timestep_guidance_channels=16,
        axes_dims_rope=(4, 4, 4, 4), guidance_embeds=False,
    )  # fmt: skip
    vae = AutoencoderKLFlux2(
        block_out_channels=(8, 16), layers_per_block=1, norm_num_groups=4, latent_channels=4,
        down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2,
        sample_size=32,
    )  # fmt: skip
    torch.nn.init.uniform_(vae.bn.running_mean, -0.3, 0.3)
    torch.nn.init.uniform_(vae.bn.running_var, 0.5, 1.5)
    words = transformers.Qwen3ForCausalLM(
        transformers.Qwen3Config(
            vocab_size=len(LETTERS), hidden_size=24, intermediate_size=32, num_hidden_layers=4,
            num_attention_heads=2, num_key_value_heads=1, head_dim=12,
        )
    )  # fmt: skip
    scheduler = FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True, shift=3.0)
    pipeline = Flux2KleinPipeline(
        scheduler, vae, words, tokenizer(), transformer, is_distilled=distilled
    )
    pipeline.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    return make(tmp_path_factory.mktemp("klein"))


@pytest.fixture(scope="session")
def backbone(folder):
    return klein.load(str(folder), "cpu")


@pytest.fixture(scope="session")
def pipeline(folder):
    found = Flux2KleinPipeline.from_pretrained(folder)
    found.set_progress_bar_config(disable=True)
    return found


def test_it_keeps_the_promises_of_a_backbone(backbone):
    results = check_part("backbone", backbone)
    assert [result for result in results if not result.passed] == []


def test_prompts_are_those_of_the_pipeline(backbone, pipeline):
    prompts = ["a red house by the sea", "", "x" * 700]
    wanted, _ = pipeline.encode_prompt(list(prompts), text_encoder_out_layers=LAYERS)
    found = backbone.encode_prompts(prompts)
    torch.testing.assert_close(found.prompt_embeds, wanted, atol=1e-5, rtol=1e-5)
    assert found.reach.sum(1).tolist() == [22, 2, 511]


def test_latents_are_those_of_the_pipeline(backbone, pipeline):
    images = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1
    with torch.no_grad():
        wanted = pipeline._encode_vae_image(images, None)
    torch.testing.assert_close(backbone.encode_images(images), wanted, atol=1e-5, rtol=1e-5)


def test_sampling_is_the_pipelines(backbone, pipeline):
    noise = torch.randn(1, 16, 8, 8, generator=torch.Generator().manual_seed(3))
    wanted = pipeline(
        prompt="a mill", height=32, width=32, num_inference_steps=4, guidance_scale=3.0,
        latents=noise.clone(), text_encoder_out_layers=LAYERS, output_type="pt",
    ).images  # fmt: skip
    sample = sampled(backbone, noise, 3.0)
    pictures = (backbone.decode(sample) / 2 + 0.5).clamp(0, 1)
    torch.testing.assert_close(pictures, wanted, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("editor", [Ddim(), EditFriendly()])
def test_a_trajectory_comes_back_to_the_picture(backbone, editor):
    latents = torch.randn(1, 16, 8, 8, generator=torch.Generator().manual_seed(2))
    assert there_and_back(backbone, latents, editor) < 1e-2


def test_tokens_are_learned_and_applied(folder):
    pictures = [Image.new("RGB", (64, 48), colour) for colour in ("red", "blue", "green")]
    model = diffinv.load(f"flux2-klein={folder}", delta_encoder="diorama", device="cpu")
    learned = model.invert(
        *pictures[:2], captions=[("a red wall", "a blue wall")], steps=4, progress=False
    )
    assert learned.tokens.shape == (1, 72)
    assert abs(learned.tokens).max() > 0
    made = model.apply(learned, pictures[2], prompt="a wall", progress=False)
    assert made.size == (64, 48)


def test_a_distilled_model_is_refused_with_the_reason(folder, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(folder, other)
    index = other / "model_index.json"
    index.write_text(json.dumps(json.loads(index.read_text()) | {"is_distilled": True}))
    with pytest.raises(UsageError, match="distilled to a few steps"):
        preflight_klein(Use(str(other), "cpu"))
    with pytest.raises(UsageError, match="not of the family 'z-image'"):
        z_image.load(str(folder), "cpu")


def test_models_list_and_pull_know_it(capsys):
    from diffinv.cli.app import run
    from diffinv.plugins.model_states import find_models
    from diffinv.system.hub import choose_files

    assert [model for model, _ in find_models("flux2-klein")] == [KLEIN.model]
    assert run(["models", "list"]) == 0
    assert KLEIN.model in capsys.readouterr().out
    names = ["model_index.json", "transformer/diffusion_pytorch_model.safetensors"]
    names += ["transformer/config.json", "flux-2-klein-base-4b.safetensors"]
    assert choose_files(names, False) == [names[0], names[2], names[1]]
