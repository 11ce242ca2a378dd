"""Checks what a plugin registers before it is believed, and puts its errors into words."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from types import UnionType
from typing import Any, TypeGuard, get_args

from ..contracts import (
    API_VERSION,
    AdditionKind,
    BackboneSpec,
    CaptionerSpec,
    DeltaEncoderSpec,
    EditorSpec,
    Kind,
    MethodSpec,
    Spec,
    WorldSpec,
)
from ..errors import DiffinvError
from ..system.text import text_safe

HOOKS: Mapping[str, tuple[Kind, type[Spec]]] = {
    "register_backbones": ("backbone", BackboneSpec),
    "register_captioners": ("captioner", CaptionerSpec),
    "register_delta_encoders": ("delta encoder", DeltaEncoderSpec),
    "register_editors": ("editor", EditorSpec),
    "register_methods": ("method", MethodSpec),
    "register_worlds": ("world", WorldSpec),
}

COMMANDS_HOOK = "register_commands"

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")

_LONGEST = 300
"""The most characters shown of what a plugin says."""

_LONGEST_TEXTS = {
    **{"id": 60, "title": 200, "factory": 300},
    **{"licence": 500, "purpose": 500, "description": 5000},
}
_LARGEST_MB = 10**8

_MOST_NOTES = 10

_FACTORY = re.compile(r"[\w.]+:[\w.]+")


class BrokenPluginError(Exception):
    """What is wrong with a plugin, in words."""


def kind_of(spec: Spec) -> Kind:
    """The kind of part a spec describes."""
    for kind, cls in HOOKS.values():
        if isinstance(spec, cls):
            return kind
    raise TypeError(f"{type(spec).__name__} describes no part")


def notes(answer: object) -> tuple[str, ...]:
    """A preflight's notes, each shortened to a reasonable line."""
    if not isinstance(answer, list | tuple):
        raise BrokenPluginError(f"it gave a {type(answer).__name__}, not a list of notes")
    return tuple(_shortened(text_safe(str(note))) for note in answer[:_MOST_NOTES])


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "…"


def describe(error: BaseException) -> str:
    """An exception in one line, without a final full stop."""
    try:
        text = " ".join(str(error).split())
        code = repr(error.code) if isinstance(error, SystemExit) else None
    except BaseException:  # the exception's own text is a plugin's code too
        return type(error).__name__
    if isinstance(error, BrokenPluginError):
        return _shortened(text)
    if code is not None:
        return f"it called sys.exit({code})"
    if isinstance(error, DiffinvError):
        return text.rstrip(".")
    text = _shortened(text)
    return f"{type(error).__name__}: {text}".rstrip(".") if text else type(error).__name__


def check_commands(found: Mapping[Any, object], before: Mapping[str, object]) -> None:
    """Raise BrokenPluginError if a plugin replaced commands, or added something that is not one."""
    from click import Command

    for name, command in before.items():
        if found.get(name) is not command:
            raise BrokenPluginError(f"the command {name!r} exists already")
    for name, command in found.items():
        if not isinstance(name, str) or not isinstance(command, Command):
            raise BrokenPluginError(f"{name!r} is not a command")


