"""Trains the sibling that fills in, as Stable Diffusion's inpainting model was trained: beside the
noisy latents it sees a mask and the latents of the picture with a hole.

Two steps in three show single pictures with a rectangle missing (one in four is missing
altogether), with their caption. The third shows a sheet of four pictures that have nothing to do
with each other, one of them missing, with the caption of that one: analogies are not taught.
One caption in ten is empty.
"""

from __future__ import annotations

import numpy as np
import torch
from common import SIZE, Run, random_training_scene, to_tensor, velocity_loss
from diffusers import AutoencoderKL, DDIMScheduler
from numpy.typing import NDArray
from PIL import Image
from siblings import Texts, keep, options, widened
from torch import Tensor

from diffinv_diorama.captions import caption
from diffinv_diorama.render import render
from diffinv_diorama.weights import pipeline_folder
from diffinv_diorama.world import Scene, training_scenes

CELL = 8
"""Pixels of a latent: holes are cut along these."""

HOLE_WEIGHT = 2.0
"""What is missing counts this much more than what is there."""


class Holes:
    """Latents of pictures, their masks and the latents of the pictures without what is masked."""

    def __init__(
        self, vae: AutoencoderKL, cells: int, size: int, at_once: int, rng: np.random.Generator
    ) -> None:
        self._vae, self._cells, self._scenes = vae, cells, training_scenes()
        parts = [self._draw(rng, at_once) for _ in range(size // at_once)]
        self.latents, self.masks, self.rest = (
            torch.cat(x) for x in zip(*(p[:3] for p in parts), strict=True)
        )
        self.scenes = [scene for part in parts for scene in part[3]]
        self._next = 0

    @torch.no_grad()
    def _draw(
        self, rng: np.random.Generator, count: int
    ) -> tuple[Tensor, Tensor, Tensor, list[Scene]]:
        rows = [self._picture(rng) for _ in range(count)]
        pictures = to_tensor([picture for picture, _, _ in rows])
        masks = torch.from_numpy(np.stack([mask for _, mask, _ in rows]))[:, None].float()
        pixels = masks.repeat_interleave(CELL, -1).repeat_interleave(CELL, -2)
        with torch.autocast("cpu", torch.bfloat16):
            both = torch.cat([pictures, pictures * (1 - pixels)])
            means = self._vae.encode(both).latent_dist.mean.float()
        latents, rest = (means * self._vae.config.scaling_factor).chunk(2)
        return latents, masks, rest, [scene for _, _, scene in rows]

    def _picture(self, rng: np.random.Generator) -> tuple[Image.Image, NDArray[np.bool_], Scene]:
        """A picture or a sheet, what is missing of it [h, w], and the scene that is."""
        n = self._cells
        scenes = [random_training_scene(rng, self._scenes) for _ in range(n * n)]
        sheet = Image.new("RGB", (n * SIZE, n * SIZE))
        for i, scene in enumerate(scenes):
            cell = render(scene, int(rng.integers(2**31)), SIZE, SIZE)
            sheet.paste(cell, (i % n * SIZE, i // n * SIZE))
        side = SIZE // CELL
        mask = np.zeros((n * side, n * side), dtype=bool)
        if n > 1:
            i = int(rng.integers(n * n))
            mask[i // n * side : (i // n + 1) * side, i % n * side : (i % n + 1) * side] = True
            return sheet, mask, scenes[i]
        if rng.random() < 0.25:
            return sheet, ~mask, scenes[0]
        h, w = (int(x) for x in rng.integers(side // 4, side + 1, size=2))
        top, left = int(rng.integers(side - h + 1)), int(rng.integers(side - w + 1))
        mask[top : top + h, left : left + w] = True
        return sheet, mask, scenes[0]

    def renew(self, rng: np.random.Generator, count: int) -> None:
        """Replace the ``count`` oldest entries."""
        latents, masks, rest, scenes = self._draw(rng, count)
        places = [(self._next + i) % len(self.scenes) for i in range(count)]
        self.latents[places], self.masks[places], self.rest[places] = latents, masks, rest
        for place, scene in zip(places, scenes, strict=True):
            self.scenes[place] = scene
        self._next = (self._next + count) % len(self.scenes)

    def batch(
        self, rng: np.random.Generator, count: int
    ) -> tuple[Tensor, Tensor, Tensor, list[str]]:
        """(latents, masks, latents without what is masked, captions)."""
        places = rng.integers(len(self.scenes), size=count)
        texts = ["" if rng.random() < 0.1 else caption(self.scenes[int(i)], rng) for i in places]
        return self.latents[places], self.masks[places], self.rest[places], texts


def main() -> None:
    args = options(__doc__)
    folder = pipeline_folder()
    vae = AutoencoderKL.from_pretrained(folder / "vae").float().eval().requires_grad_(False)
    texts, scheduler = Texts(folder), DDIMScheduler.from_pretrained(folder / "scheduler")
    unet = widened(folder / "unet", 2 * vae.config.latent_channels + 1)
    run = Run(args.state, unet, args.minutes, lr=args.lr)
    torch.manual_seed(run.step)
    rng = np.random.default_rng([31, run.step])
    pools = [(Holes(vae, 1, args.pool, 64, rng), args.batch, 4)] * 2
    pools.append((Holes(vae, 2, args.pool // 8, 16, rng), args.batch // 4, 2))
    run.restart_clock()
    losses = []
    while not run.done:
        rng = np.random.default_rng([32, run.step])
        pool, count, renewed = pools[run.step % 3]
        pool.renew(rng, renewed)
        latents, masks, rest, said = pool.batch(rng, count)
        condition, weight = torch.cat([masks, rest], dim=1), 1 + (HOLE_WEIGHT - 1) * masks
        loss = velocity_loss(unet, scheduler, latents, texts(said), condition, weight)
        losses.append(float(loss.detach()))
        run.update(loss, decay=0.9995)
        run.report(150, loss=float(np.mean(losses[-150:])))
    run.use_average()
    keep(unet, args.out)


if __name__ == "__main__":
    main()
