"""Applying a difference to 64 pictures against diffusers' img2img pipeline.

Both do the same denoising (SDEdit, guidance 2, the same number of UNet evaluations, no mask) on
the same weights. The pipeline is timed picture by picture, as its documentation uses it, and in
batches of our size. The goal is a ratio of at least 1.
"""

from __future__ import annotations

import argparse
import time

import torch
from common import where
from diffusers import DDIMScheduler, StableDiffusionImg2ImgPipeline
from numpy.random import default_rng
from PIL import Image

from diffinv.contracts import DiffTokens
from diffinv.method.application import apply_differences
from diffinv.method.settings import ApplicationSettings
from diffinv_diorama.backbone import DioramaBackbone
from diffinv_diorama.command import load_parts
from diffinv_diorama.render import render
from diffinv_diorama.world import random_scene

STEPS, STRENGTH, GUIDANCE = 20, 0.7, 2.0


def pipeline_of(backbone: DioramaBackbone) -> StableDiffusionImg2ImgPipeline:
    """diffusers' own pipeline around the very same modules."""
    pipeline = StableDiffusionImg2ImgPipeline(
        vae=backbone.vae,
        text_encoder=backbone.text_encoder,
        tokenizer=backbone.tokenizer,
        unet=backbone.unet,
        scheduler=DDIMScheduler.from_config(backbone.scheduler.config),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=int, default=64)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args()
    parts = load_parts("sdedit", args.device)
    rng = default_rng(0)
    images = [render(random_scene(rng), i) for i in range(args.pictures)]
    prompts = parts.captioner.caption(images)
    tokens = DiffTokens(0.1 * torch.randn(1, 1, parts.backbone.token_width), "additive")
    pipeline = pipeline_of(parts.backbone)
    settings = ApplicationSettings(
        editor="sdedit", steps=STEPS, guidance_scale=GUIDANCE, mask=False
    )
    starts = range(0, args.pictures, args.batch)

    def ours() -> None:
        for i in starts:
            batch = slice(i, i + args.batch)
            difference = [(tokens, 1.0)]
            apply_differences(
                parts.backbone, images[batch], prompts[batch], difference, parts.editor, settings
            )

    def theirs(size: int) -> None:
        for i in range(0, args.pictures, size):
            chosen: list[Image.Image] = images[i : i + size]
            hidden = parts.backbone.encode_prompts(prompts[i : i + size])
            empty = parts.backbone.encode_prompts([""] * len(chosen))
            pipeline(
                prompt_embeds=hidden.extend(tokens).prompt_embeds,
                negative_prompt_embeds=empty.prompt_embeds,
                image=chosen,
                strength=STRENGTH,
                num_inference_steps=STEPS,
                guidance_scale=GUIDANCE,
            )

    print(where(args.device))
    rows: dict[str, list[float]] = {"ours": [], "one by one": [], "batched": []}
    for _ in range(args.rounds):
        for name, work in (
            ("ours", ours),
            ("one by one", lambda: theirs(1)),
            ("batched", lambda: theirs(args.batch)),
        ):
            start = time.perf_counter()
            work()
            rows[name].append(time.perf_counter() - start)
    best = {name: sorted(seconds)[len(seconds) // 2] for name, seconds in rows.items()}
    print(
        f"{args.pictures} pictures, {round(STEPS * STRENGTH)} steps each, batches of {args.batch}"
    )
    for name, seconds in best.items():
        print(f"{name}: {args.pictures / seconds:.2f} pictures/s")
    print(f"ours against one by one: {best['one by one'] / best['ours']:.2f}x (goal at least 1.0)")
    print(f"ours against batched:    {best['batched'] / best['ours']:.2f}x")


if __name__ == "__main__":
    main()
