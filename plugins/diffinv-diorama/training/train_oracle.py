"""Trains the oracle: a plain convolutional network that reads a picture's attributes.

It shares nothing with the model it judges: other architecture, other pictures, no captions.
Its training pictures are blurred, noised and shifted in colour at random, so that it can read
what an autoencoder has softened.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from common import Run, random_training_scene, to_tensor
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional as F
from train_clip import read_loss

from diffinv_diorama.oracle import Reader
from diffinv_diorama.render import render
from diffinv_diorama.world import all_scenes


def soften(images: Tensor, rng: np.random.Generator) -> Tensor:
    """Half of the pictures reduced and enlarged again; all with a little noise."""
    factor = float(rng.uniform(0.45, 1.0))
    small = F.interpolate(images, scale_factor=factor, mode="bilinear", antialias=True)
    soft = F.interpolate(small, size=images.shape[-2:], mode="bilinear")
    chosen = torch.from_numpy(rng.random(len(images)) < 0.5)[:, None, None, None]
    noise = torch.from_numpy(rng.normal(size=images.shape)).float() * float(rng.uniform(0, 0.08))
    return torch.where(chosen, soft, images) + noise


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="the oracle's weights file")
    parser.add_argument("--state", type=Path, required=True, help="folder of the run's state")
    parser.add_argument("--minutes", type=float, default=8)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(5)
    reader = Reader()
    run = Run(args.state, reader, args.minutes, lr=2e-3)
    scenes = list(all_scenes())
    while not run.done:
        rng = np.random.default_rng([6, run.step])
        chosen = [random_training_scene(rng, scenes) for _ in range(args.batch)]
        images = soften(to_tensor([render(s, int(rng.integers(2**31))) for s in chosen]), rng)
        with torch.autocast("cpu", torch.bfloat16):
            logits = reader(images)
        loss, right = read_loss(logits.float(), chosen)
        run.update(loss, decay=0.99)
        run.report(50, loss=float(loss.detach()), right=float(right))
    run.use_average()
    args.out.parent.mkdir(parents=True, exist_ok=True)
    save_file({k: v.contiguous() for k, v in reader.state_dict().items()}, args.out)


if __name__ == "__main__":
    main()
