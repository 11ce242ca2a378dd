"""The keys of every screen, in one place. Their ids are what ``settings.toml`` remaps."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from textual.binding import Binding, BindingType
from textual.keys import Keys, format_key

APP: list[BindingType] = [
    Binding("1", "go('library')", "Library", show=False, id="go.library"),
    Binding("2", "go('new')", "New difference", show=False, id="go.new"),
    Binding("3", "go('jobs')", "Jobs", show=False, id="go.jobs"),
    Binding("4", "go('apply')", "Apply", show=False, id="go.apply"),
    Binding("5", "go('models')", "Models", show=False, id="go.models"),
    Binding("6", "go('plugins')", "Plugins", show=False, id="go.plugins"),
    Binding("7", "go('settings')", "Settings", show=False, id="go.settings"),
    Binding("f1,question_mark", "help", "Help", id="app.help"),
    Binding(
        "escape", "hide_help_panel", "Close help", show=False, id="app.close-help", priority=True
    ),
    Binding("ctrl+q", "quit", "Quit", show=False, id="app.quit", priority=True),
    Binding("q", "ask_to_quit", "Quit", show=False, id="app.ask-to-quit"),
]

LIBRARY: list[BindingType] = [
    Binding("n", "app.go('new')", "New", id="library.new"),
    Binding("a", "apply", "Apply", id="library.apply"),
    Binding("slash", "search", "Search", id="library.search"),
    Binding("t", "tag", "Tags", id="library.tag"),
    Binding("v", "view", "View", id="library.view"),
    Binding("s", "sort", "Sort", id="library.sort"),
    Binding("f", "filter", "Filter", id="library.filter"),
    Binding("r", "rename", "Rename", show=False, id="library.rename"),
    Binding("d,delete", "trash", "Trash", id="library.trash"),
    Binding("u", "restore", "Undo", id="library.restore"),
    Binding("i", "import", "Import", id="library.import"),
    Binding("e", "export", "Export", show=False, id="library.export"),
    Binding("h", "detail", "Hide details", show=False, id="library.detail"),
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
    Binding("r", "retry", "Start over", id="jobs.retry"),
    Binding("u", "resume", "Go on", id="jobs.resume"),
    Binding("p", "pause", "Pause queue", id="jobs.pause"),
    Binding("K,shift+up", "move(True)", "Earlier", id="jobs.up"),
    Binding("J,shift+down", "move(False)", "Later", id="jobs.down"),
    Binding("less_than_sign", "move_to(True)", "First", id="jobs.first"),
    Binding("greater_than_sign", "move_to(False)", "Last", id="jobs.last"),
    Binding("e", "edit", "Edit", id="jobs.edit"),
    Binding("x", "clear", "Clear finished", id="jobs.clear"),
    Binding("escape", "leave", "Library", show=False, id="jobs.leave"),
]

MODELS: list[BindingType] = [
    Binding("f", "fetch", "Fetch", id="models.fetch"),
    Binding("u", "use", "Use for new", id="models.use"),
    Binding("o", "own", "Folder or file", id="models.own"),
    Binding("d,delete", "remove", "Remove", id="models.remove"),
    Binding("escape", "app.go('library')", "Library", show=False, id="models.leave"),
]

PLUGINS: list[BindingType] = [
    Binding("i", "install", "Install", id="plugins.install"),
    Binding("space", "switch", "On or off", id="plugins.switch"),
    Binding("escape", "app.go('library')", "Library", show=False, id="plugins.leave"),
]

SETTINGS: list[BindingType] = [
    Binding("escape", "app.go('library')", "Library", show=False, id="settings.leave"),
]

APPLY: list[BindingType] = [
    Binding("ctrl+t", "try", "Try it", id="apply.try"),
    Binding("ctrl+w", "sweep", "Sweep", id="apply.sweep"),
    Binding("ctrl+s", "start", "Apply to all", id="apply.start"),
    Binding("ctrl+r", "change_view", "Results", id="apply.view"),
    Binding("t", "try_this", "Try this one", id="apply.try-this"),
    Binding("ctrl+d", "add_difference", "Difference", id="apply.add-difference"),
    Binding("ctrl+o", "add_folder", "Folder", id="apply.add-folder"),
    Binding("ctrl+f", "add_file", "Picture", id="apply.add-file"),
    Binding("ctrl+l", "clear", "Clear", show=False, id="apply.clear"),
    Binding("escape", "app.go('library')", "Library", show=False, id="apply.leave"),
]

TILES: list[BindingType] = [
    Binding("up,k", "move(-1, 0)", "Up", show=False, id="tiles.up"),
    Binding("down,j", "move(1, 0)", "Down", show=False, id="tiles.down"),
    Binding("left", "move(0, -1)", "Left", show=False, id="tiles.left"),
    Binding("right", "move(0, 1)", "Right", show=False, id="tiles.right"),
    Binding("pageup", "page(-1)", "Page up", show=False, id="tiles.page-up"),
    Binding("pagedown", "page(1)", "Page down", show=False, id="tiles.page-down"),
    Binding("home,g", "jump(0)", "First", show=False, id="tiles.first"),
    Binding("end,G", "jump(-1)", "Last", show=False, id="tiles.last"),
    Binding("enter", "open", "Open", id="tiles.open"),
    Binding("plus,equals_sign", "size(1)", "Larger", show=False, id="tiles.larger"),
    Binding("minus", "size(-1)", "Smaller", show=False, id="tiles.smaller"),
    Binding("0", "size(0)", "As they fit", show=False, id="tiles.fit"),
]

MARKS: list[BindingType] = [
    Binding("k", "mark('kept')", "Keep", id="results.keep"),
    Binding("x", "mark('rejected')", "Reject", id="results.reject"),
    Binding("asterisk", "mark('starred')", "Star", id="results.star"),
]

RESULTS: list[BindingType] = [
    *MARKS,
    Binding("f", "filter", "Filter", id="results.filter"),
    Binding("o", "view", "Viewer", id="results.view"),
    Binding("y", "copy", "Copy path", id="results.copy"),
]

SHELF: list[BindingType] = [Binding("space", "mark", "Mark", id="shelf.mark")]

SLIDER: list[BindingType] = [
    Binding("left", "change(-0.1)", "Less", id="slider.less"),
    Binding("right", "change(0.1)", "More", id="slider.more"),
    Binding("pagedown", "change(-0.5)", "Much less", show=False, id="slider.much-less"),
    Binding("pageup", "change(0.5)", "Much more", show=False, id="slider.much-more"),
    Binding("shift+left", "change(-0.01)", "A little less", show=False, id="slider.a-little-less"),
    Binding("shift+right", "change(0.01)", "A little more", show=False, id="slider.a-little-more"),
    Binding("enter", "type", "Type it", id="slider.type"),
    Binding("0", "set(0)", "Zero", show=False, id="slider.zero"),
    Binding("home", "set(1)", "One", show=False, id="slider.one"),
]

ONE_PICTURE: list[BindingType] = [
    Binding("left", "step(-1)", "Previous", id="one-picture.previous"),
    Binding("right", "step(1)", "Next", id="one-picture.next"),
    Binding("space", "flip", "Flip", id="one-picture.flip"),
    Binding("s", "both", "Side by side", show=False, id="one-picture.both"),
    Binding("enter", "large", "Large", id="one-picture.large"),
]

STRIP: list[BindingType] = [
    Binding("left", "move(-1)", "Weaker", id="strip.weaker"),
    Binding("right", "move(1)", "Stronger", id="strip.stronger"),
    Binding("enter", "take", "Take this strength", id="strip.take"),
]

PICTURE: list[BindingType] = [
    Binding("enter", "pick", "Pick", id="picture.pick"),
    Binding("backspace,delete", "empty", "Take away", show=False, id="picture.empty"),
]

DIALOG: list[BindingType] = [Binding("escape", "dismiss(None)", "Close", id="dialog.close")]

QUIT: list[BindingType] = [
    Binding("q", "dismiss(True)", "Quit", show=False, id="confirm.quit"),
]

LIST: list[BindingType] = [
    Binding("j", "cursor_down", "Down", show=False, id="list.down"),
    Binding("k", "cursor_up", "Up", show=False, id="list.up"),
    Binding("g", "first", "First", show=False, id="list.first"),
    Binding("G", "last", "Last", show=False, id="list.last"),
    Binding("slash", "find", "Find", id="list.find"),
]

CONFIRM: list[BindingType] = [
    Binding("enter,y", "dismiss(True)", "Yes", id="confirm.yes"),
    Binding("escape,n", "dismiss(False)", "No", id="confirm.no"),
]

PICKER: list[BindingType] = [
    Binding("enter", "take", "Take", id="picker.take", priority=True),
    Binding("right", "enter_folder", "Open", id="picker.open", priority=True),
    Binding("left", "leave_folder", "Up", id="picker.up", priority=True),
    Binding("space", "mark", "Mark", id="picker.mark", priority=True),
    Binding(
        *("backspace", "leave_folder('backspace')", "Up, of an empty line"),
        show=False,
        id="picker.back",
        priority=True,
    ),
    Binding("f7", "new_folder", "New folder", id="picker.new-folder", priority=True),
    *DIALOG,
    *(
        Binding(key, f"move('{way}')", title, show=False, id=f"picker.{id}", priority=True)
        for key, way, title, id in (
            ("up", "cursor_up", "Up the list", "list-up"),
            ("down", "cursor_down", "Down the list", "list-down"),
            ("pageup", "page_up", "A page up", "page-up"),
            ("pagedown", "page_down", "A page down", "page-down"),
        )
    ),
]

NOTICE: list[BindingType] = [
    Binding("u", "dismiss('resume')", "Go on", id="notice.resume"),
    Binding("enter", "dismiss('show')", "Show", id="notice.show"),
    *DIALOG,
]

COMPARISON: list[BindingType] = [
    Binding("escape", "dismiss_here", "Close", id="dialog.close"),
    Binding("space", "blink", "Blink", id="comparison.blink"),
    Binding("w", "wipe", "Wipe", id="comparison.wipe"),
    Binding("s", "side", "Side by side", show=False, id="comparison.side"),
    Binding("z", "zoom", "100 %", id="comparison.zoom"),
    Binding("p", "step(-1)", "Previous", id="comparison.previous"),
    Binding("n", "step(1)", "Next", id="comparison.next"),
    *MARKS,
    Binding("o", "view", "Viewer", id="comparison.view"),
    Binding("y", "copy", "Copy path", id="comparison.copy"),
    Binding("left", "arrow(-1, 0)", "Left", show=False, id="comparison.left"),
    Binding("right", "arrow(1, 0)", "Right", show=False, id="comparison.right"),
    Binding("up", "arrow(0, -1)", "Up", show=False, id="comparison.up"),
    Binding("down", "arrow(0, 1)", "Down", show=False, id="comparison.down"),
    Binding("shift+left", "pan(-1, 0)", "See left", show=False, id="comparison.pan-left"),
    Binding("shift+right", "pan(1, 0)", "See right", show=False, id="comparison.pan-right"),
    Binding("shift+up", "pan(0, -1)", "See up", show=False, id="comparison.pan-up"),
    Binding("shift+down", "pan(0, 1)", "See down", show=False, id="comparison.pan-down"),
]

GO = [key for key in APP if isinstance(key, Binding) and key.action.startswith("go(")]
"""To every screen by its number."""

DETAIL: list[BindingType] = [
    *DIALOG,
    *GO,
    Binding("left,p", "step(-1)", "Previous", show=False, id="detail.previous", priority=True),
    Binding("right,n", "step(1)", "Next", show=False, id="detail.next", priority=True),
    Binding("a", "dismiss('apply')", "Apply", id="detail.apply"),
    Binding("r", "dismiss('rename')", "Rename", id="detail.rename"),
    Binding("t", "dismiss('tag')", "Tags", id="detail.tag"),
    Binding("d", "dismiss('trash')", "Trash", id="detail.trash"),
    Binding("e", "dismiss('export')", "Export", id="detail.export"),
    Binding("u", "dismiss('restore')", "Undo", show=False, id="detail.restore"),
]

CHECKPOINT: list[BindingType] = [
    *DIALOG,
    Binding("ctrl+o", "pick", "Choose a folder", id="checkpoint.folder"),
    Binding("ctrl+f", "pick_file", "Choose a file", id="checkpoint.file"),
]

INSTALL: list[BindingType] = [
    Binding("enter", "install", "Install", id="install.go"),
    Binding("ctrl+o", "pick", "Choose a folder", id="install.pick"),
    Binding("escape", "leave", "Close", id="dialog.close"),
]

GROUPS = {
    "Everywhere": APP,
    "Library": [*LIBRARY, *SHELF],
    "Cards and galleries": TILES,
    "A difference": [key for key in DETAIL if key not in (*DIALOG, *GO)],
    "Results": RESULTS,
    "A result": [key for key in COMPARISON[1:] if key not in MARKS],
    "What happened": NOTICE[:2],
    "Choosing files": [key for key in PICKER if key not in DIALOG],
    "Questions": [*CONFIRM, *QUIT],
    "Lists": LIST,
    "New": [*NEW, *PICTURE],
    "Jobs": JOBS,
    "Apply": [*APPLY, *SLIDER],
    "One picture": [*ONE_PICTURE, *STRIP],
    "Models": [*MODELS, *CHECKPOINT[1:]],
    "Plugins": [*PLUGINS, *INSTALL[:2]],
    "Settings": SETTINGS,
}
"""All keys that have names, by where they do something."""

IN_BROWSER = {"new.add-pair": "ctrl+g", "apply.try": "ctrl+y", "apply.sweep": "ctrl+g"}
"""Other keys where a browser keeps the usual ones for its own windows and tabs."""

EXTRA = (
    *("find", "sort", "mark", "filter", "restore", "import"),
    *("move_to(True)", "move_to(False)"),
)
"""Actions that the footer names only where there is room, the first ones first."""


def key_shown(key: str) -> str:
    """A key, or several parted by commas, as people know them: ``^s``, ``K, shift+↑``."""
    shown = []
    for one in key.split(","):
        *modifiers, last = one.split("+")
        last = format_key(last)
        if "ctrl" in modifiers:
            modifiers.remove("ctrl")
            last = f"^{last}"
        shown.append("+".join([*modifiers, last.upper() if re.fullmatch(r"f\d+", last) else last]))
    return ", ".join(shown)


_TOGETHER: tuple[list[BindingType], ...] = (
    [*LIBRARY, *SHELF, *TILES],
    [*NEW, *PICTURE],
    [*JOBS, *TILES],
    [*JOBS, *LIST],
    [*APPLY, *SLIDER],
    [*APPLY, *ONE_PICTURE],
    [*APPLY, *STRIP],
    [*APPLY, *TILES, *RESULTS],
    [*MODELS, *LIST],
    CHECKPOINT,
    [*PLUGINS, *LIST],
    DETAIL,
    NOTICE,
    COMPARISON,
)
"""Keys that are there at once, besides those that are everywhere."""


def key_problems(chosen: Mapping[str, str]) -> list[str]:
    """What is wrong with the keys somebody chose, by their ids."""
    keys = [key for group in GROUPS.values() for key in group if isinstance(key, Binding)]
    known = {key.id: key.key for key in keys}
    unknown = [f"nothing is called {id}" for id in chosen if id not in known]
    changed = {id: key for id, key in chosen.items() if key != known.get(id)}
    odd = [
        f"{id} has {one or 'nothing'}, which is no key"
        for id, several in chosen.items()
        for one in several.split(",")
        if not _is_key(one)
    ]
    twice = [clash for group in _TOGETHER for clash in _clashes([*APP, *group], changed)]
    return list(dict.fromkeys(unknown + odd + twice))


def _clashes(group: list[BindingType], changed: Mapping[str, str]) -> Iterator[str]:
    taken: dict[str, str] = {}
    for key in group:
        assert isinstance(key, Binding)
        id = key.id or ""
        for one in changed.get(id, key.key).split(","):
            other = taken.setdefault(one, id)
            if other != id and {id, other} & set(changed):
                yield f"{other} and {id} have the same key {key_shown(one)}"


def _is_key(name: str) -> bool:
    """Whether a terminal can send such a key: ``x``, ``ctrl+n``, ``f5``, ``question_mark``."""
    *modifiers, last = name.split("+")
    if not set(modifiers) <= {"ctrl", "shift", "alt", "super", "hyper", "meta"}:
        return False
    return len(last) == 1 or last in {key.value for key in Keys} or format_key(last) != last
