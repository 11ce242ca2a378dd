"""Trains the embedded denoiser's twin by flow matching, starting from the denoiser's weights.

    python training/train_flow.py --out FOLDER --state FOLDER [--minutes 45] [--device cuda]

The network is the same, and sees the same pictures, captions and latents. What it learns is the
flow eps - x_0 on the straight path z_t = (1 - t) x_0 + t eps, with t logit-normal, and the timestep
it is given is 1000 t. ``benchmarks/flow_twin.py FOLDER`` measures the method on it.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import Run, random_shape, random_training_scene
from diffusers import UNet2DConditionModel
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import DataLoader, IterableDataset, get_worker_info
from train_unet import EMPTY_SHARE
from transformers import CLIPTokenizer

from diffinv_diorama.backbone import DioramaBackbone
from diffinv_diorama.captions import caption
from diffinv_diorama.render import render
from diffinv_diorama.weights import pipeline_folder
from diffinv_diorama.world import training_scenes

DECAY = 0.998
"""Of the averaged weights, whose memory must be shorter than a run that begins elsewhere."""

Batch = tuple[Tensor, Tensor]


class Pictures(IterableDataset[Batch]):
    """Batches without end, each of one shape and drawn anew: pictures [n, 3, h, w] in bytes, and
    the token ids [n, 40] of their captions, some of them empty."""

    def __init__(self, tokenizer: CLIPTokenizer, count: int, seed: int) -> None:
        self._tokenizer, self._count, self._seed = tokenizer, count, seed
        self._scenes = training_scenes()

    def __iter__(self) -> Iterator[Batch]:
        worker = get_worker_info()
        rng = np.random.default_rng([51, self._seed, worker.id if worker else 0])
        while True:
            shape = random_shape(rng)
            scenes = [random_training_scene(rng, self._scenes) for _ in range(self._count)]
            drawn = [np.asarray(render(s, int(rng.integers(2**31)), *shape)) for s in scenes]
            texts = ["" if rng.random() < EMPTY_SHARE else caption(s, rng) for s in scenes]
            ids: Any = self._tokenizer(
                texts, padding="max_length", truncation=True, return_tensors="pt"
            )
            yield torch.from_numpy(np.stack(drawn)).permute(0, 3, 1, 2), ids.input_ids


def flow_loss(unet: UNet2DConditionModel, latents: Tensor, hidden: Tensor) -> Tensor:
    """Mean squared error of the predicted flow at logit-normal t."""
    t = torch.randn(len(latents), device=latents.device).sigmoid()
    noise = torch.randn_like(latents)
    noisy = torch.lerp(latents, noise, t[:, None, None, None])
    with torch.autocast(latents.device.type, torch.bfloat16):
        predicted = unet(noisy, 1000 * t, encoder_hidden_states=hidden).sample
    return F.mse_loss(predicted.float(), noise - latents)


def main() -> None:
    args = _arguments()
    torch.set_num_threads(args.threads)
    model = DioramaBackbone(pipeline_folder(), torch.device(args.device))
    unet = model.unet.requires_grad_(True).train()
    run = Run(args.state, unet, args.minutes, lr=args.lr)
    torch.manual_seed(run.step)
    pictures = Pictures(model.tokenizer, args.batch, run.step)
    loader = iter(DataLoader(pictures, batch_size=None, num_workers=args.workers))
    next(loader)
    run.restart_clock()
    losses: list[Tensor] = []
    while not run.done:
        drawn, ids = next(loader)
        latents = model.encode_images(drawn.to(args.device) / 127.5 - 1)
        with torch.no_grad():
            hidden = model.text_encoder(input_ids=ids.to(args.device)).last_hidden_state
        loss = flow_loss(unet, latents, hidden)
        losses.append(loss.detach())
        run.update(loss, decay=DECAY)
        if run.step % 100 == 0 or run.done:
            run.report(1, loss=float(torch.stack(losses[-100:]).mean()))
    run.use_average()
    unet.save_pretrained(args.out)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="the twin's folder")
    parser.add_argument("--state", type=Path, required=True, help="folder of the run's state")
    parser.add_argument("--minutes", type=float, default=45)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--lr", type=float, default=5e-4)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--workers", type=int, default=1, help="processes that draw pictures")
    return parser.parse_args()


if __name__ == "__main__":
    main()
