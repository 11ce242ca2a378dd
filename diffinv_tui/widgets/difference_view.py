"""Everything about one difference: pictures, words, settings, the loss curve."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text
from textual import work
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.widgets import Static

from diffinv.difference import Difference, added_in_words, load
from diffinv.errors import DiffinvError
from diffinv.system.text import plural

from ..formatting import day, duration, number, plain, short_path, tag_text, tilde
from ..messages import tell
from ..pictures import difference_pictures
from ..words import say, setting_name
from .curve import Curve
from .picture import Picture
from .said import Said

if TYPE_CHECKING:
    from PIL.Image import Image
    from textual.app import ComposeResult

    from diffinv.difference import DifferenceInfo
    from diffinv.storage.store import Entry


class Figure(Vertical):
    """A picture with a label above it."""

    def __init__(self, label: str, kind: str, message: str = "") -> None:
        super().__init__(classes=f"figure -{kind}")
        self._label, self._message = label, message

    def compose(self) -> ComposeResult:
        """The label and the picture."""
        yield Said(self._label, classes="figure-label")
        yield Picture(self._message)

    def show(self, image: Image | None, message: str = "") -> None:
        """Show a picture, or a text in its place."""
        self.query_one(Picture).show(image, message or self._message)

    def label(self, text: str) -> None:
        """Change the label."""
        self.query_one(Said).put(text)


class DifferenceView(VerticalScroll, can_focus=True):
    """The detail of an entry; its file is opened in a thread."""

    HELP = """One difference: the pictures **{before}** and **{after}** that it was learned from,
    and the **preview**, which is the first of them with the difference applied, where one was
    made. Below: what was seen in them, and under *Details* every setting and how learning went.
    """

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._entry: Entry | None = None

    def compose(self) -> ComposeResult:
        """The parts from top to bottom."""
        yield Static("", classes="view-title")
        yield Static("", classes="view-tags")
        with Horizontal(classes="figures"):
            yield Figure("{Before}", "a", "…")
            yield Figure("{After}", "prime", "…")
            yield Figure("Preview", "preview", "…")
        yield Static("", classes="view-words")
        yield Static("Details", classes="heading")
        yield Said("{Left_to_learn}, step by step", classes="hint view-loss")
        yield Curve(empty="This difference has no curve.")
        yield Static("", classes="view-settings")

    @property
    def entry(self) -> Entry | None:
        """What is shown."""
        return self._entry

    def show(self, entry: Entry | None) -> None:
        """Show another entry, or nothing."""
        if entry == self._entry:
            return
        self._entry = entry
        self.set_class(entry is None, "-nothing")
        self.set_class(bool(entry and entry.error), "-damaged")
        if entry is None:
            self._write(Text("Nothing is chosen.", "muted"), "", "", "")
            return
        if entry.info is None:
            self._write(plain(entry.name, limit=160), "", damage(entry), "")
            return
        info = entry.info
        self._write(
            plain(entry.name, limit=160), tag_text(info.tags), words(info, entry.duplicate), ""
        )
        self.scroll_home(animate=False)
        self.call_after_refresh(self._show_settings, entry)
        self._open(entry)

    def say_again(self) -> None:
        """The same in the words of now."""
        entry, self._entry = self._entry, None
        self.show(entry)

    def _write(self, title: Text, tags: str, about: Text | Table | str, more: Table | str) -> None:
        parts = {"title": title, "tags": plain(tags, limit=300), "words": about, "settings": more}
        for name, content in parts.items():
            widget = self.query_one(f".view-{name}", Static)
            widget.update(content)
            widget.display = bool(content) if isinstance(content, str | Text) else True

    def _show_settings(self, entry: Entry) -> None:
        """What few look at comes once the rest is there."""
        if entry == self._entry and self.is_attached:
            widget = self.query_one(".view-settings", Static)
            widget.update(settings(entry))
            widget.display = True

    @work(thread=True, exclusive=True, group="detail")
    def _open(self, entry: Entry) -> None:
        try:
            difference = load(entry.path)
        except DiffinvError as error:
            tell(self.app, self._fail, entry, error.neutral)
            return
        tell(self.app, self._show, entry, difference, difference_pictures(difference))

    def _fail(self, entry: Entry, error: str) -> None:
        if entry == self._entry and self.is_attached:
            self.add_class("-damaged")
            self._write(plain(entry.name, limit=160), "", plain(tilde(error), limit=600), "")

    def _show(self, entry: Entry, difference: Difference, pictures: Mapping[str, Image]) -> None:
        if entry != self._entry or not self.query(Curve):  # none where the app is about to end
            return
        for figure, name in zip(self.query(Figure), ("a", "a_prime", "preview"), strict=True):
            figure.show(pictures.get(name), "none")
            figure.display = name != "preview" or name in pictures or not pictures
        self.query_one(Curve).show([float(row[0]) for row in difference.losses])


def damage(entry: Entry) -> Text:
    """What is wrong with a file, and what can be done."""
    text = plain(tilde(entry.error or ""), limit=600)
    text.append("\n\nPress d to move it to the trash.", "muted")
    return text


def _grid() -> Table:
    grid = Table.grid(padding=(0, 2), expand=True)
    grid.add_column(style="muted", no_wrap=True)
    grid.add_column(ratio=1)
    return grid


def words(info: DifferenceInfo, duplicate: bool = False) -> Table:
    """What it reads like, captions, prompts where they are others, warnings."""
    grid = _grid()
    if info.words_brought:
        grid.add_row("Reads like", plain(", ".join(info.words_brought), limit=200))
        grid.add_row("Takes away", plain(", ".join(info.words_taken), limit=200))
    for title, pairs in (("", info.captions), ("Prompt ", info.prompts)):
        if title and info.prompts == info.captions:
            continue
        for a, a_prime in pairs[:4]:
            grid.add_row(say(f"{title}{{Before}}"), plain(a, limit=400))
            grid.add_row(say(f"{title}{{After}}"), plain(a_prime, limit=400))
    if len(info.captions) > 4:
        grid.add_row("", plural(len(info.captions) - 4, "more pair"))
    if duplicate:
        grid.add_row(
            "Note", "There is another one with the same content: / is:duplicate finds both."
        )
    for warning in info.warnings:
        grid.add_row("Note", plain(warning, limit=300))
    return grid


def settings(entry: Entry) -> Table:
    """Where a difference comes from, and every setting it was learned with."""
    info, grid = entry.info, _grid()
    assert info is not None
    rows = [
        (say("{Model}"), info.backbone),
        ("With", added_in_words(info.additions)),
        (say("{Compares_with}"), info.delta_encoder),
        (say("{Describes_with}"), info.captioner),
        (say("{Hidden_words}"), f"{info.token_count} × {info.token_width}, {info.token_space}"),
        ("Learned", ", ".join(filter(None, (day(info.date), _time(info), info.device)))),
    ]
    rows.append(("File", short_path(entry.path)))
    shown = {k: v for k, v in info.settings.items() if k not in ("tokens", "token_space")}
    names = {key: plain(setting_name(key), limit=40).plain for key in shown}
    rows += [(names[key], number(v)) for key, v in shown.items() if v is not None]
    for name, value in rows:
        if value:
            grid.add_row(name, plain(value, limit=500))
    return grid


def _time(info: DifferenceInfo) -> str:
    return f"in {duration(info.seconds)}" if info.seconds else ""
