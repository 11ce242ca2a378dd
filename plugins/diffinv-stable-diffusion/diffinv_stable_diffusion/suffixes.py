"""Which files are taken. Light: no torch."""

from __future__ import annotations

from pathlib import Path

from diffinv.errors import UsageError

PICKLES = (".bin", ".ckpt", ".pt", ".pth", ".pkl")


def check_suffix(path: Path, name: str) -> None:
    """Refuse a file that is not called ``.safetensors``; of a pickle, say what can be done."""
    if path.suffix in PICKLES:
        raise UsageError(
            f"The file {name!r} is a pickle, which could run any code and is not loaded; get it as "
            ".safetensors, or convert it in a program that you trust with it (AUTOMATIC1111's "
            "checkpoint merger and ComfyUI's CheckpointSave write .safetensors)."
        )
    if path.suffix != ".safetensors":
        raise UsageError(f"The file {name!r} is not a .safetensors file; choose another.")
