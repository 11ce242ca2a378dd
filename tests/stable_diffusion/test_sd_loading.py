"""Checkpoints: folders, single files, half precision; what is frozen, what a hash is made of."""

from __future__ import annotations

import json
import logging
from dataclasses import replace

import pytest
import torch
from diffusers import StableDiffusionPipeline
from ldm import write_single_file
from safetensors.torch import load_file, save_file
from tiny_sd import make_checkpoint, write_configs, write_projection

from diffinv.contracts import DiffTokens, Use
from diffinv.errors import DiffinvError
from diffinv.system.weights import weights_id
from diffinv_stable_diffusion import sources
from diffinv_stable_diffusion.backbone import load
from diffinv_stable_diffusion.families import FAMILIES
from diffinv_stable_diffusion.preflight import preflight
from diffinv_stable_diffusion.projection import VARIABLE

PROMPTS = ["the red cat", ""]


@pytest.fixture
def tiny_configs(tmp_path, monkeypatch, family):
    """The bundled settings, at the size of the tiny checkpoints."""
    write_configs(tmp_path / "configs", family)
    monkeypatch.setattr(sources, "CONFIGS", tmp_path / "configs")


def predictions(backbone):
    """Everything the method asks of a backbone, on fixed inputs."""
    generator = torch.Generator().manual_seed(4)
    latents = torch.randn(2, 4, 8, 8, generator=generator)
    values = torch.randn(1, 2, backbone.token_width, generator=generator) * 0.1
    conditioning = backbone.encode_prompts(PROMPTS).extend(DiffTokens(values, "input"))
    with torch.no_grad():
        predicted = backbone.predict(latents, torch.tensor([10, 700]), conditioning)
    pictures = backbone.decode(latents)
    return [
        predicted,
        pictures,
        backbone.encode_images(pictures),
        backbone.encode_prompts(PROMPTS).prompt_embeds,
        backbone.schedule.alphas_cumprod,
    ]


def weights_of(backbone):
    models = [backbone.unet, backbone.vae, *(tower.model for tower in backbone.towers)]
    return [(i, k, v) for i, m in enumerate(models) for k, v in m.state_dict().items()]


def assert_same_model(ours, wanted, atol=1e-5):
    """Every weight to the bit, and what is computed with it within the kernels' rounding."""
    rows = list(zip(weights_of(ours), weights_of(wanted), strict=True))
    assert len(rows) > 100
    for (*place, value), (*other_place, other) in rows:
        assert place == other_place
        assert torch.equal(value, other)
    for value, other in zip(predictions(ours), predictions(wanted), strict=True):
        assert torch.allclose(value, other, rtol=1e-4, atol=atol)


@pytest.mark.parametrize(("dtype", "atol"), [(torch.float32, 1e-5), (torch.bfloat16, 1e-2)])
def test_a_single_file_equals_the_folder_it_came_from(
    checkpoint, family, tmp_path, tiny_configs, dtype, atol
):
    backbone = load(family, str(checkpoint), "cpu", dtype=dtype)
    path = write_single_file(checkpoint, tmp_path / "model.safetensors", family)
    single = load(family, str(path), "cpu", dtype=dtype)
    assert single.prediction_type == backbone.prediction_type
    assert single.resolution == backbone.resolution == 64
    assert single.timesteps(7) == backbone.timesteps(7)
    assert_same_model(single, backbone, atol)


@pytest.mark.parametrize("scaled", [False, True])
@pytest.mark.parametrize("family", ["sd15", "sdxl"])
def test_a_single_file_may_hold_eight_bits(checkpoint, family, tmp_path, tiny_configs, scaled):
    """The denoiser's matrices in fp8, with ComfyUI's scales or without; the rest in halves; and
    averaged weights beside them, which are not read."""
    path = write_single_file(checkpoint, tmp_path / "fp8.safetensors", family)
    whole, small = load_file(path), {}
    for key, value in whole.items():
        matrix = key.startswith("model.diffusion_model.") and value.ndim == 2
        if not matrix:
            small[key] = value.to(torch.bfloat16) if value.is_floating_point() else value
            continue
        scale = value.abs().max() / 100 if scaled else torch.tensor(1.0)
        small[key] = (value / scale).to(torch.float8_e4m3fn)
        if scaled:
            small[f"{key.removesuffix('weight')}scale_weight"] = scale
    if scaled:
        small["scaled_fp8"] = torch.zeros(2, dtype=torch.float8_e4m3fn)
    small["model_ema.decay"] = torch.tensor(0.99)
    small["model_ema.diffusion_modelout2bias"] = torch.full((4,), 9.0)
    save_file(small, path)
    found, wanted = load(family, str(path), "cpu"), load(family, str(checkpoint), "cpu")
    for one, other in zip(found.unet.parameters(), wanted.unet.parameters(), strict=True):
        assert one.dtype == torch.float32
        assert float((one - other).abs().max()) <= 0.07 * float(other.abs().max()) + 1e-3
    assert predictions(found)[0].isfinite().all()


