"""Measures the embedded model on held-out combinations: the figures of the model card.

python training/measure.py [--count 300] [--pipeline FOLDER] [--samples SHEET.png]
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor

from diffinv.contracts import Trajectory
from diffinv.evaluation.statistics import bootstrap
from diffinv.method.application import denoise
from diffinv.method.editors import Ddim, seeded_noise
from diffinv.pictures.tensors import to_images, to_tensor
from diffinv_diorama.backbone import DioramaBackbone, load
from diffinv_diorama.captions import caption
from diffinv_diorama.clip import load_captioner, load_delta_encoder
from diffinv_diorama.oracle import read_scenes
from diffinv_diorama.render import render
from diffinv_diorama.world import ATTRIBUTES, Scene, held_out_scenes

BATCH = 50


def held_out_pictures(count: int) -> tuple[list[Scene], list[Image.Image]]:
    """Scenes that were never trained on, with layouts that were never drawn."""
    scenes = held_out_scenes()
    rng = np.random.default_rng(77)
    chosen = [scenes[int(rng.integers(len(scenes)))] for _ in range(count)]
    return chosen, [render(s, 2**40 + i) for i, s in enumerate(chosen)]


def agreement(read: list[Scene], truth: list[Scene]) -> dict[str, object]:
    """The share read right, attribute by attribute and all together."""
    pairs = list(zip(read, truth, strict=True))
    figures: dict[str, object] = {
        name: float(np.mean([getattr(r, name) == getattr(t, name) for r, t in pairs]))
        for name in ATTRIBUTES
    }
    whole = bootstrap([float(r == t) for r, t in pairs])
    figures["all"] = {"mean": whole.mean, "low": whole.low, "high": whole.high, "n": whole.n}
    return figures


@torch.no_grad()
def text_to_picture(
    backbone: DioramaBackbone, texts: list[str], steps: int, guidance_scale: float, seed: int
) -> Tensor:
    """Pictures [n, 3, 96, 96] made from captions alone, by DDIM from pure noise."""
    size = backbone.resolution // 8
    shape = torch.Size((len(texts), backbone.unet.config.in_channels, size, size))
    start = seeded_noise(shape, seed, backbone.device)
    timesteps = backbone.timesteps(steps)
    path = Trajectory(timesteps, torch.stack([start] * (steps + 1)))
    prompt, empty = backbone.encode_prompts(texts), backbone.encode_prompts([""] * len(texts))
    return backbone.decode(denoise(backbone, path, prompt, empty, guidance_scale, None))


def mean_psnr(images: Tensor, reference: Tensor) -> float:
    """Mean PSNR in dB of pictures in [-1, 1], after rounding to 8 bits."""
    a = torch.stack([torch.from_numpy(np.array(i)) for i in to_images(images)]).float()
    b = torch.stack([torch.from_numpy(np.array(i)) for i in to_images(reference)]).float()
    mse = (a - b).square().flatten(1).mean(1)
    return float((10 * torch.log10(255**2 / mse)).mean())


def round_trips(backbone: DioramaBackbone, pictures: Tensor, texts: list[str]) -> dict[str, float]:
    """PSNR of the autoencoder alone, and with DDIM inversion and sampling in between."""
    latents = backbone.encode_images(pictures)
    prompt = backbone.encode_prompts(texts)
    path = Ddim().trajectory(backbone, latents, prompt, prompt, 20, 1.0, 0)
    back = denoise(backbone, path, prompt, prompt, 1.0, None)
    return {
        "autoencoder_psnr": mean_psnr(backbone.decode(latents), pictures),
        "ddim_round_trip_psnr": mean_psnr(backbone.decode(back), pictures),
    }


def retrieval(pictures: list[Image.Image], texts: list[str], scenes: list[Scene]) -> float:
    """How often the caption that CLIP finds for a picture, among those of all, says the truth."""
    clip = load_delta_encoder(None, "cpu")
    unit = torch.nn.functional.normalize
    images = unit(clip.encode_images(pictures), dim=-1)
    found = (images @ unit(clip.encode_texts(texts), dim=-1).T).argmax(1)
    return float(np.mean([scenes[i] == scene for i, scene in zip(found, scenes, strict=True)]))


def sample_sheet(made: Tensor, file: Path, columns: int = 8, rows: int = 4) -> None:
    """A sheet of the first pictures, twice their size."""
    side = 2 * made.shape[-1]
    sheet = Image.new("RGB", (columns * side, rows * side))
    for i, image in enumerate(to_images(made[: columns * rows])):
        place = ((i % columns) * side, (i // columns) * side)
        sheet.paste(image.resize((side, side), Image.Resampling.BICUBIC), place)
    sheet.save(file)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--pipeline", default=None, help="default: the installed model")
    parser.add_argument("--unet-state", type=Path, help="averaged weights of an unfinished run")
    parser.add_argument("--guidance", type=float, default=2.0)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--samples", type=Path, help="write a sheet of samples here")
    parser.add_argument("--only-samples", action="store_true", help="only text to picture")
    args = parser.parse_args()
    backbone = load(args.pipeline, "cpu")
    if args.unet_state:
        state = load_file(args.unet_state)
        average = {k[8:]: v for k, v in state.items() if k.startswith("average.")}
        backbone.unet.load_state_dict(average)
    scenes, images = held_out_pictures(args.count)
    rng = np.random.default_rng(5)
    texts = [caption(s, rng) for s in scenes]
    made = torch.cat(
        [
            text_to_picture(backbone, texts[i : i + BATCH], args.steps, args.guidance, i)
            for i in range(0, args.count, BATCH)
        ]
    )
    figures: dict[str, object] = {"text_to_picture": agreement(read_scenes(made), scenes)}
    if args.samples:
        sample_sheet(made, args.samples)
    if not args.only_samples:
        pictures = to_tensor(images)
        captioner = load_captioner(None, "cpu")
        decoded = backbone.decode(backbone.encode_images(pictures))
        figures |= {
            "captioner": agreement(captioner.read(images), scenes),
            "oracle": agreement(read_scenes(pictures), scenes),
            "oracle_after_autoencoder": agreement(read_scenes(decoded), scenes),
            "clip_retrieval": retrieval(images, texts, scenes),
            **round_trips(backbone, pictures[:BATCH], texts[:BATCH]),
        }
    print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
