"""Finds a checkpoint, and everything that is wrong with it, before it is loaded.

A source is a folder in diffusers' layout (the user's own, or one in the hub's local cache) or one
``.safetensors`` file. Only safetensors headers and JSON are read here; nothing is fetched.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from diffinv.contracts import Addition
from diffinv.errors import DiffinvError, UsageError
from diffinv.system.local_models import find_snapshot
from diffinv.system.paths import given_path
from diffinv.system.tensor_files import Shapes, read_metadata, read_shapes
from diffinv.system.text import text_safe

from .added import added_components
from .component_settings import wrong_settings
from .components import Component, folder_component, read_json
from .families import FAMILIES, Family
from .kinds import kind_of_file
from .loras import check_lora
from .suffixes import check_suffix

CONFIGS = Path(__file__).parent / "configs"
"""The configuration that single files lack, one folder per family."""

_VOCABULARIES = ("tokenizer.json", "vocab.json")
_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
DENOISER = "model.diffusion_model."
_CROSS_ATTENTION = re.compile(r".*\.transformer_blocks\.0\.attn2\.to_k\.weight")


@dataclass(frozen=True)
class Source:
    """A checkpoint that is known to be complete and of its family.

    ``name`` is how the user knows it. ``path`` is its folder or file, ``configs`` the folder with
    its settings. ``own`` are its components, ``added`` those that take the place of one of them or
    that it lacks, by the names of their folders in diffusers' layout. ``additions`` are these and
    LoRAs, as the user gave them; ``overrides`` are settings of the noise that a file itself gives.
    """

    family: Family
    name: str
    path: Path
    configs: Path
    own: dict[str, Component] = field(default_factory=dict)
    added: dict[str, Component] = field(default_factory=dict)
    additions: tuple[Addition, ...] = ()
    overrides: dict[str, Any] = field(default_factory=dict)

    @property
    def files(self) -> tuple[Path, ...]:
        """All weight files of its own, in order of component."""
        found = (file for part in sorted(self.own) for file in self.own[part].files)
        return tuple(dict.fromkeys(found))

    @property
    def components(self) -> dict[str, Component]:
        """Those that are used."""
        return self.own | self.added

    @property
    def loras(self) -> tuple[Addition, ...]:
        """What changes its weights, in order."""
        return tuple(added for added in self.additions if added.kind == "lora")

    def config(self, part: str, file: str = "config.json") -> dict[str, Any]:
        """A component's settings, or others that stand beside them."""
        if part in self.added and file == "config.json":
            return self.added[part].config(self.name)
        return read_json(self.configs / part / file, self.name)

    @property
    def scheduler(self) -> dict[str, Any]:
        """The scheduler's settings, with those that a single file gives itself."""
        return self.config("scheduler", "scheduler_config.json") | self.overrides

    def tokenizer(self, part: str) -> Path | None:
        """The folder of a text encoder's tokenizer; None for the one that is bundled."""
        folder = self.configs / part.replace("text_encoder", "tokenizer")
        return folder if any((folder / file).is_file() for file in _VOCABULARIES) else None

    @cached_property
    def parameters(self) -> dict[str, int]:
        """How many weights each component has."""
        return {part: one.parameters(self.name) for part, one in self.components.items()}

    @property
    def force_zeros(self) -> bool:
        """Whether the empty prompt is a vector of zeros (SDXL), not the encoded empty text."""
        index = self.configs / "model_index.json"
        if self.family.towers < 2 or not index.is_file():
            return False
        return bool(read_json(index, self.name).get("force_zeros_for_empty_prompt", False))


def bundled_configs(family: Family) -> Path:
    """The folder with the settings that come with this plugin."""
    return CONFIGS / family.id


def find_source(family: Family, weights: str | None, additions: Sequence[Addition] = ()) -> Source:
    """The checkpoint that ``--backbone ID=WEIGHTS`` names, or the family's default, with what is
    added to it, checked.

    Raises UsageError if it does not exist, DiffinvError if it is damaged or does not fit.
    """
    source = _find_source(family, weights or family.model, tuple(additions))
    for lora in source.loras:
        check_lora(lora, family, source.config("unet").get("cross_attention_dim"))
    return source


