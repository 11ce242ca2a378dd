"""Finds a checkpoint, and everything that is wrong with it, before it is loaded.

A source is a folder in diffusers' layout (the user's own, or one in the hub's local cache) or one
``.safetensors`` file. Only safetensors headers and JSON are read here; nothing is fetched.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from diffinv.errors import DiffinvError, UsageError
from diffinv.system.local_models import find_snapshot
from diffinv.system.paths import given_path
from diffinv.system.tensor_files import Shapes, read_shapes
from diffinv.system.text import text_safe

from .component_settings import wrong_settings
from .families import FAMILIES, Family

CONFIGS = Path(__file__).parent / "configs"
"""The configuration that single files lack, one folder per family."""

PICKLES = (".bin", ".ckpt", ".pt", ".pth", ".pkl")

_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
_DENOISER = "model.diffusion_model."
_CROSS_ATTENTION = re.compile(r".*\.transformer_blocks\.0\.attn2\.to_k\.weight")


@dataclass(frozen=True)
class Weights:
    """One component's weight files, and the variant (``fp16``) in their names."""

    files: tuple[Path, ...]
    variant: str | None = None


@dataclass(frozen=True)
class Source:
    """A checkpoint that is known to be complete and of its family.

    ``name`` is how the user knows it. ``configs`` is the folder with the components' settings,
    which for a folder is that folder. ``weights`` has one entry per component, for a single file
    none.
    """

    family: Family
    name: str
    path: Path
    configs: Path
    weights: dict[str, Weights] = field(default_factory=dict)
    overrides: dict[str, Any] = field(default_factory=dict)

    @property
    def is_file(self) -> bool:
        """Whether it is one ``.safetensors`` file."""
        return not self.weights

    @property
    def files(self) -> tuple[Path, ...]:
        """All weight files, in order of component."""
        if self.is_file:
            return (self.path,)
        return tuple(f for part in sorted(self.weights) for f in self.weights[part].files)

    def config(self, part: str, file: str = "config.json") -> dict[str, Any]:
        """A component's settings."""
        return _read_json(self.configs / part / file, self.name)

    @property
    def scheduler(self) -> dict[str, Any]:
        """The scheduler's settings, with those that a single file gives itself."""
        return self.config("scheduler", "scheduler_config.json") | self.overrides

    @cached_property
    def parameters(self) -> dict[str, int]:
        """How many weights each component has."""
        if not self.is_file:
            return {
                part: sum(_count(read_shapes(f, self.name)) for f in weights.files)
                for part, weights in self.weights.items()
            }
        shapes = read_shapes(self.path, self.name)
        unet = _count({k: s for k, s in shapes.items() if k.startswith(_DENOISER)})
        vae = _count({k: s for k, s in shapes.items() if k.startswith("first_stage_model.")})
        return {"unet": unet, "vae": vae, "text_encoder": _count(shapes) - unet - vae}

    @property
    def force_zeros(self) -> bool:
        """Whether the empty prompt is a vector of zeros (SDXL), not the encoded empty text."""
        index = self.configs / "model_index.json"
        if self.family.towers < 2 or not index.is_file():
            return False
        return bool(_read_json(index, self.name).get("force_zeros_for_empty_prompt", False))


def find_source(family: Family, weights: str | None) -> Source:
    """The checkpoint that ``--backbone ID=WEIGHTS`` names, or the family's default, checked.

    Raises UsageError if it does not exist, DiffinvError if it is damaged or does not fit.
    """
    name = weights or family.model
    path = given_path(name)
    if path.is_dir():
        return _from_folder(family, text_safe(name), path)
    if path.is_file():
        return _from_file(family, text_safe(name), path)
    if _HUB_ID.fullmatch(name) and not name.startswith("."):
        return _from_folder(family, name, find_snapshot(name), hub=True)
    raise UsageError(
        f"{text_safe(name)!r} is not a folder, a .safetensors file or the id of a model; "
        "check the path."
    )


# Folders


def _from_folder(family: Family, name: str, folder: Path, hub: bool = False) -> Source:
    if not (folder / "unet" / "config.json").is_file():
        raise UsageError(
            f"The folder {name!r} is not a model in diffusers' layout: it has no unet/config.json."
            if not hub
            else _not_fetched(name, folder)
        )
    parts = ["unet", "vae", *towers(family)]
    for part in parts[1:]:
        _check_present(folder, f"{part}/config.json", name, hub)
    _check_present(folder, "scheduler/scheduler_config.json", name, hub)
    for part in towers(family):
        tokenizer = folder / part.replace("text_encoder", "tokenizer")
        if not any((tokenizer / f).is_file() for f in ("tokenizer.json", "vocab.json")):
            raise DiffinvError(_lacks(name, f"{tokenizer.name}/vocab.json", hub))
    weights = {part: _find_weights(folder / part, name, hub) for part in parts}
    source = Source(family, name, folder, folder, weights)
    _check_settings(source)
    _check_family(source, (folder / "text_encoder_2").is_dir())
    return source


