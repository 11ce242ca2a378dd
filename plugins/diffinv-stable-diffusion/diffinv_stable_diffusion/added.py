"""Autoencoders and text encoders that take the place of a checkpoint's own, or that it lacks.

Light: no torch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from diffinv.contracts import Addition
from diffinv.errors import UsageError
from diffinv.system.paths import given_path
from diffinv.system.tensor_files import Shapes, read_shapes
from diffinv.system.text import text_safe

from .components import Component, folder_component, read_json
from .families import Family
from .kinds import kind_of_file
from .suffixes import check_suffix

_VAE_PREFIXES = ("first_stage_model.", "vae.", "")
_WORDS = "token_embedding.weight"
_LATENTS = 4


def added_components(
    family: Family, additions: Sequence[Addition], configs: Path
) -> dict[str, Component]:
    """The components that additions are, by the names of their folders in diffusers' layout.

    ``configs`` is the folder with the family's settings, which files lack. Raises UsageError for
    what is no such component of the family.
    """
    found: dict[str, Component] = {}
    for added in additions:
        if added.kind == "lora":
            continue
        is_vae = added.kind == "vae"
        parts = dict(_vae(added, configs) if is_vae else _texts(family, added, configs))
        for part in parts.keys() & found.keys():
            raise UsageError(f"{_option(added)} is the second {part} given; leave one out.")
        found |= parts
    return found


def _option(added: Addition) -> str:
    return f"--{added.kind.replace('_', '-')} {text_safe(added.path)!r}"


def _vae(added: Addition, configs: Path) -> Iterator[tuple[str, Component]]:
    path, name = given_path(added.path), text_safe(added.path)
    if path.is_dir():
        yield "vae", _of_folder(added, path, "vae")
        return
    check_suffix(path, name)
    shapes = read_shapes(path, name)
    entries = {prefix: shapes.get(f"{prefix}decoder.conv_in.weight") for prefix in _VAE_PREFIXES}
    prefix, shape = next(((p, s) for p, s in entries.items() if s and len(s) > 1), ("", None))
    if shape is None:
        raise _another(added, "an autoencoder", shapes)
    if shape[1] != _LATENTS:
        raise UsageError(
            f"{_option(added)} is the autoencoder of another family: its latents have {shape[1]} "
            f"channels, not {_LATENTS}."
        )
    yield "vae", Component(configs / "vae/config.json", (path,), prefix=prefix)


def _texts(family: Family, added: Addition, configs: Path) -> Iterator[tuple[str, Component]]:
    """Which encoder of the family it is, its width tells; a whole model has them all."""
    path, name = given_path(added.path), text_safe(added.path)
    settings = {part: configs / part / "config.json" for part in family.text_encoders}
    widths = {read_json(path, name)["hidden_size"]: part for part, path in settings.items()}
    found: list[object] = []
    for width, component in _encoders(added, path, configs):
        found.append(width)
        if width in widths:
            part = widths[width]
            is_file = component.prefix is not None
            yield part, replace(component, settings=settings[part]) if is_file else component
    if not widths.keys() & set(found):
        raise UsageError(
            f"{_option(added)} is no text encoder of {family.id!r}: its vectors are "
            f"{' and '.join(map(str, found))} wide, not {' or '.join(map(str, widths))}."
        )


def _encoders(added: Addition, path: Path, configs: Path) -> Iterator[tuple[object, Component]]:
    """(width, component) of each text encoder in a folder or a file."""
    if path.is_dir():
        inside = [f for f in ("text_encoder", "text_encoder_2") if (path / f).is_dir()]
        for part in inside or ["text_encoder"]:
            component = _of_folder(added, path, part)
            yield component.config(text_safe(added.path)).get("hidden_size"), component
        return
    name = text_safe(added.path)
    check_suffix(path, name)
    shapes = read_shapes(path, name)
    words = [key for key, shape in shapes.items() if key.endswith(_WORDS) and len(shape) == 2]
    if not words:
        raise _another(added, "a text encoder", shapes)
    for key in words:
        prefix = key.removesuffix(_WORDS).removesuffix("embeddings.").removesuffix("text_model.")
        yield shapes[key][1], Component(configs, (path,), prefix=prefix)


def _of_folder(added: Addition, path: Path, part: str) -> Component:
    """A component's own folder, or that of a whole model which has it inside."""
    folder = path / part if (path / part).is_dir() else path
    if not (folder / "config.json").is_file():
        raise UsageError(
            f"{_option(added)} is not a component in diffusers' layout: it has no config.json; "
            "name its folder, or a .safetensors file."
        )
    name = text_safe(added.path)
    return folder_component(
        folder, part, name, lambda file: f"{_option(added)} is incomplete: it lacks {file}."
    )


def _another(added: Addition, wanted: str, shapes: Shapes) -> UsageError:
    kind = kind_of_file(shapes)
    what = f"it is {kind.what} ({kind.instead})" if kind else "its tensors have other names"
    return UsageError(f"{_option(added)} is not {wanted}: {what}.")
