"""The keys of every screen, in one place. Their ids are what ``settings.toml`` remaps."""

from __future__ import annotations

from textual.binding import Binding, BindingType

APP: list[BindingType] = [
    Binding("1", "go('library')", "Library", show=False, id="go.library"),
    Binding("2", "go('new')", "New difference", show=False, id="go.new"),
    Binding("3", "go('jobs')", "Jobs", show=False, id="go.jobs"),
    Binding("4", "go('apply')", "Apply", show=False, id="go.apply"),
    Binding("5", "go('plugins')", "Plugins", show=False, id="go.plugins"),
    Binding("6", "go('settings')", "Settings", show=False, id="go.settings"),
    Binding("f1,question_mark", "help", "Help", key_display="?", id="app.help"),
    Binding("ctrl+q", "quit", "Quit", show=False, id="app.quit", priority=True),
]

LIBRARY: list[BindingType] = [
    Binding("n", "app.go('new')", "New", id="library.new"),
    Binding("a", "apply", "Apply", id="library.apply"),
    Binding("slash", "search", "Search", key_display="/", id="library.search"),
    Binding("t", "tag", "Tags", id="library.tag"),
    Binding("v", "view", "View", id="library.view"),
    Binding("s", "sort", "Sort", id="library.sort"),
    Binding("f", "filter", "Filter", id="library.filter"),
    Binding("r", "rename", "Rename", show=False, id="library.rename"),
    Binding("d,delete", "trash", "Trash", id="library.trash"),
    Binding("u", "restore", "Undo", id="library.restore"),
    Binding("i", "import", "Import", id="library.import"),
    Binding("e", "export", "Export", show=False, id="library.export"),
    Binding("x", "demo", "Demo", id="library.demo"),
    Binding("escape", "leave", "Back", show=False, id="library.leave"),
]

NEW: list[BindingType] = [
    Binding("ctrl+s", "start", "Start", id="new.start"),
    Binding("ctrl+n", "add_pair", "One more pair", id="new.add-pair"),
    Binding("ctrl+x", "remove_pair", "Remove pair", show=False, id="new.remove-pair"),
    Binding("ctrl+l", "clear", "Clear", id="new.clear"),
    Binding("escape", "app.go('library')", "Library", id="new.leave"),
]

JOBS: list[BindingType] = [
    Binding("o", "open", "Open result", id="jobs.open"),
    Binding("c", "cancel", "Cancel", id="jobs.cancel"),
    Binding("r", "retry", "Retry", id="jobs.retry"),
    Binding("u", "resume", "Resume", id="jobs.resume"),
    Binding("p", "pause", "Pause queue", id="jobs.pause"),
    Binding("K,shift+up", "move(True)", "Earlier", key_display="K", id="jobs.up"),
    Binding("J,shift+down", "move(False)", "Later", key_display="J", id="jobs.down"),
    Binding("less_than_sign", "move_to(True)", "First", key_display="<", id="jobs.first"),
    Binding("greater_than_sign", "move_to(False)", "Last", key_display=">", id="jobs.last"),
    Binding("x", "clear", "Clear finished", id="jobs.clear"),
    Binding("escape", "app.go('library')", "Library", show=False, id="jobs.leave"),
]

PLUGINS: list[BindingType] = [
    Binding("i", "install", "Install", id="plugins.install"),
    Binding("space", "switch", "On or off", id="plugins.switch"),
    Binding("escape", "app.go('library')", "Library", show=False, id="plugins.leave"),
]

APPLY: list[BindingType] = [
    Binding("ctrl+s", "start", "Start", id="apply.start"),
    Binding("ctrl+d", "add_difference", "Difference", id="apply.add-difference"),
    Binding("ctrl+o", "add_folder", "Folder", id="apply.add-folder"),
    Binding("ctrl+f", "add_file", "Picture", id="apply.add-file"),
    Binding("ctrl+w", "sweep", "Strength sweep", id="apply.sweep"),
    Binding("ctrl+l", "clear", "Clear", show=False, id="apply.clear"),
    Binding("escape", "app.go('library')", "Library", show=False, id="apply.leave"),
]

EXTRA = (
    *("sort", "mark", "filter", "restore", "import"),
    *("move_to(True)", "move_to(False)"),
)
"""Actions that the footer names only where there is room, the first ones first."""
