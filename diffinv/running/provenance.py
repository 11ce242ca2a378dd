"""What a result says of how it was made. No absolute path, user or machine is named."""

from __future__ import annotations

import json
import platform
from collections.abc import Sequence
from importlib import metadata
from typing import TYPE_CHECKING, Any

from ..system.text import text_safe
from .prompting import Prompt

if TYPE_CHECKING:
    from ..contracts import Backbone
    from ..difference import Added, Difference
    from ..method.settings import ApplicationSettings


def provenance(
    differences: Sequence[tuple[Difference, float]],
    backbone: Backbone,
    added: Sequence[Added],
    settings: ApplicationSettings,
    prompt: Prompt,
    source: tuple[str, str],
    size: tuple[int, int],
) -> dict[str, Any]:
    """Everything needed to make a result again. ``added`` is what was added to the
    backbone, ``source`` B's file name and SHA-256, ``size`` that at which the backbone saw it."""
    used = [
        {"name": d.info.name, "hash_sha256": d.info.hash_sha256, "strength": strength}
        for d, strength in differences
    ]
    wording = prompt.wording
    return {
        "difference": used,
        "backbone": backbone.id,
        "backbone_weights": backbone.weights_id,
        "additions": [one._asdict() | {"name": text_safe(one.name)} for one in added],
        "seed": settings.seed,
        "editor": settings.editor,
        "steps": settings.steps,
        "guidance_scale": settings.guidance_scale,
        "mask": settings.mask,
        "mask_grow": settings.mask_grow,
        "negative_prompt": text_safe(settings.negative_prompt),
        "reword": settings.reword,
        "prompt": text_safe(prompt.text),
        "reworded": wording and text_safe(wording.prompt),
        "shares": wording and [round(share, 4) for share in wording.shares],
        "source": {"name": text_safe(source[0]), "sha256": source[1]},
        "model_size": list(size),
        "device": backbone.device.type,
        "versions": {
            "diffinv": metadata.version("diffinv"),
            "python": platform.python_version(),
            "torch": metadata.version("torch"),
        },
    }


def notes(found: dict[str, Any]) -> dict[str, str]:
    """A provenance as JSON, and as the ``parameters`` that other programs show."""
    used = ", ".join(f"{d['name']}:{d['strength']:g}" for d in found["difference"])
    width, height = found["model_size"]
    fields = {
        "Steps": found["steps"],
        "Sampler": found["editor"],
        "CFG scale": found["guidance_scale"],
        "Seed": found["seed"],
        "Size": f"{width}x{height}",
        "Model hash": found["backbone_weights"][:10],
        "Model": found["backbone"],
        **_added_fields(found["additions"]),
        "Difference": used,
        "Version": f"diffinv {found['versions']['diffinv']}",
    }
    line = ", ".join(f"{name}: {_quoted(value)}" for name, value in fields.items())
    negative = found["negative_prompt"]
    lines = [found["prompt"], *([f"Negative prompt: {negative}"] if negative else []), line]
    return {"diffinv": json.dumps(found), "parameters": "\n".join(lines)}


def _added_fields(additions: Sequence[dict[str, Any]]) -> dict[str, str]:
    """What AUTOMATIC1111 calls them."""
    names = [one["name"] for one in additions if one["kind"] == "vae"]
    loras = [f"{a['name']}: {a['sha256'][:10]}" for a in additions if a["kind"] == "lora"]
    fields = {"VAE": ", ".join(names), "Lora hashes": ", ".join(loras)}
    return {title: text for title, text in fields.items() if text}


def _quoted(value: object) -> str:
    """Quoted where the line's readers would take part of it for another field."""
    text = str(value)
    return json.dumps(text, ensure_ascii=False) if set(text) & set(',:\n"') else text
