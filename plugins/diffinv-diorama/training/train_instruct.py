"""Trains the sibling that follows instructions, as InstructPix2Pix was trained: it sees the picture
before (unscaled latents beside the noisy ones) and the instruction, and draws the picture after.

One instruction in twenty is empty, one picture in twenty is missing, and one time in twenty both.
"""

from __future__ import annotations

import numpy as np
import torch
from common import SIZE, Run, random_training_scene, to_tensor, velocity_loss
from diffusers import AutoencoderKL, DDIMScheduler
from siblings import Texts, keep, options, widened
from torch import Tensor

from diffinv_diorama.instructions import every_edit, instruction
from diffinv_diorama.render import render
from diffinv_diorama.weights import pipeline_folder
from diffinv_diorama.world import Edit, is_held_out, training_scenes

RENEWED_PER_STEP = 6


class Pairs:
    """Latents of pictures before and after an edit, renewed a few at a time."""

    def __init__(self, vae: AutoencoderKL, size: int, rng: np.random.Generator) -> None:
        self._vae, self._scenes, self._edits = vae, training_scenes(), every_edit()
        parts = [self._draw(rng, 64) for _ in range(size // 64)]
        self.before = torch.cat([before for before, _, _ in parts])
        self.after = torch.cat([after for _, after, _ in parts])
        self.edits = [edit for _, _, edits in parts for edit in edits]
        self._next = 0

    @torch.no_grad()
    def _draw(self, rng: np.random.Generator, count: int) -> tuple[Tensor, Tensor, list[Edit]]:
        edits, before, after = [], [], []
        while len(edits) < count:
            scene = random_training_scene(rng, self._scenes)
            fitting = [e for e in self._edits if getattr(scene, e.attribute) == e.before]
            edit = fitting[int(rng.integers(len(fitting)))]
            new = scene.with_value(edit.attribute, edit.after)
            if is_held_out(new):
                continue
            seed = int(rng.integers(2**31))
            edits.append(edit)
            before.append(render(scene, seed, SIZE, SIZE))
            after.append(render(new, seed, SIZE, SIZE))
        with torch.autocast("cpu", torch.bfloat16):
            means = self._vae.encode(to_tensor(before + after)).latent_dist.mean.float()
        return means[:count], means[count:] * self._vae.config.scaling_factor, edits

    def renew(self, rng: np.random.Generator, count: int) -> None:
        """Replace the ``count`` oldest entries."""
        before, after, edits = self._draw(rng, count)
        places = [(self._next + i) % len(self.edits) for i in range(count)]
        self.before[places], self.after[places] = before, after
        for place, edit in zip(places, edits, strict=True):
            self.edits[place] = edit
        self._next = (self._next + count) % len(self.edits)

    def batch(self, rng: np.random.Generator, count: int) -> tuple[Tensor, Tensor, list[str]]:
        """(before, after, instructions), with what is dropped already dropped."""
        places = rng.integers(len(self.edits), size=count)
        texts = [instruction(self.edits[int(i)], rng) for i in places]
        chance = rng.random(count)
        texts = ["" if c < 0.1 else text for c, text in zip(chance, texts, strict=True)]
        seen = torch.from_numpy((chance < 0.05) | (chance > 0.95))
        return self.before[places] * ~seen[:, None, None, None], self.after[places], texts


def main() -> None:
    args = options(__doc__)
    folder = pipeline_folder()
    vae = AutoencoderKL.from_pretrained(folder / "vae").float().eval().requires_grad_(False)
    texts, scheduler = Texts(folder), DDIMScheduler.from_pretrained(folder / "scheduler")
    unet = widened(folder / "unet", 2 * vae.config.latent_channels)
    run = Run(args.state, unet, args.minutes, lr=args.lr)
    torch.manual_seed(run.step)
    pairs = Pairs(vae, args.pool, np.random.default_rng([21, run.step]))
    run.restart_clock()
    losses = []
    while not run.done:
        rng = np.random.default_rng([22, run.step])
        pairs.renew(rng, RENEWED_PER_STEP)
        before, after, said = pairs.batch(rng, args.batch)
        loss = velocity_loss(unet, scheduler, after, texts(said), before)
        losses.append(float(loss.detach()))
        run.update(loss, decay=0.9995)
        run.report(100, loss=float(np.mean(losses[-100:])), samples=run.step * args.batch)
    run.use_average()
    keep(unet, args.out)


if __name__ == "__main__":
    main()
