"""What the hooks of a plugin may not answer: each is a row with a reason, and nothing is used."""

from __future__ import annotations

import sys
from importlib.metadata import EntryPoint
from types import ModuleType

import click
import pytest

from diffinv.contracts import (
    BackboneSpec,
    CaptionerSpec,
    DeltaEncoderSpec,
    EditorSpec,
    MethodSpec,
    WorldSpec,
)
from diffinv.hookspecs import GROUP, hookimpl
from diffinv.plugins.checking import COMMANDS_HOOK, HOOKS
from diffinv.plugins.loading import load_here
from diffinv.plugins.registry import Registry
from diffinv.plugins.rows import row_of

SPECS = {
    "register_backbones": BackboneSpec,
    "register_captioners": CaptionerSpec,
    "register_delta_encoders": DeltaEncoderSpec,
    "register_editors": EditorSpec,
    "register_methods": MethodSpec,
    "register_worlds": WorldSpec,
}
RIGHT = {"id": "odd", "title": "Odd", "factory": "odd:load"}
WRONG = {
    "id": [5, None, "", "two words"],
    "title": [5, None, b"Odd"],
    "factory": [5, None, "odd", "odd:load:it"],
    "description": [5, None],
    "api_version": [True, 1.0, "1", None, 0],
    "licence": [5, None],
    "size_mb": [True, "5", None],
    "defaults": [None, "", [("model", "x")]],
}
WRONG_IN_BACKBONES = {
    "captioner": [5, True],
    "delta_encoder": [5, True],
    "embedding_layout": [None, "", {"clip": True}, {"clip": "768"}, {5: 768}],
    "preflight": [5, True, "odd"],
}


@pytest.fixture
def register(monkeypatch):
    """Load a plugin with one hook."""

    def register(hook: str, function) -> Registry:
        module = ModuleType("odd_plugin")
        setattr(module, hook, hookimpl(function))
        monkeypatch.setitem(sys.modules, "odd_plugin", module)
        found, entry = Registry(), EntryPoint("odd", "odd_plugin", GROUP)
        load_here(found, entry, row_of(entry))
        return found

    return register


def refused(registry: Registry) -> str:
    """Why the plugin is not used."""
    (row,) = registry.rows
    assert (row.status, row.specs) == ("broken", ())
    assert not any(registry.parts(kind) for kind, _ in HOOKS.values())
    assert row.error
    assert "\n" not in row.error
    return row.error


def test_every_hook_is_tried_here():
    assert {hook: spec for hook, (_, spec) in HOOKS.items()} == SPECS


@pytest.mark.parametrize("hook", SPECS)
def test_a_list_of_its_specs_is_right_and_anything_else_is_not(register, hook):
    right = SPECS[hook](**RIGHT)
    for answer in ([right], (right,), iter([right]), []):
        assert register(hook, lambda answer=answer: answer).rows[0].status == "ok"
    other = EditorSpec if SPECS[hook] is not EditorSpec else CaptionerSpec
    wrong = {
        "gave nothing, not a list of specs": None,
        "gave a int, not a list of specs": 5,
        "gave a str, not a list of specs": "odd",
        f"gave a {right.__class__.__name__}, not a list of specs": right,
        f"gave a str, not a {right.__class__.__name__}": {"odd": right},
        f"gave a NoneType, not a {right.__class__.__name__}": [right, None],
        f"gave a {other.__name__}, not a {right.__class__.__name__}": [other(**RIGHT)],
    }
    for reason, answer in wrong.items():
        error = refused(register(hook, lambda answer=answer: answer))
        assert error == f"{hook}: {reason}"


@pytest.mark.parametrize("hook", SPECS)
def test_a_field_of_the_wrong_type_is_named(register, hook):
    fields = WRONG | (WRONG_IN_BACKBONES if hook == "register_backbones" else {})
    words = {"api_version": "version", "id": "is not an id"}
    for name, values in fields.items():
        for value in values:
            spec = SPECS[hook](**RIGHT | {name: value})
            error = refused(register(hook, lambda spec=spec: [spec]))
            assert words.get(name, name) in error


@pytest.mark.parametrize("name", ["five", 5])
def test_what_is_no_command_is_no_command(register, name):
    def add(cli):
        cli.commands[name] = click.Command("five") if name == 5 else 5

    cli = click.Group("diffinv", commands={"ours": click.Command("ours")})
    registry = register(COMMANDS_HOOK, add)
    registry.register_commands(cli)
    assert registry.rows[0].status == "broken"
    assert f"{name!r} is not a command" in (registry.rows[0].error or "")
    assert set(cli.commands) == {"ours"}


def test_what_the_hook_of_commands_answers_is_its_own_affair(register):
    cli = click.Group("diffinv")
    registry = register(COMMANDS_HOOK, lambda cli: cli.add_command(click.Command("new")) or 5)
    registry.register_commands(cli)
    assert registry.rows[0].status == "ok"
    assert set(cli.commands) == {"new"}