def test_the_bundled_settings_are_those_of_the_families():
    for family in FAMILIES.values():
        folder = sources.CONFIGS / family.id
        unet = json.loads((folder / "unet/config.json").read_text())
        assert unet["cross_attention_dim"] == family.width
        assert unet["sample_size"] * 8 == family.resolution
        prediction = json.loads((folder / "scheduler/scheduler_config.json").read_text())
        assert prediction["prediction_type"] == family.predictions[0]
        assert sum(family.embedding_layout.values()) == family.width


def test_the_bundled_vocabulary_is_clips():
    from diffinv_stable_diffusion.single_file import bundled_tokenizer

    for id, pad in (("sd15", 49407), ("sd21", 0)):
        tokenizer = bundled_tokenizer(sources.CONFIGS / id, "tokenizer")
        assert len(tokenizer) == 49408
        # the ids that CLIP's published examples give
        assert tokenizer("a photo of a cat").input_ids == [49406, 320, 1125, 539, 320, 2368, 49407]
        assert tokenizer.pad_token_id == pad


def test_half_precision_files_are_taken_where_there_are_no_others(checkpoints, tmp_path):
    pipe = StableDiffusionPipeline.from_pretrained(checkpoints("sd15"), safety_checker=None)
    pipe.to(dtype=torch.float16).save_pretrained(tmp_path / "half", variant="fp16")
    names = {p.name for p in (tmp_path / "half").rglob("*.safetensors")}
    assert names == {"model.fp16.safetensors", "diffusion_pytorch_model.fp16.safetensors"}
    backbone = load("sd15", str(tmp_path / "half"), "cpu")
    assert {p.dtype for p in backbone.unet.parameters()} == {torch.float32}
    whole = load("sd15", str(checkpoints("sd15")), "cpu")
    assert torch.allclose(predictions(backbone)[0], predictions(whole)[0], atol=0.02)
    assert backbone.weights_id != whole.weights_id


def test_shards_are_read_as_one(checkpoints, tmp_path):
    pipe = StableDiffusionPipeline.from_pretrained(checkpoints("sd15"), safety_checker=None)
    pipe.save_pretrained(tmp_path / "shards", max_shard_size="200KB")
    assert len(list((tmp_path / "shards/unet").glob("*.safetensors"))) > 1
    backbone = load("sd15", str(tmp_path / "shards"), "cpu")
    whole = load("sd15", str(checkpoints("sd15")), "cpu")
    assert_same_model(backbone, whole)


def test_shards_in_half_precision_alone(checkpoints, tmp_path):
    pipe = StableDiffusionPipeline.from_pretrained(checkpoints("sd15"), safety_checker=None)
    pipe.to(dtype=torch.float16)
    pipe.save_pretrained(tmp_path / "half", variant="fp16", max_shard_size="100KB")
    assert (tmp_path / "half/unet/diffusion_pytorch_model.safetensors.index.fp16.json").is_file()
    backbone = load("sd15", str(tmp_path / "half"), "cpu")
    whole = load("sd15", str(checkpoints("sd15")), "cpu")
    assert torch.allclose(predictions(backbone)[0], predictions(whole)[0], atol=0.02)


