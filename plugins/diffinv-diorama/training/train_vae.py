"""Trains the autoencoder: 8x smaller, 8 channels, on pictures drawn as it goes.

They are whole pictures, square, wide and tall: its group norms see all of a picture, so that what
is learned on crops is a little off for whole ones.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from common import Run, random_shape, random_training_scene, to_tensor
from diffusers import AutoencoderKL
from torch import Tensor

from diffinv_diorama.render import SIZE, render
from diffinv_diorama.world import Scene, training_scenes

CONFIG = {
    "in_channels": 3,
    "out_channels": 3,
    "latent_channels": 8,
    "sample_size": SIZE,
    "block_out_channels": (16, 32, 64, 128),
    "layers_per_block": 1,
    "norm_num_groups": 8,
    "mid_block_add_attention": False,
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
}


def batch(scenes: list[Scene], step: int, size: int) -> Tensor:
    """The pictures of one step, all of one shape: [size, 3, h, w] in [-1, 1]."""
    rng = np.random.default_rng([1, step])
    shape = random_shape(rng)
    drawn = [
        render(random_training_scene(rng, scenes), int(rng.integers(2**31)), *shape)
        for _ in range(size)
    ]
    return to_tensor(drawn)


def latent_scale(vae: AutoencoderKL, scenes: list[Scene]) -> float:
    """1 / standard deviation of the latents of 256 training pictures."""
    with torch.no_grad():
        parts = [vae.encode(batch(scenes, 10**6 + i, 32)).latent_dist.mean for i in range(8)]
    return 1 / float(torch.cat([part.flatten() for part in parts]).std())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder of the finished vae")
    parser.add_argument("--state", type=Path, required=True, help="folder of the run's state")
    parser.add_argument("--start", type=Path, help="a trained vae to go on from")
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--lr", type=float, default=6e-4)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    vae = AutoencoderKL.from_pretrained(args.start) if args.start else AutoencoderKL(**CONFIG)
    vae.train().float()
    run = Run(args.state, vae, args.minutes, lr=args.lr, weight_decay=0)
    scenes = training_scenes()
    while not run.done:
        images = batch(scenes, run.step, args.batch)
        with torch.autocast("cpu", torch.bfloat16):
            posterior = vae.encode(images).latent_dist
            latents = posterior.mean + torch.exp(0.5 * posterior.logvar) * torch.randn_like(
                posterior.mean
            )
            decoded = vae.decode(latents).sample.float()
        mse = (decoded - images).square().mean()
        kl = 0.5 * (
            posterior.mean.float().square() + posterior.var.float() - 1 - posterior.logvar.float()
        )
        loss = mse + 0.1 * (decoded - images).abs().mean() + 1e-4 * kl.mean()
        run.update(loss)
        run.report(
            200, psnr=float(10 * torch.log10(4 / mse.detach())), kl=float(kl.detach().mean())
        )
    run.use_average()
    vae.register_to_config(scaling_factor=latent_scale(vae, scenes))
    vae.save_pretrained(args.out)


if __name__ == "__main__":
    main()
