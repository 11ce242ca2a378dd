"""A broken plugin becomes a row with its error, and breaks nothing else."""

from __future__ import annotations

import signal
import sys
from dataclasses import replace
from importlib import metadata

import click
import pytest
from installing import MODULES, install

from diffinv.contracts import API_VERSION, BackboneSpec, Use
from diffinv.errors import DiffinvError, UsageError
from diffinv.hookspecs import GROUP
from diffinv.plugins.checking import describe
from diffinv.plugins.loading import load_here, load_plugins
from diffinv.plugins.registry import Registry
from diffinv.plugins.rows import PluginRow
from diffinv.running.parts import parse_part


@pytest.fixture
def load(tmp_path, monkeypatch):
    """Install test plugins beside whatever is installed, and load everything."""
    monkeypatch.syspath_prepend(str(MODULES))
    monkeypatch.syspath_prepend(str(tmp_path))
    for module in [path.stem for path in MODULES.glob("*.py")]:
        monkeypatch.delitem(sys.modules, module, raising=False)

    def load(*modules: str) -> Registry:
        install(tmp_path, *modules)
        return load_plugins(metadata.entry_points(group=GROUP))

    return load


def row_of(registry: Registry, name: str) -> PluginRow:
    (row,) = [row for row in registry.rows if row.name == name]
    return row


def test_a_good_plugin_is_listed_with_its_parts(load):
    registry = load("good")
    row = row_of(registry, "good")
    assert (row.status, row.error) == ("ok", None)
    assert (row.distribution, row.version) == ("good-dist", "1.2")
    assert row.hooks == ("register_backbones", "register_commands")
    assert registry.get("backbone", "good").title == "Good"
    assert registry.create(registry.backbones["good"], "w", "cpu") == "good w cpu"


BROKEN = {
    "bad_import": "ModuleNotFoundError: No module named 'a_module_that_does_not_exist'",
    "bad_hook": "register_delta_encoders: RuntimeError: this hook always fails",
    "bad_types": "register_backbones: gave a EditorSpec, not a BackboneSpec",
    "bad_text": "register_captioners: gave a str, not a list of specs",
    "bad_id": "is not an id",
    "bad_fields": "the captioner of 'odd' must be an id or None",
    "bad_factory": "module:callable",
    "bad_hook_name": "unknown hook 'register_nonsense'",
    "bad_arguments": "surprise",
    "bad_odd": "OddError: not an Exception",
    "no_hooks": "none of diffinv's hooks",
    "future_api": f"version 99 of the plugin interface; this diffinv has version {API_VERSION}",
    "past_api": f"version 1 of the plugin interface; this diffinv has version {API_VERSION}",
    "exits": "sys.exit(3)",
}


@pytest.mark.parametrize("module", BROKEN)
def test_a_broken_plugin_becomes_a_row_and_the_others_work(load, module, capfd):
    registry = load(module, "good")
    row = row_of(registry, module)
    assert row.status == "broken"
    assert BROKEN[module] in (row.error or "")
    assert "\n" not in (row.error or "")
    assert row_of(registry, "good").status == "ok"
    assert "good" in registry.backbones
    assert capfd.readouterr() == ("", "")


def test_nothing_of_a_broken_plugin_is_used(load):
    registry = load("bad_hook")
    assert "half" not in registry.editors


def test_a_syntax_error_becomes_a_row(load, tmp_path):
    (tmp_path / "bad_syntax.py").write_text("def broken(:\n")
    row = row_of(load("bad_syntax", "good"), "bad_syntax")
    assert row.status == "broken"
    assert "SyntaxError" in (row.error or "")


def test_all_broken_at_once_leave_the_good_one(load):
    registry = load(*BROKEN, "good", "prints", "rival")
    assert registry.backbones["good"].title == "Good"
    assert {row.name for row in registry.rows if row.status == "broken"} >= {*BROKEN, "rival"}


def test_the_first_of_two_equal_ids_wins_and_both_are_named(load):
    registry = load("rival", "good")
    assert row_of(registry, "good").status == "ok"
    rival = row_of(registry, "rival")
    assert rival.status == "broken"
    assert "'good' of the plugin 'rival'" in (rival.error or "")
    assert "already by the plugin 'good'" in (rival.error or "")
    assert registry.backbones["good"].title == "Good"
    assert "fresh" not in registry.backbones


