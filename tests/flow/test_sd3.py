"""Stable Diffusion 3.5 on tiny checkpoints of the real classes, against diffusers' own pipeline."""

from __future__ import annotations

import shutil

import pytest
import torch
import transformers
from diffusers import (
    FlowMatchEulerDiscreteScheduler,
    SD3Transformer2DModel,
    StableDiffusion3Pipeline,
)
from originals import weights_of, write
from PIL import Image
from shared import sampled, small_vae, there_and_back
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from torch.nn.functional import normalize

import diffinv
from diffinv.conformance import check_part
from diffinv.contracts import POOLED, DeltaEncoderSpec, DiffTokens, Use
from diffinv.errors import DiffinvError
from diffinv.method.editors import Ddim, EditFriendly
from diffinv.plugins.loading import registry
from diffinv_flow.checkpoints import SD3
from diffinv_flow.memory import preflight_sd3
from diffinv_flow.sd3 import load

LETTERS = ["<pad>", "<unk>", *map(chr, range(32, 127)), "<start>", "<end>"]
END = len(LETTERS) - 1


def tokenizer(pad, length, start="<start> "):
    """Every letter a token, between start and end."""
    letters = Tokenizer(
        models.WordLevel({letter: i for i, letter in enumerate(LETTERS)}, unk_token="<unk>")
    )
    letters.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    letters.post_processor = processors.TemplateProcessing(
        single=f"{start}$A <end>", special_tokens=[("<start>", END - 1), ("<end>", END)]
    )
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=letters, pad_token=pad, unk_token="<unk>", bos_token="<start>",
        eos_token="<end>", model_max_length=length,
    )  # fmt: skip


def clip(width):
    config = transformers.CLIPTextConfig(
        vocab_size=len(LETTERS), hidden_size=width, intermediate_size=32, num_hidden_layers=3,
        num_attention_heads=2, projection_dim=width - 4, eos_token_id=END, bos_token_id=END - 1,
    )  # fmt: skip
    return transformers.CLIPTextModelWithProjection(config)


def make(folder, t5=True):
    torch.manual_seed(0)
    transformer = SD3Transformer2DModel(
        sample_size=16, in_channels=4, out_channels=4, num_layers=2, attention_head_dim=8,
        num_attention_heads=4, joint_attention_dim=48, caption_projection_dim=32,
        pooled_projection_dim=32, pos_embed_max_size=24, dual_attention_layers=(0,),
        qk_norm="rms_norm",
    )  # fmt: skip
    for weight in transformer.parameters():
        torch.nn.init.normal_(weight, std=0.1)
    vae = small_vae(1.53, 0.06)
    third = transformers.T5EncoderModel(
        transformers.T5Config(
            vocab_size=len(LETTERS), d_model=48, d_kv=12, d_ff=32, num_layers=2, num_heads=2
        )
    )
    pipeline = StableDiffusion3Pipeline(
        transformer=transformer, scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0), vae=vae,
        text_encoder=clip(16), tokenizer=tokenizer("<end>", 77),
        text_encoder_2=clip(24), tokenizer_2=tokenizer("<pad>", 77),
        text_encoder_3=third if t5 else None,
        tokenizer_3=tokenizer("<pad>", 512, start="") if t5 else None,
    )  # fmt: skip
    pipeline.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    return make(tmp_path_factory.mktemp("sd3"))


@pytest.fixture(scope="session")
def backbone(folder):
    return load(str(folder), "cpu")


def pipeline_of(folder, t5):
    without = {} if t5 else {"text_encoder_3": None, "tokenizer_3": None}
    found = StableDiffusion3Pipeline.from_pretrained(folder, **without)
    found.set_progress_bar_config(disable=True)
    return found


def test_it_keeps_the_promises_of_a_backbone(backbone):
    results = check_part("backbone", backbone)
    assert [result for result in results if not result.passed] == []