def _find_source(family: Family, name: str, additions: tuple[Addition, ...]) -> Source:
    path = given_path(name)
    added = added_components(family, additions, bundled_configs(family))
    if path.is_dir():
        return _from_folder(Source(family, text_safe(name), path, path, {}, added, additions))
    if path.is_file():
        configs = bundled_configs(family)
        return _from_file(Source(family, text_safe(name), path, configs, {}, added, additions))
    if _HUB_ID.fullmatch(name) and not name.startswith("."):
        path = find_snapshot(name)
        return _from_folder(Source(family, name, path, path, {}, added, additions), hub=True)
    raise UsageError(
        f"{text_safe(name)!r} is not a folder, a .safetensors file or the id of a model; "
        "check the path."
    )


# Folders


def _from_folder(source: Source, hub: bool = False) -> Source:
    family, name, folder = source.family, source.name, source.path
    if not (folder / "unet" / "config.json").is_file():
        raise UsageError(
            f"The folder {name!r} is not a model in diffusers' layout: it has no unet/config.json."
            if not hub
            else _not_fetched(name, folder)
        )
    parts = [p for p in ("unet", "vae", *family.text_encoders) if p not in source.added]
    for part in parts[1:]:
        _check_component(source, part, hub)
    lacks = partial(_lacks, name, hub=hub)
    if not (folder / "scheduler/scheduler_config.json").is_file():
        raise DiffinvError(lacks("scheduler/scheduler_config.json"))
    for part in family.text_encoders:
        if part in parts and source.tokenizer(part) is None:
            raise DiffinvError(lacks(f"{part.replace('text_encoder', 'tokenizer')}/vocab.json"))
    own = {part: folder_component(folder / part, part, name, lacks) for part in parts}
    whole = replace(source, own=own)
    _check_settings(whole)
    _check_family(whole, (folder / "text_encoder_2").is_dir())
    return whole


def has_projection(source: Source, part: str) -> bool:
    """Whether a text encoder was saved with its text projection."""
    architectures = source.config(part).get("architectures") or []
    return part == "text_encoder_2" or "CLIPTextModelWithProjection" in architectures


def _check_component(source: Source, part: str, hub: bool) -> None:
    folder, name = source.path, source.name
    if (folder / part / "config.json").is_file():
        return
    is_xl = source.config("unet").get("addition_embed_type") == "text_time"
    if part == "text_encoder_2" and not is_xl:
        raise UsageError(
            f"The model {name!r} has one text encoder where 'sdxl' has two; choose the --backbone "
            f"of its family ({', '.join(f for f in FAMILIES if f != 'sdxl')})."
        )
    if hub or (folder / part).exists():
        raise DiffinvError(_lacks(name, f"{part}/config.json", hub))
    raise UsageError(without(source, [part]))


def without(source: Source, parts: Sequence[str]) -> str:
    """The sentence for components that a checkpoint does not have."""
    texts = [part for part in parts if part != "vae"]
    lacks = ["an autoencoder"] if "vae" in parts else []
    options = ["--vae PATH"] if "vae" in parts else []
    if texts:
        which = f" ({texts[0]})" if source.family.towers > 1 else ""
        twice = ", once for each of the two" if len(texts) > 1 else ""
        lacks.append("text encoders" if len(texts) > 1 else f"a text encoder{which}")
        options.append(f"--text-encoder PATH{twice}")
    return (
        f"The model {source.name!r} comes without {' and '.join(lacks)}; give "
        f"{'it' if len(parts) == 1 else 'them'} with {' and '.join(options)}."
    )


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


def _check_settings(source: Source) -> None:
    """Refuse settings that we use ourselves and that make no sense, and schedulers of a flow."""
    kind = str(source.scheduler.get("_class_name"))
    if kind.startswith("FlowMatch"):
        raise UsageError(
            f"The model {source.name!r} has a scheduler of flow matching ({kind}), which no model "
            f"of {source.family.id!r} was trained by; get its own scheduler_config.json."
        )
    encoders = {part: source.config(part) for part in source.family.text_encoders}
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
    hidden = sum(source.config(part).get("hidden_size", 0) for part in family.text_encoders)
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


