"""Copies a trained pipeline into the plugin in half precision, with the oracle beside it."""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from diffinv_diorama.weights import ROOT

PARTS = ("tokenizer", "text_encoder", "vision_encoder", "vae", "unet", "scheduler")


def halve(source: Path, target: Path) -> None:
    """A safetensors file with every floating-point tensor in float16."""
    tensors = {
        k: v.to(torch.float16).contiguous() if v.is_floating_point() else v
        for k, v in load_file(source).items()
    }
    save_file(tensors, target, metadata={"format": "pt"})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pipeline", type=Path, required=True)
    parser.add_argument("--oracle", type=Path, required=True)
    args = parser.parse_args()
    for part in PARTS:
        (ROOT / "pipeline" / part).mkdir(parents=True, exist_ok=True)
        for file in (args.pipeline / part).glob("*"):
            target = ROOT / "pipeline" / part / file.name
            if file.suffix == ".safetensors":
                halve(file, target)
            else:
                shutil.copyfile(file, target)
    halve(args.pipeline / "reader.safetensors", ROOT / "pipeline" / "reader.safetensors")
    halve(args.oracle, ROOT / "oracle.safetensors")
    size = sum(f.stat().st_size for f in ROOT.rglob("*") if f.is_file())
    print(f"{size / 1e6:.1f} MB in {ROOT.name}")


if __name__ == "__main__":
    main()
