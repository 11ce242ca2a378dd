"""Time and memory of Stable Diffusion checkpoints with real shapes and random weights.

A learning step against a bare UNet forward and backward at the same batch (goal: at most 1.05), an
application against diffusers' img2img pipeline at the same number of UNet evaluations (goal: at
least as fast), and the peak memory beside the expected one. One process measures one setting.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
from pathlib import Path

import measuring
import torch
from common import paired, where
from diffusers import (
    DDIMScheduler,
    StableDiffusionImg2ImgPipeline,
    StableDiffusionXLImg2ImgPipeline,
)
from measuring import SPACE, picture, wait
from random_checkpoint import make_checkpoint, set_side, write_projection

from diffinv.contracts import Conditioning, DiffTokens
from diffinv.method.application import apply_differences
from diffinv.method.editors import SDEdit
from diffinv.method.settings import ApplicationSettings
from diffinv_stable_diffusion.backbone import StableDiffusion, load
from diffinv_stable_diffusion.families import FAMILIES
from diffinv_stable_diffusion.projection import VARIABLE as PROJECTION

STRENGTH, GUIDANCE = 0.7, 2.0
ROOT = Path(__file__).parents[1] / ".bench"


def main() -> None:
    args = arguments()
    if args.make:
        dtype = torch.float32 if args.device == "cpu" else torch.bfloat16
        make_checkpoint(folder_of(args), args.family, args.tiny, dtype)
        return
    # Made in a separate process, so that its memory is not counted.
    subprocess.run([sys.executable, __file__, *sys.argv[1:], "--make"], check=True)
    backbone = prepare(args)
    print(f"{args.family}, {'tiny' if args.tiny else 'real size'}, random weights, {args.side} px,")
    print(f"{backbone.plan.dtype}, memory {args.memory}, {where(args.device)}")
    if args.compile:
        backbone.unet = torch.compile(backbone.unet)
    for pairs in args.pairs:
        learning(backbone, pairs, args)
    print(peak(backbone, "learning"))
    for pictures in args.pictures:
        applying(backbone, pictures, args)
    print(peak(backbone, "all of it"))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--family", choices=sorted(FAMILIES), default="sd21-base")
    parser.add_argument("--tiny", action="store_true", help="few and narrow layers")
    parser.add_argument("--side", type=int, default=256, help="pixels of a picture's side")
    parser.add_argument("--pairs", type=int, nargs="*", default=[1], help="the UNet sees two each")
    parser.add_argument("--pictures", type=int, nargs="*", default=[1], help="applied to at once")
    parser.add_argument("--memory", choices=["high", "low"], default="high")
    parser.add_argument("--steps", type=int, default=20, help="of sampling, of which 0.7 are made")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--compile", action="store_true", help="torch.compile the UNet")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--make", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


def folder_of(args: argparse.Namespace) -> Path:
    return ROOT / f"{args.family}{'-tiny' if args.tiny else ''}-{args.device}"


def prepare(args: argparse.Namespace) -> StableDiffusion:
    """The checkpoint, loaded like a user's."""
    set_side(folder_of(args), args.side)
    os.environ["DIFFINV_MEMORY"] = args.memory
    width = FAMILIES[args.family].width
    path = write_projection(folder_of(args) / "projection.safetensors", width, SPACE)
    os.environ[PROJECTION] = str(path)
    return load(args.family, str(folder_of(args)), args.device)


def learning(backbone: StableDiffusion, count: int, args: argparse.Namespace) -> None:
    ours, theirs, ratio = measuring.learning(backbone, count, args.side, args.rounds)
    print(
        f"learning, {count} pairs: step {ours:.3f} s, bare UNet forward+backward {theirs:.3f} s, "
        f"ratio {ratio:.3f}"
    )


def applying(backbone: StableDiffusion, count: int, args: argparse.Namespace) -> None:
    images, prompts = [picture(i, args.side) for i in range(count)], ["a house"] * count
    values = 0.1 * torch.randn(1, 1, backbone.token_width, device=args.device)
    tokens = DiffTokens(values, "additive")
    settings = ApplicationSettings(
        editor="sdedit", steps=args.steps, guidance_scale=GUIDANCE, mask=False
    )
    pipeline = pipeline_of(backbone)

    def ours() -> None:
        apply_differences(backbone, images, prompts, [(tokens, 1.0)], SDEdit(), settings)
        wait(backbone)

    def theirs() -> None:
        both = [backbone.encode_prompts(prompts).extend(tokens)]
        both.append(backbone.encode_prompts([""] * count))
        pipeline(image=images, strength=STRENGTH, num_inference_steps=args.steps,
                 guidance_scale=GUIDANCE, **embeddings(backbone, *both))  # fmt: skip
        wait(backbone)

    mine, other, ratio = paired(ours, theirs, args.rounds)
    print(
        f"applying, {count} pictures, {round(args.steps * STRENGTH)} steps: {mine:.2f} s, "
        f"diffusers {other:.2f} s, {1 / ratio:.2f} times as fast"
    )


def pipeline_of(
    backbone: StableDiffusion,
) -> StableDiffusionImg2ImgPipeline | StableDiffusionXLImg2ImgPipeline:
    """diffusers' own pipeline around the very same modules."""
    towers = backbone.towers
    parts = {
        "vae": backbone.vae,
        "unet": backbone.unet,
        "text_encoder": towers[0].model,
        "tokenizer": towers[0].tokenizer,
        "scheduler": DDIMScheduler.from_config(backbone.scheduler.config),
    }
    if len(towers) > 1:
        parts |= {"text_encoder_2": towers[1].model, "tokenizer_2": towers[1].tokenizer}
        pipeline = StableDiffusionXLImg2ImgPipeline(**parts, add_watermarker=False)
    else:
        parts |= {"safety_checker": None, "feature_extractor": None}
        pipeline = StableDiffusionImg2ImgPipeline(**parts, requires_safety_checker=False)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def embeddings(
    backbone: StableDiffusion, prompt: Conditioning, empty: Conditioning
) -> dict[str, torch.Tensor]:
    """Conditionings as the pipelines' arguments, in the UNet's dtype."""
    dtype = backbone.plan.dtype
    found = {"prompt_embeds": prompt.prompt_embeds, "negative_prompt_embeds": empty.prompt_embeds}
    if "pooled" in prompt.extra:
        found["pooled_prompt_embeds"] = prompt.extra["pooled"]
        found["negative_pooled_prompt_embeds"] = empty.extra["pooled"]
    return {name: value.to(dtype) for name, value in found.items()}


def peak(backbone: StableDiffusion, what: str) -> str:
    """The peak memory so far, of the GPU or of this process."""
    if backbone.device.type == "cuda":
        found = torch.cuda.max_memory_allocated()
    else:
        found = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    expected = f"{backbone.plan.peak / 1e9:.1f} GB expected of learning one pair"
    return f"peak memory, {what}: {found / 1e9:.1f} GB ({expected})"


if __name__ == "__main__":
    main()
