"""What a safetensors file is that is not what it was given as, by the names of its tensors.

Light: no torch.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple


class FileKind(NamedTuple):
    """``what`` a file is, worded to follow "it is", and where it belongs: ``instead``."""

    what: str
    instead: str


LORA = FileKind("a LoRA, a change to a model", "it goes with --lora PATH")
VAE = FileKind("an autoencoder alone", "it goes with --vae PATH")
TEXT_ENCODER = FileKind("a text encoder alone", "it goes with --text-encoder PATH")
CHECKPOINT = FileKind("a whole model", "it goes with --backbone ID=PATH")

_KINDS = {
    FileKind("a ControlNet", "ControlNets have no use here"): (
        r"(control_model|controlnet|lora_controlnet)([._].*)?|.*input_hint_block.*"
    ),
    LORA: r".*(lora_|\.lora|\.hada_w|\.lokr_w|\.oft_).*",
    FileKind("an IP-Adapter", "IP-Adapters have no use here"): r"(ip_adapter|image_proj)\..*",
    FileKind(
        "a textual inversion, a word for a model",
        "'diffinv library import PATH' makes a difference of it",
    ): r"emb_params|clip_[lg]|<[^>]*>|string_to_param.*",
    FileKind("a difference of diffinv's own", "'diffinv apply PATH IMAGE' applies it"): r"tokens",
    CHECKPOINT: r"model\.diffusion_model\.input_blocks\..*",
    VAE: r"(first_stage_model\.|vae\.)?(encoder|decoder)\.(conv_in|mid)\..*",
    TEXT_ENCODER: r"(\w+\.)*(text_model\.|transformer\.resblocks\.|token_embedding\.).*",
    FileKind("a denoiser alone, in diffusers' layout", "name the folder it belongs to"): (
        r"(unet\.)?down_blocks\..*"
    ),
    FileKind("a transformer of another family (Flux or the like)", "name its own --backbone"): (
        r"(model\.diffusion_model\.)?(double|joint|transformer|single_transformer)_blocks\..*"
    ),
}


def kind_of_file(shapes: Mapping[str, object]) -> FileKind | None:
    """None if the names say nothing."""
    for kind, names in _KINDS.items():
        if any(re.fullmatch(names, key) for key in shapes):
            return kind
    return None