def towers(family: Family) -> tuple[str, ...]:
    """The folder names of a family's text encoders."""
    return ("text_encoder", "text_encoder_2")[: family.towers]


def has_projection(source: Source, part: str) -> bool:
    """Whether a text encoder was saved with its text projection."""
    architectures = source.config(part).get("architectures") or []
    return part == "text_encoder_2" or "CLIPTextModelWithProjection" in architectures


def _check_present(folder: Path, file: str, name: str, hub: bool) -> None:
    if (folder / file).is_file():
        return
    if file.startswith("text_encoder_2"):
        raise UsageError(
            f"The model {name!r} has one text encoder where 'sdxl' has two; choose the --backbone "
            f"of its family ({', '.join(f for f in FAMILIES if f != 'sdxl')})."
        )
    raise DiffinvError(_lacks(name, file, hub))


def _lacks(name: str, file: str, hub: bool) -> str:
    if hub:
        return _fetch_again(name, file)
    return f"The model {name!r} is incomplete: it lacks {file}; get another copy of it."


def _fetch_again(name: str, file: str) -> str:
    return (
        f"The model {name!r} is incomplete on this machine: it lacks {file}; fetch the rest with "
        f"'diffinv models pull {name}'."
    )


def _not_fetched(name: str, folder: Path) -> str:
    if (folder / "model_index.json").is_file():
        return _fetch_again(name, "unet/config.json")
    return (
        f"The model {name!r} is not a Stable Diffusion model in diffusers' layout: it has neither "
        "model_index.json nor unet/config.json; name another."
    )


def _find_weights(folder: Path, name: str, hub: bool) -> Weights:
    """The safetensors files of a component: full precision, else half."""
    stem = "model" if folder.name.startswith("text_encoder") else "diffusion_pytorch_model"
    for variant in (None, "fp16"):
        infix = f".{variant}" if variant else ""
        single = folder / f"{stem}{infix}.safetensors"
        index = folder / f"{stem}.safetensors.index{infix}.json"
        if single.exists():
            return Weights((_readable(single, name),), variant)
        if index.is_file():
            return Weights(tuple(_shards(index, name, hub)), variant)
    if any(file.suffix in PICKLES for file in folder.iterdir()):
        raise DiffinvError(
            f"The model {name!r} has its {folder.name} only as a pickle, which could run any code "
            "and is not loaded; get a copy with .safetensors files."
        )
    raise DiffinvError(_lacks(name, f"{folder.name}/{stem}.safetensors", hub))


def _shards(index: Path, name: str, hub: bool) -> Iterator[Path]:
    table = _read_json(index, name).get("weight_map")
    if not isinstance(table, dict) or not table:
        raise DiffinvError(f"The model {name!r} is damaged: {index.name} lists no shards.")
    for shard in sorted({str(file) for file in table.values()}):
        path = index.parent / shard
        if path.name != shard or not path.is_file():
            raise DiffinvError(
                _lacks(name, f"the shard {index.parent.name}/{text_safe(shard)}", hub)
            )
        yield _readable(path, name)


def _readable(path: Path, name: str) -> Path:
    read_shapes(path, name)
    return path


def _check_settings(source: Source) -> None:
    """Refuse settings that we use ourselves and that make no sense, and schedulers of a flow."""
    kind = str(source.scheduler.get("_class_name"))
    if kind.startswith("FlowMatch"):
        raise UsageError(
            f"The model {source.name!r} has a scheduler of flow matching ({kind}), which no model "
            f"of {source.family.id!r} was trained by; get its own scheduler_config.json."
        )
    encoders = {part: source.config(part) for part in towers(source.family)}
    wrong = wrong_settings(source.config("unet"), source.config("vae"), source.scheduler, encoders)
    if wrong:
        raise DiffinvError(
            f"The settings of the model {source.name!r} are damaged ({wrong[0]} is missing or "
            "wrong); get another copy of it."
        )


def _check_family(source: Source, two_towers: bool) -> None:
    """Refuse a checkpoint of another family, naming both."""
    family, unet = source.family, source.config("unet")
    width = unet.get("cross_attention_dim")
    own = _family_of_width(width)
    if two_towers and family.towers == 1:
        raise _wrong_family(source, "it has two text encoders", ["sdxl"])
    if own and family.id not in own:
        raise _wrong_family(source, f"its vectors are {width} wide, not {family.width}", own)
    hidden = sum(source.config(part).get("hidden_size", 0) for part in towers(family))
    if width != hidden:
        raise DiffinvError(
            f"The parts of the model {source.name!r} do not belong together: its denoiser reads "
            f"vectors {width} wide, its text encoders give {hidden}."
        )
    _check_channels(source, unet.get("in_channels"))
    check_prediction(source)


_TASKS = {8: "editing by instructions (InstructPix2Pix)", 9: "inpainting"}
"""What models are made for whose denoiser sees more than noisy latents, by its channels."""


def _check_channels(source: Source, channels: object) -> None:
    if channels != 4:
        task = _TASKS.get(channels, "another task") if isinstance(channels, int) else "another task"
        raise UsageError(
            f"The model {source.name!r} takes {channels} channels, not 4: it is made for {task}; "
            f"name a text-to-image model of {source.family.id!r}."
        )


