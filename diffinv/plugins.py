"""Finds the installed plugins and loads each on its own, so that a broken one breaks nothing else.

Only light specs are read here; :meth:`Registry.create` imports a part's factory when it is used.
A plugin is taken whole or not at all: one that fails anywhere becomes a row with its error.
"""

from __future__ import annotations

import contextlib
import difflib
import importlib
import io
import os
import pkgutil
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from importlib import metadata
from types import UnionType
from typing import TYPE_CHECKING, Any, Literal, overload

import pluggy

from . import hookspecs
from .contracts import (
    API_VERSION,
    BackboneSpec,
    CaptionerSpec,
    DeltaEncoderSpec,
    EditorSpec,
    Spec,
    Use,
)
from .errors import DiffinvError, UsageError
from .interrupts import interruptible
from .streams import swallowed
from .switches import plain_name, switched_off
from .text import text_safe

if TYPE_CHECKING:
    import click

Kind = Literal["backbone", "captioner", "delta encoder", "editor"]

HOOKS: Mapping[str, tuple[Kind, type[Spec]]] = {
    "register_backbones": ("backbone", BackboneSpec),
    "register_captioners": ("captioner", CaptionerSpec),
    "register_delta_encoders": ("delta encoder", DeltaEncoderSpec),
    "register_editors": ("editor", EditorSpec),
}
COMMANDS_HOOK = "register_commands"

DISABLED = "DIFFINV_DISABLE_PLUGINS"
"""The environment variable that names plugins, or their distributions, that are not to be loaded,
with commas between."""

ONLY_OWN = "DIFFINV_NO_PLUGINS"
"""The environment variable that keeps every plugin of a third party from being loaded."""

SWITCHED_OFF = "it is switched off; 'diffinv plugins enable' uses it again"
"""Why a plugin is not loaded that the user has switched off (:mod:`.switches`)."""

OWN_DISTRIBUTIONS = (
    "diffinv",
    "diffinv-diorama",
    "diffinv-stable-diffusion",
    "diffinv-clip",
    "diffinv-captioners",
)
"""The distributions that belong to the project; a plugin of any other is a third party's."""

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_LONGEST = 300
"""Characters of what a plugin says."""

_MOST_NOTES = 10

_FACTORY = re.compile(r"[\w.]+:[\w.]+")


class BrokenPluginError(Exception):
    """What is wrong with a plugin, in words."""


@dataclass(frozen=True)
class PluginRow:
    """One installed plugin as a listing shows it. ``printed`` is what it wrote on being loaded."""

    name: str
    version: str
    distribution: str
    hooks: tuple[str, ...] = ()
    status: Literal["ok", "broken", "disabled"] = "ok"
    error: str | None = None
    specs: tuple[Spec, ...] = ()
    printed: str = ""

    def broken(self, error: str) -> PluginRow:
        """The same plugin with nothing of it in use."""
        return replace(self, status="broken", error=error, specs=())


