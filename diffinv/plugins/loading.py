"""Finds the installed plugins and loads each on its own, so that a broken one breaks nothing else.
Third-party plugins are asked in a process of their own.

A plugin is used whole or not at all: one that fails anywhere becomes a row with its error.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import lru_cache, partial
from importlib import metadata

from .. import hookspecs
from ..contracts import Spec
from .checking import HOOKS, BrokenPluginError, check_spec, describe, kind_of
from .hooks import call, heard
from .probing import LIMIT, WAITING, Probe, probed
from .registry import Registry
from .rows import PluginRow, key_of, row_of
from .switches import disabled, is_own


@lru_cache(maxsize=1)
def registry() -> Registry:
    """The plugins of this process, found and loaded on the first call."""
    return load_plugins(metadata.entry_points(group=hookspecs.GROUP))


def reload() -> Registry:
    """Look for installed plugins and their switches again. What is imported stays imported."""
    registry.cache_clear()
    return registry()


def reload_if_changed() -> None:
    """Reload in a long-lived process if the installed or enabled plugins have changed."""
    importlib.invalidate_caches()
    if _find(metadata.entry_points(group=hookspecs.GROUP)) != registry().found:
        reload()


def installed_plugins() -> list[str]:
    """Every installed plugin with its version and location. Imports none of them."""
    return sorted(_find(metadata.entry_points(group=hookspecs.GROUP)))


def load_plugins(entries: Iterable[metadata.EntryPoint]) -> Registry:
    """Load entry points: diffinv's own first, then by distribution, so that the order is stable."""
    ordered = sorted(entries, key=_order)
    result = Registry(found=_find(ordered))
    asked = {entry: Probe(row, entry) for entry in ordered if _is_foreign(row := row_of(entry))}
    answers = dict(zip(asked, probed(list(asked.values())), strict=True))
    for entry in ordered:
        if entry not in asked:
            _load(result, entry)
        elif answer := answers[entry]:
            _adopt(result, answer, entry)
        else:
            result.rows.append(replace(row_of(entry), status="broken", error=WAITING))
    late = [asked[entry] for entry, answer in answers.items() if answer is None]
    if late:
        result.finish = partial(_finish, result, late)
    return result


def _finish(found: Registry, late: list[Probe]) -> None:
    """Wait for the plugins that had not answered when the others were loaded."""
    for probe, answer in zip(late, probed(late, LIMIT), strict=True):
        if answer:
            found.rows = [row for row in found.rows if key_of(row) != key_of(answer)]
            _adopt(found, answer, probe.entry)


def look_again(name: str) -> None:
    """Forget what is known about a third-party plugin, or the plugins of a distribution."""
    for entry in metadata.entry_points(group=hookspecs.GROUP):
        row = row_of(entry)
        if name in (row.name, row.distribution) and not is_own(row):
            Probe(row, entry).forget()


def _is_foreign(row: PluginRow) -> bool:
    return not is_own(row) and not disabled(row)


def _adopt(found: Registry, row: PluginRow, entry: metadata.EntryPoint) -> None:
    """Take what a third-party plugin registered in a process of its own."""
    try:
        _check_ids(found, row, list(row.specs))
    except BrokenPluginError as error:
        row = row.broken(describe(error))
    _take_specs(found, row)
    found.foreign[key_of(row)] = entry
    found.rows.append(row)


def _take_specs(found: Registry, row: PluginRow) -> None:
    for spec in row.specs:
        found.owners[kind_of(spec), spec.id] = row.name
        found.parts(kind_of(spec))[spec.id] = spec


def _load(found: Registry, entry: metadata.EntryPoint) -> None:
    """Load one entry point of our own, or note that it is switched off."""
    row = row_of(entry)
    if reason := disabled(row):
        found.rows.append(replace(row, status="disabled", error=reason))
    else:
        load_here(found, entry, row)


def load_here(found: Registry, entry: metadata.EntryPoint, row: PluginRow) -> None:
    """Load a plugin in this process. It always gets a row, but its specs count only if all is
    well."""
    with heard(row) as printed:
        try:
            row = _register(found, row, entry)
        except BaseException as error:
            _forget(found, row)
            row = row.broken(describe(error))
    found.rows.append(replace(row, printed=printed.getvalue()))


def _register(found: Registry, row: PluginRow, entry: metadata.EntryPoint) -> PluginRow:
    plugin = entry.load()
    found.manager.register(plugin, key_of(row))
    found.manager.check_pending()
    callers = found.manager.get_hookcallers(plugin) or []
    row = replace(row, hooks=tuple(sorted({caller.name for caller in callers})))
    if not row.hooks:
        raise BrokenPluginError("it implements none of diffinv's hooks")
    specs = [s for hook in HOOKS if hook in row.hooks for s in _specs(found, row, hook)]
    _check_ids(found, row, specs)
    row = replace(row, specs=tuple(specs))
    _take_specs(found, row)
    return row


def _specs(found: Registry, row: PluginRow, hook: str) -> Iterator[Spec]:
    try:
        answers = call(found.manager, key_of(row), hook)
        if not answers:  # pluggy drops None, the result of a forgotten return
            raise BrokenPluginError("gave nothing, not a list of specs")
        for answer in answers:
            if isinstance(answer, str) or not isinstance(answer, Iterable):
                raise BrokenPluginError(f"gave a {type(answer).__name__}, not a list of specs")
            for spec in answer:
                check_spec(spec, HOOKS[hook][1])
                yield spec
    except BaseException as error:
        raise BrokenPluginError(f"{hook}: {describe(error)}") from error


def _check_ids(found: Registry, row: PluginRow, specs: list[Spec]) -> None:
    owners = dict(found.owners)
    for spec in specs:
        kind = kind_of(spec)
        if owner := owners.get((kind, spec.id)):
            raise BrokenPluginError(
                f"the {kind} {spec.id!r} of the plugin {row.name!r} "
                f"is registered already by the plugin {owner!r}"
            )
        owners[kind, spec.id] = row.name


def _forget(found: Registry, row: PluginRow) -> None:
    if found.manager.has_plugin(key_of(row)):
        found.manager.unregister(name=key_of(row))


def _find(entries: Iterable[metadata.EntryPoint]) -> dict[str, bool]:
    """Whether each plugin is used, under keys that differ between plugins and their versions."""
    rows = [(row_of(entry), entry.value) for entry in entries]
    return {f"{key_of(row)}={value}@{row.version}": not disabled(row) for row, value in rows}


def _order(entry: metadata.EntryPoint) -> tuple[bool, str, str]:
    distribution = row_of(entry).distribution
    return distribution != hookspecs.GROUP, distribution, entry.name
