"""Settings: looks, defaults, keys."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, cast

from rich.cells import set_cell_size
from rich.text import Text
from textual import on
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.widgets import Button, Input, OptionList, Select, Static

from .. import bindings
from ..checkpoints import choices
from ..config import Preferences, preferences_file
from ..formatting import plain, short_path
from ..widgets.form import AUTOMATIC, Field, choice, fill, text_line
from ..words import speak
from .base import Place
from .dialogs import Choose, PressKey

if TYPE_CHECKING:
    from textual.app import ComposeResult
    from textual.events import ScreenResume

    from diffinv.contracts import Spec
    from diffinv.plugins.registry import Registry

    from ..words import Vocabulary

_PICTURES = [
    ("what the terminal can", "auto"),
    ("the terminal's protocol, in tmux too", "terminal"),
    ("the finest blocks it has", "blocks"),
    ("half blocks, two parts a cell", "half"),
    ("quadrants, four parts", "quadrants"),
    ("sextants, six parts", "sextants"),
]
_WORDS = [("a photographer's", "plain"), ("the paper's", "paper")]
_VIEWS = [("cards", "cards"), ("table", "table")]


class SettingsScreen(Place):
    """A form; what is changed is kept at once."""

    MODE = "settings"
    BINDINGS: ClassVar[list[BindingType]] = bindings.SETTINGS

    def body(self) -> ComposeResult:
        """The form and the keys."""
        chosen = self.diffinv.preferences
        themes = [(name, name) for name in sorted(self.app.available_themes)]
        with VerticalScroll(id="settings", can_focus=False):
            yield Static("Looks", classes="heading -first")
            yield Field("Theme", choice("theme", themes, self.app.theme))
            yield Field("Library as", choice("view", _VIEWS, chosen.view))
            yield Field("Pictures", choice("pictures", _PICTURES, chosen.pictures))
            yield Static("Pictures change when the app is started again.", classes="hint")
            yield Field("Words", choice("words", _WORDS, chosen.words))
            yield Static("Defaults", classes="heading")
            listed = _backbones(chosen, {})
            yield Field("{Model}", choice("backbone", listed, chosen.backbone))
            yield Field("Device", text_line("device", "the best there is", chosen.device))
            yield Static("Keys", classes="heading")
            yield Button("Change a key", id="change-key", compact=True)
            yield Static(_hint(), classes="hint")
            yield Static(id="keys")

    def on_mount(self) -> None:
        """Fill in what plugins bring."""
        themes = self.query_one("#theme", Select)
        themes.focus()
        self.watch(themes, "expanded", self._list_moved, init=False)
        self.watch(themes.query_one(OptionList), "highlighted", self._look_at, init=False)
        self.call_after_refresh(self._show_keys)

    def on_screen_resume(self, event: ScreenResume) -> None:
        """The settings as they are by now: the palette and the library change some, too."""
        super().on_screen_resume(event)
        if self.diffinv.registry is not None:
            self.plugins_changed(self.diffinv.registry)
        for name, value in (("theme", self.app.theme), ("view", self.diffinv.preferences.view)):
            for select in self.query(f"#{name}").results(Select):
                select.value = value

    def _show_keys(self) -> None:
        self.query_one("#keys", Static).update(_keys(self.diffinv.preferences.keys))

    def plugins_changed(self, registry: Registry) -> None:
        """Other backbones to choose from."""
        select, preferences = self.query_one("#backbone", Select), self.diffinv.preferences
        with select.prevent(Select.Changed):
            fill(select, _backbones(preferences, registry.backbones), preferences.backbone)

    def _look_at(self, index: int | None) -> None:
        """The app looks as it would with the theme under the cursor of the list."""
        if index is not None and self.query_one("#theme", Select).expanded:
            self.diffinv.preview_theme(sorted(self.app.available_themes)[index])

    def _list_moved(self, expanded: bool) -> None:
        """The list is closed: what was only looked at is not taken."""
        if not expanded:
            self.call_after_refresh(self._show_theme)

    def _show_theme(self) -> None:
        value = self.query_one("#theme", Select).value
        self.diffinv.preview_theme(value if isinstance(value, str) else self.app.theme)

    @on(Button.Pressed, "#change-key")
    def _choose_key(self) -> None:
        keys = [
            (group, key)
            for group, several in bindings.GROUPS.items()
            for key in several
            if isinstance(key, Binding) and key.id
        ]
        own = self.diffinv.preferences.keys
        choices = [
            (f"{group}: {key.description}", bindings.key_shown(own.get(key.id or "") or key.key))
            for group, key in keys
        ]

        def press(index: int | None) -> None:
            if index is None:
                return
            id, what = keys[index][1].id or "", choices[index][0]
            self.app.push_screen(PressKey(what), lambda key: self._change_key(id, key))

        self.app.push_screen(Choose("Change which key?", choices, "There is none."), press)

    def _change_key(self, id: str, key: str | None) -> None:
        """Keep a key, unless something else has it."""
        if key is None:
            return
        keys = {**self.diffinv.preferences.keys, id: key}
        if problems := bindings.key_problems(keys):
            self.diffinv.complain(f"Nothing is changed: {'; '.join(problems)}.")
            return
        self.diffinv.prefer(keys=keys)
        self.diffinv.use_keys()
        self._show_keys()

    @on(Select.Changed)
    def _chosen(self, event: Select.Changed) -> None:
        self._keep(event.select.id or "", event.value)

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        self._keep(event.input.id or "", event.value.strip())

    def _keep(self, name: str, value: Any) -> None:
        if not isinstance(value, str) or getattr(self.diffinv.preferences, name) == value:
            return
        if name == "theme":
            self.app.theme = value
        if name == "words":
            speak(cast("Vocabulary", value))
            self.say_again()
        self.diffinv.prefer(**{name: value})


def _backbones(preferences: Preferences, found: Mapping[str, Spec]) -> list[tuple[str, str]]:
    """The choices: one that is preferred is among them while its plugin is not."""
    listed = [("the first there is", AUTOMATIC)]
    listed += choices(found, preferences.checkpoints, "backbone")
    preferred = preferences.backbone
    if preferred not in {id for _, id in listed}:
        listed.append((f"{preferred} (not there now)", preferred))
    return listed


def _hint() -> Text:
    text = plain(f"In {short_path(preferences_file())} under [keys], by these names, such as")
    return text.append("\n").append('"library.new" = "ctrl+n"', "bold")


def _keys(changed: dict[str, str]) -> Text:
    """Key, what it does and its name, a line each. A table of rich's takes 30 ms to draw."""
    text = Text(no_wrap=True)
    for group, keys in bindings.GROUPS.items():
        text.append("\n" if text else "").append(f"{group}\n", "bold")
        for key in keys:
            if isinstance(key, Binding) and key.id:
                shown = plain(bindings.key_shown(changed.get(key.id) or key.key), limit=40).plain
                what = set_cell_size(shown, 15) + set_cell_size(key.description, 24)
                text.append(what).append(f"{key.id}\n", "muted")
    text.rstrip()
    return text
