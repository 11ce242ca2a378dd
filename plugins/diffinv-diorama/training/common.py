"""What every training script shares: a timed schedule, averaged weights, resumable checkpoints."""

from __future__ import annotations

import json
import math
import os
import time
from pathlib import Path

import numpy as np
import torch
from diffusers import DDIMScheduler, UNet2DConditionModel
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F

from diffinv_diorama.render import SIZE
from diffinv_diorama.world import Scene


def to_tensor(images: list[Image.Image]) -> Tensor:
    """Pictures as [n, 3, h, w] float32 in [-1, 1]."""
    stacked = np.stack([np.asarray(image) for image in images])
    return torch.from_numpy(stacked).permute(0, 3, 1, 2).float() / 127.5 - 1


SHAPES = ((SIZE, SIZE), (120, 80), (80, 120), (128, 72), (72, 128))
"""Square, 3:2 and 16:9, wide and tall: (width, height) of about the same area."""

SHARES = (0.5, 0.15, 0.15, 0.1, 0.1)


def random_shape(rng: np.random.Generator) -> tuple[int, int]:
    """One of ``SHAPES``, every second time the square."""
    return SHAPES[int(rng.choice(len(SHAPES), p=SHARES))]


def random_training_scene(rng: np.random.Generator, scenes: list[Scene]) -> Scene:
    """A scene from the list of combinations that may be trained on."""
    return scenes[int(rng.integers(len(scenes)))]


def velocity_loss(
    unet: UNet2DConditionModel,
    scheduler: DDIMScheduler,
    latents: Tensor,
    hidden: Tensor,
    condition: Tensor | None = None,
    weight: Tensor | None = None,
) -> Tensor:
    """Mean squared error of the predicted velocity at uniformly drawn timesteps. ``condition``
    [n, c, h, w] is what the network sees beside the noisy latents; ``weight`` weighs places."""
    noise = torch.randn_like(latents)
    timesteps = torch.randint(0, scheduler.config.num_train_timesteps, (len(latents),))
    noisy = scheduler.add_noise(latents, noise, timesteps)
    target = scheduler.get_velocity(latents, noise, timesteps)
    with torch.autocast("cpu", torch.bfloat16):
        seen = noisy if condition is None else torch.cat([noisy, condition], dim=1)
        predicted = unet(seen, timesteps, encoder_hidden_states=hidden).sample
    error = F.mse_loss(predicted.float(), target, reduction="none")
    return (error if weight is None else error * weight).mean()


class Run:
    """A training run of a given number of minutes that survives interruption.

    The learning rate warms up over 2 % of the time and falls with a cosine over the last half.
    ``folder`` holds ``state.safetensors`` (weights, averages, optimiser) and ``state.json``.
    """

    def __init__(
        self, folder: Path, model: nn.Module, minutes: float, lr: float, weight_decay: float = 0.01
    ) -> None:
        self.folder, self.model = folder, model
        self.seconds, self.lr = minutes * 60, lr
        self.optimiser = torch.optim.AdamW(
            model.parameters(), lr=lr, weight_decay=weight_decay, betas=(0.9, 0.99)
        )
        self.average = {k: v.detach().clone() for k, v in model.state_dict().items()}
        self.step, self.spent, self._last = 0, 0.0, time.monotonic()
        self._saved = self._last
        self.log: list[dict[str, float]] = []
        folder.mkdir(parents=True, exist_ok=True)
        if (folder / "state.json").exists():
            self._resume()

    @property
    def progress(self) -> float:
        """The share of the run's time that is spent, 0 to 1."""
        return min(1.0, self.spent / self.seconds)

    @property
    def done(self) -> bool:
        return self.progress >= 1

    def update(self, loss: Tensor, decay: float = 0.999) -> None:
        """One optimiser step, one step of the averages; saves every five minutes."""
        p = self.progress
        fall = 0.5 * (1 + math.cos(math.pi * max(0.0, (p - 0.5) / 0.5)))
        for group in self.optimiser.param_groups:
            group["lr"] = self.lr * min(1.0, p / 0.02 + 0.01) * max(fall, 0.01)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimiser.step()
        self.step += 1
        decay = min(decay, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            for key, value in self.model.state_dict().items():
                if value.is_floating_point():
                    self.average[key].lerp_(value, 1 - decay)
        now = time.monotonic()
        self.spent += now - self._last
        self._last = now
        if now - self._saved > 300 or self.done:
            self.save()

    def report(self, every: int, **figures: float) -> None:
        """Print and log figures every so many steps."""
        if self.step % every == 0 or self.done:
            row = {"step": self.step, "minutes": round(self.spent / 60, 1), **figures}
            self.log.append(row)
            print("  ".join(f"{k} {v:.4g}" for k, v in row.items()), flush=True)

    def restart_clock(self) -> None:
        """Leave the time since construction (reading data, say) out of the run's time."""
        self._last = time.monotonic()

    def use_average(self) -> None:
        """Load the averaged weights into the model."""
        self.model.load_state_dict(self.average)

    def save(self) -> None:
        tensors = {f"model.{k}": v for k, v in self.model.state_dict().items()}
        tensors |= {f"average.{k}": v for k, v in self.average.items()}
        for i, state in self.optimiser.state_dict()["state"].items():
            tensors |= {f"optimiser.{i}.{k}": v for k, v in state.items()}
        temporary = self.folder / "state.tmp"
        save_file({k: v.contiguous().clone() for k, v in tensors.items()}, temporary)
        os.replace(temporary, self.folder / "state.safetensors")
        meta = {"step": self.step, "spent": self.spent, "log": self.log}
        (self.folder / "state.tmp").write_text(json.dumps(meta))
        os.replace(temporary, self.folder / "state.json")
        self._saved = time.monotonic()

    def _resume(self) -> None:
        meta = json.loads((self.folder / "state.json").read_text())
        self.step, self.spent, self.log = meta["step"], meta["spent"], meta["log"]
        tensors = load_file(self.folder / "state.safetensors")

        def part(prefix: str) -> dict[str, Tensor]:
            return {k[len(prefix) :]: v for k, v in tensors.items() if k.startswith(prefix)}

        self.model.load_state_dict(part("model."))
        self.average = part("average.")
        state: dict[int, dict[str, Tensor]] = {}
        for key, value in part("optimiser.").items():
            index, name = key.split(".", 1)
            state.setdefault(int(index), {})[name] = value
        groups = self.optimiser.state_dict()["param_groups"]
        self.optimiser.load_state_dict({"state": state, "param_groups": groups})
        print(f"resumed at step {self.step}, {self.spent / 60:.1f} minutes spent", flush=True)