@pytest.mark.parametrize("t5", [True, False])
def test_prompts_and_sampling_are_the_pipelines(tmp_path, t5):
    backbone, pipeline = load(str(make(tmp_path, t5)), "cpu"), pipeline_of(tmp_path, t5)
    prompts = ["a red house by the sea", "", "x" * 300]
    hidden, _, pooled, _ = pipeline.encode_prompt(
        prompts, None, None, do_classifier_free_guidance=False
    )
    found = backbone.encode_prompts(prompts)
    torch.testing.assert_close(found.prompt_embeds, hidden, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(found.extra[POOLED], pooled, atol=1e-5, rtol=1e-5)
    assert found.reach.sum(1).tolist() == [76, 76, 76]
    noise = torch.randn(1, 4, 16, 16, generator=torch.Generator().manual_seed(3))
    wanted = pipeline(
        "a mill", height=32, width=32, num_inference_steps=4, guidance_scale=3.0,
        latents=noise.clone(), output_type="pt",
    ).images  # fmt: skip
    pictures = (backbone.decode(sampled(backbone, noise, 3.0)) / 2 + 0.5).clamp(0, 1)
    torch.testing.assert_close(pictures, wanted, atol=1e-4, rtol=1e-4)


def test_the_joint_space_is_the_second_clips(backbone):
    tokens = torch.randn(2, 48, generator=torch.Generator().manual_seed(1))
    projection = backbone.text_encoder_2.text_projection
    torch.testing.assert_close(backbone.project_tokens(tokens), projection(tokens[:, 16:40]))
    prompt = backbone.encode_prompts(["a mill"])
    moved = prompt.extend(DiffTokens(tokens[:1, None], "additive")).prompt_embeds
    changed = (moved != prompt.prompt_embeds).any(-1)[0]
    assert changed.nonzero().flatten().tolist() == list(range(1, 77))


@pytest.mark.parametrize("editor", [Ddim(), EditFriendly()])
def test_a_trajectory_comes_back_to_the_picture(backbone, editor):
    latents = torch.randn(1, 4, 16, 16, generator=torch.Generator().manual_seed(2))
    assert there_and_back(backbone, latents, editor) < 1e-2


class Encoder:
    """Pictures and texts by their colours and letters, 20 wide."""

    id, space = "fitting", "open-clip:ViT-bigG-14"

    def encode_images(self, images):
        rows = [list(image.convert("RGB").resize((2, 3)).tobytes()) for image in images]
        return normalize(torch.nn.functional.pad(torch.tensor(rows).float() + 1, (0, 2)), dim=-1)

    def encode_texts(self, texts):
        return normalize(torch.tensor([[float(len(t)), *[1.0] * 19] for t in texts]), dim=-1)


def test_tokens_are_learned_and_applied(folder, monkeypatch):
    spec = DeltaEncoderSpec(id="fitting", title="Fitting", factory=f"{__name__}:fitting")
    monkeypatch.setitem(registry().delta_encoders, "fitting", spec)
    pictures = [Image.new("RGB", (64, 48), colour) for colour in ("red", "blue", "green")]
    model = diffinv.load(f"sd3={folder}", delta_encoder="fitting", device="cpu")
    learned = model.invert(
        *pictures[:2], captions=[("a red wall", "a blue wall")], steps=4, pooled=True,
        progress=False,
    )  # fmt: skip
    assert learned.tokens.shape == (1, 48)
    assert learned.pooled.shape == (32,)
    assert (learned.losses[:, 2] > 0).all()
    assert abs(learned.tokens).max() > 0 < abs(learned.pooled).max()
    made = model.apply(learned, pictures[2], prompt="a wall", progress=False)
    assert made.size == (64, 48)


def fitting(_weights, _device):
    return Encoder()


def test_a_transformer_in_one_file_and_half_precision_text_encoders(folder, backbone, tmp_path):
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    file = write(weights_of(folder), tmp_path / "sd3.safetensors", "model.diffusion_model.")
    (weights,) = (tmp_path / "transformer").glob("*.safetensors")
    weights.unlink()
    for part in ("text_encoder", "text_encoder_3"):
        (tmp_path / part / "model.safetensors").rename(tmp_path / part / "model.fp16.safetensors")
    found = load(str(file), "cpu")
    exact = backbone.transformer.state_dict()
    assert all(torch.equal(exact[k], v) for k, v in found.transformer.state_dict().items())
    one, two = (model.encode_prompts(["a mill"]).prompt_embeds for model in (found, backbone))
    torch.testing.assert_close(one, two, atol=1e-5, rtol=1e-5)
    shutil.rmtree(tmp_path / "text_encoder_2")
    with pytest.raises(DiffinvError, match="text_encoder_2"):
        preflight_sd3(Use(str(file), "cpu"))


def test_models_list_and_pull_know_it():
    from diffinv.plugins.model_states import find_models
    from diffinv.system.hub import choose_files

    ((model, spec),) = find_models("sd3")
    assert model == SD3.model
    assert spec.licence == "Stability AI Community License"
    names = ["model_index.json", "text_encoder_3/model.fp16-00001-of-00002.safetensors"]
    names += ["tokenizer_3/spiece.model", "sd3.5_medium.safetensors", "text_encoders/clip_g.bin"]
    assert sorted(choose_files(names, False)) == sorted(names[:3])
