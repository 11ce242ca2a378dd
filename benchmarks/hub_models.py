"""The repositories that the READMEs name, for :mod:`hub_layout`: what is in each, at real size."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
import transformers
from diffusers import AutoencoderKL, AutoencoderKLFlux2, Flux2Transformer2DModel
from diffusers import UNet2DConditionModel as UNet
from hub_layout import Repository, Shapes, shapes_of
from random_checkpoint import text_settings, unet_settings, vae_settings
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from diffinv_captioners.plugin import BLIP2
from diffinv_clip.sources import FAMILIES as CLIPS
from diffinv_clip.sources import builtin_config
from diffinv_flow.checkpoints import KLEIN
from diffinv_stable_diffusion.families import FAMILIES
from diffinv_stable_diffusion.single_file import clip_vocabulary
from diffinv_stable_diffusion.sources import CONFIGS

_HALF = "diffusion_pytorch_model.fp16.safetensors"
_CHAT = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n"
    "{% if enable_thinking is defined and enable_thinking is false %}<think>\n\n</think>\n\n"
    "{% endif %}{% endif %}"
)


def stable_diffusion(cache: Path, family: str, tiny: bool = False) -> None:
    """A family's checkpoint in half precision, as ``diffinv models pull`` leaves it."""
    repository = Repository(cache, FAMILIES[family].model)
    if repository.is_whole:
        return
    bundled = CONFIGS / family
    for path in bundled.rglob("*.json"):
        repository.text(str(path.relative_to(bundled)), path.read_bytes())
    _index(repository, family)
    half = torch.float16
    for part, cls, settings in (
        ("unet", UNet, unet_settings(family, tiny) | ({"sample_size": 8} if tiny else {})),
        ("vae", AutoencoderKL, vae_settings(family, tiny)),
    ):
        repository.json(f"{part}/config.json", settings)
        repository.weights(f"{part}/{_HALF}", shapes_of(partial(cls.from_config, settings)), half)
    for number, part in enumerate(("text_encoder", "text_encoder_2")[: FAMILIES[family].towers]):
        settings = text_settings(family, part, tiny)
        repository.json(f"{part}/config.json", settings)
        shapes = _clip_text(settings, projected=number == 1)
        repository.weights(f"{part}/model.fp16.safetensors", shapes, half)
        _clip_tokenizer(repository, part.replace("text_encoder", "tokenizer"))
    repository.finish()


def open_clip(cache: Path, number: int) -> None:
    """A CLIP model of LAION's, of :data:`diffinv_clip.sources.FAMILIES`, in full precision."""
    from open_clip import CLIP
    from open_clip.model import CLIPTextCfg, CLIPVisionCfg

    repository = Repository(cache, CLIPS[number].hub_id)
    if repository.is_whole:
        return
    config = builtin_config(CLIPS[number].builtin)
    parts = {k: v for k, v in config.items() if k not in ("vision_cfg", "text_cfg")}
    vision, text = CLIPVisionCfg(**config["vision_cfg"]), CLIPTextCfg(**config["text_cfg"])
    shapes = shapes_of(lambda: CLIP(vision_cfg=vision, text_cfg=text, **parts))
    mean, std = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
    preprocess = {"mean": mean, "std": std}
    repository.json("open_clip_config.json", {"model_cfg": config, "preprocess_cfg": preprocess})
    repository.weights("open_clip_model.safetensors", shapes, torch.float32)
    _clip_tokenizer(repository, ".")
    repository.finish()


def blip2(cache: Path) -> None:
    """BLIP-2 with OPT 2.7B, in half precision: the real one has 15 GB in full."""
    repository = Repository(cache, BLIP2)
    if repository.is_whole:
        return
    text = transformers.OPTConfig(
        hidden_size=2560, word_embed_proj_dim=2560, ffn_dim=10240, num_hidden_layers=32,
        num_attention_heads=32, vocab_size=50304, bos_token_id=2, eos_token_id=50118,
        pad_token_id=1,
    )  # fmt: skip
    config = transformers.Blip2Config(
        text_config=text.to_dict(), image_token_index=50265, num_query_tokens=32
    )
    shapes = shapes_of(lambda: transformers.Blip2ForConditionalGeneration(config))
    repository.json("config.json", config.to_dict() | {"architectures": [_name(config)]})
    repository.json("generation_config.json", {"bos_token_id": 2, "eos_token_id": 50118,
                                               "pad_token_id": 1})  # fmt: skip
    repository.shards("model", shapes, torch.bfloat16, 2)
    repository.json("preprocessor_config.json", _BLIP_PICTURES)
    repository.json("processor_config.json", {"num_query_tokens": 32,
                                              "processor_class": "Blip2Processor"})  # fmt: skip
    _opt_tokenizer(repository)
    repository.finish()


