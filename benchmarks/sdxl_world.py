"""A small SDXL that knows the diorama world: two text encoders, pooled embedding, time ids.

    python benchmarks/sdxl_world.py [--minutes 6] [--out .train/sdxl-world]

The second encoder (in bigG's place) and the autoencoder are the diorama model's own. The first (in
CLIP-L's place) is distilled from the second. The denoiser starts from diorama's, with its
cross-attention moved to the two encoders' vectors by least squares, half from each, and is trained
for the given minutes of one core. Each encoder's vectors and the pooled embedding are left out of
some training rows, so that each has an influence; ``sdxl_rules.py`` prints how much. Run again, it
continues. The weights stay in a folder that git ignores: they are only good for comparing rules.
"""

from __future__ import annotations

import argparse
import json
import shutil
import time
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from torch import Tensor
from torch.nn import functional as F
from transformers import CLIPTextConfig, CLIPTextModelWithProjection, CLIPTokenizer

from diffinv.pictures.tensors import to_tensor
from diffinv_diorama.captions import caption
from diffinv_diorama.render import SIZE, render
from diffinv_diorama.weights import pipeline_folder
from diffinv_diorama.world import Scene, training_scenes
from diffinv_stable_diffusion.backbone import StableDiffusion
from diffinv_stable_diffusion.families import FAMILIES
from diffinv_stable_diffusion.memory import MemoryPlan
from diffinv_stable_diffusion.sources import Source, Weights

FOLDER = Path(".train/sdxl-world")
FIRST_WIDTH, TIME_WIDTH = 96, 8
DISTIL_SHARE = 0.15
"""The share of the time spent on the first text encoder."""
POOL, BATCH, LR, EMPTY, LEFT_OUT = 1024, 32, 4e-4, 0.1, 0.2


def load(folder: Path = FOLDER, cls: type[StableDiffusion] = StableDiffusion) -> StableDiffusion:
    """The model behind diffinv's contract; the plugin's own loader refuses 8 latent channels."""
    parts = ("unet", "vae", "text_encoder", "text_encoder_2")
    weights = {part: Weights(tuple((folder / part).glob("*.safetensors"))) for part in parts}
    source = Source(FAMILIES["sdxl"], folder.name, folder, folder, weights)
    return cls(source, MemoryPlan(torch.float32, False, 0), torch.device("cpu"))


class Towers:
    """Both text encoders, giving (penultimate vectors side by side, the second's pooled output)."""

    def __init__(self, first: CLIPTextModelWithProjection) -> None:
        folder = pipeline_folder()
        self.tokenizer = CLIPTokenizer.from_pretrained(folder / "tokenizer")
        self.first, self.second = first, teacher()

    @torch.no_grad()
    def encode(self, texts: list[str]) -> tuple[Tensor, Tensor]:
        """[n, 40, widths] and [n, 128]; the empty prompt is zeros in both."""
        ids = token_ids(self.tokenizer, texts)
        outputs = [m(input_ids=ids, output_hidden_states=True) for m in (self.first, self.second)]
        said = torch.tensor([bool(text) for text in texts]).float()
        hidden = torch.cat([output.hidden_states[-2] for output in outputs], dim=-1)
        return hidden * said[:, None, None], outputs[1].text_embeds * said[:, None]


def token_ids(tokenizer: CLIPTokenizer, texts: list[str]) -> Tensor:
    return tokenizer(texts, padding="max_length", truncation=True, return_tensors="pt").input_ids


def teacher() -> CLIPTextModelWithProjection:
    model = CLIPTextModelWithProjection.from_pretrained(
        pipeline_folder() / "text_encoder", dtype=torch.float32
    )
    return model.eval().requires_grad_(False)


def random_captions(scenes: list[Scene], rng: np.random.Generator, count: int) -> list[str]:
    return [caption(scenes[int(i)], rng) for i in rng.integers(len(scenes), size=count)]


def distil(seconds: float, scenes: list[Scene]) -> CLIPTextModelWithProjection:
    """A narrower text encoder trained to give the second's text embeddings."""
    tokenizer = CLIPTokenizer.from_pretrained(pipeline_folder() / "tokenizer")
    second = teacher()
    changes = {"hidden_size": FIRST_WIDTH, "intermediate_size": 384, "num_attention_heads": 4}
    model = CLIPTextModelWithProjection(CLIPTextConfig(**(second.config.to_dict() | changes)))
    optimiser = torch.optim.AdamW(model.parameters(), lr=2e-3)
    rng, end, step = np.random.default_rng(1), time.process_time() + seconds, 0
    while (left := end - time.process_time()) > 0:
        optimiser.param_groups[0]["lr"] = 2e-3 * min(1.0, left / seconds * 2)
        ids = token_ids(tokenizer, random_captions(scenes, rng, 64))
        with torch.no_grad():
            wanted = second(input_ids=ids).text_embeds
        found = model(input_ids=ids).text_embeds
        loss = 1 - F.cosine_similarity(found, wanted, dim=-1).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        step += 1
    print(f"first text encoder: {step} steps, cosine to the second's {1 - loss.item():.3f}")
    return model.eval().requires_grad_(False)


def start_unet(towers: Towers, scenes: list[Scene]) -> UNet2DConditionModel:
    """Diorama's denoiser, attending to the two encoders' vectors instead of its own."""
    old = UNet2DConditionModel.from_pretrained(
        pipeline_folder() / "unet", torch_dtype=torch.float32
    )
    widths = [m.config.hidden_size for m in (towers.first, towers.second)]
    pooled = towers.second.config.projection_dim
    config = dict(old.config) | {
        "cross_attention_dim": sum(widths),
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": TIME_WIDTH,
        "projection_class_embeddings_input_dim": pooled + 6 * TIME_WIDTH,
    }
    unet = UNet2DConditionModel.from_config(config)
    move, state = _move(towers, scenes, widths), unet.state_dict()
    for name, value in old.state_dict().items():
        state[name] = value if value.shape == state[name].shape else value @ move
    for name in ("weight", "bias"):  # the pooled embedding starts without influence
        state[f"add_embedding.linear_2.{name}"].zero_()
    unet.load_state_dict(state)
    return unet