def _from_file(source: Source) -> Source:
    path, name = source.path, source.name
    check_suffix(path, name)
    shapes = read_shapes(path, name)
    if f"{DENOISER}input_blocks.0.0.weight" not in shapes:
        raise _no_checkpoint(name, shapes)
    own = {
        part: Component(source.configs / part / "config.json", (path,), prefix=prefix)
        for part, prefix in file_prefixes(source.family).items()
        if part not in source.added and any(key.startswith(prefix) for key in shapes)
    }
    overrides = _noise_settings(name, shapes, read_metadata(path, name))
    whole = replace(source, own=own, overrides=overrides)
    _check_file_family(whole, shapes)
    missing = [part for part in file_prefixes(source.family) if part not in whole.components]
    if missing:
        raise UsageError(without(whole, missing))
    return whole


def file_prefixes(family: Family) -> dict[str, str]:
    """How the names of each component's tensors begin in a single file."""
    return {"unet": DENOISER, "vae": "first_stage_model.", **_TEXTS[family.id.partition("-")[0]]}


_TEXTS = {
    "sd15": {"text_encoder": "cond_stage_model.transformer."},
    "sd21": {"text_encoder": "cond_stage_model.model."},
    "sdxl": {
        "text_encoder": "conditioner.embedders.0.transformer.",
        "text_encoder_2": "conditioner.embedders.1.model.",
    },
}


def _no_checkpoint(name: str, shapes: Shapes) -> UsageError:
    """What a file is that has no denoiser."""
    kind = kind_of_file(shapes)
    what = f"it is {kind.what}" if kind else "it lacks the denoiser"
    instead = f" ({kind.instead})" if kind else ""
    return UsageError(
        f"The file {name!r} is not a complete Stable Diffusion checkpoint: {what}; name a full "
        f"model{instead}."
    )


_PREDICTION_KEYS = ("modelspec.predict_key", "modelspec.prediction_type")
"""Where ComfyUI and kohya's scripts write what a model predicts, ``v`` or ``epsilon``."""

_PREDICTIONS = {"v": "v_prediction", "epsilon": "epsilon"}
_EDM = ("edm_mean", "edm_vpred.sigma_max")


def _noise_settings(name: str, shapes: Shapes, metadata: Mapping[str, str]) -> dict[str, Any]:
    """What a file says of its prediction and its noise schedule: empty tensors ``v_pred`` and
    ``ztsnr`` (zero terminal signal-to-noise ratio, for velocity alone), or metadata."""
    if any(key in shapes for key in _EDM):
        raise UsageError(
            f"The file {name!r} was trained with EDM's noise levels (as Playground 2.5 and CosXL "
            "were), which no model here has; name another."
        )
    said = [_PREDICTIONS.get(metadata.get(key, "").lower()) for key in _PREDICTION_KEYS]
    prediction = "v_prediction" if "v_pred" in shapes else next(filter(None, said), None)
    found: dict[str, Any] = {"prediction_type": prediction} if prediction else {}
    if "ztsnr" in shapes and prediction == "v_prediction":
        found["rescale_betas_zero_snr"] = True
    return found


def _check_file_family(source: Source, shapes: Shapes) -> None:
    found = _file_family(source, shapes)
    if found != source.family.id.removesuffix("-base"):
        fits = [f for f in FAMILIES if f.removesuffix("-base") == found]
        raise _wrong_family(source, "by the names of its tensors", fits)
    _check_channels(source, shapes[f"{DENOISER}input_blocks.0.0.weight"][1])
    width = _cross_attention(shapes)
    expected = source.config("unet").get("cross_attention_dim")
    if width != expected:
        raise _wrong_family(source, f"its vectors are {width} wide, not {expected}", ())
    check_prediction(source)


def _file_family(source: Source, shapes: Shapes) -> str | None:
    """``sd15``, ``sd21`` (either kind: the file does not tell) or ``sdxl``, by tensor names, and by
    the width of its vectors where it has no text encoder."""
    for prefix, family in (
        ("conditioner.embedders.", "sdxl"),
        (f"{DENOISER}label_emb.", "sdxl"),
        ("cond_stage_model.model.", "sd21"),
        ("cond_stage_model.transformer.", "sd15"),
    ):
        if any(key.startswith(prefix) for key in shapes):
            return family
    width = _cross_attention(shapes)
    return next(iter(_family_of_width(width)), source.family.id).removesuffix("-base")


def _cross_attention(shapes: Shapes) -> int | None:
    return next((s[1] for k, s in shapes.items() if _CROSS_ATTENTION.fullmatch(k)), None)
