"""The parts of all working plugins.

Only light specs are kept here; :meth:`Registry.create` imports a part's factory when it is used.
"""

from __future__ import annotations

import contextlib
import difflib
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import EntryPoint
from typing import TYPE_CHECKING, Any, Literal, overload

import pluggy

from ..contracts import (
    API_VERSION,
    Addition,
    BackboneSpec,
    Bench,
    CaptionerSpec,
    DeltaEncoderSpec,
    EditorSpec,
    Glimpse,
    Kind,
    MethodSpec,
    Network,
    Spec,
    Use,
    WorldSpec,
)
from ..errors import DiffinvError, UsageError
from ..system.interrupts import interruptible
from ..system.streams import swallowed
from . import probing
from .checking import COMMANDS_HOOK, check_commands, describe, kind_of, notes
from .commands import add_foreign_commands
from .hooks import call, heard, new_manager
from .rows import PluginRow, in_words, key_of

if TYPE_CHECKING:
    import click


@dataclass
class Registry:
    """The parts of all working plugins, and a row for each plugin, including broken ones."""

    backbones: dict[str, BackboneSpec] = field(default_factory=dict)
    captioners: dict[str, CaptionerSpec] = field(default_factory=dict)
    delta_encoders: dict[str, DeltaEncoderSpec] = field(default_factory=dict)
    editors: dict[str, EditorSpec] = field(default_factory=dict)
    methods: dict[str, MethodSpec] = field(default_factory=dict)
    worlds: dict[str, WorldSpec] = field(default_factory=dict)
    rows: list[PluginRow] = field(default_factory=list)
    manager: pluggy.PluginManager = field(default_factory=new_manager, repr=False)
    owners: dict[tuple[str, str], str] = field(default_factory=dict, repr=False)
    _extended: list[click.Group] = field(default_factory=list, repr=False)
    found: Mapping[str, bool] = field(default_factory=dict, repr=False)
    foreign: dict[str, EntryPoint] = field(default_factory=dict, repr=False)
    finish: Callable[[], None] | None = field(default=None, repr=False)
    """Waits for plugins that have not answered yet."""

    def parts(self, kind: Kind) -> dict[str, Any]:
        """The specs of one kind by id."""
        tables: dict[Kind, dict[str, Any]] = {
            "backbone": self.backbones,
            "captioner": self.captioners,
            "delta encoder": self.delta_encoders,
            "editor": self.editors,
            "method": self.methods,
            "world": self.worlds,
        }
        return tables[kind]

    @overload
    def get(self, kind: Literal["backbone"], id: str) -> BackboneSpec: ...

    @overload
    def get(self, kind: Literal["method"], id: str) -> MethodSpec: ...

    @overload
    def get(self, kind: Literal["world"], id: str) -> WorldSpec: ...

    @overload
    def get(self, kind: Kind, id: str) -> Spec: ...

    def get(self, kind: Kind, id: str) -> Spec:
        """The spec of an installed part. Raises UsageError, listing the ids, if there is none."""
        parts = self.parts(kind)
        if id not in parts and self.finish:
            finish, self.finish = self.finish, None
            finish()
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
        """The backbone used if none is named: the first."""
        for spec in self.backbones.values():
            return spec
        raise UsageError(
            "No backbone is installed; install a plugin that brings one, "
            "and see 'diffinv plugins list' for plugins that are broken."
        )

    def create(
        self,
        spec: Spec,
        weights: str | None = None,
        device: str | None = None,
        additions: Sequence[Addition] = (),
    ) -> Any:
        """The part itself. Its factory is imported only now, and may import torch. ``additions``
        are for a backbone that takes them."""
        takes_none = isinstance(spec, EditorSpec | WorldSpec)
        if weights is not None and takes_none:
            kind = kind_of(spec)
            raise UsageError(f"The {kind} {spec.id!r} takes no weights: leave out '={weights}'.")
        more = (tuple(additions),) if additions else ()
        arguments = (device,) if isinstance(spec, WorldSpec) else (weights, device, *more)
        made = self._made(spec, weights, () if isinstance(spec, EditorSpec) else arguments, {})
        if isinstance(spec, BackboneSpec) and not hasattr(made, "schedule"):
            raise DiffinvError(
                f"The backbone {spec.id!r} has no schedule: it is made for version 1 of the plugin "
                f"interface, and this diffinv has version {API_VERSION}; update the plugin "
                "(docs/plugins.md says what changed)."
            )
        return made

    def create_method(
        self, spec: MethodSpec, weights: str | None, bench: Bench, settings: Mapping[str, Any]
    ) -> Any:
        """A method with its settings, on a bench."""
        return self._made(spec, weights, (bench, weights), {**spec.settings, **settings})

    def create_companion(self, spec: BackboneSpec, kind: str, device: str) -> Network | None:
        """A backbone's relative of a kind; None if it names none."""
        if kind not in spec.companions:
            return None
        whole = replace(spec, factory=spec.companions[kind])
        network: Network = self._made(whole, None, (device,), {})
        return network

    def _made(
        self, spec: Spec, weights: str | None, arguments: Sequence[Any], settings: dict[str, Any]
    ) -> Any:
        part = f"{kind_of(spec)} {spec.id!r}" + (f" of {weights!r}" if weights else "")
        with interruptible(f"the {part} was being loaded"):
            try:
                return self._factory(spec)(*arguments, **settings)
            except DiffinvError:
                raise
            except BaseException as error:
                message = f"The {part} cannot be loaded: {describe(error)}."
                raise DiffinvError(message) from error

    def _factory(self, spec: Spec) -> Callable[..., Any]:
        """Imported here. What a third-party module prints meanwhile was kept when it was asked."""
        with swallowed() if self._is_foreign(spec) else contextlib.nullcontext():
            factory: Callable[..., Any] = pkgutil.resolve_name(spec.factory)
            return factory

    def preflight(self, spec: BackboneSpec, use: Use) -> tuple[str, ...]:
        """Notes for the user before a backbone is loaded; raises if loading would fail."""
        if spec.preflight is None:
            return ()
        if self._is_foreign(spec):
            return probing.preflight(spec.id, spec.preflight, use)
        with interruptible(f"the backbone {spec.id!r} was at its preflight"):
            try:
                return notes(pkgutil.resolve_name(spec.preflight)(use))
            except DiffinvError:
                raise
            except BaseException as error:
                message = f"The backbone {spec.id!r} fails its own preflight: {describe(error)}."
                raise DiffinvError(message) from error

    def unsuited(self, spec: BackboneSpec, glimpses: Sequence[Glimpse]) -> tuple[str, ...]:
        """Why a backbone will make little of pictures, in sentences; also if it cannot say."""
        if spec.suits is None or not glimpses:
            return ()
        try:
            if self._is_foreign(spec):
                return probing.unsuited(spec.suits, glimpses)
            with interruptible(f"the backbone {spec.id!r} looked at the pictures"):
                return notes(pkgutil.resolve_name(spec.suits)(list(glimpses)))
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            return (f"The backbone {spec.id!r} cannot say what suits it: {describe(error)}.",)

    def register_commands(self, cli: click.Group) -> None:
        """Let every working plugin add its commands, once. None may replace an existing command."""
        if any(group is cli for group in self._extended):
            return
        self._extended.append(cli)
        for index, row in enumerate(self.rows):
            if key_of(row) in self.foreign:
                self.rows[index] = add_foreign_commands(row, self.foreign[key_of(row)], cli)
            elif row.status == "ok" and COMMANDS_HOOK in row.hooks:
                self.rows[index] = self._add_commands(row, cli)

    def _add_commands(self, row: PluginRow, cli: click.Group) -> PluginRow:
        before = dict(cli.commands)
        with heard(row):
            try:
                call(self.manager, key_of(row), COMMANDS_HOOK, cli=cli)
                check_commands(cli.commands, before)
            except BaseException as error:
                cli.commands.clear()
                cli.commands.update(before)
                return row.without_commands(describe(error))
        return row

    def _is_foreign(self, spec: Spec) -> bool:
        owner = self.owners.get((kind_of(spec), spec.id))
        return any(row.name == owner and key_of(row) in self.foreign for row in self.rows)


def option(kind: Kind) -> str:
    """The command-line option for a part of this kind."""
    return "--" + kind.replace(" ", "-")
