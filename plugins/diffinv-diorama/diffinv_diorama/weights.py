"""Where the weights lie that are installed with this plugin."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parent / "weights"


def pipeline_folder() -> Path:
    """The text-to-image model in the folder layout of diffusers."""
    return ROOT / "pipeline"


def oracle_file() -> Path:
    """The oracle's weights."""
    return ROOT / "oracle.safetensors"
