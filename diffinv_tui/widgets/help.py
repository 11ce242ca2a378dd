"""The help beside a screen: what has the focus, and the keys that do something here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text
from textual.widget import Widget
from textual.widgets import HelpPanel, KeyPanel, Markdown, Static
from textual.widgets._key_panel import BindingsTable

from ..help_texts import help_text
from ..words import say

if TYPE_CHECKING:
    from textual.app import ComposeResult


class Help(HelpPanel):
    """Beside the screen where there is room, over it where there is none."""

    def compose(self) -> ComposeResult:
        """The text, the keys, and how to close it."""
        yield Markdown(id="widget-help")
        yield Keys(id="keys-help")
        yield Static("F1 closes the help.", classes="hint")

    def update_help(self, focused_widget: Widget | None) -> None:
        """Show what there is to say about the field or widget that has the focus."""
        if self.app.app_focus and self.screen.is_active:
            text = _about(focused_widget) if focused_widget else ""
            self.set_class(bool(text), "-show-help")
            self.query_one(Markdown).update(text)


class Keys(KeyPanel):
    """The keys without those that merely scroll or edit a line."""

    def compose(self) -> ComposeResult:
        """The table."""
        yield _Table(shrink=True, expand=False)


class _Table(BindingsTable):
    def render_bindings_table(self) -> Table:
        """A row for each key that has a name of its own or is in the footer."""
        key_style = self.get_component_rich_style("bindings-table--key")
        table = Table.grid(padding=(0, 1))
        table.add_column(justify="right", no_wrap=True)
        active = self.screen.active_bindings.values()
        shown = [a.binding for a in active if a.enabled and not a.binding.system]
        named = {b.id or b.action: b for b in reversed(shown) if b.id or b.show}
        for binding in reversed(named.values()):
            key = Text(self.app.get_key_display(binding), key_style)
            table.add_row(key, Text(binding.description))
        return table


def _about(focused: Widget) -> str:
    place = getattr(focused.screen, "MODE", "")
    for node in focused.ancestors_with_self:
        text = help_text(place, node.id or "")
        if not text and isinstance(node, Widget):
            text = say(node.HELP or "")
        if text:
            return "\n".join(line.strip() for line in text.splitlines())
    return ""