def test_what_a_plugin_prints_is_kept_and_goes_nowhere(load, capfd):
    registry = load("prints")
    assert capfd.readouterr() == ("", "")
    row = row_of(registry, "prints")
    assert row.status == "ok"
    assert row.printed.splitlines() == ["noise on stdout", "noise on stderr", "more noise"]


def test_the_interrupt_key_still_interrupts(load, tmp_path):
    pressing = "import signal\ntry:\n    signal.raise_signal(signal.SIGINT)\n"
    for name, after in {"passing": "except ValueError: pass", "hiding": "except: pass"}.items():
        (tmp_path / f"{name}.py").write_text(f"{pressing}{after}\n")
        entry = metadata.EntryPoint(name, name, GROUP)
        with pytest.raises(KeyboardInterrupt, match=f"while the plugin '{name}' was being loaded"):
            load_here(Registry(), entry, PluginRow(name, "1", "own"))
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_the_interrupt_key_ends_the_wait_for_a_plugin(load, tmp_path):
    (tmp_path / "hangs.py").write_text("import time\ntime.sleep(99)\n")
    signal.setitimer(signal.ITIMER_REAL, 0.3)
    before = signal.signal(signal.SIGALRM, lambda *_: signal.raise_signal(signal.SIGINT))
    try:
        with pytest.raises(KeyboardInterrupt):
            load("hangs")
    finally:
        signal.signal(signal.SIGALRM, before)


def test_an_interrupt_of_a_plugins_own_breaks_it_alone(load, tmp_path):
    (tmp_path / "interrupted.py").write_text("raise KeyboardInterrupt('of my own')\n")
    registry = load("interrupted", "good")
    row = row_of(registry, "interrupted")
    assert (row.status, row.error) == ("broken", "KeyboardInterrupt: of my own")
    assert row_of(registry, "good").status == "ok"


def test_a_hook_that_interrupts_breaks_its_plugin_alone(load, tmp_path):
    hooks = "from diffinv.hookspecs import hookimpl\n@hookimpl\n"
    stop = "    raise KeyboardInterrupt\n"
    (tmp_path / "stops.py").write_text(f"{hooks}def register_editors():\n{stop}")
    (tmp_path / "stops_later.py").write_text(f"{hooks}def register_commands(cli):\n{stop}")
    registry = load("stops", "stops_later")
    registry.register_commands(click.Group("diffinv"))
    assert row_of(registry, "stops").error == "register_editors: KeyboardInterrupt"
    assert (row_of(registry, "stops_later").error or "").startswith(
        "register_commands: KeyboardInterrupt (its"
    )


def test_an_unknown_id_names_the_option_and_what_there_is(load):
    registry = load("good")
    with pytest.raises(UsageError, match="did you mean 'good'") as caught:
        registry.get("backbone", "goood")
    assert "--backbone" in str(caught.value)
    assert caught.value.exit_code == 2
    with pytest.raises(UsageError, match="--delta-encoder"):
        registry.get("delta encoder", "nothing-like-it")


def test_an_unknown_id_points_to_broken_plugins(load):
    with pytest.raises(UsageError, match="diffinv plugins list"):
        load("bad_import").get("captioner", "nothing-like-it")


def test_a_part_that_cannot_be_made_is_one_sentence(load):
    registry = load("hostile", "bad_commands")
    with pytest.raises(DiffinvError, match="OSError: no such weights") as caught:
        registry.create(registry.backbones["hostile"], None, "cpu")
    assert "\n" not in str(caught.value)
    with pytest.raises(DiffinvError, match="'side-effect' cannot be loaded"):
        registry.create(registry.editors["side-effect"])


def test_editors_take_no_weights(load):
    registry = load("prints")
    assert registry.create(registry.editors["noisy"]) == "noisy editor"
    with pytest.raises(UsageError, match="takes no weights"):
        registry.create(registry.editors["noisy"], "weights")


def test_plugins_add_commands_but_replace_none(load):
    registry = load("good", "bad_commands")
    cli = click.Group("diffinv", commands={"invert": (ours := click.Command("invert"))})
    registry.register_commands(cli)
    registry.register_commands(cli)
    assert set(cli.commands) >= {"invert", "hello"}
    assert cli.commands["invert"] is ours
    assert "exists already" in (row_of(registry, "bad_commands").error or "")
    assert row_of(registry, "good").status == "ok"