@dataclass
class Registry:
    """Every part that the working plugins offer, and a row for each plugin, broken ones too."""

    backbones: dict[str, BackboneSpec] = field(default_factory=dict)
    captioners: dict[str, CaptionerSpec] = field(default_factory=dict)
    delta_encoders: dict[str, DeltaEncoderSpec] = field(default_factory=dict)
    editors: dict[str, EditorSpec] = field(default_factory=dict)
    rows: list[PluginRow] = field(default_factory=list)
    _manager: pluggy.PluginManager = field(default_factory=lambda: _manager(), repr=False)
    _owners: dict[tuple[str, str], str] = field(default_factory=dict, repr=False)
    _extended: list[click.Group] = field(default_factory=list, repr=False)
    _found: Mapping[str, bool] = field(default_factory=dict, repr=False)

    def parts(self, kind: Kind) -> dict[str, Any]:
        """The specs of one kind by their ids."""
        tables: dict[Kind, dict[str, Any]] = {
            "backbone": self.backbones,
            "captioner": self.captioners,
            "delta encoder": self.delta_encoders,
            "editor": self.editors,
        }
        return tables[kind]

    @overload
    def get(self, kind: Literal["backbone"], id: str) -> BackboneSpec: ...

    @overload
    def get(self, kind: Kind, id: str) -> Spec: ...

    def get(self, kind: Kind, id: str) -> Spec:
        """The spec of an installed part; a UsageError that lists them where there is none."""
        parts = self.parts(kind)
        if id in parts:
            spec: Spec = parts[id]
            return spec
        raise UsageError(self._unknown(kind, id))

    def _unknown(self, kind: Kind, id: str) -> str:
        ids = list(self.parts(kind))
        near = difflib.get_close_matches(id, ids, n=1)
        guess = f" (did you mean {near[0]!r}?)" if near else ""
        known = f"installed: {', '.join(ids)}" if ids else "none is installed"
        faults = list(
            dict.fromkeys(in_words(row.status) for row in self.rows if row.status != "ok")
        )
        states = " and another ".join(faults)
        hint = f"; a plugin is {states}, see 'diffinv plugins list'" if faults else ""
        return f"There is no {kind} {id!r} for {option(kind)}{guess}; {known}{hint}."

    def default_backbone(self) -> BackboneSpec:
        """The backbone that is used where none is named: the first."""
        for spec in self.backbones.values():
            return spec
        raise UsageError(
            "No backbone is installed; install a plugin that brings one, "
            "and see 'diffinv plugins list' for plugins that are broken."
        )

    def create(self, spec: Spec, weights: str | None = None, device: str | None = None) -> Any:
        """The part itself. Its factory is imported only now, which may import torch."""
        arguments = () if isinstance(spec, EditorSpec) else (weights, device)
        if weights is not None and not arguments:
            raise UsageError(f"The editor {spec.id!r} takes no weights: leave out '={weights}'.")
        part = f"{kind_of(spec)} {spec.id!r}" + (f" of {weights!r}" if weights else "")
        with interruptible(f"the {part} was being loaded"):
            try:
                return pkgutil.resolve_name(spec.factory)(*arguments)
            except DiffinvError:
                raise
            except BaseException as error:
                message = f"The {part} cannot be loaded: {describe(error)}."
                raise DiffinvError(message) from error

    def preflight(self, spec: BackboneSpec, use: Use) -> tuple[str, ...]:
        """What there is to know before a backbone is loaded; raises what would go wrong."""
        if spec.preflight is None:
            return ()
        with interruptible(f"the backbone {spec.id!r} was at its preflight"):
            try:
                return _notes(pkgutil.resolve_name(spec.preflight)(use))
            except DiffinvError:
                raise
            except BaseException as error:
                message = f"The backbone {spec.id!r} fails its own preflight: {describe(error)}."
                raise DiffinvError(message) from error

    def register_commands(self, cli: click.Group) -> None:
        """Let every working plugin add its commands, once; it cannot replace one that exists."""
        if any(group is cli for group in self._extended):
            return
        self._extended.append(cli)
        for index, row in enumerate(self.rows):
            if row.status == "ok" and COMMANDS_HOOK in row.hooks:
                self.rows[index] = self._add_commands(row, cli)

    def _add_commands(self, row: PluginRow, cli: click.Group) -> PluginRow:
        before = dict(cli.commands)
        with _heard(row):
            try:
                _call(self._manager, _key(row), COMMANDS_HOOK, cli=cli)
                _check_commands(cli.commands, before)
            except BaseException as error:
                cli.commands.clear()
                cli.commands.update(before)
                fault = f"{COMMANDS_HOOK}: {describe(error)} (its commands are left out)"
                return replace(row, status="broken", error=fault)
        return row

    def _load(self, entry: metadata.EntryPoint) -> None:
        """One entry point: a row in any case, its specs only where everything is right."""
        row = _row(entry)
        if reason := _disabled(row):
            self.rows.append(replace(row, status="disabled", error=reason))
            return
        with _heard(row) as printed:
            try:
                row = self._register(row, entry)
            except BaseException as error:
                self._forget(row)
                row = row.broken(describe(error))
        self.rows.append(replace(row, printed=printed.getvalue()))

    def _register(self, row: PluginRow, entry: metadata.EntryPoint) -> PluginRow:
        plugin = entry.load()
        self._manager.register(plugin, _key(row))
        self._manager.check_pending()
        callers = self._manager.get_hookcallers(plugin) or []
        row = replace(row, hooks=tuple(sorted({caller.name for caller in callers})))
        if not row.hooks:
            raise BrokenPluginError("it implements none of diffinv's hooks")
        specs = [s for hook in HOOKS if hook in row.hooks for s in self._specs(row, hook)]
        self._check_ids(row, specs)
        for spec in specs:
            self._owners[kind_of(spec), spec.id] = row.name
            self.parts(kind_of(spec))[spec.id] = spec
        return replace(row, specs=tuple(specs))

    def _specs(self, row: PluginRow, hook: str) -> Iterator[Spec]:
        try:
            answers = _call(self._manager, _key(row), hook)
            if not answers:  # pluggy leaves out None, which a forgotten return gives
                raise BrokenPluginError("gave nothing, not a list of specs")
            for answer in answers:
                if isinstance(answer, str) or not isinstance(answer, Iterable):
                    raise BrokenPluginError(f"gave a {type(answer).__name__}, not a list of specs")
                for spec in answer:
                    _check_spec(spec, HOOKS[hook][1])
                    yield spec
        except BaseException as error:
            raise BrokenPluginError(f"{hook}: {describe(error)}") from error

    def _check_ids(self, row: PluginRow, specs: list[Spec]) -> None:
        owners = dict(self._owners)
        for spec in specs:
            kind = kind_of(spec)
            if owner := owners.get((kind, spec.id)):
                raise BrokenPluginError(
                    f"the {kind} {spec.id!r} of the plugin {row.name!r} "
                    f"is registered already by the plugin {owner!r}"
                )
            owners[kind, spec.id] = row.name

    def _forget(self, row: PluginRow) -> None:
        if self._manager.has_plugin(_key(row)):
            self._manager.unregister(name=_key(row))