def check_prediction(source: Source) -> None:
    """Refuse a prediction type that the family does not have."""
    family = source.family
    prediction = source.scheduler.get("prediction_type", "epsilon")
    if prediction in family.predictions:
        return
    others = [f.id for f in FAMILIES.values() if f.width == family.width and f is not family]
    fits = [o for o in others if prediction in FAMILIES[o].predictions]
    raise _wrong_family(source, f"its prediction type is {text_safe(str(prediction))!r}", fits)


def _family_of_width(width: object) -> list[str]:
    return [family.id for family in FAMILIES.values() if family.width == width]


def _wrong_family(source: Source, reason: str, fits: Iterable[str]) -> UsageError:
    names = " or ".join(repr(f) for f in fits)
    advice = f"use --backbone {names}" if names else "no backbone here fits it"
    return UsageError(
        f"The model {source.name!r} is not of the family {source.family.id!r} ({reason}); {advice}."
    )


# Single files


def _from_file(family: Family, name: str, path: Path) -> Source:
    if path.suffix in PICKLES:
        raise UsageError(
            f"The file {name!r} is a pickle, which could run any code and is not loaded; get the "
            "model as .safetensors."
        )
    if path.suffix != ".safetensors":
        raise UsageError(f"The file {name!r} is not a .safetensors checkpoint; choose another.")
    shapes = read_shapes(path, name)
    entry = f"{_DENOISER}input_blocks.0.0.weight"
    vae = any(key.startswith("first_stage_model.") for key in shapes)
    if entry not in shapes or not vae:
        lacks = f"it lacks the {'autoencoder' if entry in shapes else 'denoiser'}"
        raise UsageError(
            f"The file {name!r} is not a complete Stable Diffusion checkpoint: "
            f"{_other_kind(shapes) or lacks}; name a full model."
        )
    overrides: dict[str, Any] = {}
    if "v_pred" in shapes:
        overrides["prediction_type"] = "v_prediction"
    if "ztsnr" in shapes:
        overrides["rescale_betas_zero_snr"] = True
    source = Source(family, name, path, CONFIGS / family.id, overrides=overrides)
    _check_file_family(source, shapes)
    return source


_OTHER_KINDS = {
    "it is a LoRA, a change to a model": r".*(lora_|\.lora|\.hada_w|\.lokr_w|\.oft_).*",
    "it is a ControlNet": r"(control_model|controlnet)[._].*|.*input_hint_block.*",
    "it is a textual inversion, a word for a model": r"emb_params|clip_[lg]|<[^>]*>",
    "it is a difference of diffinv's own": r"tokens",
    "it is an autoencoder alone": r"(encoder|decoder)\.(conv_in|mid)\..*",
    "it is a text encoder alone": r"(text_model|transformer\.resblocks)\..*",
    "it is a denoiser alone, in diffusers' layout": r"down_blocks\..*",
    "it is a transformer of another family (Flux or the like)": (
        r"(model\.diffusion_model\.)?(double|joint|transformer|single_transformer)_blocks\..*"
    ),
}


def _other_kind(shapes: Mapping[str, object]) -> str | None:
    """What a file is that is no checkpoint, by the names of its tensors."""
    for kind, names in _OTHER_KINDS.items():
        if any(re.fullmatch(names, key) for key in shapes):
            return kind
    return None


def _check_file_family(source: Source, shapes: Shapes) -> None:
    found = _file_family(shapes)
    if found != source.family.id.removesuffix("-base"):
        fits = [f for f in FAMILIES if f.removesuffix("-base") == found]
        raise _wrong_family(source, "by the names of its tensors", fits)
    _check_channels(source, shapes[f"{_DENOISER}input_blocks.0.0.weight"][1])
    width = next((s[1] for k, s in shapes.items() if _CROSS_ATTENTION.fullmatch(k)), None)
    expected = source.config("unet").get("cross_attention_dim")
    if width != expected:
        raise _wrong_family(source, f"its vectors are {width} wide, not {expected}", ())
    check_prediction(source)


def _file_family(shapes: Shapes) -> str | None:
    """``sd15``, ``sd21`` (either kind: the file does not tell) or ``sdxl``, by tensor names."""
    for prefix, family in (
        ("conditioner.embedders.1.", "sdxl"),
        ("cond_stage_model.model.", "sd21"),
        ("cond_stage_model.transformer.", "sd15"),
    ):
        if any(key.startswith(prefix) for key in shapes):
            return family
    return None


# Reading


def _count(shapes: Shapes) -> int:
    return sum(math.prod(shape) for shape in shapes.values())


def _read_json(path: Path, name: str) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(value, dict):
            return value
    except (OSError, ValueError, RecursionError) as error:
        raise DiffinvError(
            f"The file {path.parent.name}/{path.name} of the model {name!r} cannot be read as "
            "JSON; get another copy of it."
        ) from error
    raise DiffinvError(
        f"The file {path.parent.name}/{path.name} of the model {name!r} is damaged; get another "
        "copy of it."
    )