def test_own_parts_come_with_the_distribution():
    registry = load_plugins(metadata.entry_points(group=GROUP))
    assert registry.rows[0].distribution == "diffinv"
    assert set(registry.editors) >= {"ddim", "sdedit", "edit-friendly"}
    assert registry.default_backbone().id in registry.backbones


@pytest.mark.parametrize(
    ("text", "parts"),
    [("a", ("a", None)), ("a=b", ("a", "b")), ("a=/x=y", ("a", "/x=y"))],
)
def test_parts_are_named_id_or_id_equals_path(text, parts):
    assert parse_part(text) == parts


@pytest.mark.parametrize("text", ["", "=x", "a="])
def test_half_a_part_is_refused(text):
    with pytest.raises(UsageError, match="ID=PATH"):
        parse_part(text)


def _notes(use: Use) -> list[str]:
    return [f"{use.device} {use.learning}"]


def _fails(_use: Use) -> list[str]:
    raise ValueError("no such thing")


def _stops(*_arguments: object) -> None:
    raise KeyboardInterrupt


def _is_stopped(*_arguments: object) -> None:
    signal.raise_signal(signal.SIGINT)


def test_a_part_that_interrupts_is_one_sentence_and_the_key_still_interrupts():
    spec = BackboneSpec(id="one", title="One", factory=f"{__name__}:_stops")
    spec = replace(spec, preflight=spec.factory)
    with pytest.raises(DiffinvError, match="'one' cannot be loaded: KeyboardInterrupt"):
        Registry().create(spec)
    with pytest.raises(DiffinvError, match="'one' fails its own preflight: KeyboardInterrupt"):
        Registry().preflight(spec, Use(None, "cpu"))
    spec = replace(spec, factory=f"{__name__}:_is_stopped", preflight=f"{__name__}:_is_stopped")
    with pytest.raises(KeyboardInterrupt, match="while the backbone 'one' was being loaded"):
        Registry().create(spec)
    with pytest.raises(KeyboardInterrupt, match="while the backbone 'one' was at its preflight"):
        Registry().preflight(spec, Use(None, "cpu"))


def test_a_backbone_may_say_something_before_it_is_loaded():
    spec = BackboneSpec(id="one", title="One", factory="a:b")
    assert Registry().preflight(spec, Use(None, "cpu")) == ()
    said = replace(spec, preflight=f"{__name__}:_notes")
    assert Registry().preflight(said, Use(None, "cpu", learning=True)) == ("cpu True",)
    with pytest.raises(DiffinvError, match=r"'one' fails its own preflight: ValueError: no such"):
        Registry().preflight(replace(spec, preflight=f"{__name__}:_fails"), Use(None, "cpu"))


@pytest.mark.parametrize("fault", ["RuntimeError", "SystemExit", "KeyboardInterrupt"])
def test_an_exception_without_words_is_named_by_its_type(load, monkeypatch, fault):
    monkeypatch.setenv("TEST_FAULT", fault)
    row = row_of(load("bad_str", "good"), "bad_str")
    assert (row.status, row.error) == ("broken", "UnspeakableError")


def test_an_exit_code_without_words_is_no_trouble():
    class Odd:
        def __repr__(self):
            raise SystemExit

    assert describe(SystemExit(Odd())) == "SystemExit"
    assert describe(SystemExit(3)) == "it called sys.exit(3)"


def test_a_plugin_that_closes_stdout_closes_nothing(load):
    row = row_of(load("closes", "good"), "closes")
    assert (row.status, row.printed) == ("ok", "last words\n")


def _much(_use: Use) -> list[str]:
    return ["\x1b[31mred\nline", "x" * 5000, *["more"] * 100]


def _one_text(_use: Use) -> str:
    return "hello"


def test_what_a_preflight_says_is_notes_of_a_line_each():
    spec = BackboneSpec(id="one", title="One", factory="a:b", preflight=f"{__name__}:_much")
    notes = Registry().preflight(spec, Use(None, "cpu"))
    assert notes[:3] == ("red line", "x" * 300 + "…", "more")
    assert len(notes) == 10
    with pytest.raises(DiffinvError, match="own preflight: it gave a str, not a list of notes"):
        Registry().preflight(replace(spec, preflight=f"{__name__}:_one_text"), Use(None, "cpu"))
