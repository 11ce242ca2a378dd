"""Checkpoints, checked before anything is loaded: a folder in diffusers' layout, or one file with
the transformer, whose other parts come from such a folder. Light: no torch."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from diffinv.contracts import Addition, AdditionKind
from diffinv.errors import DiffinvError, UsageError
from diffinv.system.local_models import cached_snapshot, check_weights, find_model, refuse_pickled
from diffinv.system.paths import given_path
from diffinv.system.tensor_files import read_entries
from diffinv.system.text import text_safe

PREFIX = "model.diffusion_model."
"""Stands before a transformer's names in some single files."""

_HALF = ".fp16"
_SCHEDULER = "FlowMatchEulerDiscreteScheduler"


@dataclass(frozen=True)
class Family:
    """Models of one kind: our id, what they are called, diffusers' class of the transformer, and
    the checkpoint that is meant if none is named.

    ``depth`` are the settings that add up to the transformer's number of layers. ``entry`` is a
    tensor that only this family's transformers have, in the original programs' names and in
    diffusers'; its last side is the transformer's width. ``parts`` are the folders with weights, of
    which those in ``optional`` may be left out; ``folders`` are those that diffusers does not load
    from one file, ``additions`` those that a user may name.
    """

    id: str
    title: str
    transformer: str
    model: str
    depth: tuple[str, ...]
    entry: tuple[str, ...]
    parts: tuple[str, ...] = ("transformer", "vae", "text_encoder")
    optional: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()
    additions: tuple[AdditionKind, ...] = ("vae", "text_encoder")


Z_IMAGE = Family(
    "z-image",
    "Z-Image",
    "ZImageTransformer2DModel",
    "Tongyi-MAI/Z-Image",
    depth=("n_layers", "n_refiner_layers", "n_refiner_layers"),
    entry=("cap_pad_token",),
)
KLEIN = Family(
    "flux2-klein",
    "FLUX.2 klein (base)",
    "Flux2Transformer2DModel",
    "black-forest-labs/FLUX.2-klein-base-4B",
    depth=("num_layers", "num_single_layers"),
    entry=(
        "double_stream_modulation_img.lin.weight",
        "double_stream_modulation_img.linear.weight",
    ),
    folders=("vae",),
)
SD3 = Family(
    "sd3",
    "Stable Diffusion 3.5 medium",
    "SD3Transformer2DModel",
    "stabilityai/stable-diffusion-3.5-medium",
    depth=("num_layers",),
    entry=("pos_embed", "pos_embed.pos_embed"),
    parts=("transformer", "vae", "text_encoder", "text_encoder_2", "text_encoder_3"),
    optional=("text_encoder_3",),
    additions=("vae",),
)


@dataclass(frozen=True)
class Checkpoint:
    """A model that is known to be complete and of its family. ``name`` is how the user knows it,
    ``folder`` has the settings of all parts, and ``places`` says where the weights of each are: in
    a folder or in one file. ``added`` are the parts that a user put in the place of its own."""

    family: Family
    name: str
    folder: Path
    places: Mapping[str, Path]
    added: Mapping[str, Path]

    def files(self, part: str) -> list[Path]:
        """The files with a part's weights, in a fixed order: full precision, else half."""
        place = self.places[part]
        if place.is_file():
            return [place]
        files = sorted(place.glob("*.safetensors"))
        return [file for file in files if _HALF not in file.name] or files

    def variant(self, part: str) -> str | None:
        """What diffusers and transformers call these files among others."""
        return "fp16" if all(_HALF in file.name for file in self.files(part)) else None

    @property
    def all_files(self) -> list[Path]:
        """The files with its own weights, part by part."""
        return [file for part in self.places if part not in self.added for file in self.files(part)]

    def settings_folder(self, part: str) -> Path:
        """The folder with a part's ``config.json``."""
        place = self.places[part]
        return place if (place / "config.json").is_file() else self.folder / part

    def settings(self, part: str) -> dict[str, Any]:
        """What ``config.json`` says about a part."""
        return _read(self.settings_folder(part), "config.json")

    def parameters(self, part: str) -> int:
        """How many weights a part has."""
        tables = [read_entries(file, self.name) for file in self.files(part)]
        every = {name: entry for table in tables for name, entry in table.items()}
        own = {name: entry for name, entry in every.items() if name.startswith(PREFIX)}
        return sum(entry.count for entry in (own or every).values())

    def number(self, part: str, name: str) -> int:
        """A setting that is a whole number above 0. Raises DiffinvError if it is not."""
        value = self.settings(part).get(name)
        if type(value) is not int or value < 1:
            raise _damaged(self.name, f"{part}/config.json: {name}")
        return value

    @property
    def size_multiple(self) -> int:
        """The side in pixels of what the transformer takes as one place: 2 x 2 latent pixels."""
        channels = self.settings("vae").get("block_out_channels")
        if not isinstance(channels, list) or not channels:
            raise _damaged(self.name, "vae/config.json: block_out_channels")
        return int(2 ** len(channels))

    @property
    def width(self) -> int:
        """The width of the transformer's vectors."""
        if "dim" in self.settings("transformer"):
            return self.number("transformer", "dim")
        heads = self.number("transformer", "num_attention_heads")
        return heads * self.number("transformer", "attention_head_dim")


