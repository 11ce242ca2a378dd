"""The plugins: what each brings, and what is wrong with those that are broken."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from rich.table import Table
from rich.text import Text
from textual import on
from textual.binding import BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from diffinv.plugins.checking import COMMANDS_HOOK, kind_of
from diffinv.plugins.switches import SWITCHED_OFF, can_be_disabled, switch
from diffinv.system.text import plural

from ..bindings import PLUGINS
from ..formatting import plain
from .base import Place
from .install import InstallPlugin
from .lists import LineList

if TYPE_CHECKING:
    from textual.app import ComposeResult

    from diffinv.plugins.registry import Registry
    from diffinv.plugins.rows import PluginRow


_LOOKS = {
    "ok": ("✓", "good", "on"),
    "broken": ("✗", "bad", "broken"),
    "disabled": ("○", "muted", "off"),
}


class PluginList(LineList):
    """The installed plugins."""

    HELP = """Plugins bring {models}, {describers}, {comparers} and editors.

    A plugin that does not load is listed with the reason, and nothing of it is used. **i** installs
    one, by its name or out of a folder, and says before what would change. **Space** switches one
    off and on again.
    """


class PluginsScreen(Place):
    """The list on the left, one plugin on the right."""

    MODE = "plugins"
    BINDINGS: ClassVar[list[BindingType]] = PLUGINS

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
        """The list has the focus."""
        self.query_one(PluginList).focus()

    @property
    def current(self) -> PluginRow | None:
        """The plugin under the cursor."""
        index = self.query_one(PluginList).highlighted
        return self._rows[index] if index is not None and index < len(self._rows) else None

    def plugins_changed(self, registry: Registry) -> None:
        """Fill the list; the cursor stays on the same plugin, or goes to one that is new."""
        before = self.current
        known = {(row.distribution, row.name) for row in self._rows}
        self._rows = sorted(registry.rows, key=lambda row: row.status == "ok")
        keys = [(row.distribution, row.name) for row in self._rows]
        wanted = [key for key in keys if known and key not in known]
        wanted += [(before.distribution, before.name)] if before else []
        listing = self.query_one(PluginList)
        listing.clear_options()
        listing.add_options(Option(_prompt(row)) for row in self._rows)
        if self._rows:
            listing.highlighted = next((keys.index(key) for key in wanted if key in keys), 0)
        else:
            self.query_one("#plugin-title", Static).update("No plugin is installed.")

    @on(OptionList.OptionHighlighted)
    def _show(self, event: OptionList.OptionHighlighted) -> None:
        row = self._rows[event.option_index]
        self.query_one("#plugin-title", Static).update(plain(row.name, "bold", 120))
        self.query_one("#plugin-about", Static).update(_about(row))
        self.refresh_bindings()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """The footer offers what can be done with this plugin."""
        row = self.current if action == "switch" and self.is_mounted else None
        return action != "switch" or (row is not None and can_be_disabled(row))

    def action_install(self) -> None:
        """Install one."""

        def after(installed: bool | None) -> None:
            if installed:
                self.diffinv.reload_plugins()

        self.app.push_screen(InstallPlugin(), after)

    def action_switch(self) -> None:
        """Switch a plugin off, or on again."""
        row = self.current
        if row is None:
            return
        if row.status == "disabled" and row.error != SWITCHED_OFF:
            self.diffinv.complain(f"{row.name} cannot be switched on here: {row.error}.")
            return
        on = row.status == "disabled"

        def then(_nothing: object) -> None:
            said = f"{row.name} is switched {'on' if on else 'off'}, for new jobs as well."
            self.app.notify(plain(said, limit=120).plain, markup=False)
            self.diffinv.reload_plugins()

        self.do(lambda: switch(row.name, on), then)


def _prompt(row: PluginRow) -> Text:
    mark, style, said = _LOOKS[row.status]
    text = Text(no_wrap=True).append(f"{mark} ", style)
    text.append_text(plain(row.name, "" if row.status == "ok" else style, 60)).append("\n  ")
    brings = plural(len(row.specs), "part") if row.status == "ok" else said
    text.append_text(plain(f"{row.version} · {brings}", "muted", 80))
    text.overflow = "ellipsis"
    return text


def _about(row: PluginRow) -> Table:
    grid = Table.grid(padding=(0, 2), expand=True)
    grid.add_column(style="muted", no_wrap=True)
    grid.add_column(ratio=1)
    if row.status == "disabled":
        by_hand = row.error == SWITCHED_OFF
        why = "It is switched off; Space uses it again." if by_hand else row.error or ""
        grid.add_row("Off", plain(why, limit=600))
        grid.add_row("", "")
    elif row.error:
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
