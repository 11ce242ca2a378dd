"""Trains the denoiser (v-prediction) in the autoencoder's latent space, on the frozen text tower.

The latents of a pool of pictures of every shape are kept in memory; every step takes one shape,
renews a few of its pictures and draws new captions, so that the model sees far more pictures than
the pool holds. One caption in ten is empty: that is what classifier-free guidance compares against.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from common import (
    SHAPES,
    SHARES,
    Run,
    random_shape,
    random_training_scene,
    to_tensor,
    velocity_loss,
)
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from torch import Tensor
from transformers import CLIPTextModelWithProjection, CLIPTokenizer

from diffinv_diorama.captions import caption
from diffinv_diorama.render import SIZE, render
from diffinv_diorama.world import Scene, training_scenes

SCHEDULER = {
    "num_train_timesteps": 1000,
    "beta_schedule": "squaredcos_cap_v2",
    "prediction_type": "v_prediction",
    "timestep_spacing": "trailing",
    "clip_sample": False,
    "set_alpha_to_one": True,
}
RENEWED_PER_STEP = 8
EMPTY_SHARE = 0.1


def new_unet(latent_channels: int, text_width: int) -> UNet2DConditionModel:
    """The denoiser: text is attended to at the lower of two resolutions."""
    return UNet2DConditionModel(
        sample_size=SIZE // 8,
        in_channels=latent_channels,
        out_channels=latent_channels,
        block_out_channels=(96, 192),
        layers_per_block=1,
        norm_num_groups=16,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=text_width,
        attention_head_dim=(3, 6),
        use_linear_projection=True,
    )


class Pool:
    """Latents of training pictures of one shape with their scenes, renewed a few at a time."""

    def __init__(
        self, vae: AutoencoderKL, shape: tuple[int, int], size: int, seed: tuple[int, ...]
    ) -> None:
        self.vae, self.shape, self.scenes = vae, shape, training_scenes()
        rng = np.random.default_rng(seed)
        parts = [self._draw(rng, 128) for _ in range(size // 128)]
        self.latents = torch.cat([latents for latents, _ in parts])
        self.labels = [scene for _, chosen in parts for scene in chosen]
        self._next = 0

    @torch.no_grad()
    def _draw(self, rng: np.random.Generator, count: int) -> tuple[Tensor, list[Scene]]:
        chosen = [random_training_scene(rng, self.scenes) for _ in range(count)]
        drawn = [render(s, int(rng.integers(2**31)), *self.shape) for s in chosen]
        with torch.autocast("cpu", torch.bfloat16):
            mean = self.vae.encode(to_tensor(drawn)).latent_dist.mean.float()
        return mean * self.vae.config.scaling_factor, chosen

    def renew(self, rng: np.random.Generator, count: int) -> None:
        """Replace the ``count`` oldest entries."""
        latents, chosen = self._draw(rng, count)
        places = [(self._next + i) % len(self.labels) for i in range(count)]
        self.latents[places] = latents
        for place, scene in zip(places, chosen, strict=True):
            self.labels[place] = scene
        self._next = (self._next + count) % len(self.labels)

    def batch(self, rng: np.random.Generator, count: int) -> tuple[Tensor, list[str]]:
        """Latents [count, c, h, w] and freshly phrased captions, some of them empty."""
        places = rng.integers(len(self.labels), size=count)
        texts = [
            "" if rng.random() < EMPTY_SHARE else caption(self.labels[int(i)], rng) for i in places
        ]
        return self.latents[places], texts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="the pipeline folder")
    parser.add_argument("--state", type=Path, required=True, help="folder of the run's state")
    parser.add_argument("--start", type=Path, help="a trained unet to go on from")
    parser.add_argument("--minutes", type=float, default=70)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--pool", type=int, default=24_576)
    parser.add_argument("--lr", type=float, default=7e-4)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    vae = AutoencoderKL.from_pretrained(args.out / "vae").eval().requires_grad_(False)
    tokenizer = CLIPTokenizer.from_pretrained(args.out / "tokenizer")
    text = CLIPTextModelWithProjection.from_pretrained(args.out / "text_encoder")
    text.eval().requires_grad_(False)
    if args.start:
        unet = UNet2DConditionModel.from_pretrained(args.start).train().float()
    else:
        unet = new_unet(vae.config.latent_channels, text.config.hidden_size)
    scheduler = DDIMScheduler(**SCHEDULER)
    run = Run(args.state, unet, args.minutes, lr=args.lr)
    torch.manual_seed(run.step)
    pools = {
        shape: Pool(vae, shape, round(args.pool * share), (3, run.step, *shape))
        for shape, share in zip(SHAPES, SHARES, strict=True)
    }
    run.restart_clock()
    losses = []
    while not run.done:
        rng = np.random.default_rng([4, run.step])
        pool = pools[random_shape(rng)]
        pool.renew(rng, RENEWED_PER_STEP)
        latents, texts = pool.batch(rng, args.batch)
        ids = tokenizer(texts, padding="max_length", truncation=True, return_tensors="pt").input_ids
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            hidden = text(input_ids=ids).last_hidden_state.float()
        loss = velocity_loss(unet, scheduler, latents, hidden)
        losses.append(float(loss.detach()))
        run.update(loss, decay=0.9995)
        run.report(100, loss=float(np.mean(losses[-100:])), samples=run.step * args.batch)
    run.use_average()
    unet.save_pretrained(args.out / "unet")
    scheduler.save_pretrained(args.out / "scheduler")


if __name__ == "__main__":
    main()