def find_checkpoint(
    family: Family, weights: str | None, additions: Sequence[Addition] = ()
) -> Checkpoint:
    """A family's checkpoint, with parts that take the place of its own. Raises DiffinvError if it
    is incomplete, pickled, of another kind, or distilled to a few steps."""
    path = find_model(weights or family.model)
    single = not path.is_dir()
    width = _file_width(family, path) if single else None
    folder = _folder_for(family, path) if single else path
    _check_folder(family, folder)
    left_out = {part for part in family.optional if not (folder / part).is_dir()}
    places = {part: folder / part for part in family.parts if part not in left_out}
    if single:
        places["transformer"] = path
    added = _added(family, additions)
    found = Checkpoint(family, text_safe(str(path)), folder, places | added, added)
    for part in found.places:
        _check_part(found, part)
    if width is not None:
        _check_width(found, width)
    return found


def _check_part(found: Checkpoint, part: str) -> None:
    place = found.places[part]
    if place.is_file():
        return
    try:
        check_weights(place)
    except DiffinvError as error:
        if part not in found.family.additions or part in found.added:
            raise
        raise DiffinvError(
            f"{error} Or name another {part} with --{part.replace('_', '-')} PATH."
        ) from error


def _check_width(found: Checkpoint, width: int) -> None:
    """Refuse a file that has another transformer than the settings beside it."""
    if width != found.width:
        raise UsageError(
            f"The transformer in {found.name!r} does not fit the other parts of the model, in "
            f"{str(found.folder)!r}: its vectors are not {found.width} wide; put the file into a "
            "folder with the parts of its own model."
        )


def _added(family: Family, additions: Sequence[Addition]) -> dict[str, Path]:
    """Where the parts are that a user names: a file, a part's folder, or that of a whole model."""
    found: dict[str, Path] = {}
    for added in additions:
        path, option = given_path(added.path), f"--{added.kind.replace('_', '-')}"
        if added.kind in found:
            raise UsageError(f"{family.title} has one {added.kind}; give {option} once.")
        found[added.kind] = path / added.kind if (path / added.kind).is_dir() else path
        if path.is_dir():
            continue
        _check_suffix(path, option)
        if added.kind in family.folders:
            raise UsageError(
                f"{option} {text_safe(added.path)!r} is one file; that of {family.title} is taken "
                "from a folder in diffusers' layout alone."
            )
    return found


def _check_suffix(file: Path, option: str) -> None:
    refuse_pickled(file)
    if file.suffix.lower() != ".safetensors":
        raise UsageError(
            f"{option} {text_safe(str(file))!r} is neither a folder in diffusers' layout nor a "
            ".safetensors file; name one of these."
        )


def _folder_for(family: Family, file: Path) -> Path:
    """Where the parts are that a file with a transformer lacks: beside it, else in the family's
    usual checkpoint."""
    for folder in (file.parent, cached_snapshot(family.model)):
        if folder and (folder / "model_index.json").is_file():
            return folder
    raise UsageError(
        f"{str(file)!r} is the transformer of {family.title} alone: its vae, text_encoder, "
        "tokenizer and scheduler, and the transformer's config.json, are neither in the folder it "
        f"lies in nor on this machine as {family.model}; fetch that with 'diffinv models pull "
        f"{family.id}', or put the file into a folder that has them."
    )


def _check_folder(family: Family, folder: Path) -> None:
    found = _read(folder, "transformer/config.json").get("_class_name")
    if found != family.transformer:
        raise UsageError(
            f"The model in {str(folder)!r} has a {found or 'nameless transformer'}, not a "
            f"{family.transformer}: it is not of the family {family.id!r}; name another --backbone."
        )
    scheduler = _read(folder, "scheduler/scheduler_config.json").get("_class_name")
    if scheduler != _SCHEDULER:
        raise UsageError(
            f"The model in {str(folder)!r} has a {scheduler}, which is no scheduler of a flow; get "
            "another copy of it."
        )
    if _read(folder, "model_index.json").get("is_distilled"):
        raise UsageError(
            f"The model in {str(folder)!r} is distilled to a few steps without guidance: nothing "
            f"can be learned on it, or edited with it; name the base model ({family.model})."
        )


def _file_width(family: Family, file: Path) -> int:
    """The width of a file's transformer; a file that has none of this family is refused."""
    _check_suffix(file, "--backbone")
    table = read_entries(file, str(file))
    entries = [table.get(prefix + name) for prefix in ("", PREFIX) for name in family.entry]
    shapes = [entry.shape for entry in entries if entry is not None]
    if not shapes or not shapes[0]:
        raise UsageError(
            f"The file {text_safe(str(file))!r} has no transformer of {family.title}, by the names "
            "of its tensors; name another file, or the --backbone of its family."
        )
    return shapes[0][-1]


def _damaged(name: str, setting: str) -> DiffinvError:
    return DiffinvError(
        f"The settings of the model {name!r} are damaged ({setting} is missing or wrong); get "
        "another copy of it."
    )


def _read(folder: Path, file: str) -> dict[str, Any]:
    try:
        found = json.loads((folder / file).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(
            f"The folder {str(folder)!r} is not a model in diffusers' layout: {file} is missing or "
            "damaged."
        ) from error
    if not isinstance(found, dict):
        raise DiffinvError(f"The file {str(folder / file)!r} is damaged; get the model again.")
    return found