@lru_cache(maxsize=1)
def registry() -> Registry:
    """The plugins of this process, found and loaded at the first call."""
    return load_plugins(metadata.entry_points(group=hookspecs.GROUP))


def reload() -> Registry:
    """The plugins as they are installed and switched on now. What is imported already stays."""
    registry.cache_clear()
    return registry()


def reload_if_changed() -> None:
    """For a process that lives long: look again where other plugins are installed or on now."""
    importlib.invalidate_caches()
    if _find(metadata.entry_points(group=hookspecs.GROUP)) != registry()._found:
        reload()


def installed_plugins() -> list[str]:
    """What is installed: each plugin with its version and where its code is. Imports none."""
    return sorted(_find(metadata.entry_points(group=hookspecs.GROUP)))


def load_plugins(entries: Iterable[metadata.EntryPoint]) -> Registry:
    """Load entry points: diffinv's own first, then by distribution, so that the order is stable."""
    ordered = sorted(entries, key=_order)
    result = Registry(_found=_find(ordered))
    for entry in ordered:
        result._load(entry)
    return result


def parse_part(text: str) -> tuple[str, str | None]:
    """``ID`` or ``ID=PATH_OR_HUB_ID``, as an option that names a plugin's part takes it."""
    id, equals, weights = text.partition("=")
    if not id or (equals and not weights):
        raise UsageError(f"{text!r} is neither an ID nor ID=PATH.")
    return id, weights or None


def option(kind: Kind) -> str:
    """The command line option that names a part of this kind."""
    return "--" + kind.replace(" ", "-")


def kind_of(spec: Spec) -> Kind:
    """What kind of part a spec describes."""
    for kind, cls in HOOKS.values():
        if isinstance(spec, cls):
            return kind
    raise TypeError(f"{type(spec).__name__} describes no part")


def _notes(answer: object) -> tuple[str, ...]:
    """What a preflight says, each note in a line that is not endless."""
    if not isinstance(answer, list | tuple):
        raise BrokenPluginError(f"it gave a {type(answer).__name__}, not a list of notes")
    return tuple(_shortened(text_safe(str(note))) for note in answer[:_MOST_NOTES])


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "…"


def describe(error: BaseException) -> str:
    """An exception in one line, without a closing full stop."""
    try:
        text = " ".join(str(error).split())
        code = repr(error.code) if isinstance(error, SystemExit) else None
    except BaseException:  # what puts it in words is a plugin's code as well
        return type(error).__name__
    if isinstance(error, BrokenPluginError):
        return text
    if code is not None:
        return f"it called sys.exit({code})"
    if isinstance(error, DiffinvError):
        return text.rstrip(".")
    text = _shortened(text)
    return f"{type(error).__name__}: {text}".rstrip(".") if text else type(error).__name__


def _manager() -> pluggy.PluginManager:
    manager = pluggy.PluginManager(hookspecs.GROUP)
    manager.add_hookspecs(hookspecs)
    return manager


@contextlib.contextmanager
def _heard(row: PluginRow) -> Iterator[io.StringIO]:
    """A plugin's own code runs within: what it prints goes here, and Ctrl-C ends the command."""
    with interruptible(f"the plugin {row.name!r} was being loaded"), swallowed() as printed:
        yield printed


def _call(manager: pluggy.PluginManager, key: str, hook: str, **arguments: Any) -> list[Any]:
    """One hook of one plugin, so that another plugin's failure stays its own."""
    plugin = manager.get_plugin(key)
    others = [other for other in manager.get_plugins() if other is not plugin]
    answers: list[Any] = manager.subset_hook_caller(hook, others)(**arguments)
    return answers