def check_spec(spec: object, expected: type[Spec]) -> None:
    """Raise BrokenPluginError for a spec that breaks the contract."""
    if not isinstance(spec, expected):
        raise BrokenPluginError(f"gave a {type(spec).__name__}, not a {expected.__name__}")
    version = spec.api_version
    if not _is_number(version, int) or version != API_VERSION:
        raise BrokenPluginError(
            f"{spec.id!r} is made for version {version!r} of the plugin interface; "
            f"this diffinv has version {API_VERSION}: update diffinv or the plugin "
            "(docs/plugins.md says what changed)"
        )
    if not isinstance(spec.id, str) or not _ID.fullmatch(spec.id):
        raise BrokenPluginError(f"{spec.id!r} is not an id: use letters, digits, '.', '_' and '-'")
    texts = (spec.title, spec.description, spec.purpose)
    if not all(isinstance(text, str) for text in texts):
        raise BrokenPluginError(f"the title, description and purpose of {spec.id!r} must be text")
    if not isinstance(spec.factory, str) or not _FACTORY.fullmatch(spec.factory):
        raise BrokenPluginError(f"the factory of {spec.id!r} must read 'module:callable'")
    for name in ("fetch", "preflight", "suits"):
        named = getattr(spec, name, None)
        if named is not None and not (isinstance(named, str) and _FACTORY.fullmatch(named)):
            raise BrokenPluginError(f"the {name} of {spec.id!r} must read 'module:callable'")
    if not isinstance(spec.defaults, Mapping):
        raise BrokenPluginError(f"the defaults of {spec.id!r} must be a mapping")
    if not isinstance(spec.licence, str) or not _is_number(spec.size_mb, int | float):
        raise BrokenPluginError(f"{spec.id!r} needs text as its licence, a number as size_mb")
    if not 0 <= spec.size_mb <= _LARGEST_MB:
        raise BrokenPluginError(f"the size_mb of {spec.id!r} is no model's size")
    for name, most in _LONGEST_TEXTS.items():
        if len(getattr(spec, name)) > most:
            raise BrokenPluginError(f"the {name} of {spec.id[:60]!r} is longer than {most} letters")
    if isinstance(spec, BackboneSpec):
        _check_backbone(spec)
    if isinstance(spec, MethodSpec):
        _check_method(spec)
    if isinstance(spec, WorldSpec):
        _check_world(spec)


def _check_backbone(spec: BackboneSpec) -> None:
    for name in ("captioner", "delta_encoder"):
        if not isinstance(getattr(spec, name), str | None):
            raise BrokenPluginError(f"the {name} of {spec.id!r} must be an id or None")
    if not _is_number(spec.resolution, int) or spec.resolution < 0:
        raise BrokenPluginError(f"the resolution of {spec.id!r} must be a number of pixels")
    layout: object = spec.embedding_layout
    if not isinstance(layout, Mapping) or not all(
        isinstance(name, str) and _is_number(width, int) for name, width in layout.items()
    ):
        raise BrokenPluginError(f"the embedding_layout of {spec.id!r} must map names to widths")
    additions: object = spec.additions
    if not _are_texts(additions) or not set(additions) <= set(get_args(AdditionKind)):
        known = ", ".join(get_args(AdditionKind))
        raise BrokenPluginError(f"the additions of {spec.id!r} must be of the kinds {known}")
    companions: object = spec.companions
    if not isinstance(companions, Mapping) or not all(
        isinstance(factory, str) and _FACTORY.fullmatch(factory) for factory in companions.values()
    ):
        raise BrokenPluginError(f"the companions of {spec.id!r} must read 'module:callable'")


def _check_method(spec: MethodSpec) -> None:
    if not _are_settings(spec.settings):
        raise BrokenPluginError(f"the settings of {spec.id!r} must map names to texts or numbers")
    if not _are_texts((*spec.needs, spec.network, spec.companion)):
        raise BrokenPluginError(
            f"the needs, the network and the companion of {spec.id!r} must be texts"
        )


def _check_world(spec: WorldSpec) -> None:
    if not spec.cases or not _are_texts(spec.cases):
        raise BrokenPluginError(f"the cases of {spec.id!r} must be texts")
    tuned: object = spec.tuned
    if not isinstance(tuned, Mapping) or not all(map(_are_settings, tuned.values())):
        raise BrokenPluginError(f"the tuned settings of {spec.id!r} must be mappings of settings")


def _are_settings(value: object) -> bool:
    return isinstance(value, Mapping) and all(
        isinstance(name, str) and isinstance(number, str | int | float)
        for name, number in value.items()
    )


def _are_texts(value: object) -> TypeGuard[Sequence[str]]:
    return isinstance(value, list | tuple) and all(isinstance(text, str) for text in value)


def _is_number(value: object, kind: type | UnionType) -> bool:
    """Whether a value is a number. True is an int in Python, but not a number to anyone else."""
    return isinstance(value, kind) and not isinstance(value, bool)
