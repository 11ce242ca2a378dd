"""The method on a network trained by flow matching, beside its twin that predicts v.

    python plugins/diffinv-diorama/training/train_flow.py --out .train/flow --state .train/flow-run
    python benchmarks/flow_twin.py .train/flow [--count 200] [--device cuda]

Both have the same layout, autoencoder, text tower and joint space, and see the same analogies. For
each editor: the default recipe, its tokens alone, and the true caption as a ceiling.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from common import where
from diffusers import UNet2DConditionModel
from torch import Tensor

from diffinv.contracts import Backbone, Conditioning, PredictionType, RectifiedFlow
from diffinv.evaluation.statistics import bootstrap, paired_p
from diffinv.method.application import denoise
from diffinv.method.settings import ApplicationSettings, InversionSettings
from diffinv.pictures.tensors import to_tensor
from diffinv_diorama.backbone import DioramaBackbone
from diffinv_diorama.command import load_parts
from diffinv_diorama.evaluation import Batch, Parts, Row, score
from diffinv_diorama.weights import pipeline_folder
from diffinv_diorama.world import analogies

EDITORS = ("edit-friendly", "ddim", "sdedit")
METHODS = ("difference-inversion", "tokens-only", "true-caption")

DTYPES = (torch.float32, torch.bfloat16)

Case = tuple[str, str]
"""An editor and a method."""


class Twin(DioramaBackbone):
    """The embedded model with a denoiser that predicts the flow eps - x_0."""

    def __init__(self, unet: Path, device: torch.device) -> None:
        super().__init__(pipeline_folder(), device)
        found = UNet2DConditionModel.from_pretrained(unet, torch_dtype=torch.float32)
        self.unet = found.to(device).eval().requires_grad_(False)
        self.schedule = RectifiedFlow()  # type: ignore[assignment]
        self.prediction_type: PredictionType = "flow"

    def timesteps(self, steps: int) -> list[float]:  # type: ignore[override]
        """Evenly spaced from the noisiest down."""
        return [1 - i / steps for i in range(steps)]

    def predict(self, noisy: Tensor, timesteps: Tensor, conditioning: Conditioning) -> Tensor:
        """The flow [n, 8, h, w]."""
        return super().predict(noisy, 1000 * timesteps, conditioning)


def rows_of(parts: Mapping[str, Parts], given: argparse.Namespace) -> dict[Case, list[Row]]:
    """The scores of every editor and method. What is learned is learned once for all editors."""
    chosen = analogies(given.count, given.seed)
    found: dict[Case, list[Row]] = {(editor, method): [] for editor in parts for method in METHODS}
    for start in range(0, given.count, given.batch):
        some, learned = chosen[start : start + given.batch], None
        for editor, own in parts.items():
            batch = Batch(some, own, InversionSettings(), ApplicationSettings(), seed=start)
            if learned is not None:
                batch.__dict__["learned"] = learned
            learned = batch.learned
            for method in METHODS:
                found[editor, method] += score(batch, method)
    return found


@torch.no_grad()
def round_trip(parts: Parts, count: int, steps: int, dtype: torch.dtype) -> float:
    """How far exact inversion and sampling come back to the latents, with a denoiser that computes
    in ``dtype``: the root mean square of what is off, beside theirs."""
    model = parts.backbone
    some = Batch(analogies(count, 0), parts, InversionSettings(), ApplicationSettings(), seed=0)
    latents = model.encode_images(to_tensor(some.b).to(model.device))
    source, empty = model.encode_prompts(some.prompt_b), model.encode_prompts([""] * count)
    with torch.autocast(model.device.type, dtype, enabled=dtype != torch.float32):
        path = parts.editor.trajectory(model, latents, source, empty, steps, 1.0, 0)
        back = denoise(model, path, source, empty, 1.0, None)
    return float((back - latents).square().mean().sqrt() / latents.square().mean().sqrt())


def line(editor: str, method: str, v: Sequence[Row], flow: Sequence[Row]) -> str:
    """Right and PSNR of both, and the p of their difference."""
    cells = [editor, method]
    for rows in (v, flow):
        right = bootstrap([row.right for row in rows])
        psnr = bootstrap([row.psnr_true for row in rows]).mean
        cells += [f"{right.mean:.3f} [{right.low:.3f}, {right.high:.3f}]", f"{psnr:.1f}"]
    p = paired_p([row.right for row in v], [row.right for row in flow])
    return f"| {' | '.join(cells)} | {p:.2f} |"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("twin", type=Path, help="the folder of the twin's denoiser")
    parser.add_argument("--count", type=int, default=48)
    parser.add_argument("--seed", type=int, default=2)
    parser.add_argument("--batch", type=int, default=12, help="analogies at once")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--editor", nargs="+", choices=EDITORS, default=EDITORS)
    given = parser.parse_args()
    twin: Backbone = Twin(given.twin, torch.device(given.device))
    print(where(given.device))
    print("| editor | method | v: right | PSNR | flow: right | PSNR | p |")
    print("|---|---|---|---|---|---|---|")
    v = {editor: load_parts(editor, given.device) for editor in given.editor}
    flow = {editor: replace(parts, backbone=twin) for editor, parts in v.items()}
    ours, theirs = rows_of(v, given), rows_of(flow, given)
    for case, rows in ours.items():
        print(line(*case, rows, theirs[case]))
    for name, parts in (("v", v), ("flow", flow)):
        for steps in (20, 50) if "ddim" in parts else ():
            off = [round_trip(parts["ddim"], 8, steps, dtype) for dtype in DTYPES]
            print(f"DDIM, {steps} steps there and back, {name}: off by {off[0]:.1e}, {off[1]:.1e}")


if __name__ == "__main__":
    main()