def klein(cache: Path, tiny: bool = False) -> None:
    """FLUX.2 klein base, 4B, in bfloat16; a tiny one has as many layers of words, since it matters
    which are read."""
    repository = Repository(cache, KLEIN.model)
    if repository.is_whole:
        return
    half = torch.bfloat16
    config = _qwen3(tiny)
    _own(repository, "transformer", Flux2Transformer2DModel, _KLEIN | (_TINY_KLEIN if tiny else {}))
    _own(repository, "vae", AutoencoderKLFlux2, _TINY_VAE if tiny else {})
    repository.json("text_encoder/config.json", config.to_dict())
    words = shapes_of(lambda: transformers.Qwen3ForCausalLM(config))
    repository.shards("text_encoder/model", words, half, 2)
    _qwen_tokenizer(repository)
    repository.json("scheduler/scheduler_config.json", {
        "_class_name": "FlowMatchEulerDiscreteScheduler", "base_image_seq_len": 256,
        "base_shift": 0.5, "max_image_seq_len": 4096, "max_shift": 1.15,
        "num_train_timesteps": 1000, "shift": 3.0, "time_shift_type": "exponential",
        "use_dynamic_shifting": True,
    })  # fmt: skip
    repository.json("model_index.json", {
        "_class_name": "Flux2KleinPipeline", "is_distilled": False,
        "scheduler": ["diffusers", "FlowMatchEulerDiscreteScheduler"],
        "text_encoder": ["transformers", "Qwen3ForCausalLM"],
        "tokenizer": ["transformers", "Qwen2TokenizerFast"],
        "transformer": ["diffusers", "Flux2Transformer2DModel"],
        "vae": ["diffusers", "AutoencoderKLFlux2"],
    })  # fmt: skip
    repository.finish()


_KLEIN = {
    "in_channels": 128,
    "num_layers": 5,
    "num_single_layers": 20,
    "attention_head_dim": 128,
    "num_attention_heads": 24,
    "joint_attention_dim": 7680,
    "timestep_guidance_channels": 256,
    "mlp_ratio": 3.0,
    "axes_dims_rope": [32, 32, 32, 32],
    "rope_theta": 2000,
    "guidance_embeds": False,
}


_TINY_KLEIN = {
    "in_channels": 16,
    "num_layers": 1,
    "num_single_layers": 1,
    "attention_head_dim": 16,
    "num_attention_heads": 2,
    "joint_attention_dim": 72,
    "timestep_guidance_channels": 16,
    "axes_dims_rope": [4, 4, 4, 4],
}
_TINY_VAE = {
    "block_out_channels": (8, 16),
    "layers_per_block": 1,
    "norm_num_groups": 4,
    "latent_channels": 4,
    "down_block_types": ("DownEncoderBlock2D",) * 2,
    "up_block_types": ("UpDecoderBlock2D",) * 2,
    "sample_size": 64,
}


def _qwen3(tiny: bool) -> Any:
    small = {
        "hidden_size": 24,
        "intermediate_size": 32,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "head_dim": 12,
    }
    real = {
        "hidden_size": 2560,
        "intermediate_size": 9728,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "head_dim": 128,
    }
    return transformers.Qwen3Config(
        vocab_size=151936, num_hidden_layers=36, tie_word_embeddings=True, dtype="bfloat16",
        architectures=["Qwen3ForCausalLM"], bos_token_id=151643, eos_token_id=151645,
        max_position_embeddings=40960, **(small if tiny else real),
    )  # fmt: skip


def _own(repository: Repository, part: str, cls: Any, config: dict[str, Any]) -> None:
    """A part of diffusers', in one file."""
    with torch.device("meta"):
        full = dict(cls(**config).config)
    plain = json.loads(json.dumps({k: v for k, v in full.items() if not k.startswith("_")}))
    repository.json(f"{part}/config.json", {"_class_name": cls.__name__} | plain)
    shapes = shapes_of(lambda: cls(**config))
    name = f"{part}/diffusion_pytorch_model.safetensors"
    repository.weights(name, shapes, torch.bfloat16)