def test_weights_are_frozen_and_gradients_reach_the_tokens_only(backbone, tmp_path, monkeypatch):
    monkeypatch.setenv(VARIABLE, str(write_projection(tmp_path / "clip.safetensors")))
    models = [backbone.unet, backbone.vae, *(tower.model for tower in backbone.towers)]
    assert not any(p.requires_grad for model in models for p in model.parameters())
    assert not any(model.training for model in models)
    conditioning = backbone.encode_prompts(PROMPTS)
    assert not conditioning.prompt_embeds.requires_grad
    for space in ("additive", "input", "output"):
        values = torch.zeros(1, 2, backbone.token_width, requires_grad=True)
        extended = conditioning.extend(DiffTokens(values, space), -1.0)
        noisy = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(0))
        output = backbone.predict(noisy, torch.tensor([5, 600]), extended)
        (output.square().mean() + backbone.project_tokens(values.mean(1) + 1).sum()).backward()
        assert values.grad is not None
        assert torch.isfinite(values.grad).all()
        assert (values.grad != 0).any()
    assert all(p.grad is None for model in models for p in model.parameters())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_edges_are_float32_in_any_dtype(checkpoint, family, dtype):
    backbone = load(family, str(checkpoint), "cpu", dtype=dtype)
    assert {p.dtype for p in backbone.unet.parameters()} == {dtype}
    assert {p.dtype for p in backbone.vae.parameters()} == {torch.float32}
    latents = backbone.encode_images(torch.zeros(1, 3, 64, 64))
    conditioning = backbone.encode_prompts(["a dog"])
    outputs = [latents, conditioning.prompt_embeds, backbone.decode(latents)]
    outputs += list(conditioning.extra.values())
    with torch.no_grad():
        outputs.append(backbone.predict(latents, torch.tensor([3]), conditioning))
    assert {o.dtype for o in outputs} == {torch.float32}
    assert latents.shape == (1, 4, 8, 8)


def test_a_prompt_that_is_too_long_is_counted_and_cut_without_a_warning(checkpoints):
    backbone = load("sd15", str(checkpoints("sd15")), "cpu")
    warned = []
    handler = logging.Handler()
    handler.emit = warned.append
    logger = logging.getLogger("transformers")
    logger.addHandler(handler)
    try:
        assert backbone.count_tokens("the red cat " * 60) == 180
        assert backbone.encode_prompts(["the red cat " * 60]).prompt_embeds.shape[1] == 77
    finally:
        logger.removeHandler(handler)
    assert [record.getMessage() for record in warned] == []


def test_low_memory_gives_the_same_gradients(checkpoint, family, monkeypatch):
    gradients = []
    for setting in ("high", "low"):
        monkeypatch.setenv("DIFFINV_MEMORY", setting)
        backbone = load(family, str(checkpoint), "cpu")
        assert backbone.plan.low == (setting == "low")
        assert backbone.unet.is_gradient_checkpointing == (setting == "low")
        values = torch.zeros(1, 1, backbone.token_width, requires_grad=True)
        conditioning = backbone.encode_prompts(["a cat"]).extend(DiffTokens(values, "additive"))
        noisy = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(0))
        backbone.predict(noisy, torch.tensor([300]), conditioning).square().sum().backward()
        gradients.append(values.grad)
    assert gradients[0].abs().max() > 0
    assert torch.allclose(*gradients, rtol=1e-4, atol=1e-7)


def test_sdxl_projects_the_second_encoders_part(checkpoints):
    backbone = load("sdxl", str(checkpoints("sdxl")), "cpu")
    tokens = torch.randn(3, 80, generator=torch.Generator().manual_seed(0))
    wanted = backbone.towers[1].model.text_projection(tokens[:, 32:])
    assert torch.allclose(backbone.project_tokens(tokens), wanted, atol=1e-6)
    changed = tokens.clone()
    changed[:, :32] += 1
    assert torch.equal(backbone.project_tokens(tokens), backbone.project_tokens(changed))
    assert backbone.project_tokens(torch.zeros(1, 80)).abs().max() == 0


def test_sdxl_keeps_the_prompts_own_pooled_embedding_with_additive_tokens(checkpoints):
    backbone = load("sdxl", str(checkpoints("sdxl")), "cpu")
    conditioning = backbone.encode_prompts(["a dog"])
    for space in ("additive", "output"):
        extended = conditioning.extend(DiffTokens(torch.ones(1, 1, 80), space))
        assert extended.extra["pooled"] is conditioning.extra["pooled"]


