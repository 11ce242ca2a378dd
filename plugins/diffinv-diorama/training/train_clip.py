"""Trains the CLIP pair (text and vision tower) and the captioner's reading head.

A batch holds scenes in pairs that differ in one attribute, so that the contrastive loss has to
tell a red roof from a blue one, not only a castle in the snow from a cabin by the sea. The
reading head learns to read each attribute from the vision tower's patches; its loss shapes the
tower as well. Held-out combinations never appear.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from common import Run, random_training_scene, to_tensor
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import (
    CLIPTextConfig,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
    CLIPVisionConfig,
    CLIPVisionModelWithProjection,
)

from diffinv_diorama.captions import caption
from diffinv_diorama.render import SIZE, render
from diffinv_diorama.world import ATTRIBUTES, Scene, is_held_out, training_scenes

PROJECTION = 128
TEXT = {
    "hidden_size": 160,
    "intermediate_size": 640,
    "num_hidden_layers": 3,
    "num_attention_heads": 5,
    "projection_dim": PROJECTION,
    "hidden_act": "gelu",
}
VISION = {
    "hidden_size": 160,
    "intermediate_size": 640,
    "num_hidden_layers": 4,
    "num_attention_heads": 5,
    "image_size": SIZE,
    "patch_size": 12,
    "projection_dim": PROJECTION,
    "hidden_act": "gelu",
}


class Clip(nn.Module):
    """Both towers, the temperature and the reading head."""

    def __init__(self, tokenizer: CLIPTokenizer) -> None:
        super().__init__()
        ids = {
            "vocab_size": len(tokenizer),
            "max_position_embeddings": tokenizer.model_max_length,
            "bos_token_id": tokenizer.bos_token_id,
            "eos_token_id": tokenizer.eos_token_id,
            "pad_token_id": tokenizer.pad_token_id,
        }
        self.text = CLIPTextModelWithProjection(CLIPTextConfig(**TEXT, **ids))
        self.vision = CLIPVisionModelWithProjection(CLIPVisionConfig(**VISION))
        self.log_scale = nn.Parameter(torch.tensor(2.66))
        self.head = nn.Linear(VISION["hidden_size"], sum(len(v) for v in ATTRIBUTES.values()))

    def embed_images(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Unit joint-space vectors [n, 128] and attribute logits [n, 25]."""
        seen = self.vision(images)
        logits = self.head(seen.last_hidden_state[:, 1:].mean(1))
        return F.normalize(seen.image_embeds.float(), dim=-1), logits.float()

    def embed_texts(self, ids: Tensor) -> Tensor:
        """Unit joint-space vectors [n, 128]."""
        return F.normalize(self.text(input_ids=ids).text_embeds.float(), dim=-1)


def scene_pairs(rng: np.random.Generator, scenes: list[Scene], count: int) -> list[Scene]:
    """``count`` scenes; every second one is its predecessor with one attribute changed."""
    made: list[Scene] = []
    while len(made) < count:
        scene = random_training_scene(rng, scenes)
        name = str(rng.choice(list(ATTRIBUTES)))
        others = [v for v in ATTRIBUTES[name] if v != getattr(scene, name)]
        partner = scene.with_value(name, str(rng.choice(others)))
        if not is_held_out(partner):
            made += [scene, partner]
    return made


def read_loss(logits: Tensor, scenes: list[Scene]) -> tuple[Tensor, Tensor]:
    """Cross-entropy summed over the attributes; the share of pictures read without a fault."""
    labels = torch.tensor([s.labels() for s in scenes])
    parts = logits.split([len(v) for v in ATTRIBUTES.values()], dim=1)
    loss = sum((F.cross_entropy(p, labels[:, i]) for i, p in enumerate(parts)), torch.zeros(()))
    right = torch.stack([p.argmax(1) == labels[:, i] for i, p in enumerate(parts)]).all(0)
    return loss, right.float().mean()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="the pipeline folder")
    parser.add_argument("--state", type=Path, required=True, help="folder of the run's state")
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    tokenizer = CLIPTokenizer.from_pretrained(args.out / "tokenizer")
    clip = Clip(tokenizer)
    run = Run(args.state, clip, args.minutes, lr=1e-3, weight_decay=0.02)
    scenes = training_scenes()
    while not run.done:
        rng = np.random.default_rng([2, run.step])
        chosen = scene_pairs(rng, scenes, args.batch)
        images = to_tensor([render(s, int(rng.integers(2**31))) for s in chosen])
        ids = tokenizer(
            [caption(s, rng) for s in chosen], padding="max_length", return_tensors="pt"
        ).input_ids
        with torch.autocast("cpu", torch.bfloat16):
            pictures, logits = clip.embed_images(images)
            texts = clip.embed_texts(ids)
        similarity = clip.log_scale.exp().clamp(max=100) * pictures @ texts.T
        target = torch.arange(len(chosen))
        contrast = F.cross_entropy(similarity, target) + F.cross_entropy(similarity.T, target)
        reading, read = read_loss(logits, chosen)
        run.update(contrast + 0.5 * reading, decay=0.995)
        matched = float((similarity.argmax(1) == target).float().mean())
        run.report(50, contrast=float(contrast.detach()), matched=matched, read=float(read))
    run.use_average()
    clip.text.save_pretrained(args.out / "text_encoder")
    clip.vision.save_pretrained(args.out / "vision_encoder")
    save_file(
        {k: v.contiguous() for k, v in clip.head.state_dict().items()},
        args.out / "reader.safetensors",
    )


if __name__ == "__main__":
    main()