@torch.no_grad()
def _move(towers: Towers, scenes: list[Scene], widths: list[int]) -> Tensor:
    """[old width, new width]: the old encoder's output by least squares, half from each encoder."""
    texts = random_captions(scenes, np.random.default_rng(2), 512)
    wanted = towers.second(input_ids=token_ids(towers.tokenizer, texts)).last_hidden_state
    given = towers.encode(texts)[0].split(widths, dim=-1)
    maps = [torch.linalg.lstsq(x.flatten(0, 1), wanted.flatten(0, 1)).solution for x in given]
    return torch.cat(maps).T / 2


def pictures(vae: AutoencoderKL, scenes: list[Scene], rng: np.random.Generator) -> Tensor:
    """The latents of one random picture per scene."""
    rows = []
    for start in range(0, len(scenes), 64):
        images = [render(s, int(rng.integers(2**31))) for s in scenes[start : start + 64]]
        with torch.no_grad():
            rows.append(vae.encode(to_tensor(images)).latent_dist.mean * vae.config.scaling_factor)
    return torch.cat(rows)


def left_out(hidden: Tensor, pooled: Tensor) -> tuple[Tensor, Tensor]:
    """Each part zeroed in some rows: the first encoder's, the second's, the pooled embedding."""
    first, second, third = (torch.rand(3, len(hidden), 1) > LEFT_OUT).float()
    widths = (FIRST_WIDTH, hidden.shape[-1] - FIRST_WIDTH)
    kept = [part.expand(-1, width) for part, width in zip((first, second), widths, strict=True)]
    return hidden * torch.cat(kept, dim=1)[:, None], pooled * third


def train(unet: UNet2DConditionModel, towers: Towers, vae: AutoencoderKL, seconds: float) -> None:
    """Velocity prediction on random pictures and captions; ends with the averaged weights."""
    rng, scenes, begin = np.random.default_rng(3), training_scenes(), time.process_time()
    chosen = [scenes[int(i)] for i in rng.integers(len(scenes), size=POOL)]
    latents = pictures(vae, chosen, rng)
    scheduler = DDIMScheduler.from_pretrained(pipeline_folder() / "scheduler")
    time_ids = torch.tensor([[SIZE, SIZE, 0, 0, SIZE, SIZE]]).float().repeat(BATCH, 1)
    optimiser = torch.optim.AdamW(unet.parameters(), lr=LR, betas=(0.9, 0.99))
    average = {k: v.detach().clone() for k, v in unet.state_dict().items()}
    losses: list[float] = []
    while (left := seconds - (time.process_time() - begin)) > 0:
        optimiser.param_groups[0]["lr"] = LR * min(1.0, (len(losses) + 1) / 50, 2 * left / seconds)
        places = rng.integers(POOL, size=BATCH)
        texts = ["" if rng.random() < EMPTY else caption(chosen[int(i)], rng) for i in places]
        hidden, pooled = left_out(*towers.encode(texts))
        noise, t = torch.randn(BATCH, *latents.shape[1:]), torch.randint(0, 1000, (BATCH,))
        clean = latents[places]
        with torch.autocast("cpu", torch.bfloat16):
            found = unet(
                scheduler.add_noise(clean, noise, t),
                t,
                encoder_hidden_states=hidden,
                added_cond_kwargs={"text_embeds": pooled, "time_ids": time_ids},
            ).sample
        loss = F.mse_loss(found.float(), scheduler.get_velocity(clean, noise, t))
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
        decay = min(0.995, (1 + len(losses)) / (10 + len(losses)))
        for name, value in unet.state_dict().items():
            average[name].lerp_(value, 1 - decay)
        if len(losses) % 100 == 0:
            print(f"{len(losses)} steps, loss {np.mean(losses[-100:]):.4f}", flush=True)
    if losses:
        unet.load_state_dict(average)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=6)
    parser.add_argument("--out", type=Path, default=FOLDER)
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    scenes, own = training_scenes(), pipeline_folder()
    seconds = args.minutes * 60
    if (args.out / "unet").is_dir():
        first = CLIPTextModelWithProjection.from_pretrained(args.out / "text_encoder")
        towers = Towers(first.eval().requires_grad_(False))
        unet = UNet2DConditionModel.from_pretrained(args.out / "unet")
    else:
        towers = Towers(distil(seconds * DISTIL_SHARE, scenes))
        unet = start_unet(towers, scenes)
    vae = AutoencoderKL.from_pretrained(own / "vae", torch_dtype=torch.float32)
    train(unet, towers, vae.eval().requires_grad_(False), seconds * (1 - DISTIL_SHARE))
    parts = {
        "unet": unet,
        "vae": vae,
        "text_encoder": towers.first,
        "text_encoder_2": towers.second,
    }
    for name, model in parts.items():
        model.save_pretrained(args.out / name)
    for name in ("tokenizer", "tokenizer_2"):
        shutil.copytree(own / "tokenizer", args.out / name, dirs_exist_ok=True)
    shutil.copytree(own / "scheduler", args.out / "scheduler", dirs_exist_ok=True)
    index = {"force_zeros_for_empty_prompt": True}
    (args.out / "model_index.json").write_text(json.dumps(index))


if __name__ == "__main__":
    main()