def _check_commands(found: Mapping[Any, object], before: Mapping[str, object]) -> None:
    from click import Command

    for name, command in before.items():
        if found.get(name) is not command:
            raise BrokenPluginError(f"the command {name!r} exists already")
    for name, command in found.items():
        if not isinstance(name, str) or not isinstance(command, Command):
            raise BrokenPluginError(f"{name!r} is no command")


def _check_spec(spec: object, expected: type[Spec]) -> None:
    if not isinstance(spec, expected):
        raise BrokenPluginError(f"gave a {type(spec).__name__}, not a {expected.__name__}")
    version = spec.api_version
    if not _is_number(version, int) or not 1 <= version <= API_VERSION:
        raise BrokenPluginError(
            f"{spec.id!r} is made for version {version!r} of the plugin interface; "
            f"this diffinv has version {API_VERSION}: update diffinv or the plugin"
        )
    if not isinstance(spec.id, str) or not _ID.fullmatch(spec.id):
        raise BrokenPluginError(f"{spec.id!r} is no id: use letters, digits, '.', '_' and '-'")
    if not isinstance(spec.title, str) or not isinstance(spec.description, str):
        raise BrokenPluginError(f"the title and description of {spec.id!r} have to be text")
    if not isinstance(spec.factory, str) or not _FACTORY.fullmatch(spec.factory):
        raise BrokenPluginError(f"the factory of {spec.id!r} has to read 'module:callable'")
    preflight = getattr(spec, "preflight", None)
    if preflight is not None and not (isinstance(preflight, str) and _FACTORY.fullmatch(preflight)):
        raise BrokenPluginError(f"the preflight of {spec.id!r} has to read 'module:callable'")
    if not isinstance(spec.defaults, Mapping):
        raise BrokenPluginError(f"the defaults of {spec.id!r} have to be a mapping")
    if not isinstance(spec.licence, str) or not _is_number(spec.size_mb, int | float):
        raise BrokenPluginError(f"{spec.id!r} needs text as its licence, a number as size_mb")
    if isinstance(spec, BackboneSpec):
        _check_backbone(spec)


def _check_backbone(spec: BackboneSpec) -> None:
    for name in ("captioner", "delta_encoder"):
        if not isinstance(getattr(spec, name), str | None):
            raise BrokenPluginError(f"the {name} of {spec.id!r} has to be an id or None")
    layout: object = spec.embedding_layout
    if not isinstance(layout, Mapping) or not all(
        isinstance(name, str) and _is_number(width, int) for name, width in layout.items()
    ):
        raise BrokenPluginError(f"the embedding_layout of {spec.id!r} has to map names to widths")


def _is_number(value: object, kind: type | UnionType) -> bool:
    """True is an int to Python, and no number to anybody else."""
    return isinstance(value, kind) and not isinstance(value, bool)


def _row(entry: metadata.EntryPoint) -> PluginRow:
    try:
        name = entry.dist.name if entry.dist else "unknown"
        version = entry.dist.version if entry.dist else "unknown"
    except Exception:  # a distribution with damaged metadata is still worth a row
        name, version = "unknown", "unknown"
    return PluginRow(name=entry.name, version=version or "unknown", distribution=name or "unknown")


def _find(entries: Iterable[metadata.EntryPoint]) -> dict[str, bool]:
    """Whether each plugin is used, by all that tells it from another or from itself updated."""
    rows = [(_row(entry), entry.value) for entry in entries]
    return {f"{_key(row)}={value}@{row.version}": not _disabled(row) for row, value in rows}


def _key(row: PluginRow) -> str:
    return f"{row.distribution}:{row.name}"


def in_words(status: str) -> str:
    """A plugin's status as people are told it."""
    return "switched off" if status == "disabled" else status


def can_be_disabled(row: PluginRow) -> bool:
    """Whether a plugin can be switched off; diffinv's own parts cannot."""
    return plain_name(row.distribution) != hookspecs.GROUP


def _disabled(row: PluginRow) -> str | None:
    """Why a plugin is not to be loaded, if it is not. diffinv's own parts always are."""
    if not can_be_disabled(row):
        return None
    distribution = plain_name(row.distribution)
    names = {distribution, plain_name(row.name)}
    if names & {plain_name(name) for name in os.environ.get(DISABLED, "").split(",")}:
        return f"{DISABLED} names it"
    if names & switched_off():
        return SWITCHED_OFF
    if os.environ.get(ONLY_OWN, "") not in ("", "0") and distribution not in OWN_DISTRIBUTIONS:
        return "plugins of third parties are switched off (--no-plugins)"
    return None


def _order(entry: metadata.EntryPoint) -> tuple[bool, str, str]:
    distribution = _row(entry).distribution
    return distribution != hookspecs.GROUP, distribution, entry.name
