"""Where the weights installed with this plugin are."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parent / "weights"


def pipeline_folder() -> Path:
    """The text-to-image model in diffusers' folder layout."""
    return ROOT / "pipeline"


def without_loading_bars() -> None:
    """Keep transformers and diffusers from drawing loading bars: small models load at once."""
    import diffusers
    import transformers

    transformers.utils.logging.disable_progress_bar()
    diffusers.utils.logging.disable_progress_bar()


def oracle_file() -> Path:
    """The oracle's weights."""
    return ROOT / "oracle.safetensors"