def test_sdxl_is_told_how_large_a_picture_is(checkpoints, monkeypatch):
    backbone = load("sdxl", str(checkpoints("sdxl")), "cpu")
    told, predict = [], backbone.unet.forward

    def forward(*args, added_cond_kwargs, **more):
        told.append(added_cond_kwargs["time_ids"].tolist())
        return predict(*args, added_cond_kwargs=added_cond_kwargs, **more)

    monkeypatch.setattr(backbone.unet, "forward", forward)
    for width, height in ((64, 64), (96, 48)):
        latents = backbone.encode_images(torch.zeros(1, 3, height, width))
        backbone.predict(latents, torch.tensor([500]), backbone.encode_prompts(["a dog"]))
        assert told[-1] == [[height, width, 0, 0, height, width]]


def test_sdxls_empty_prompt_is_zeros(checkpoints):
    backbone = load("sdxl", str(checkpoints("sdxl")), "cpu")
    empty, said = backbone.encode_prompts(["", "a"])[:1], backbone.encode_prompts(["", "a"])[1:]
    assert empty.prompt_embeds.abs().max() == 0 == empty.extra["pooled"].abs().max()
    assert said.prompt_embeds.abs().max() > 0 < said.extra["pooled"].abs().max()


@pytest.mark.parametrize("linear", [False, True])
def test_the_projection_comes_from_a_clip_checkpoint(checkpoints, tmp_path, monkeypatch, linear):
    path = write_projection(tmp_path / "clip.safetensors", linear=linear)
    monkeypatch.setenv(VARIABLE, str(path))
    backbone = load("sd21", str(checkpoints("sd21")), "cpu")
    matrix = load_file(write_projection(tmp_path / "again.safetensors"))["text_projection"]
    tokens = torch.randn(2, 32, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(backbone.project_tokens(tokens), tokens @ matrix, atol=1e-6)


def test_the_projection_may_come_from_the_delta_encoder(checkpoints, tmp_path, monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    backbone = load("sd21", str(checkpoints("sd21")), "cpu")
    matrix, tokens = torch.randn(32, 8), torch.randn(2, 32)
    backbone.take_projection(matrix)
    assert torch.equal(backbone.project_tokens(tokens), tokens @ matrix)
    with pytest.raises(DiffinvError, match="16 wide, the text encoder of 'sd21' gives 32"):
        backbone.take_projection(torch.randn(16, 8))
    use = Use(str(checkpoints("sd21")), "cpu", learning=True)
    with pytest.raises(DiffinvError, match="carry no text projection"):
        preflight("sd21", use)
    assert preflight("sd21", replace(use, text_projection=True))


def test_a_checkpoints_own_projection_comes_first(checkpoints):
    backbone = load("sdxl", str(checkpoints("sdxl")), "cpu")
    tokens = torch.randn(2, backbone.token_width)
    before = load("sdxl", str(checkpoints("sdxl")), "cpu").project_tokens(tokens)
    backbone.take_projection(torch.randn(backbone.towers[-1].width, 8))
    assert torch.equal(backbone.project_tokens(tokens), before)


def test_a_checkpoint_without_a_projection_says_where_to_get_it(checkpoints, tmp_path, monkeypatch):
    backbone = load("sd21", str(checkpoints("sd21")), "cpu")
    with pytest.raises(DiffinvError) as error:
        backbone.project_tokens(torch.zeros(1, 32))
    assert str(error.value) == (
        "The checkpoints of 'sd21' carry no text projection, which the clip loss needs: fetch it "
        "with 'diffinv models pull laion/CLIP-ViT-H-14-laion2B-s32B-b79K', or name a file with it "
        "in DIFFINV_TEXT_PROJECTION."
    )
    for path, words in (
        (write_projection(tmp_path / "other.safetensors", width=20), "takes vectors 20 wide"),
        (checkpoints("sd15") / "vae/diffusion_pytorch_model.safetensors", "has no text projection"),
        (tmp_path / "nothing", "is not a file"),
    ):
        monkeypatch.setenv(VARIABLE, str(path))
        with pytest.raises(DiffinvError, match=words):
            backbone.project_tokens(torch.zeros(1, 32))


def test_the_weights_hash_follows_the_contents(tmp_path):
    first = make_checkpoint(tmp_path / "first", "sd15")
    same = make_checkpoint(tmp_path / "same", "sd15")
    other = make_checkpoint(tmp_path / "other", "sd15", seed=1)

    def hash_of(folder):
        return weights_id(sources.find_source(FAMILIES["sd15"], str(folder)).files)

    assert hash_of(first) == hash_of(first) == hash_of(same) != hash_of(other)
    file = first / "unet/diffusion_pytorch_model.safetensors"
    file.write_bytes(file.read_bytes()[:-4] + b"\0\0\0\1")
    assert hash_of(first) != hash_of(same)


def test_files_in_the_hubs_cache_are_not_read_for_their_hash(tmp_path):
    blob = tmp_path / "blobs" / ("a" * 64)
    blob.parent.mkdir()
    blob.write_bytes(b"x")
    link = tmp_path / "model.safetensors"
    link.symlink_to(blob)
    plain = tmp_path / "plain.safetensors"
    plain.write_bytes(b"x")
    assert weights_id([link]) != weights_id([plain])
    blob.write_bytes(b"y")
    before = weights_id([link])
    blob.unlink()
    assert weights_id([link]) == before


@pytest.mark.parametrize(
    ("family", "unet", "texts"),
    [
        ("sd15", 859_520_964, [123_060_480]),
        ("sd21-base", 865_910_724, [340_387_840]),
        ("sd21", 865_910_724, [340_387_840]),
        ("sdxl", 2_567_463_684, [123_060_480, 694_659_840]),
    ],
)
def test_the_bundled_settings_give_models_of_the_published_sizes(family, unet, texts):
    from diffusers import AutoencoderKL, UNet2DConditionModel
    from transformers import CLIPTextConfig

    from diffinv_stable_diffusion.loading import _text_class

    root = sources.CONFIGS / family
    source = sources.Source(FAMILIES[family], family, root, root)

    def size(model):
        return sum(p.numel() for p in model.parameters())

    with torch.device("meta"):
        assert size(UNet2DConditionModel.from_config(source.config("unet"))) == unet
        assert size(AutoencoderKL.from_config(source.config("vae"))) == 83_653_863
        for part, wanted in zip(FAMILIES[family].text_encoders, texts, strict=True):
            config = CLIPTextConfig.from_dict(source.config(part))
            assert size(_text_class(source, part)(config)) == wanted


def test_text_encoders_leave_the_device_until_tokens_are_learned_through_them(checkpoints):
    backbone = load("sdxl", str(checkpoints("sdxl")), "cpu")
    moves = []
    for tower in backbone.towers:
        tower.leave = True
        tower.model.to = moves.append
    conditioning = backbone.encode_prompts(["a cat"])
    assert [str(m) for m in moves] == ["cpu", "cpu"] * 2
    conditioning.extend(DiffTokens(torch.zeros(1, 1, 80), "input"))
    assert all(tower.leave for tower in backbone.towers)
    moves.clear()
    values = torch.zeros(1, 1, 80, requires_grad=True)
    conditioning.extend(DiffTokens(values, "input")).prompt_embeds.sum().backward()
    assert not any(tower.leave for tower in backbone.towers)
    assert len(moves) == 2


def test_strength_blends_the_pooled_embedding_too(checkpoints):
    backbone = load("sdxl", str(checkpoints("sdxl")), "cpu")
    plain = backbone.encode_prompts(["a cat"])
    values = torch.randn(1, 2, 80, generator=torch.Generator().manual_seed(1))
    tokens = DiffTokens(values, "input")
    with torch.no_grad():
        whole, half = plain.extend(tokens, 1.0), plain.extend(tokens, 0.5)
    middle = (plain.extra["pooled"] + whole.extra["pooled"]) / 2
    assert torch.allclose(half.extra["pooled"], middle, atol=1e-6)
    assert (whole.extra["pooled"] - plain.extra["pooled"]).abs().max() > 1e-3


def _edit(path, **changes):
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_settings_that_older_tokenizers_and_encoders_leave_open(own_copy, checkpoints):
    """No length, too long a one, no padding, no end token: what the text encoder itself says."""
    whole = load("sd15", str(checkpoints("sd15")), "cpu")
    expected = whole.encode_prompts(["a cat", ""]).prompt_embeds
    folder = own_copy("sd15")
    _edit(folder / "text_encoder/config.json", eos_token_id=None)
    settings = folder / "tokenizer/tokenizer_config.json"
    for changes in ({"model_max_length": 10**30}, {"model_max_length": 248, "pad_token": None}):
        _edit(settings, **changes)
        backbone = load("sd15", str(folder), "cpu")
        assert backbone.token_budget == 75
        assert torch.equal(backbone.encode_prompts(["a cat", ""]).prompt_embeds, expected)
    settings.unlink()
    assert load("sd15", str(folder), "cpu").token_budget == 75