def _clip_text(settings: dict[str, Any], projected: bool) -> Shapes:
    """The names of the hub's files, whatever transformers calls the parts by now."""
    config = transformers.CLIPTextConfig.from_dict(settings)
    cls = transformers.CLIPTextModelWithProjection if projected else transformers.CLIPTextModel

    def usual(key: str) -> str:
        return key if key.startswith(("text_model.", "text_projection")) else f"text_model.{key}"

    places = {"text_model.embeddings.position_ids": (1, config.max_position_embeddings)}
    return {**places, **shapes_of(lambda: cls(config), usual)}


def _index(repository: Repository, family: str) -> None:
    """``model_index.json``, which a single file does not need and is not bundled for all."""
    parts = {
        "scheduler": ["diffusers", "DDIMScheduler"],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "tokenizer": ["transformers", "CLIPTokenizer"],
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"],
    }
    if not (CONFIGS / family / "model_index.json").is_file():
        repository.json("model_index.json", {"_class_name": "StableDiffusionPipeline"} | parts)


def _clip_tokenizer(repository: Repository, folder: str) -> None:
    vocabulary, merges = clip_vocabulary(CONFIGS / "tokenizer" / "merges.txt.gz")
    lines = ["#version: 0.2", *(" ".join(pair) for pair in merges)]
    repository.json(f"{folder}/vocab.json", vocabulary)
    repository.text(f"{folder}/merges.txt", "\n".join(lines) + "\n")
    ends = {"bos_token": "<|startoftext|>", "eos_token": "<|endoftext|>"}
    repository.json(f"{folder}/special_tokens_map.json", ends | {"unk_token": "<|endoftext|>"})


def _letters(size: int, first: list[str], special: dict[str, int]) -> tuple[dict[str, int], Any]:
    """A byte-level vocabulary of the real size, whose other entries are words nobody writes, since
    the real table is not at hand; and its tokenizer."""
    known = [*first, *sorted(pre_tokenizers.ByteLevel.alphabet())]
    vocabulary = {word: i for i, word in enumerate(known)}
    taken = set(special.values())
    vocabulary |= {f"Ġword{i}": i for i in range(len(known), size) if i not in taken}
    found = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    found.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    found.decoder = decoders.ByteLevel()
    return vocabulary, found


def _write(repository: Repository, folder: str, found: Any) -> None:
    """A tokenizer's files, by way of a folder of transformers' own making."""
    import tempfile

    with tempfile.TemporaryDirectory() as place:
        found.save_pretrained(place)
        for path in sorted(Path(place).iterdir()):
            repository.text(str(Path(folder) / path.name), path.read_bytes())


def _opt_tokenizer(repository: Repository) -> None:
    vocabulary, _ = _letters(50265, ["<s>", "<pad>", "</s>", "<unk>"], {})
    found = transformers.GPT2Tokenizer(
        vocab=vocabulary, merges=[], bos_token="</s>", eos_token="</s>", pad_token="<pad>",
        unk_token="</s>", add_bos_token=True,
    )  # fmt: skip
    found.add_tokens([transformers.AddedToken("<image>", special=True, normalized=False)])
    assert found.convert_tokens_to_ids("<image>") == 50265
    _write(repository, ".", found)


def _qwen_tokenizer(repository: Repository) -> None:
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    vocabulary, _ = _letters(151643, [], {})
    found = transformers.Qwen2Tokenizer(
        vocab=vocabulary, merges=[], eos_token="<|im_end|>", pad_token="<|endoftext|>",
        additional_special_tokens=special,
    )  # fmt: skip
    found.chat_template = _CHAT
    _write(repository, "tokenizer", found)


def _name(config: Any) -> str:
    return "Blip2ForConditionalGeneration" if config.model_type == "blip-2" else ""


_BLIP_PICTURES = {
    "do_convert_rgb": True, "do_normalize": True, "do_rescale": True, "do_resize": True,
    "image_mean": [0.48145466, 0.4578275, 0.40821073],
    "image_processor_type": "BlipImageProcessor",
    "image_std": [0.26862954, 0.26130258, 0.27577711], "processor_class": "Blip2Processor",
    "resample": 3, "rescale_factor": 1 / 255, "size": {"height": 224, "width": 224},
}  # fmt: skip

MODELS: dict[str, list[Callable[[Path], None]]] = {
    "sd21-base": [lambda cache: stable_diffusion(cache, "sd21-base"), lambda c: open_clip(c, 1)],
    "sdxl": [lambda cache: stable_diffusion(cache, "sdxl"), lambda c: open_clip(c, 2)],
    "klein": [klein, lambda cache: open_clip(cache, 1)],
    "blip2": [blip2],
}
"""What each rehearsal needs."""
