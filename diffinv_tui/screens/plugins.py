"""The plugins: what each brings, and what is wrong with those that are broken."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text
from textual import on
from textual.containers import Horizontal, VerticalScroll
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from diffinv.plugins import COMMANDS_HOOK, kind_of

from ..words import plain, plural
from .base import Place

if TYPE_CHECKING:
    from textual.app import ComposeResult

    from diffinv.plugins import PluginRow, Registry


class PluginList(OptionList):
    """The installed plugins."""

    HELP = """Plugins bring backbones, captioners, delta encoders and editors.

    A plugin that does not load is listed with the reason, and nothing of it is used. A plugin is
    a Python distribution: `diffinv plugins install NAME` or pip installs it, then start again.
    """


class PluginsScreen(Place):
    """The list on the left, one plugin on the right."""

    MODE = "plugins"

    def __init__(self) -> None:
        super().__init__()
        self._rows: list[PluginRow] = []

    def body(self) -> ComposeResult:
        """The list and the view."""
        with Horizontal(classes="split", id="plugins"):
            yield PluginList()
            with VerticalScroll(id="plugin"):
                yield Static("Looking…", id="plugin-title", classes="view-title")
                yield Static("", id="plugin-about")

    def on_mount(self) -> None:
        """Fill the list."""
        self.query_one(PluginList).focus()
        self.diffinv.with_registry(self._fill)

    def _fill(self, registry: Registry) -> None:
        self._rows = sorted(registry.rows, key=lambda row: row.status == "ok")
        listing = self.query_one(PluginList)
        listing.add_options(Option(_prompt(row)) for row in self._rows)
        if self._rows:
            listing.highlighted = 0
        else:
            self.query_one("#plugin-title", Static).update("No plugin is installed.")

    @on(OptionList.OptionHighlighted)
    def _show(self, event: OptionList.OptionHighlighted) -> None:
        row = self._rows[event.option_index]
        self.query_one("#plugin-title", Static).update(plain(row.name, "bold", 120))
        self.query_one("#plugin-about", Static).update(_about(row))


def _prompt(row: PluginRow) -> Text:
    ok = row.status == "ok"
    text = Text(no_wrap=True).append("✓ " if ok else "✗ ", "good" if ok else "bad")
    text.append_text(plain(row.name, "" if ok else "bad", 60)).append("\n  ")
    brings = plural(len(row.specs), "part") if ok else "broken"
    text.append_text(plain(f"{row.version} · {brings}", "muted", 80))
    text.overflow = "ellipsis"
    return text


def _about(row: PluginRow) -> Table:
    grid = Table.grid(padding=(0, 2), expand=True)
    grid.add_column(style="muted", no_wrap=True)
    grid.add_column(ratio=1)
    if row.error:
        grid.add_row("Broken", plain(row.error, "bad", 600))
        grid.add_row("", Text("Nothing of it is used until it is mended or removed.", "muted"))
        grid.add_row("", "")
    grid.add_row("Version", plain(row.version, limit=80))
    grid.add_row("Distribution", plain(row.distribution, limit=80))
    for spec in row.specs:
        grid.add_row("", "")
        text = plain(spec.title, "bold", 80).append("  ").append_text(plain(spec.id, "muted"))
        grid.add_row(kind_of(spec).capitalize(), text)
        grid.add_row("", plain(spec.description, limit=400))
        size = f"{spec.size_mb} MB" if spec.size_mb else ""
        more = ", ".join(filter(None, (size, spec.licence)))
        if more:
            grid.add_row("", plain(more, "muted"))
    if COMMANDS_HOOK in row.hooks:
        grid.add_row("", "")
        grid.add_row("Commands", "adds commands to diffinv")
    if row.printed.strip():
        grid.add_row("Printed", plain(row.printed, "muted", 600))
    return grid
