"""Where the weights lie that are installed with this plugin."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parent / "weights"


def pipeline_folder() -> Path:
    """The text-to-image model in the folder layout of diffusers."""
    return ROOT / "pipeline"


def without_loading_bars() -> None:
    """Small models load at once: transformers and diffusers need not draw a bar for each."""
    import diffusers
    import transformers

    transformers.utils.logging.disable_progress_bar()
    diffusers.utils.logging.disable_progress_bar()


def oracle_file() -> Path:
    """The oracle's weights."""
    return ROOT / "oracle.safetensors"
